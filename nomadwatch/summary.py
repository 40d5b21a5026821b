"""What a person sees of a station while it runs: on a terminal a quiet table, in a pipe one line a minute."""

import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from nomadwatch.console import cell, console, tell
from sinks.board import Board
from streams.plain import one_line

if TYPE_CHECKING:
    from rich.table import Table

_LINE_EVERY: Final = 60.0
_BUSIEST: Final = 5
_PLATFORMS: Final = {"github": "GitHub", "huggingface": "Hugging Face"}


class Summary(Protocol):
    """Gets told how the station is doing."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def notice(self, line: str) -> None: ...
    def serving(self, url: str) -> None: ...
    def show(self, board: Board) -> None: ...


class Lines:
    """For pipes, files and journals."""

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
        """The address, once."""
        print(f"the page at {url}/, metrics at {url}/metrics", flush=True)

    def show(self, board: Board) -> None:
        """A line a minute, the first when there is something to say."""
        feeds = _Figures(board).feeds()
        if time.monotonic() < self._next or all(state == "starting" for _, state, *_ in feeds):
            return
        self._next = time.monotonic() + _LINE_EVERY
        print(one_line("; ".join(_sentences(board))), flush=True)


def _sentences(board: Board) -> list[str]:
    figures = _Figures(board)
    found = [time.strftime("%H:%M:%S", time.gmtime()) + " UTC"]
    for platform, name in _PLATFORMS.items():
        found.append(f"{name} {_number(figures.activities(platform))} activities in 1h, coverage {_percent(figures.coverage(platform))}")
    feeds = figures.feeds()
    bad = [f"{feed}: {state}" for feed, state, *_ in feeds if state not in ("ok", "starting")]
    found.append(f"{len(feeds) - len(bad)} of {len(feeds)} feeds well" + (f" ({bad[0]})" if bad else ""))
    return found


class _Figures:
    """The few figures that stand in a summary."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._values: dict[str, list[tuple[dict[str, str], float]]] = {}
        for row in [*board.measurements, *board.health]:
            self._values.setdefault(row.name.removeprefix("nomadwatch_"), []).append((row.labels, row.value))

    def _of(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        return [(own, value) for own, value in self._values.get(name, []) if labels.items() <= own.items()]

    def activities(self, platform: str) -> int | None:
        """Of people, everything that was seen, in the last hour; None before anything was."""
        values = [value for _, value in self._of("activity", scope="all", platform=platform, window="1h")]
        return int(sum(values)) if values else None

    def coverage(self, platform: str) -> float | None:
        """Of the watched repositories, in the last hour."""
        return next((value for _, value in self._of("window_coverage_ratio", scope="watched", platform=platform, window="1h")), None)

    def feeds(self) -> list[tuple[str, str, float | None, float | None]]:
        """(feed, state, coverage, lag in seconds) of each."""
        coverage = {labels["feed"]: value for labels, value in self._of("feed_coverage_ratio")}
        lag = {labels["feed"]: value for labels, value in self._of("feed_lag_seconds")}
        states = {feed: state for report in self._board.reports for feed, state in report.states.items()}
        return [(feed, state, coverage.get(feed), lag.get(feed)) for feed, state in states.items()]

    def busiest(self) -> list[tuple[str, str, int]]:
        """(repository, platform, activities) of the watched repositories, in 24 hours."""
        sums: dict[tuple[str, str], float] = {}
        for labels, value in self._of("top_repository_activity", scope="watched", window="24h"):
            if labels["repository"] != "_other" and labels["feature"] != "upkeep":
                key = labels["repository"], _PLATFORMS[labels["platform"]]
                sums[key] = sums.get(key, 0.0) + value
        ranked = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
        return [(repository, platform, int(value)) for (repository, platform), value in ranked[:_BUSIEST]]


class Screen:
    """For terminals: rewritten every second, gone at the end."""

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
        """A line above the table."""
        self._live.console.print(f"nomadwatch: {one_line(line)}", markup=False, highlight=False)

    def serving(self, url: str) -> None:
        """The address stands above the table."""
        self._url = url

    def show(self, board: Board) -> None:
        """The feeds, the coverage, the busiest watched repositories."""
        from rich.console import Group
        from rich.text import Text

        figures = _Figures(board)
        head = Text.assemble(("nomadwatch", "bold"), f"  {self._url}/  Ctrl-C ends it")
        parts: list[Any] = [head, Text()]
        for platform, name in _PLATFORMS.items():
            count, share = _number(figures.activities(platform)), _percent(figures.coverage(platform))
            said = f"{count:>8} activities in 1h   coverage {share:>6} (watched)"
            parts.append(Text(f"{name:<13}{said}"))
        feeds = figures.feeds()
        if feeds:
            parts += [Text(), _feed_table(feeds, max(4, self._console.height - 16))]
        if busiest := figures.busiest():
            parts += [Text(), Text("busiest watched repositories, 24h", style="dim")]
            parts += [cell(f"{value:>8,}  {repository}  ({platform})") for repository, platform, value in busiest]
        self._live.update(Group(*parts))


def _feed_table(feeds: list[tuple[str, str, float | None, float | None]], room: int) -> "Table":
    """Those that are in trouble first; as many as there is room for."""
    from rich.text import Text

    from nomadwatch.console import table
    from nomadwatch.feeds import span

    shown = table("feed", "state", "coverage", "lag", numbers=("coverage", "lag"))
    ranked = sorted(feeds, key=lambda row: row[1] == "ok")
    for feed, state, coverage, lag in ranked[:room]:
        style = "" if state == "ok" else "yellow"
        shown.add_row(cell(feed), cell(state, style), _percent(coverage), "–" if lag is None else span(lag))
    if len(ranked) > room:
        shown.add_row(Text(f"and {len(ranked) - room} more: nomadwatch feeds", style="dim"))
    return shown


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def choose_summary() -> Summary:
    """A table if a person watches stdout, else lines."""
    return Screen() if sys.stdout.isatty() else Lines()
