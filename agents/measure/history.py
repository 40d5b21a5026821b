"""Past hours: the windows at the end of each hour, computed from the store.

An activity counts in the hour in which it happened, however late it arrived. The figures at the end of an hour equal a
recount of all activities up to then, which `nomadwatch replay --as-of` makes.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from agents.facts import BOT, WATCHED, Rows
from agents.measure.store import Store
from agents.measure.windows import Windows
from agents.measurements import Measurement
from agents.operators.progress import Feed, Progress, decode_progress
from agents.operators.reach import SCOPES
from streams.activity import HOUR, MINUTE, PLATFORMS
from streams.codes import CODES, names_of
from streams.windows import Window

_ACTORS: Final = ("human", "bot")


class RecordsLost(Exception):
    """The store lacks activities, so past hours cannot be computed."""


class _Totals:
    """The totals since the beginning, as a view of all rows."""

    window, watched = "", False
    span: Window | None = None

    def __init__(self) -> None:
        self._codes = {scope: np.zeros(2 * CODES, np.int64) for scope in SCOPES}

    def add(self, rows: Rows) -> None:
        for scope, own in (("all", rows), ("watched", rows[rows["flags"] & WATCHED > 0])):
            places = own["code"].astype(np.intp) << 1 | own["flags"] & BOT
            self._codes[scope] += np.bincount(places, own["n"], 2 * CODES).astype(np.int64)

    def remove(self, rows: Rows) -> None:
        raise AssertionError("nothing leaves")

    def evaluate(self, front: int) -> list[Measurement]:
        return []

    def get(self) -> dict[str, dict[str, int]]:
        """As in `Progress.totals`."""
        return {
            scope: {
                "/".join((*names_of(place >> 1), _ACTORS[place & 1])): int(codes[place])
                for place in np.flatnonzero(codes).tolist()
            }
            for scope, codes in self._codes.items()
        }


class Past(Windows):
    """All windows at rising ends of hours, over a store that does not change meanwhile."""

    def __init__(self, store: Store, progress: Sequence[Progress]) -> None:
        """`progress` are the last ones of the partitions: they say what was covered, and when."""
        self._totals = _Totals()
        super().__init__(store, len(progress), views=[self._totals])
        self._ended = progress
        self._minute = 0

    def at(self, end: int) -> list[Measurement]:
        """Every measurement at the end of an hour (µs)."""
        self._minute = (end - 1) // MINUTE
        self.move(end - 1, until=end)
        for number, ended in enumerate(self._ended):
            covered = {platform: before for platform in PLATFORMS if (before := list(_until(end, ended, platform)))}
            self.progress[number] = Progress(front=end - 1, feeds={"": Feed(covered=covered)})
        if self.progress and (first := self.progress[0]) is not None:
            first.totals = self._totals.get()
        return self.evaluate(final=True)

    def names(self, keys: Sequence[int]) -> dict[int, str]:
        """The names of repositories at that time."""
        return self.store.names(keys, self._minute)


def progress_of(store: Store, ends: Mapping[int, int]) -> list[Progress]:
    """The last progress of each partition. Raises RecordsLost where the store does not hold everything before the
    offsets `ends` of `activity`.
    """
    found = []
    for number, end in sorted(ends.items()):
        place = store.places.get(number)
        progress = Progress() if place is None else decode_progress(place.progress)
        if progress.offset + 1 < end:
            raise RecordsLost(f"of partition {number} there are {progress.offset + 1} records, not {end}")
        found.append(progress)
    return found


def points(
    store: Store, progress: Sequence[Progress], until: int, *, covered_only: bool = False
) -> Iterator[tuple[int, float, list[Measurement]]]:
    """(end of the hour in µs, share that is done, measurements) of every hour that was seen whole and ends no later
    than `until`.

    Where no hour was seen whole: of every hour in which something happened, unless `covered_only`, for then those hours
    are torn.
    """
    past = Past(store, progress)
    covered = hours_covered(progress)
    ends = covered if covered or covered_only else [hour + HOUR for hour in store.hours()]
    ends = [end for end in ends if end <= until]
    for number, end in enumerate(ends, 1):
        yield end, number / len(ends), past.at(end)


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
    ends: Collection[int] | None = None
    for each in progress:
        own: set[int] = set()
        for feed in each.feeds.values():
            for platform in PLATFORMS:
                for start, stop in feed.coverage(platform).get():
                    own.update(range(-(-start // HOUR) * HOUR + HOUR, stop + 1, HOUR))
        ends = own if ends is None else own.intersection(ends)
    return sorted(ends or ())
