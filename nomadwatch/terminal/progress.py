"""What a replay shows while it runs: warnings on stderr, and on a terminal a progress bar."""

import sys
import time
from typing import Any, Protocol, Self

import msgspec

from nomadwatch.terminal.console import console, tell
from streams.plain import one_line


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """How far the reader is: the share of the bytes it has read (0 to 1), and the activities so far."""

    share: float
    activities: int


class ProgressView(Protocol):
    """Shows how far a replay is."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def notice(self, line: str) -> None: ...
    def advance(self, advance: Advance) -> None: ...
    def measuring(self) -> None: ...
    def writing(self, share: float) -> None: ...


class Quiet:
    """For pipes and files: prints warnings only."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def notice(self, line: str) -> None:
        """A line on stderr."""
        tell(line)

    def advance(self, advance: Advance) -> None:
        """Shows nothing."""

    def measuring(self) -> None:
        """Shows nothing."""

    def writing(self, share: float) -> None:
        """Shows nothing."""


class Bar:
    """For terminals: a progress bar, which is removed at the end."""

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
        """Show the share and the rate of this run; what an earlier run read does not count for the rate."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, advance.activities)
        begun, before = self._first
        rate = (advance.activities - before) / (now - begun) if now > begun else 0.0
        fields = {"rate": f"{advance.activities:,} activities, {rate:,.0f}/s"}
        self._progress.update(self._task, description="reading", total=1.0, completed=advance.share, **fields)

    def measuring(self) -> None:
        """Everything is read, and the workers catch up."""
        self._progress.update(self._task, description="measuring", completed=1.0)

    def writing(self, share: float) -> None:
        """Everything is measured, and the history is being written."""
        self._progress.update(self._task, description="writing the history", total=1.0, completed=share)


def choose_progress() -> ProgressView:
    """A bar if stderr is a terminal, else warnings only."""
    return Bar() if sys.stderr.isatty() else Quiet()
