"""The dashboard *OSS against OSM*: activity on GitHub and the Hub, how it is spread, how it differs, and the papers."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana import layout, panels, variables
from grafana.layout import Row, Section
from grafana.panels import TableColumn, bars, coverage, meaning, over_time, rows
from grafana.queries import ONCE, PLATFORMS, SHORT, of, reference, trusted, trusted_both
from streams.activity import FEATURES

# Releases are known for the watchlist only.
_WATCHED: Final = 'nomadwatch_window_coverage_ratio{scope="watched", window="$window"}'
_CHOSEN: Final = 'feature="$feature"'
_CONTRIBUTION: Final = 'feature="contribution"'
_THIN: Final = "coverage below 95 %"
_STATS: Final = ("mean", "median", "p90", "p99", "max", "gini")
# The features that Ye & Zhou compare.
_COMPARED: Final = "contribution|exchange|preference"


def dashboard() -> Dashboard:
    """The dashboard: open-source software against open models."""
    return layout.dashboard(
        "oss-osm",
        "OSS against OSM",
        "Collaboration on open-source software (GitHub) and on open models (the Hugging Face Hub), side by side.",
        [variables.scope(), variables.window(), variables.feature(FEATURES), variables.actor()],
        [
            Section("Activity", [Row(_activity()), Row([(_every_feature(), 15), (_bots(), 9)], 9), Row(_breadth())]),
            Section(
                "Intensity",
                [
                    Row(_intensity()),
                    Row([(_spread(), 24)], 4),
                    Row([(_busiest(platform), 12) for platform in PLATFORMS], 9),
                ],
            ),
            Section(
                "Releases", [Row([(coverage(_WATCHED), 4), *((_releases(platform), 10) for platform in PLATFORMS)], 9)]
            ),
            Section("Gap and dominance", [Row(_gap()), Row([(_evidence(), 12), (_correlation(), 12)], 9)]),
            Section("Beside the papers", [Row(_beside_papers(), 7), Row([(_papers(), 24)], 12)]),
        ],
    )


def _both(name: str, *matchers: str) -> str:
    """A statistic over repositories or people, by platform, where the coverage allows it."""
    return trusted(f"max by (platform) ({of(name, *matchers)})")


def _one(name: str, platform: str, by: str, *matchers: str, **labels: str) -> str:
    """The same for one platform, by another label."""
    return f"max by ({by}) ({trusted(of(name, *matchers, platform=platform, **labels))})"


def _activity() -> list[tuple[Panel, int]]:
    pulse = f'nomadwatch_activities_total{{scope="$scope", {_CHOSEN}, {ONCE}, actor=~"$actor"}}'
    return [
        (coverage(), 4),
        (
            over_time(
                "Activity: $feature, $window",
                meaning("activity", "A window that was seen in part shows that part only."),
                panels.COUNT,
                {"{{platform}}": f"max by (platform) ({of('activity', _CHOSEN)})"},
                low=0,
            ),
            10,
        ),
        (
            over_time(
                "Pulse: $feature by $actor",
                meaning(
                    "activities_total",
                    "By the time of counting, not of the event. Accepted has no pulse.",
                ),
                panels.PER_HOUR,
                {"{{platform}}": f"sum by (platform) (rate({pulse}[$__rate_interval])) * 3600"},
                low=0,
                every="1m",
                none="nothing counted yet; accepted has no pulse",
            ),
            10,
        ),
    ]


def _every_feature() -> Panel:
    columns = [
        TableColumn(f"activities {short}", f"max by (feature) ({of('activity', platform=platform)})")
        for platform, short in SHORT.items()
    ]
    for name, title in (("active_developers", "people"), ("active_repositories", "repositories")):
        columns += [
            TableColumn(f"{title} {short}", _one(name, platform, "feature")) for platform, short in SHORT.items()
        ]
    return rows(
        "Every feature, $window",
        "Activities of people in the window, the number of these people, and the number of repositories. A person or a "
        "repository counts in each of its features: do not add them up. docs/metrics.md says what each feature means.",
        "feature",
        columns,
    )


def _bots() -> Panel:
    total = f'sum by (platform) (nomadwatch_activities_total{{scope="$scope", {ONCE}}})'
    bots = f'sum by (platform) (nomadwatch_activities_total{{scope="$scope", {ONCE}, actor="bot"}})'
    return over_time(
        "Share of bots since the station started counting",
        meaning("activities_total", "Bots are in no other figure."),
        panels.RATIO,
        {"{{platform}}": f"{bots} / {total}"},
        low=0,
    )


def _breadth() -> list[tuple[Panel, int]]:
    titles = {
        "active_developers": "People: $feature, $window",
        "active_repositories": "Repositories: $feature, $window",
    }
    return [
        (over_time(title, meaning(name), panels.COUNT, {"{{platform}}": _both(name, _CHOSEN)}, low=0, none=_THIN), 12)
        for name, title in titles.items()
    ]


def _intensity() -> list[tuple[Panel, int]]:
    mean, gini = ({"{{platform}}": _both("intensity", _CHOSEN, f'stat="{stat}"')} for stat in ("mean", "gini"))
    described = meaning("intensity", "Activities per active repository.")
    return [
        (coverage(), 4),
        (over_time("Mean intensity: $feature, $window", described, panels.COUNT, mean, low=0, none=_THIN), 10),
        (
            over_time(
                "Inequality (Gini): $feature, $window",
                meaning("intensity"),
                panels.RATIO,
                gini,
                low=0,
                high=1,
                none=_THIN,
            ),
            10,
        ),
    ]


def _spread() -> Panel:
    columns = [TableColumn(stat, _both("intensity", _CHOSEN, f'stat="{stat}"'), decimals=2) for stat in _STATS]
    described = meaning("intensity", "Activities per active repository; gini has no unit.")
    return rows("Spread over repositories: $feature, $window", described, "platform", columns, none=_THIN)


def _busiest(platform: str) -> Panel:
    named = of("top_repository_activity", _CHOSEN, 'repository!="_other"', platform=platform)
    return bars(
        f"Busiest, {PLATFORMS[platform]}: $feature, $window",
        meaning("top_repository_activity"),
        panels.COUNT,
        f"sort_desc(topk(8, max by (repository) ({named})))",
        "{{repository}}",
        colour=panels.COLOURS[platform],
    )


def _releases(platform: str) -> Panel:
    engaged = f'nomadwatch_release_engagement{{platform="{platform}", window="$window"}}'
    return bars(
        f"Swarms around releases, {PLATFORMS[platform]}, $window",
        meaning("release_engagement"),
        panels.COUNT,
        f"sort_desc(topk(8, max by (release) ({engaged})))",
        "{{release}}",
        colour=panels.COLOURS[platform],
        none="nothing was released",
    )


def _gap() -> list[tuple[Panel, int]]:
    drawn = f'feature=~"{_COMPARED}|$feature"'
    gap, dominance = (
        {"{{feature}}": trusted_both(f"max by (feature) ({of(name, drawn)})")}
        for name in ("intensity_gap_ratio", "dominance_ratio")
    )
    wide = meaning("intensity_gap_ratio", "The scale is logarithmic, the dashed line is equality.")
    likely = meaning("dominance_ratio", "The dashed line is equality.")
    return [
        (coverage(), 4),
        (
            over_time(
                "Intensity gap, OSS ÷ OSM, $window", wide, panels.TIMES, gap, logarithmic=True, line=1, none=_THIN
            ),
            10,
        ),
        (
            over_time(
                "Dominance of OSS, $window", likely, panels.RATIO, dominance, low=0, high=1, line=0.5, none=_THIN
            ),
            10,
        ),
    ]


def _evidence() -> Panel:
    columns = [
        TableColumn(title, trusted_both(f"max by (feature) ({of(name)})"), unit, decimals=decimals)
        for name, title, unit, decimals in (
            ("dominance_ratio", "dominance of OSS", panels.RATIO, 1),
            ("mann_whitney_z", "z", panels.PLAIN, 2),
            ("mann_whitney_p", "p", panels.SCIENTIFIC, 1),
            ("intensity_gap_ratio", "gap OSS ÷ OSM", panels.TIMES, 2),
        )
    ]
    described = f"p: {meaning('mann_whitney_p')} z: {meaning('mann_whitney_z')}"
    return rows("Significance of the difference, $window", described, "feature", columns, none=_THIN)


def _correlation() -> Panel:
    def by_pair(expr: str) -> str:
        return f'max by (pair) (label_join({expr}, "pair", " × ", "a", "b"))'

    compared = f'a=~"{_COMPARED}", b=~"{_COMPARED}"'
    columns = [
        TableColumn(
            short, by_pair(trusted(of("feature_correlation", compared, platform=platform))), panels.PLAIN, decimals=2
        )
        for platform, short in SHORT.items()
    ]
    # The paper states one range for all pairs.
    pairs = f"0 * {by_pair(of('feature_correlation', compared))}"
    for stat in ("low", "high"):
        paper = f"scalar({reference(metric='feature_correlation', stat=stat)})"
        columns.append(TableColumn(f"Ye & Zhou, {stat}", f"{pairs} + {paper}", panels.PLAIN, decimals=2))
    return rows("Correlation of features, $window", meaning("feature_correlation"), "pair", columns, none=_THIN)


def _beside_papers() -> list[tuple[Panel, int]]:
    compared = f'feature=~"{_COMPARED}"'

    def ours(matcher: str) -> str:
        return f"max by (feature) ({of('intensity_gap_ratio', matcher)})"

    def published(**labels: str) -> str:
        means = (_published(platform, **labels) for platform in SHORT)
        return " / ".join(means)

    columns = [
        TableColumn("ours", trusted_both(ours(compared)), panels.TIMES, decimals=2),
        TableColumn("Ye & Zhou", published(), panels.TIMES, decimals=1),
        TableColumn(
            "ours, relative",
            trusted_both(f"{ours(compared)} / scalar({ours(_CONTRIBUTION)})"),
            panels.PLAIN,
            decimals=2,
        ),
        TableColumn(
            "theirs, relative", f"{published()} / scalar({published(feature='contribution')})", panels.PLAIN, decimals=2
        ),
    ]
    described = meaning("intensity_gap_ratio", "The last two columns: each gap ÷ the gap of contributions.")
    levels = [
        column
        for platform, short in SHORT.items()
        for column in (
            TableColumn(f"{short} ours", _one("intensity", platform, "feature", compared, stat="mean"), decimals=2),
            TableColumn(f"{short} Ye & Zhou", _published(platform), decimals=2),
        )
    ]
    lives = (
        "Mean activities per repository. Ours are of repositories that were active in the window. The paper's are of "
        "whole lives, inactive repositories included. Compare the order of the features, not the levels."
    )
    return [
        (coverage(), 4),
        (rows("Gap OSS ÷ OSM beside the paper, $window", described, "feature", columns, none=_THIN), 10),
        (rows("Mean intensity beside the paper, $window", lives, "feature", levels, none=_THIN), 10),
    ]


def _published(platform: str, **labels: str) -> str:
    return f"max by (feature) ({reference(metric='intensity', stat='mean', platform=platform, **labels)})"


def _papers() -> Panel:
    labels = ("source", "metric", "platform", "feature", "stat")
    expr = f"max by ({', '.join(labels)}) (nomadwatch_reference)"
    described = meaning("reference", "Shown even if the metric is not measured.")
    return rows(
        "Figures of the papers",
        described,
        "metric",
        [TableColumn("published", expr, panels.PLAIN)],
        names={label: label for label in labels},
    )
