"""Windows as they stood at the ends of past hours, from the panes of everything that was read, however late it came.

What happened before a moment counts there, what happened later does not: the figures at the end of an hour are those of
a batch recomputation over all activities up to then, which `nomadwatch replay --as-of` makes too.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, NamedTuple

from agents.measurements import Measurement
from agents.operators.counts import Counts
from agents.operators.grains import GRAINS, SCOPES, floor
from agents.operators.names import Names
from agents.operators.pane import RecordKey
from agents.operators.progress import Feed, Progress
from agents.operators.window import WINDOWS, PaneVersions, Piece, Windows, bounds
from streams.activity import DAY, HOUR, PLATFORMS

# Behind the moment: what no window asks for. Of a day that has no pane of its own the hours stay as long as days do.
_HOURS_KEPT: Final = 8 * DAY
_DAYS_KEPT: Final = 32 * DAY


class PaneRecord(NamedTuple):
    """A pane's record in its last version."""

    key: RecordKey
    value: bytes


class _Versions(PaneVersions):
    """Keeps the names of a day together: whoever asks for names looks into a few tables, not into one for each hour."""

    def __init__(self) -> None:
        super().__init__()
        self._by_day: dict[int, Names] = {}

    def learn(self, piece: Piece) -> None:
        """Take up the names of a pane of an hour or a minute."""
        day = floor(piece[1], "day")
        self._by_day[day] = Names.merged(
            [*self.content(piece).names, *([self._by_day[day]] if day in self._by_day else [])]
        )

    def names(self) -> Iterator[Names]:
        return iter(self._by_day.values())

    def forget(self, before: dict[str, int], needed: Callable[[Piece], bool] = lambda piece: False) -> None:
        super().forget(before, needed)
        for day in [day for day in self._by_day if day < before["day"]]:
            del self._by_day[day]


class Past(Windows):
    """All windows at rising ends of hours. `progress` are the last ones of the partitions: they say what was covered,
    and when.
    """

    def __init__(self, progress: Iterable[Progress]) -> None:
        self._ended = list(progress)
        super().__init__(len(self._ended))
        self._versions = {scope: [_Versions() for _ in self._ended] for scope in SCOPES}
        self._panes = {scope: list[PaneVersions](versions) for scope, versions in self._versions.items()}
        self._totals = {scope: [Counts() for _ in self._ended] for scope in SCOPES}

    def take(self, records: Iterable[PaneRecord]) -> None:
        """The panes of minutes and hours, and of days, that have ended since the last call; of an hour either one or
        the other.
        """
        pieces: set[tuple[str, int, Piece]] = set()
        for key, value in records:
            self._panes[key.scope][key.partition].put(key, value)
            pieces.add((key.scope, key.partition, (key.grain, key.start)))
        for scope, partition, (grain, start) in pieces:
            # A day is its hours once more.
            if grain != "day":
                self._versions[scope][partition].learn((grain, start))
                total = self._totals[scope][partition]
                for name, n in self._panes[scope][partition].content((grain, start)).counts.items():
                    if not name.startswith("project/"):
                        total.add(name, n)

    def at(self, end: int) -> list[Measurement]:
        """Every measurement at the end of an hour (µs), up to which everything was taken."""
        for number, ended in enumerate(self._ended):
            totals = {scope: self._totals[scope][number].get() for scope in SCOPES}
            covered = {platform: before for platform in PLATFORMS if (before := list(_until(end, ended, platform)))}
            self.progress[number] = Progress(front=end - 1, feeds={"": Feed(covered=covered)}, totals=totals)
        self.refresh()
        return self.evaluate(final=True)

    def refresh(self, windows: Collection[str] = WINDOWS) -> None:
        """Bring the windows to the front, which ends an hour: all steps are whole hours or days."""
        front = self.front
        assert front is not None
        for (scope, window), total in self._sums.items():
            if window not in windows:
                continue
            begin, _ = bounds(window, front)
            step = "day" if WINDOWS[window][0] == "day" else "hour"
            total.refresh(self._panes[scope], [_pieces(versions, step, begin) for versions in self._panes[scope]])
        for panes in self._panes.values():
            for versions in panes:
                _forget(versions, front)


def _pieces(versions: PaneVersions, step: str, begin: int) -> set[Piece]:
    """What the steps from begin on count by: the coarsest pane up to the step that there is."""
    coarser = {
        grain: GRAINS[GRAINS.index(grain) + 1 : GRAINS.index(step) + 1] for grain in GRAINS[: GRAINS.index(step) + 1]
    }
    return {
        (grain, start)
        for grain, start in versions.records
        if start >= begin
        and grain in coarser
        and not any((over, floor(start, over)) in versions.records for over in coarser[grain])
    }


def _forget(versions: PaneVersions, front: int) -> None:
    """Drop what no later window asks for."""
    oldest = floor(front - _HOURS_KEPT, "day")
    waiting = [
        start
        for grain, start in versions.records
        if grain != "day" and ("day", floor(start, "day")) not in versions.records
    ]
    finer = min([oldest, *waiting])
    days = floor(front - _DAYS_KEPT, "day")
    versions.forget({"minute": max(finer, days), "hour": max(finer, days), "day": days})


def _until(end: int, progress: Progress, platform: str) -> Iterator[tuple[int, int]]:
    """What was covered of a platform before a moment."""
    for feed in progress.feeds.values():
        for start, stop in feed.coverage(platform).get():
            if start < end:
                yield start, min(stop, end)


def hours_covered(progress: Iterable[Progress]) -> list[int]:
    """The ends of the hours that feeds saw whole in every partition, of any platform, rising.

    >>> feed = Feed(covered={"github": [(HOUR, 3 * HOUR), (4 * HOUR, 5 * HOUR - 1)]})
    >>> hours_covered([Progress(feeds={"f": feed})]) == [2 * HOUR, 3 * HOUR]
    True
    """
    ends: set[int] = set()
    for number, each in enumerate(progress):
        own: set[int] = set()
        for feed in each.feeds.values():
            for platform in PLATFORMS:
                for start, stop in feed.coverage(platform).get():
                    own.update(range(-(-start // HOUR) * HOUR + HOUR, stop + 1, HOUR))
        ends = own if not number else ends & own
    return sorted(ends)
