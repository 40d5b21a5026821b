"""A set of 64-bit hashes: the ids of what was counted, so that nothing is counted twice."""

from collections.abc import Iterable, Sequence
from typing import Final, Self

import numpy as np

from agents.operators.keys import (
    HEADER_BYTES,
    NO_KEYS,
    Keys,
    as_keys,
    find,
    header,
    places_by_chunk,
    read_header,
    starts_of_runs,
)

_KIND: Final = b"idid"


class Ids:
    """A set of unsigned 64-bit ids: a sorted packed array, and a set of what came since it was packed.

    There is no `subtract`: a union forgets who brought an id, and no window needs ids; they leave with their pane.

    >>> ids = Ids()
    >>> ids.update([7, 5])
    >>> ids.known([5, 6])
    {5}
    >>> other = Ids.restore(ids.snapshot())
    >>> other.update([6])
    >>> ids.merge(other)
    >>> sorted(ids.get())
    [5, 6, 7]
    """

    __slots__ = ("_packed", "_pending")

    def __init__(self, packed: Keys = NO_KEYS) -> None:
        """Of sorted unique ids, which are shared, not copied, and never changed."""
        self._packed = packed
        self._pending: set[int] = set()

    def update(self, ids: Iterable[int]) -> None:
        """Put ids in; those that are in already change nothing."""
        self._pending.update(ids)

    def known(self, ids: Sequence[int]) -> set[int]:
        """Those of the ids that are in."""
        known = self._pending.intersection(ids)
        if len(self._packed):
            wanted = as_keys(ids)
            known.update(wanted[find(self._packed, wanted)[1]].tolist())
        return known

    def pack(self) -> Keys:
        """The sorted ids; not to be written to."""
        if self._pending:
            self._packed = _union(self._packed, as_keys(self._pending))
            self._pending.clear()
        return self._packed

    def merge(self, other: Self) -> None:
        """Become the union with another set."""
        self._packed = _union(self.pack(), other.pack())

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        """The union of many, sorted once."""
        return cls(_union(*(part.pack() for part in parts)))

    def get(self) -> set[int]:
        """The ids."""
        return set(self.pack().tolist())

    def __len__(self) -> int:
        """The number of ids."""
        return len(self.pack())

    def split(self, chunks: int) -> list[Self]:
        """A set for each chunk of ids (`(id >> 8) % chunks`); their merge is this one."""
        packed = self.pack()
        return [type(self)(packed[places]) for places in places_by_chunk(packed, chunks)]

    def snapshot(self) -> bytes:
        """Header, ids as little-endian u8, sorted: the same set always gives the same bytes."""
        packed = self.pack()
        return header(_KIND, len(packed)) + packed.astype("<u8", copy=False).tobytes()

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """The set of a snapshot, as a view of the bytes. ValueError if they are none's."""
        count, _ = read_header(_KIND, data)
        return cls(np.frombuffer(data, "<u8", count, HEADER_BYTES))


def _union(*parts: Keys) -> Keys:
    both = np.sort(np.concatenate((NO_KEYS, *parts)), kind="stable")
    return both[starts_of_runs(both)]
