"""What a station shows while it runs: a table on a terminal, or one line a minute in a pipe."""

import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias

from agents.measurements import is_well
from nomadwatch.terminal.console import cell, console, table, tell
from nomadwatch.times import span
from sinks.board import SIMULATED, Board
from sinks.covered import Covered, Totals
from sinks.enough import CoveredWindows
from sinks.report import rfc3339
from streams import platforms
from streams.activity import SECOND
from streams.plain import one_line
from streams.windows import SHORTEST

if TYPE_CHECKING:
    from rich.table import Table

_LINE_EVERY: Final = 60.0
_BUSIEST: Final = 5
# Names of the scopes, in the order of display.
SCOPES: Final = {"watched": "watched", "all": "all seen"}
# A number, or the reason why there is none; and its coverage.
Figure: TypeAlias = tuple[float | str | None, float | None]


class StationView(Protocol):
    """Shows the state of the station."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def notice(self, line: str) -> None: ...
    def serving(self, url: str) -> None: ...
    def show(self, board: Board) -> None: ...


class Lines:
    """For pipes, files and journals: lines."""

    def __init__(self) -> None:
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def notice(self, line: str) -> None:
        """A line on stderr."""
        tell(line)

    def serving(self, url: str) -> None:
        """Print the address."""
        print(f"the page at {url}/, metrics at {url}/metrics", flush=True)

    def show(self, board: Board) -> None:
        """Print a line a minute, from the first poll on."""
        feeds = _Shown(board).feeds()
        if time.monotonic() < self._next or all(state == "starting" for _, state, *_ in feeds):
            return
        self._next = time.monotonic() + _LINE_EVERY
        print(one_line("; ".join(_sentences(board))), flush=True)


def _sentences(board: Board) -> list[str]:
    figures = _Shown(board)
    # The time of the figures, not of this machine.
    front = board.evaluation.front if board.evaluation else None
    found = [rfc3339(front // SECOND * SECOND) or ""] if front is not None else ["nothing counted yet"]
    if board.world == "simulated":
        found.insert(0, SIMULATED)
    for platform, name in platforms.TITLES.items():
        scopes = [_pair(word, figures.activity(scope, platform)) for scope, word in SCOPES.items()]
        found.append(f"{name} in 1h: {', '.join(scopes)}")
    feeds = figures.feeds()
    bad = [f"{feed}: {state}" for feed, state, *_ in feeds if not is_well(state) and state != "starting"]
    found.append(f"{len(feeds) - len(bad)} of {len(feeds)} feeds well" + (f" ({bad[0]})" if bad else ""))
    return found


def _pair(what: str, figure: Figure) -> str:
    """A figure with its coverage, in words."""
    value, coverage = figure
    said = value if isinstance(value, str) else f"{_number(value)} activities"
    return f"{what} {said} (coverage {_percent(coverage)})"


class _Shown:
    """The figures of a summary, each with its coverage."""

    def __init__(self, board: Board) -> None:
        self._board = board
        rows = [*board.measurements, *board.health]
        self._front = board.evaluation.front if board.evaluation else None
        self._totals, self._windows = Totals(rows), CoveredWindows(rows, self._front)
        self._of_feeds: dict[str, dict[str, float]] = {}
        for row in rows:
            if "feed" in row.labels:
                self._of_feeds.setdefault(row.name.removeprefix("nomadwatch_"), {})[row.labels["feed"]] = row.value

    def activity(self, scope: str, platform: str) -> Figure:
        """Activities of people in the last hour, or since when it is covered if too little is; and the coverage."""
        coverage = self._totals.coverage(scope, platform, SHORTEST)
        if not self._windows.enough(scope, platform, SHORTEST):
            return self._windows.since_words(scope, platform, SHORTEST), coverage
        total = self._totals.activity(scope, platform, SHORTEST)
        return (None if total is None else total.value), coverage

    def feeds(self) -> list[tuple[str, str, float | None, float | None]]:
        """(feed, state, coverage, lag in seconds) of each feed."""
        coverage, lag = (self._of_feeds.get(name, {}) for name in ("feed_coverage_ratio", "feed_lag_seconds"))
        states = {feed: state for report in self._board.reports for feed, state in report.states.items()}
        return [(feed, state, coverage.get(feed), lag.get(feed)) for feed, state in states.items()]

    def busiest(self) -> tuple[str | None, list[tuple[str, str, Covered]]]:
        """The longest window that is covered enough, and the busiest watched repositories in it.

        They are (repository, platform, activities).
        """
        window = self._windows.longest("watched")
        if window is None:
            return None, []
        ranked = self._totals.repositories("watched", window)
        return window, [row for row in ranked if self._windows.enough("watched", row[1], window)][:_BUSIEST]


class Screen:
    """For terminals: a table that is updated every second and removed at the end."""

    def __init__(self) -> None:
        from rich.live import Live

        self._console = console()
        self._url = ""
        self._live: Any = Live("starting …", console=self._console, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def notice(self, line: str) -> None:
        """Print a line above the table."""
        self._live.console.print(f"nomadwatch: {one_line(line)}", markup=False, highlight=False)

    def serving(self, url: str) -> None:
        """Show the address above the table."""
        self._url = url

    def show(self, board: Board) -> None:
        """Show feeds, coverage, and the busiest watched repositories."""
        from rich.console import Group
        from rich.text import Text

        figures = _Shown(board)
        head = Text.assemble(("nomadwatch", "bold"), f"  {self._url}/  Ctrl-C ends it")
        parts: list[Any] = [head, Text()]
        if board.world == "simulated":
            parts.insert(1, Text(f" {SIMULATED} ", style="bold reverse yellow"))
        if board.evaluation is not None and board.evaluation.front is not None:
            parts.insert(-1, Text(f"as of {rfc3339(board.evaluation.front // SECOND * SECOND)}", style="dim"))
        parts.append(_platform_table(figures))
        feeds = figures.feeds()
        if feeds:
            parts += [Text(), _feed_table(feeds, max(4, self._console.height - 18))]
        window, busiest = figures.busiest()
        if busiest:
            parts += [
                Text(),
                Text(f"busiest watched repositories, {window}: activities, coverage of their platform", style="dim"),
            ]
            for repository, platform, (value, coverage) in busiest:
                parts.append(
                    cell(f"{_number(value):>8}  {_percent(coverage):>7}  {repository}  ({platforms.TITLES[platform]})")
                )
        self._live.update(Group(*parts))


def _platform_table(figures: _Shown) -> "Table":
    """Activities of people in the last hour, by platform, each number with the coverage of its scope."""
    from rich.text import Text

    columns = [f"{word}, 1h" for word in SCOPES.values()]
    shown = table("", columns[0], "coverage", columns[1], "coverage", numbers=(*columns, "coverage"))
    for platform, name in platforms.TITLES.items():
        cells = [cell for scope in SCOPES for cell in _cells(figures.activity(scope, platform))]
        shown.add_row(Text(name), *cells)
    return shown


def _cells(figure: Figure) -> tuple[str, str]:
    value, coverage = figure
    return value if isinstance(value, str) else _number(value), _percent(coverage)


def _feed_table(feeds: list[tuple[str, str, float | None, float | None]], room: int) -> "Table":
    """The feeds, those with problems first, as many as fit."""
    from rich.text import Text

    shown = table("feed", "state", "coverage", "lag", numbers=("coverage", "lag"))
    ranked = sorted(feeds, key=lambda row: is_well(row[1]))
    for feed, state, coverage, lag in ranked[:room]:
        style = "" if is_well(state) else "yellow"
        shown.add_row(cell(feed), cell(state, style), _percent(coverage), "–" if lag is None else span(lag))
    if len(ranked) > room:
        shown.add_row(Text(f"and {len(ranked) - room} more: nomadwatch feeds", style="dim"))
    return shown


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def choose_summary() -> StationView:
    """A table if stdout is a terminal, else lines."""
    return Screen() if sys.stdout.isatty() else Lines()
