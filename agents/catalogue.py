"""The catalogue: everything that can be asked of nomadwatch, one row a metric.

It drives the Prometheus collector, the default panels and `docs/metrics.md`, which `python -m agents.catalogue` prints.
"""

from typing import Final

from agents.metric import PREFIX, Kind, Metric, UnderSampling, render

_ROWS: Final[list[Metric]] = []
_YE_ZHOU: Final = "Ye & Zhou 2026, From OSS to Open Source AI"
_OWN: Final = "nomadwatch"
_FEATURES: Final = " What counts as which feature: docs/metrics.md#features, and /features of a station."
_SCALING: Final = (
    " To estimate a whole window, divide by its `window_coverage_ratio`, and only where that is at least 0.5."
)


def _row(
    name: str,
    labels: str,
    unit: str,
    under_sampling: UnderSampling,
    *,
    help: str,
    formula: str,
    source: str = _OWN,
    type: Kind = "gauge",
    group: str = "A",
) -> None:
    said = set(labels.split())
    more = [_SCALING] if under_sampling == "scales" and "window" in said else []
    more += [_FEATURES] if {"feature", "a"} & said and group != "I" else []
    _ROWS.append(
        Metric(
            name=PREFIX + name,
            group=group,
            type=type,
            unit=unit,
            labels=tuple(labels.split()),
            help=help + "".join(more),
            formula=formula,
            source=source,
            under_sampling=under_sampling,
        )
    )


