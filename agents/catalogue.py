"""The catalogue: everything that can be asked of nomadwatch, one row a metric.

It drives the Prometheus collector, the default panels and `docs/metrics.md`, which `python -m agents.catalogue` prints.
"""

from typing import Final

from agents.metric import PREFIX, Kind, Metric, UnderSampling, render

_ROWS: Final[list[Metric]] = []
_YE_ZHOU: Final = "Ye & Zhou 2026, From OSS to Open Source AI"
_OWN: Final = "nomadwatch"
_FEATURES: Final = " What counts as which feature: docs/metrics.md#features, and /features of a station."
_SCALING: Final = " To estimate a whole window, divide by its `window_coverage_ratio`, and only where that is at least 0.5."


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
    "Absent if none was stated, since a push may bring any number of them.",
    formula="sum of the stated numbers of commits over the window's human activities",
    source=f"{_YE_ZHOU}, RQ1",
)
_row(
    "active_developers",
    "scope platform feature window",
    "people",
    "invalid",
    help="How many different people did something of the feature. One who does several features counts in each: do not add them.",
    formula="number of different human actors with at least one activity",
    source="CHAOSS, Contributors",
)
_row(
    "active_repositories",
    "scope platform feature window",
    "repositories",
    "invalid",
    help="How many different repositories saw something of the feature. One with several features counts in each: do not add them.",
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
    help="The 50 busiest repositories by name; `_other` is the rest, so that the sum is the platform's activity. A high share of one "
    "name means that a headline figure is one repository's.",
    formula="human activities of a repository in the window; equal ones in the order of their names; live, a name stays until "
    "it has fallen clearly behind",
)
_row(
    "repository_popularity",
    "project platform artefact kind",
    "as stated",
    "exact",
    help="Stars, forks, watchers, likes and downloads as the platforms state them, summed over a watched project. Levels, not events: "
    "look at the slope. Read `repository_popularity_share_ratio` beside it: a sum over fewer repositories is lower.",
    formula="sum of the numbers that the platform states for the project's repositories; one that does not answer is in the "
    "sum at its last number for a day, and one that is gone is not; absent before each was asked for once",
    source="GitHub REST API, repositories; Hugging Face Hub API, repository information",
)
_row(
    "repository_popularity_share_ratio",
    "project platform artefact kind share",
    "ratio",
    "exact",
    help="Which share of a project's repositories `repository_popularity` is a sum of. Below 1 for `counted` some are missing "
    "in the sum; below 1 for `answered` some are in it at an older number, or missing.",
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
    "first start a 30-day window says 0.003. Divide a figure that scales by it only where it is at least 0.5: below, the window also holds "
    "what the first look at a feed brought from before its covered time.",
    formula="time that the feeds covered ÷ length of the window; of several partitions the least; live, of an hour "
    "only that part counts of which a feed has said whether it saw it, or is late to",
)
_row(
    "covered_since_timestamp_seconds",
    "scope platform",
    "seconds",
    "exact",
    help="From when on the feeds have seen what happened, or their share of it, without a break of more than half an hour, as a Unix time. "
    "A live station says so. What is older was brought by the first look at a feed: it counts, but no coverage contains it.",
    formula="start of a feed's latest stretch of covered time; of several feeds the median",
)
_row(
    "intensity",
    "scope platform feature window stat",
    "activities per repository",
    "invalid",
    group="B",
    help="How work is spread over repositories. A median of 0 beside a high maximum: most repositories saw none of the feature, a few saw "
    "much. Gini says how unequal they are and has no unit. A feature of which nothing happened has the mean 0; `accepted` is absent then, "
    "for not every source tells of merges.",
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
    help="How many times more an average GitHub repository sees than an average Hub one. Above 1 GitHub is busier. Over whole lives the "
    "paper has about 137 for commits, 180 for issues, 154 for stars, with silent repositories included: compare "
    "the features with each other, not their levels with the paper's.",
    formula="mean activities per active repository on GitHub ÷ the same on Hugging Face; absent if the latter is 0",
    source=f"{_YE_ZHOU}, RQ1, table 2",
)
_row(
    "mann_whitney_u",
    "scope feature window",
    "pairs",
    "invalid",
    group="B",
    help="In how many of all pairs of a GitHub and a Hub repository GitHub's has more of the feature. Its size depends on the numbers of "
    "repositories: read `dominance_ratio` for the effect and `mann_whitney_p` for the evidence.",
    formula="pairs that GitHub wins + ½ · ties, over the same repositories as `intensity`",
    source=f"{_YE_ZHOU}, RQ1; Mann & Whitney 1947",
)
_row(
    "mann_whitney_z",
    "scope feature window",
    "standard deviations",
    "invalid",
    group="B",
    help="How far the two platforms are from being alike, in standard deviations: positive where GitHub has more, negative where the Hub.",
    formula="(U - n1·n2÷2 ∓ ½) ÷ its standard deviation under equality, corrected for ties; absent if all values are the same",
    source="Mann & Whitney 1947, normal approximation; equals scipy.stats.mannwhitneyu(method='asymptotic')",
)
_row(
    "mann_whitney_p",
    "scope feature window",
    "probability",
    "invalid",
    group="B",
    help="How often two equal platforms would differ at least so much. With many repositories it is small for differences that nobody "
    "would notice: read it together with `dominance_ratio`.",
    formula="two-sided tail of the normal distribution beyond z; absent if all values are the same",
    source="Mann & Whitney 1947, normal approximation; equals scipy.stats.mannwhitneyu(method='asymptotic')",
)
_row(
    "dominance_ratio",
    "scope feature window",
    "ratio",
    "invalid",
    group="B",
    help="The chance that a random GitHub repository has more of the feature than a random Hub one, ties counted half. 0.5: alike; "
    "0.7: GitHub's wins seven times of ten.",
    formula="U ÷ (n1·n2)",
    source="Vargha & Delaney 2000 (measure A); McGraw & Wong 1992 (common language effect size)",
)
_row(
    "feature_correlation",
    "scope platform a b window",
    "r",
    "invalid",
    group="B",
    help="Whether repositories with much of one feature have much of the other: 1 always, 0 unrelated, -1 the contrary. The paper finds "
    "0.04 to 0.09: weak, so that one feature cannot stand for another.",
    formula="Pearson's r of the activities of two features over the same repositories as `intensity`; absent if one does not vary",
    source=f"{_YE_ZHOU}, RQ1; Pearson 1895",
)
_row(
    "release_engagement",
    "platform release window",
    "activities",
    "scales",
    group="F",
    help="The watched repositories that were new, or published a version, within the window, and how much people did to them in it: the "
    "swarm around a release. 0 is a release that nobody took notice of. The 50 with most on each platform; what happens to derivatives "
    "under their own names is not in it.",
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
    help="HTTP requests of a feed by their outcome. Mostly `unchanged` is healthy: the feed is polled more often than it moves. `limited` "
    "means that the token's quota is spent, `failed` that the platform or the way to it is ill.",
    formula="answers with 200 (new), 304 (unchanged), refusals of a limit (limited), everything else and broken bodies (failed)",
)
_row(
    "feed_coverage_ratio",
    "feed",
    "ratio",
    "exact",
    group="H",
    help="The share of a feed's events of the last hour that were seen. 1 while its polls overlap; `/events` is a sample of a few per "
    "cent by nature. Figures of a window are scaled by `window_coverage_ratio`, not by this; what a thin sample makes invalid is not to be "
    "trusted where this is below 0.95.",
    formula="1 while polls overlap; else events seen ÷ (rate within a poll × time), the rate from the span of a poll's times",
)
_row(
    "feed_gaps_total",
    "feed reason",
    "gaps",
    "exact",
    type="counter",
    group="H",
    help="How often a feed could not see everything. Activities of a gap may be missing from every figure of its time.",
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
    "quiet feed lags because nothing happens: compare with `feed_polls_total`.",
    formula="time of evaluation - newest event time seen",
)
_row(
    "feed_rate_limit_remaining",
    "feed",
    "requests",
    "exact",
    group="H",
    help="Requests left of the quota that the platform states, until it is filled up again. Near 0 the feed waits, and a gap may open.",
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
    help="Activities that came too long after their time to be told from duplicates, and were left out. If it grows, old input is being "
    "read into a newer state: replay it into a folder of its own.",
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
