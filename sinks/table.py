"""The report for people: coverage first, then activity, both platforms' intensity side by side, dominance, the busiest
repositories, releases."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import UNSET
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agents.measurements import Measurement
from sinks.board import SIMULATED
from sinks.covered import SEEN_IN_PART, Coverages
from sinks.enough import Windows
from sinks.report import Report, in_words
from streams.activity import COMPARED, FEATURES, PLATFORMS
from streams.plain import one_line
from streams.platforms import TITLES

WINDOWS: Final = ("1h", "24h", "7d", "30d")
STATS: Final = ("mean", "median", "p90", "p99", "max", "gini")
SCOPES: Final = {"all": "Everything seen", "watched": "Watched repositories"}
# The busiest repositories are shown of the features that the two platforms are compared by.
_BUSIEST: Final = 5
_COMPARED_FEATURES: Final = ("contribution", "exchange", "preference")
_REST: Final = "_other"
# The window in detail where no coverage is known.
_UNLESS_KNOWN: Final = "24h"
_UNKNOWN: Final = Text("–", style="dim")


class _Index:
    """The values of one scope by name and labels; a release is a watched one, what else has no scope compares platforms
    as a whole.

    Values of windows that are known to be covered too little are left out.
    """

    def __init__(self, measurements: Sequence[Measurement], scope: str, windows: Windows) -> None:
        self._scope, self._coverages, self._windows = scope, Coverages(measurements), windows
        self._values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self._is_known = False
        for each in measurements:
            labels = dict(each.labels)
            name = each.name.removeprefix("nomadwatch_")
            if labels.pop("scope", "watched" if name == "release_engagement" else "all") == scope:
                self._is_known = True
                if "window" not in labels or all(
                    self.since(place, labels["window"]) is None for place in _platforms(labels)
                ):
                    self._values[name, frozenset(labels.items())] = each.value

    @property
    def in_part(self) -> str:
        """What the coverage does not hold for, in words."""
        return (
            f" · the coverage does not hold for {SEEN_IN_PART}"
            if self._scope == "all" and self._coverages.is_live
            else ""
        )

    def __bool__(self) -> bool:
        return self._is_known

    def since(self, platform: str, window: str) -> str | None:
        """From when on a window is covered, in words, if that is too little for figures; None where they are shown."""
        place = self._scope, platform, window
        return (
            None
            if self.coverage(platform, window) is None or self._windows.enough(*place)
            else self._windows.since_words(*place)
        )

    def get(self, name: str, **labels: str) -> float | None:
        return self._values.get((name, frozenset(labels.items())))

    def coverage(self, platform: str, window: str) -> float | None:
        """The share of the scope's window that was seen of a platform."""
        return self._coverages.known.get((self._scope, platform, window))

    def covered(self, window: str, platforms: Sequence[str] = PLATFORMS) -> str:
        """The same in words, to stand at the end of the heading of a window's table."""
        told = [f"{TITLES[platform]} {_percent(self.coverage(platform, window))}" for platform in platforms]
        return f" · coverage {', '.join(told)}"

    def ranked(self, name: str, by: str, **wanted: str) -> list[tuple[str, float]]:
        """The values of the label `by` with their figures, by falling figure, then by name."""
        found = []
        for (each, labels), value in self._values.items():
            if each == name and wanted.items() < labels and (shown := dict(labels)[by]) != _REST:
                found.append((shown, value))
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))


class _Headed(Table):
    """A table under a heading; rich would fold a title of its own to the table's width."""

    def __init__(self, heading: str) -> None:
        super().__init__(header_style="dim", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        self.heading = heading


def render(report: Report, window: str | None = None) -> RenderableType:
    """The whole report; tables of one window show `window`, unless it is given the longest that is covered.

    Of a window that is known to be covered by less than half no figure is shown, but since when it is covered.
    """
    windows = Windows(report.measurements, _micros(report.as_of), _micros(report.watermark))
    parts: list[RenderableType] = [_headline(report)]
    for scope, title in SCOPES.items():
        index = _Index(report.measurements, scope, windows)
        detail = window or windows.longest(scope) or (WINDOWS[0] if windows.known(scope) else _UNLESS_KNOWN)
        tables = [table for table in _tables(index, detail) if table.row_count] if index else []
        if tables:
            parts += [Text(), Text(f" {title} ", style="bold reverse")]
        for table in tables:
            parts += [Text(), Text(table.heading, style="bold"), table]
        lacking = [platform for platform in PLATFORMS if index.since(platform, detail) is not None]
        if tables and lacking:
            told = ", ".join(
                f"{TITLES[each]} {index.since(each, detail)} ({_percent(index.coverage(each, detail))})"
                for each in lacking
            )
            parts += [
                Text(),
                Text(f"No figures of {detail}, which is covered by less than half: {told}", style="yellow"),
            ]
    return Group(*parts)


def _micros(moment: str | None) -> int | None:
    """RFC 3339 in µs UTC."""
    return None if moment is None else round(datetime.fromisoformat(moment).timestamp() * 1e6)


def _headline(report: Report) -> Text:
    world = [(SIMULATED + "\n", "bold reverse yellow")] if report.world == "simulated" else []
    if report.as_of is None:
        return Text.assemble(*world, "Nothing has arrived yet: no measurements." + _account(report))
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
        parts.append(f"{went_in.after_as_of:,} after the asked end")
    if went_in.dead_letters:
        parts.append(
            "dead letters: " + ", ".join(f"{reason} {count:,}" for reason, count in went_in.dead_letters.items())
        )
    doubts = f"\n{in_words(went_in.hour_doubtful)}" if went_in.hour_doubtful else ""
    return "\n" + " · ".join(parts) + doubts


def _tables(index: _Index, window: str) -> Iterator[_Headed]:
    yield _coverage(index)
    yield _activity(index, window)
    yield _intensity(index, window)
    yield _dominance(index, window)
    for platform in PLATFORMS:
        yield _busiest(index, platform, window)
    yield _releases(index, window)


def _table(heading: str, *columns: str, text_columns: int = 1) -> _Headed:
    table = _Headed(heading)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < text_columns else "right", overflow="fold")
    return table


