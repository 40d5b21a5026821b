"""The dashboard *Feeds*: coverage, lag, gaps and quota of each feed."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana import layout, panels, variables
from grafana.layout import Row, Section
from grafana.panels import COVERED, TableColumn, meaning, number, over_time, rows
from streams.windows import WINDOWS

_FEEDS: Final = 'feed=~"$feed"'
_ANSWERS: Final = 'outcome=~"new|unchanged"'
_REFUSALS: Final = 'outcome=~"limited|failed"'
# This feed is always a sample.
_FIREHOSE: Final = "github:/events"
_NO_GAP: Final = "no gap"


def dashboard() -> Dashboard:
    """The dashboard, for all feeds or for those that are chosen."""
    values = 'label_values(nomadwatch_feed_polls_total{feed=~"$platform:.*"}, feed)'
    return layout.dashboard(
        "feeds",
        "Feeds",
        "How completely the platforms are seen. Every other figure is only as good as this.",
        [
            variables.platforms(),
            variables.label_values("feed", "Feed", "Feeds of the chosen platforms.", values, many=True),
        ],
        [
            Section("At a glance", [Row(_glance(), 4)]),
            Section("Coverage and lag", [Row([(_coverage(), 12), (_lag(), 12)], 9), Row([(_windows(), 24)], 6)]),
            Section("Polls and quota", [Row([(_polls(), 24)], 7), Row([(_refused(), 12), (_quota(), 12)], 9)]),
            Section("Gaps", [Row([(_lost(), 12), (_gaps(), 12)], 8)]),
            Section("Feed by feed", [Row([(_table(), 24)], 14)]),
        ],
    )


def _glance() -> list[tuple[Panel, int]]:
    def polls(outcome: str, window: str) -> str:
        return f"sum by (feed) (increase(nomadwatch_feed_polls_total{{{_FEEDS}, {outcome}}}[{window}]))"

    # The same condition as in the alert FeedStale: a feed that is polled rarely may be silent for an hour, and one
    # refusal is normal.
    silent = f"{polls(_ANSWERS, '30m')} == 0"
    long_silent = f"{polls(_REFUSALS, '3h')} >= 2 and {polls(_ANSWERS, '3h')} == 0"
    refused = f"{silent} and ({polls(_REFUSALS, '30m')} >= 3 or ({long_silent}))"
    refused = f"count({refused}) or 0 * count({polls(_ANSWERS, '30m')})"
    worst = f'bottomk(1, max by (feed) (nomadwatch_feed_coverage_ratio{{{_FEEDS}, feed!="{_FIREHOSE}"}}))'
    least = f"bottomk(1, max by (feed) (nomadwatch_feed_rate_limit_remaining{{{_FEEDS}}}))"
    polled = meaning("feed_polls_total")
    return [
        (number("Feeds", polled, panels.COUNT, f"count(count by (feed) (nomadwatch_feed_polls_total{{{_FEEDS}}}))"), 4),
        (
            number(
                "Refused feeds",
                "Feeds that were refused three times in half an hour, or twice in three hours, without any answer in "
                f"that time. {polled}",
                panels.COUNT,
                refused,
                steps=((None, "green"), (1, "red")),
            ),
            5,
        ),
        (
            number(
                "Worst coverage",
                meaning("feed_coverage_ratio", f"Without {_FIREHOSE}."),
                panels.RATIO,
                worst,
                legend="{{feed}}",
                steps=COVERED,
                decimals=1,
            ),
            5,
        ),
        (
            number(
                "Least quota left",
                meaning("feed_rate_limit_remaining"),
                panels.COUNT,
                least,
                legend="{{feed}}",
                steps=((None, "red"), (50, "orange"), (500, "green")),
            ),
            5,
        ),
        (
            number(
                "Time lost in gaps",
                meaning("feed_gap_seconds_total", "Sum over feeds, since the station started."),
                panels.SECONDS,
                f"sum(nomadwatch_feed_gap_seconds_total{{{_FEEDS}}})",
                none=_NO_GAP,
            ),
            5,
        ),
    ]


def _coverage() -> Panel:
    expr = f"max by (feed) (nomadwatch_feed_coverage_ratio{{{_FEEDS}}})"
    return over_time(
        "Coverage of each feed",
        meaning("feed_coverage_ratio"),
        panels.RATIO,
        {"{{feed}}": expr},
        many=True,
        low=0,
        high=1,
        line=0.95,
    )


def _lag() -> Panel:
    expr = f"max by (feed) (nomadwatch_feed_lag_seconds{{{_FEEDS}}})"
    return over_time(
        "Lag of each feed", meaning("feed_lag_seconds"), panels.SECONDS, {"{{feed}}": expr}, many=True, low=0
    )


def _windows() -> Panel:
    def by_scope(window: str) -> str:
        seen = f'nomadwatch_window_coverage_ratio{{window="{window}", platform=~"$platform"}}'
        return f'max by (seen) (label_join({seen}, "seen", " · ", "platform", "scope"))'

    columns = [TableColumn(window, by_scope(window), panels.RATIO, COVERED, 1) for window in WINDOWS]
    return rows("Coverage of the windows", meaning("window_coverage_ratio"), "seen", columns)


def _polls() -> Panel:
    expr = f"sum by (outcome) (rate(nomadwatch_feed_polls_total{{{_FEEDS}}}[$__rate_interval])) * 60"
    return over_time(
        "Polls by outcome", meaning("feed_polls_total"), panels.PER_MINUTE, {"{{outcome}}": expr}, stacked=True, low=0
    )


def _refused() -> Panel:
    expr = f"sum by (feed) (rate(nomadwatch_feed_polls_total{{{_FEEDS}, {_REFUSALS}}}[$__rate_interval])) * 60"
    return over_time(
        "Refused polls",
        meaning("feed_polls_total", "Only limited and failed polls."),
        panels.PER_MINUTE,
        {"{{feed}}": expr},
        many=True,
        low=0,
    )


def _quota() -> Panel:
    expr = f"max by (feed) (nomadwatch_feed_rate_limit_remaining{{{_FEEDS}}})"
    return over_time(
        "Quota left", meaning("feed_rate_limit_remaining"), panels.COUNT, {"{{feed}}": expr}, many=True, low=0
    )


def _lost() -> Panel:
    # The level of the counter: the first gap of a reason starts the counter at its length, which a rate misses.
    expr = f"sum by (reason) (nomadwatch_feed_gap_seconds_total{{{_FEEDS}}})"
    description = meaning(
        "feed_gap_seconds_total",
        "Sum over feeds, since the station started. A gap is counted when its end is known.",
    )
    return over_time("Time lost, by reason", description, panels.SECONDS, {"{{reason}}": expr}, low=0, none=_NO_GAP)


def _gaps() -> Panel:
    def by_gap(name: str) -> str:
        return f'sum by (gap) (label_join({name}{{{_FEEDS}}}, "gap", " · ", "feed", "reason"))'

    columns = [
        TableColumn("gaps", by_gap("nomadwatch_feed_gaps_total"), decimals=0),
        TableColumn("time lost", by_gap("nomadwatch_feed_gap_seconds_total"), panels.SECONDS),
    ]
    return rows(
        "Gaps of each feed", meaning("feed_gaps_total", "Since the station started."), "gap", columns, none=_NO_GAP
    )


def _table() -> Panel:
    def by_feed(expr: str, how: str = "max") -> str:
        return f"{how} by (feed) ({expr})"

    polls = "sum by (feed) (rate(nomadwatch_feed_polls_total{{{}}}[$__rate_interval])) * 60"
    refused = f"sum by (feed) (increase(nomadwatch_feed_polls_total{{{_FEEDS}, {_REFUSALS}}}[$__range]))"
    columns = [
        TableColumn("coverage", by_feed(f"nomadwatch_feed_coverage_ratio{{{_FEEDS}}}"), panels.RATIO, COVERED, 1),
        TableColumn("lag", by_feed(f"nomadwatch_feed_lag_seconds{{{_FEEDS}}}"), panels.SECONDS, decimals=0),
        TableColumn("polls", polls.format(_FEEDS), panels.PER_MINUTE, decimals=1),
        TableColumn("refused in this time range", refused, steps=((None, "text"), (1, "orange")), decimals=0),
        TableColumn("time lost", by_feed(f"nomadwatch_feed_gap_seconds_total{{{_FEEDS}}}", "sum"), panels.SECONDS),
        TableColumn("quota left", by_feed(f"nomadwatch_feed_rate_limit_remaining{{{_FEEDS}}}")),
    ]
    return rows("Feed by feed", meaning("feed_coverage_ratio", "Lag: " + meaning("feed_lag_seconds")), "feed", columns)
