"""The report as tables for a terminal: coverage, activity, intensity, dominance, the busiest repositories, releases."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from msgspec import UNSET
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sinks.board import SIMULATED
from sinks.enough import CoveredWindows
from sinks.report import Report, in_words
from sinks.scope import ScopeFigures, number, percent
from streams.activity import COMPARED, FEATURES, PLATFORMS
from streams.plain import one_line
from streams.platforms import TITLES
from streams.windows import SHORTEST, WINDOWS

STATS: Final = ("mean", "median", "p90", "p99", "max", "gini")
SCOPES: Final = {"all": "Everything seen", "watched": "Watched repositories"}
# The features that the platforms are compared by: the busiest repositories are shown for these.
_BUSIEST: Final = 5
_COMPARED_FEATURES: Final = ("contribution", "exchange", "preference")
# The window that is shown in detail if no coverage is known.
_UNLESS_KNOWN: Final = "24h"


class _Headed(Table):
    """A table under a heading. A title of rich's own would be folded to the width of the table."""

    def __init__(self, heading: str) -> None:
        super().__init__(header_style="dim", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        self.heading = heading


def render(report: Report, window: str | None = None) -> RenderableType:
    """The whole report. Tables of one window show `window` (default: the longest window that is covered).

    For a window that is known to be covered by less than half, it shows since when it is covered instead of figures.
    """
    windows = CoveredWindows(report.measurements, _micros(report.as_of), _micros(report.watermark))
    parts: list[RenderableType] = [_headline(report)]
    for scope, title in SCOPES.items():
        index = ScopeFigures(report.measurements, scope, windows)
        detail = window or windows.longest(scope) or (SHORTEST if windows.known(scope) else _UNLESS_KNOWN)
        tables = [table for table in _tables(index, detail) if table.row_count] if index else []
        if tables:
            parts += [Text(), Text(f" {title} ", style="bold reverse")]
        for table in tables:
            parts += [Text(), Text(table.heading, style="bold"), table]
        lacking = [platform for platform in PLATFORMS if index.since(platform, detail) is not None]
        if tables and lacking:
            told = ", ".join(
                f"{TITLES[each]} {index.since(each, detail)} ({percent(index.coverage(each, detail))})"
                for each in lacking
            )
            parts += [
                Text(),
                Text(f"No figures for {detail}: less than half of it is covered: {told}", style="yellow"),
            ]
    return Group(*parts)


def _micros(moment: str | None) -> int | None:
    """An RFC 3339 time as µs UTC."""
    return None if moment is None else round(datetime.fromisoformat(moment).timestamp() * 1e6)


def _headline(report: Report) -> Text:
    world = [(SIMULATED + "\n", "bold reverse yellow")] if report.world == "simulated" else []
    if report.as_of is None:
        return Text.assemble(*world, "Nothing has arrived yet: there are no measurements." + _account(report))
    behind = {} if report.behind is UNSET else report.behind
    late = f" ({', '.join(f'{window}: {moment}' for window, moment in behind.items())})" if behind else ""
    return Text.assemble(*world, ("As of ", "dim"), (report.as_of, "bold"), late, _account(report))


def _account(report: Report) -> str:
    went_in = report.input
    parts = [f"{went_in.activities:,} activities"]
    if went_in.files is not None:
        parts[0] += f" from {went_in.files:,} file{'s' * (went_in.files != 1)}"
    parts.append(f"{went_in.duplicates:,} duplicates")
    parts.append(f"{went_in.late:,} too late")
    if went_in.missing:
        parts.append(f"{went_in.missing:,} records deleted before they were measured")
    if went_in.after_as_of:
        parts.append(f"{went_in.after_as_of:,} after the end that was asked for")
    if went_in.dead_letters:
        parts.append(
            "dead letters: " + ", ".join(f"{reason} {count:,}" for reason, count in went_in.dead_letters.items())
        )
    doubts = f"\n{in_words(went_in.hour_doubtful)}" if went_in.hour_doubtful else ""
    return "\n" + " · ".join(parts) + doubts


def _tables(index: ScopeFigures, window: str) -> Iterator[_Headed]:
    yield _coverage(index)
    yield _activity(index, window)
    yield _intensity(index, window)
    yield _dominance(index, window)
    for platform in PLATFORMS:
        yield _busiest(index, platform, window)
    yield _releases(index, window)


def _table(heading: str, *columns: str, text_columns: int = 1) -> _Headed:
    table = _Headed(heading)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < text_columns else "right", overflow="fold")
    return table


