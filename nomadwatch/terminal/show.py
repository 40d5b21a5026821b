"""What a person sees of a replay while it runs: lines on stderr, and on a terminal a bar with share, rate and remaining
time.
"""

import logging
import sys
import time
from typing import Any, Protocol, Self

from nomadwatch.processes.process import OWN_LOGGERS
from nomadwatch.processes.roles import Advance
from nomadwatch.terminal.console import console, tell
from streams.plain import one_line


class Show(Protocol):
    """Gets told how far things are."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def notice(self, line: str) -> None: ...
    def advance(self, advance: Advance) -> None: ...
    def measuring(self) -> None: ...
    def writing(self, share: float) -> None: ...


class Quiet:
    """For pipes and files: warnings only."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def notice(self, line: str) -> None:
        """A line on stderr."""
        tell(line)

    def advance(self, advance: Advance) -> None:
        """Nothing: nobody watches."""

    def measuring(self) -> None:
        """Nothing: nobody watches."""

    def writing(self, share: float) -> None:
        """Nothing: nobody watches."""


class Bar:
    """For terminals; it goes away at the end."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._progress: Any = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, rate="")
        self._first: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def notice(self, line: str) -> None:
        """A line above the bar."""
        self._progress.console.print(f"nomadwatch: {one_line(line)}", markup=False, highlight=False)

    def advance(self, advance: Advance) -> None:
        """The rate is of this run: what an earlier one had read does not count."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, advance.activities)
        begun, before = self._first
        rate = (advance.activities - before) / (now - begun) if now > begun else 0.0
        fields = {"rate": f"{advance.activities:,} activities, {rate:,.0f}/s"}
        self._progress.update(self._task, description="reading", total=1.0, completed=advance.share, **fields)

    def measuring(self) -> None:
        """Everything is read; the workers catch up."""
        self._progress.update(self._task, description="measuring", completed=1.0)

    def writing(self, share: float) -> None:
        """Everything is measured; its history is made."""
        self._progress.update(self._task, description="writing the history", total=1.0, completed=share)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tell(record.getMessage())


def quiet_libraries(verbose: bool) -> None:
    """Show our own warnings, and what the libraries log only if asked for."""
    root = logging.getLogger()
    root.handlers[:] = [_Lines()]
    root.setLevel(logging.WARNING if verbose else logging.CRITICAL + 1)
    for package in OWN_LOGGERS:
        logging.getLogger(package).setLevel(logging.INFO if verbose else logging.WARNING)


def choose() -> Show:
    """A bar if a person watches stderr, else silence."""
    return Bar() if sys.stderr.isatty() else Quiet()