def _coverage(index: _Index) -> _Headed:
    table = _table("Coverage: share of the window that the feeds saw whole", "", *WINDOWS)
    for platform in PLATFORMS:
        values = [index.coverage(platform, window) for window in WINDOWS]
        if any(value is not None for value in values):
            table.add_row(TITLES[platform], *(_percent(value) for value in values))
            _add_since(table, index, platform, "")
    return table


def _add_since(table: _Headed, index: _Index, platform: str, *before: str) -> None:
    """A row that says since when windows are covered, where there are some that are covered too little."""
    since = [index.since(platform, window) for window in WINDOWS]
    if any(since):
        cells = [Text(words or "", style="yellow") for words in since]
        table.add_row(*before, *cells, *[""] * (len(table.columns) - len(before) - len(cells)))


def _activity(index: _Index, window: str) -> _Headed:
    columns = (*WINDOWS, f"developers {window}", f"repositories {window}")
    table = _table(f"Activity of people{index.in_part}", "", "feature", *columns, text_columns=2)
    for platform in PLATFORMS:
        title = TITLES[platform]
        for feature in FEATURES:
            values = [index.get("activity", platform=platform, feature=feature, window=each) for each in WINDOWS]
            if any(value is not None for value in values):
                names = ("active_developers", "active_repositories")
                who = [index.get(name, platform=platform, feature=feature, window=window) for name in names]
                table.add_row(title, feature, *(_number(value) for value in (*values, *who)))
                title = ""
        if not title:
            table.add_row(
                "",
                Text("coverage", style="dim"),
                *(_percent(index.coverage(platform, each)) for each in WINDOWS),
                "",
                "",
            )
            _add_since(table, index, platform, "", "")
        commits = [index.get("commits", platform=platform, window=each) for each in WINDOWS]
        if any(value is not None for value in commits):
            table.add_row(title, "commits known", *(_number(value) for value in commits), "", "")
    return table


def _intensity(index: _Index, window: str) -> _Headed:
    title = f"Intensity, {window}: activities of a repository that was active in any feature{index.covered(window)}"
    table = _table(title, "feature", "", *STATS, text_columns=2)
    for feature in FEATURES:
        name = feature
        for platform in PLATFORMS:
            values = [
                index.get("intensity", platform=platform, feature=feature, window=window, stat=stat) for stat in STATS
            ]
            if any(value is not None for value in values):
                table.add_row(name, TITLES[platform], *(_number(value) for value in values))
                name = ""
        gap = index.get("intensity_gap_ratio", feature=feature, window=window)
        if gap is not None:
            table.add_row(name, "GitHub ÷ Hub", _number(gap))
    return table


def _dominance(index: _Index, window: str) -> _Headed:
    title = f"Dominance, {window}: chance that a GitHub repository has more of it than one of the Hub (0.5: equal){index.covered(window, COMPARED)}"
    table = _table(title, "feature", "dominance", "U", "z", "p")
    for feature in FEATURES:
        names = ("dominance_ratio", "mann_whitney_u", "mann_whitney_z", "mann_whitney_p")
        values = [index.get(name, feature=feature, window=window) for name in names]
        if any(value is not None for value in values):
            table.add_row(feature, *(_number(value) for value in values))
    return table


def _busiest(index: _Index, platform: str, window: str) -> _Headed:
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
            table.add_row(name, _number(value), Text(one_line(repository)))
            name = ""
    return table


def _releases(index: _Index, window: str) -> _Headed:
    title = f"Releases, {window}: what people did to what was published in the window{index.covered(window)}"
    table = _table(title, "", "", "repository", text_columns=1)
    table.columns[2].justify = "left"
    for platform in PLATFORMS:
        title = TITLES[platform]
        for release, value in index.ranked("release_engagement", "release", platform=platform, window=window)[
            :_BUSIEST
        ]:
            table.add_row(title, _number(value), Text(one_line(release)))
            title = ""
    return table


def _platforms(labels: Mapping[str, str]) -> Sequence[str]:
    """Those that a row is about."""
    return [labels["platform"]] if "platform" in labels else COMPARED


def _number(value: float | None) -> Text:
    """Whole numbers with separators, others with four significant digits."""
    if value is None:
        return _UNKNOWN
    if value == int(value) and abs(value) < 1e15:
        return Text(f"{int(value):,}")
    return Text(f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}")


def _percent(value: float | None) -> Text:
    return _UNKNOWN if value is None else Text(f"{100 * value:.4g} %")