_row(
    "activities_total",
    "scope platform feature actor",
    "activities",
    "scales",
    type="counter",
    help="Everything that was counted since the state began, bots beside humans. Use its rate to see the pulse of a platform. "
    "Leave accepted out of rates and sums: a merge is upkeep already, and its total can fall by one, which a rate takes for a reset.",
    formula="number of different activities; of accepted, of the merges credited (docs/decisions/0006-accepted.md)",
    source=f"features of {_YE_ZHOU}, RQ1; bots by its rule and by listed logins",
)
_row(
    "activity",
    "scope platform feature window",
    "activities",
    "scales",
    help="How much people did in the window. Compare a feature with its own past; the two platforms count different kinds of work. "
    "Live, preference of scope `all` is seen only in part: no coverage holds for it.",
    formula="number of different human activities whose time lies in the window",
    source=f"features of {_YE_ZHOU}, RQ1",
)
_row(
    "commits",
    "scope platform window",
    "commits",
    "scales",
    help="Commits of people, where the platform states how many: on the Hub each one, on GitHub pushes until 7 October 2025. "
    "Absent if no number was stated: a push can bring any number of commits.",
    formula="sum of the stated numbers of commits over the window's human activities",
    source=f"{_YE_ZHOU}, RQ1",
)
_row(
    "active_developers",
    "scope platform feature window",
    "people",
    "invalid",
    help="How many different people did the feature. A person who does several features counts in each of them: do not add the numbers.",
    formula="number of different human actors with at least one activity",
    source="CHAOSS, Contributors",
)
_row(
    "active_repositories",
    "scope platform feature window",
    "repositories",
    "invalid",
    help="How many different repositories had the feature. A repository with several features counts in each of them: do not add them.",
    formula="number of different repositories with at least one human activity",
    source="CHAOSS, Activity",
)
_row(
    "project_activity",
    "project platform artefact feature window",
    "activities",
    "scales",
    help="How much people did in a watched project: where, and on what kind of artefact. It shows whether an organisation's community "
    "gathers around its code or its models.",
    formula="number of different human activities in the project's repositories in the window",
    source=f"features of {_YE_ZHOU}, RQ1",
)
_row(
    "top_repository_activity",
    "scope platform feature window repository",
    "activities",
    "scales",
    help="Activity of the 50 busiest repositories by name. `_other` is the sum of the rest, so that all together are the platform's "
    "activity. If one name has a high share, the platform's figure is mostly that of one repository.",
    formula="human activities of a repository in the window; repositories with equal figures in the order of their names; live, a "
    "repository keeps its place until others are clearly ahead",
)
_row(
    "repository_popularity",
    "project platform artefact kind",
    "as stated",
    "exact",
    help="Stars, forks, watchers, likes and downloads as the platforms state them, summed over a watched project. These are levels, not "
    "events: compare their change over time. Read `repository_popularity_share_ratio` beside it: a sum over fewer repositories is lower.",
    formula="sum of the numbers that the platform states for the project's repositories; one that does not answer is in the "
    "sum at its last number for a day, and one that is gone is not; absent before each was asked for once",
    source="GitHub REST API, repositories; Hugging Face Hub API, repository information",
)
_row(
    "repository_popularity_share_ratio",
    "project platform artefact kind share",
    "ratio",
    "exact",
    help="How many of a project's repositories are in the sum `repository_popularity`, as a share. If `counted` is below 1, some are "
    "missing in the sum. If `answered` is below 1, some are in the sum with an older number, or missing.",
    formula="repositories that stated the number when they were last asked (`answered`), or at most a day ago (`counted`) ÷ "
    "the project's repositories that are known; an owner on the Hub that could never be listed counts as one",
    source="nomadwatch",
)
_row(
    "window_coverage_ratio",
    "scope platform window",
    "ratio",
    "exact",
    help="Read it before every other figure of the window: the share of its time in which the feeds were complete. Two hours after a "
    "first start that of 30 days is 0.003. Divide figures by it only where it is at least 0.5: below, the window also holds activities "
    "from before the covered time, which the first look at a feed brought.",
    formula="time that the feeds covered ÷ length of the window; the least of several partitions; live, the window of an hour leaves "
    "out the time of which its feeds have not yet reported and are not late to report",
)
_row(
    "covered_since_timestamp_seconds",
    "scope platform",
    "seconds",
    "exact",
    help="Since when the feeds have been watched without a break of more than half an hour, as a Unix time. Only live stations state it. "
    "Older activities came with the first look at a feed: they are counted, but the coverage does not include their time.",
    formula="start of a feed's latest stretch of covered time; of several feeds the median",
)
_row(
    "intensity",
    "scope platform feature window stat",
    "activities per repository",
    "invalid",
    group="B",
    help="How work is spread over repositories. A median of 0 beside a high maximum: most repositories saw none of the feature, a few saw "
    "much. Gini says how unequal they are and has no unit. A feature that did not occur has the mean 0, but `accepted` is absent then, "
    "because not every source reports merges.",
    formula="mean, median, percentiles (linear interpolation), maximum and Gini coefficient (mean absolute difference ÷ twice the mean) "
    "of the human activities per repository, over repositories active in any feature in the window, zeros included",
    source=f"{_YE_ZHOU}, RQ1, table 2 and figures 4 to 6; percentiles: Hyndman & Fan 1996, definition 7",
)
_row(
    "intensity_gap_ratio",
    "scope feature window",
    "ratio",
    "invalid",
    group="B",
    help="The mean of GitHub's repositories as a multiple of the mean of the Hub's. Above 1, GitHub is busier. The paper found about 137 "
    "for commits, 180 for issues, 154 for stars, over the whole lives of repositories and with silent ones included. So compare the "
    "features with each other, not with the paper's levels.",
    formula="mean activities per active repository on GitHub ÷ the same on Hugging Face; absent if the latter is 0",
    source=f"{_YE_ZHOU}, RQ1, table 2",
)
_row(
    "mann_whitney_u",
    "scope feature window",
    "pairs",
    "invalid",
    group="B",
    help="Of all pairs of one GitHub and one Hub repository: in how many GitHub's has more of the feature. Its size depends on the "
    "numbers of repositories: read `dominance_ratio` for the effect and `mann_whitney_p` for the evidence.",
    formula="pairs that GitHub wins + ½ · ties, over the same repositories as `intensity`",
    source=f"{_YE_ZHOU}, RQ1; Mann & Whitney 1947",
)
_row(
    "mann_whitney_z",
    "scope feature window",
    "standard deviations",
    "invalid",
    group="B",
    help="How far the two platforms are from being alike, in standard deviations. Positive: GitHub has more; negative: the Hub has more.",
    formula="(U - n1·n2÷2 ∓ ½) ÷ its standard deviation under equality, corrected for ties; absent if all values are the same",
    source="Mann & Whitney 1947, normal approximation; equals scipy.stats.mannwhitneyu(method='asymptotic')",
)
_row(
    "mann_whitney_p",
    "scope feature window",
    "probability",
    "invalid",
    group="B",
    help="The probability that two equal platforms differ at least this much by chance. With many repositories it is small even for "
    "negligible differences: read it together with `dominance_ratio`.",
    formula="two-sided tail of the normal distribution beyond z; absent if all values are the same",
    source="Mann & Whitney 1947, normal approximation; equals scipy.stats.mannwhitneyu(method='asymptotic')",
)
_row(
    "dominance_ratio",
    "scope feature window",
    "ratio",
    "invalid",
    group="B",
    help="The chance that a random GitHub repository has more of the feature than a random Hub one, ties counted half. 0.5: the "
    "platforms are alike; 0.7: GitHub's repository has more in seven of ten pairs.",
    formula="U ÷ (n1·n2)",
    source="Vargha & Delaney 2000 (measure A); McGraw & Wong 1992 (common language effect size)",
)
_row(
    "feature_correlation",
    "scope platform a b window",
    "r",
    "invalid",
    group="B",
    help="Whether repositories with much of one feature have much of the other: 1 always, 0 unrelated, -1 the opposite. The paper finds "
    "weak correlations of 0.04 to 0.09, so one feature cannot stand in for another.",
    formula="Pearson's r of the activities of two features over the same repositories as `intensity`; absent if one does not vary",
    source=f"{_YE_ZHOU}, RQ1; Pearson 1895",
)
_row(
    "release_engagement",
    "platform release window",
    "activities",
    "scales",
    group="F",
    help="What people did in the window to watched repositories that were created, or published a version, in it: the swarm around a "
    "release. 0 means that nobody reacted. Shown are the 50 releases with most on each platform. Activity in derivatives of a release "
    "is not included.",
    formula="human exchange, review, preference and adaptation in the window, of watched repositories with a human publication in it",
    source="Linåker, Osborne et al. 2025, 3.1; definition: nomadwatch",
)
_row(
    "feed_polls_total",
    "feed outcome",
    "requests",
    "exact",
    type="counter",
    group="H",
    help="HTTP requests of a feed by their outcome. Mostly `unchanged` is healthy: the feed is polled more often than it changes. "
    "`limited` means that the rate limit was hit, `failed` that the platform or the network has a problem.",
    formula="answers with 200 (new), 304 (unchanged), refusals of a limit (limited), everything else and broken bodies (failed)",
)
_row(
    "feed_coverage_ratio",
    "feed",
    "ratio",
    "exact",
    group="H",
    help="The share of a feed's events of the last hour that were seen. 1 while its polls overlap; `/events` is a sample of a few per "
    "cent by nature. To scale the figures of a window, use `window_coverage_ratio`, not this.",
    formula="1 while polls overlap; else events seen ÷ (rate within a poll × time), the rate from the span of a poll's times",
)
_row(
    "feed_gaps_total",
    "feed reason",
    "gaps",
    "exact",
    type="counter",
    group="H",
    help="How often a feed could not see everything. Activities in a gap may be missing from all figures of that time.",
    formula="rows of the gap ledger, by reason",
)
_row(
    "feed_gap_seconds_total",
    "feed reason",
    "seconds",
    "exact",
    type="counter",
    group="H",
    help="How long a feed could not see everything. Its rate is the share of time that was lost.",
    formula="summed lengths of the gap ledger's rows, by reason",
)
_row(
    "feed_lag_seconds",
    "feed",
    "seconds",
    "exact",
    group="H",
    help="How old the newest event is that a feed has shown. GitHub delays events by 30 seconds or more, so a few minutes are usual; a "
    "quiet feed lags because nothing happens: `feed_polls_total` shows whether it is still answered.",
    formula="time of evaluation - newest event time seen",
)
_row(
    "feed_rate_limit_remaining",
    "feed",
    "requests",
    "exact",
    group="H",
    help="Requests left in the platform's current rate-limit window, as it states them. Near 0 the feed waits, and a gap may open.",
    formula="as in the latest answer's x-ratelimit-remaining (GitHub) or RateLimit (Hugging Face)",
    source="GitHub REST API, rate limits; Hugging Face Hub, rate limits",
)
_row(
    "duplicates_total",
    "",
    "activities",
    "exact",
    type="counter",
    group="H",
    help="Activities that arrived again and were not counted again. Overlapping feeds and repeated files make them: a steady rate "
    "is healthy.",
    formula="activities whose id stands in the pane of their time",
)
_row(
    "late_total",
    "",
    "activities",
    "exact",
    type="counter",
    group="H",
    help="Activities that arrived more than 31 days late and were not counted: so late, duplicates are no longer recognised. If it grows, "
    "old input is being read into a newer state: replay it into a data folder of its own.",
    formula="activities more than 31 days behind the watermark",
)
_row(
    "dead_letters_total",
    "reason",
    "records",
    "exact",
    type="counter",
    group="H",
    help="Input that could not be read, kept on the topic `dead-letters` with its place. A jump means that a platform changed its format.",
    formula="records set aside, by reason",
)
_row(
    "watermark_timestamp_seconds",
    "role",
    "seconds",
    "exact",
    group="H",
    help="Up to which event time the figures are complete, as a Unix time. If it stands still while the clock goes on, a feed is silent.",
    formula="least mark of all feeds and partitions",
)
_row(
    "series_left_out",
    "",
    "series",
    "exact",
    group="H",
    help="How many measurements a scrape left out to stay within 50,000 series. Above 0 figures are missing from `/metrics`, not from the "
    "topic: watch fewer projects.",
    formula="series on the board - room for them",
)
_row(
    "pipeline_latency_seconds",
    "stage",
    "seconds",
    "exact",
    type="histogram",
    group="H",
    help="How long what has arrived takes from one stage to the next. Together they are the delay between a poll and a dashboard; feeds "
    "add their own (`feed_lag_seconds`).",
    formula="folded: checkpoint - timestamp of the oldest record of `activity` that it adds, one observation a checkpoint and partition; "
    "measured: evaluation - checkpoint, one each; shown: time of a scrape - evaluation that it showed, one a scrape; since the role began",
)
_row(
    "reference",
    "source metric platform feature stat",
    "as in its metric",
    "exact",
    group="I",
    help="What a paper found, to stand beside what is measured. A label that does not apply is empty; `stat` says which of several values "
    "of the metric it is. The papers looked at whole lives or at one year: compare orders and ratios rather than levels.",
    formula="as published",
    source="Ye & Zhou 2026, From OSS to Open Source AI; Dias et al., quoted there",
)
_row(
    "build_info",
    "version python world",
    "1",
    "exact",
    group="P",
    help="Which version speaks, and whether the figures beside it are of the `real` world or of a `simulated` one. One simulated activity "
    "among the input makes everything simulated: quote nothing of it.",
    formula="always 1; the labels say it",
)


CATALOGUE: Final = tuple(_ROWS)
_BY_NAME: Final = {row.name: row for row in CATALOGUE}


def by_name(name: str) -> Metric:
    """The row of a metric, by its full name; KeyError if there is none.

    >>> by_name("nomadwatch_commits").labels
    ('scope', 'platform', 'window')
    """
    return _BY_NAME[name]


if __name__ == "__main__":
    print(render(CATALOGUE), end="")
