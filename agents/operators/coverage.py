"""Which intervals of event time the feeds covered."""

from bisect import bisect_left, bisect_right
from typing import Final, Self

import msgspec

VERSION: Final = 1
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[int, list[tuple[int, int]]]).decode


class Coverage:
    """A union of intervals [start, end) in µs, kept sorted and disjoint.

    There is no `subtract`: a union forgets how often a moment was covered.

    >>> coverage = Coverage()
    >>> print(coverage.share(0, 10))
    None
    >>> coverage.add(0, 4)
    >>> coverage.add(6, 8)
    >>> coverage.get(), coverage.share(0, 10)
    ([(0, 4), (6, 8)], 0.6)
    >>> coverage.add(4, 6)
    >>> coverage.get(), coverage.share(5, 10)
    ([(0, 8)], 0.6)
    """

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Cover [start, end). Raises ValueError if it is empty or ends before it starts."""
        if end <= start:
            raise ValueError(f"an interval cannot end ({end}) where or before it starts ({start})")
        # The new interval is joined with those that touch it.
        first, behind = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if first < behind:
            start, end = min(start, self._starts[first]), max(end, self._ends[behind - 1])
        self._starts[first:behind] = [start]
        self._ends[first:behind] = [end]

    def merge(self, other: Self) -> None:
        """Cover what another covers as well."""
        for start, end in other.get():
            self.add(start, end)

    def forget(self, before: int) -> None:
        """Drop what is covered before a time (µs)."""
        gone = bisect_right(self._ends, before)
        del self._starts[:gone], self._ends[:gone]
        if self._starts:
            self._starts[0] = max(self._starts[0], before)

    def get(self) -> list[tuple[int, int]]:
        """The intervals, sorted and disjoint."""
        return list(zip(self._starts, self._ends, strict=True))

    def seconds(self, start: int, end: int) -> float:
        """How many seconds of [start, end) are covered."""
        return self._covered(start, end) / 1_000_000

    def share(self, start: int, end: int) -> float | None:
        """The share (0 to 1) of [start, end) that is covered; None while nothing is known."""
        return self._covered(start, end) / (end - start) if self._starts else None

    def _covered(self, start: int, end: int) -> int:
        first, behind = bisect_right(self._ends, start), bisect_left(self._starts, end)
        return sum(min(self._ends[i], end) - max(self._starts[i], start) for i in range(first, behind))

    def snapshot(self) -> bytes:
        """MessagePack of the version and the intervals: the same cover always gives the same bytes."""
        return _encode((VERSION, self.get()))

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """The coverage of a snapshot. Raises ValueError for another version or other bytes."""
        try:
            version, intervals = _decode(data)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not a snapshot of coverage: {error}") from error
        if version != VERSION:
            raise ValueError(f"coverage of version {version}, not {VERSION}")
        coverage = cls()
        coverage._starts = [start for start, _ in intervals]
        coverage._ends = [end for _, end in intervals]
        return coverage