def _coverage(index: ScopeFigures) -> _Headed:
    table = _table("Coverage: share of the window that the feeds saw completely", "", *WINDOWS)
    for platform in PLATFORMS:
        values = [index.coverage(platform, window) for window in WINDOWS]
        if any(value is not None for value in values):
            table.add_row(TITLES[platform], *(percent(value) for value in values))
            _add_since(table, index, platform, "")
    return table


def _add_since(table: _Headed, index: ScopeFigures, platform: str, *before: str) -> None:
    """Add a row that says since when the windows are covered that are covered too little, if there are any."""
    since = [index.since(platform, window) for window in WINDOWS]
    if any(since):
        cells = [Text(words or "", style="yellow") for words in since]
        table.add_row(*before, *cells, *[""] * (len(table.columns) - len(before) - len(cells)))


def _activity(index: ScopeFigures, window: str) -> _Headed:
    columns = (*WINDOWS, f"developers {window}", f"repositories {window}")
    table = _table(f"Activity of people{index.in_part}", "", "feature", *columns, text_columns=2)
    for platform in PLATFORMS:
        title = TITLES[platform]
        for feature in FEATURES:
            values = [index.get("activity", platform=platform, feature=feature, window=each) for each in WINDOWS]
            if any(value is not None for value in values):
                names = ("active_developers", "active_repositories")
                who = [index.get(name, platform=platform, feature=feature, window=window) for name in names]
                table.add_row(title, feature, *(number(value) for value in (*values, *who)))
                title = ""
        if not title:
            table.add_row(
                "",
                Text("coverage", style="dim"),
                *(percent(index.coverage(platform, each)) for each in WINDOWS),
                "",
                "",
            )
            _add_since(table, index, platform, "", "")
        commits = [index.get("commits", platform=platform, window=each) for each in WINDOWS]
        if any(value is not None for value in commits):
            table.add_row(title, "commits known", *(number(value) for value in commits), "", "")
    return table


def _intensity(index: ScopeFigures, window: str) -> _Headed:
    title = f"Intensity, {window}: activities per repository that was active in any feature{index.covered(window)}"
    table = _table(title, "feature", "", *STATS, text_columns=2)
    for feature in FEATURES:
        name = feature
        for platform in PLATFORMS:
            values = [
                index.get("intensity", platform=platform, feature=feature, window=window, stat=stat) for stat in STATS
            ]
            if any(value is not None for value in values):
                table.add_row(name, TITLES[platform], *(number(value) for value in values))
                name = ""
        gap = index.get("intensity_gap_ratio", feature=feature, window=window)
        if gap is not None:
            table.add_row(name, "GitHub ÷ Hub", number(gap))
    return table


def _dominance(index: ScopeFigures, window: str) -> _Headed:
    title = f"Dominance, {window}: chance that a GitHub repository has more of it than one of the Hub (0.5: equal)"
    title += index.covered(window, COMPARED)
    table = _table(title, "feature", "dominance", "U", "z", "p")
    for feature in FEATURES:
        names = ("dominance_ratio", "mann_whitney_u", "mann_whitney_z", "mann_whitney_p")
        values = [index.get(name, feature=feature, window=window) for name in names]
        if any(value is not None for value in values):
            table.add_row(feature, *(number(value) for value in values))
    return table


def _busiest(index: ScopeFigures, platform: str, window: str) -> _Headed:
    found = {
        feature: index.ranked(
            "top_repository_activity", "repository", platform=platform, feature=feature, window=window
        )[:_BUSIEST]
        for feature in _COMPARED_FEATURES
    }
    title = f"Busiest repositories on {TITLES[platform]}, {window}{index.covered(window, [platform])}"
    table = _table(title, "feature", "", "repository", text_columns=1)
    table.columns[2].justify = "left"
    for feature, repositories in found.items():
        name = feature
        for repository, value in repositories:
            table.add_row(name, number(value), Text(one_line(repository)))
            name = ""
    return table


def _releases(index: ScopeFigures, window: str) -> _Headed:
    title = f"Releases, {window}: activity of people on what was published in the window{index.covered(window)}"
    table = _table(title, "", "", "repository", text_columns=1)
    table.columns[2].justify = "left"
    for platform in PLATFORMS:
        title = TITLES[platform]
        for release, value in index.ranked("release_engagement", "release", platform=platform, window=window)[
            :_BUSIEST
        ]:
            table.add_row(title, number(value), Text(one_line(release)))
            title = ""
    return table
