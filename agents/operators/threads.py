"""What happened to pull requests, by thread: who opened it, when it was merged, whom the source names as its author.

From it the merges are credited (see `accepted`), whichever turn arrives first; it is what `count` remembers for that.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from agents.operators.keys import (
    HEADER_BYTES,
    NO_KEYS,
    Keys,
    Places,
    as_keys,
    header,
    places_by_chunk,
    read_header,
    take_texts,
)

_KIND: Final = b"thrd"
# Of a row: four arrays of eight bytes, where its text ends, and its kind.
_ROW_BYTES: Final = 37

OPENED: Final = 0
MERGED: Final = 1
ACCEPTED: Final = 2


class Turn(NamedTuple):
    """One turn of a thread: `kind` is `action << 1 | bot`.

    `thread` is a 64-bit key, `id` the 64-bit hash of the activity's id, for a merge that of the accepted contribution
    it makes. `at` is event time in µs. `place` is what must be known about a merge to count it (opaque here; empty
    where it is not needed).
    """

    thread: int
    id: int
    kind: int
    at: int
    actor: int
    place: bytes = b""

    @property
    def action(self) -> int:
        return self.kind >> 1

    @property
    def bot(self) -> bool:
        return bool(self.kind & 1)


class _Packed(NamedTuple):
    """Turns sorted by (thread, id, kind), and where the place of each ends in the joined bytes."""

    threads: Keys
    ids: Keys
    kinds: NDArray[np.uint8]
    times: NDArray[np.int64]
    actors: Keys
    ends: NDArray[np.uint32]
    places: bytes

    def turn(self, row: int) -> Turn:
        start = int(self.ends[row - 1]) if row else 0
        thread, identity, kind = int(self.threads[row]), int(self.ids[row]), int(self.kinds[row])
        return Turn(
            thread,
            identity,
            kind,
            int(self.times[row]),
            int(self.actors[row]),
            self.places[start : int(self.ends[row])],
        )

    def take(self, rows: Places) -> "_Packed":
        """The turns of the rows, in their order."""
        threads, ids, kinds, times, actors, ends, places = self
        return _Packed(
            threads[rows], ids[rows], kinds[rows], times[rows], actors[rows], *take_texts(ends, places, rows)
        )


_EMPTY: Final = _Packed(
    NO_KEYS, NO_KEYS, np.empty(0, np.uint8), np.empty(0, np.int64), NO_KEYS, np.empty(0, np.uint32), b""
)


class Threads:
    """A set of turns; of several with the same thread, id and kind the greatest stands.

    There is no `subtract`: a union forgets who brought a turn, and no window needs them; they leave with their time.

    >>> threads = Threads()
    >>> threads.put(Turn(7, 1, OPENED << 1, 100, 16))
    >>> other = Threads()
    >>> other.put(Turn(7, 2, MERGED << 1 | 1, 300, 32, b"there"))
    >>> threads.merge(Threads.restore(other.snapshot()))
    >>> [(turn.id, turn.action, turn.bot, turn.at, turn.place) for turn in threads.find({7, 8})[7]]
    [(1, 0, False, 100, b''), (2, 1, True, 300, b'there')]
    """

    __slots__ = ("_packed", "_pending", "waiting")

    def __init__(self, packed: _Packed = _EMPTY) -> None:
        self._packed = packed
        self._pending: dict[int, list[Turn]] = {}
        # Turns added since the last packing.
        self.waiting = 0

    def put(self, turn: Turn) -> None:
        """Add a turn. One that is known already changes nothing."""
        waiting = self._pending.get(turn.thread)
        if waiting is None:
            self._pending[turn.thread] = [turn]
        else:
            waiting.append(turn)
        self.waiting += 1

    def find(self, threads: AbstractSet[int]) -> dict[int, list[Turn]]:
        """{thread: its turns} of the threads that have some. A turn that was added twice since the last packing is
        there twice.
        """
        found: dict[int, list[Turn]] = {}
        packed = self._packed
        if len(packed.threads):
            wanted = as_keys(threads)
            begins, ends = packed.threads.searchsorted(wanted), packed.threads.searchsorted(wanted, "right")
            for which in np.flatnonzero(begins < ends).tolist():
                turns = [packed.turn(row) for row in range(begins[which], ends[which])]
                found[turns[0].thread] = turns
        for thread in self._pending.keys() & threads:
            found.setdefault(thread, []).extend(self._pending[thread])
        return found

    @property
    def packed(self) -> _Packed:
        """What is packed so far. Do not change it."""
        return self._packed

    def forget(self, before: int) -> None:
        """Drop turns before a time (µs)."""
        packed = self.pack()
        kept = packed.times >= before
        if not kept.all():
            self._packed = packed.take(np.flatnonzero(kept))

    def pack(self) -> _Packed:
        """Everything as arrays. Do not change them."""
        if self._pending:
            waiting = chain.from_iterable(self._pending.values())
            threads, ids, kinds, times, actors, places = zip(*waiting, strict=True)
            fresh = _Packed(
                as_keys(threads),
                as_keys(ids),
                np.array(kinds, np.uint8),
                np.array(times, np.int64),
                as_keys(actors),
                np.cumsum(np.fromiter(map(len, places), np.uint32, len(places)), dtype=np.uint32),
                b"".join(places),
            )
            self._packed = _union([self._packed, fresh])
            self._pending.clear()
        self.waiting = 0
        return self._packed

    def get(self) -> list[Turn]:
        """The turns, sorted."""
        packed = self.pack()
        return [packed.turn(row) for row in range(len(packed.threads))]

    def without_places(self) -> Self:
        """The same turns without their places."""
        packed = self.pack()
        return type(self)(packed._replace(ends=np.zeros_like(packed.ends), places=b""))

    def merge(self, other: Self) -> None:
        """Add another's turns."""
        self._packed = _union([self.pack(), other.pack()])

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        """The union of many, sorted once."""
        return cls(_union([_EMPTY, *(part.pack() for part in parts)]))

    def __len__(self) -> int:
        """The number of turns."""
        return len(self.pack().threads)

    def split(self, chunks: int) -> list[Self]:
        """Turns for each chunk of threads (`(thread >> 8) % chunks`); their merge is this one."""
        packed = self.pack()
        return [type(self)(packed.take(rows)) for rows in places_by_chunk(packed.threads, chunks)]

    def snapshot(self) -> bytes:
        """Header; threads, ids, times, actors in 8 little-endian bytes, ends in 4, kinds in 1; places: the same turns,
        the same bytes.
        """
        threads, ids, kinds, times, actors, ends, places = self.pack()
        arrays = (
            threads.astype("<u8"),
            ids.astype("<u8"),
            times.astype("<i8"),
            actors.astype("<u8"),
            ends.astype("<u4"),
            kinds,
        )
        return header(_KIND, len(threads)) + b"".join(array.tobytes() for array in arrays) + places

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """The turns of a snapshot, as views of the bytes. Raises ValueError for other bytes."""
        count, _ = read_header(_KIND, data)
        threads, ids, times, actors = (
            np.frombuffer(data, kind, count, HEADER_BYTES + 8 * count * number)
            for number, kind in enumerate(("<u8", "<u8", "<i8", "<u8"))
        )
        ends = np.frombuffer(data, "<u4", count, HEADER_BYTES + 32 * count)
        kinds = np.frombuffer(data, np.uint8, count, HEADER_BYTES + 36 * count)
        places = data[HEADER_BYTES + _ROW_BYTES * count :]
        if len(places) != (int(ends[-1]) if count else 0):
            raise ValueError("a snapshot of threads is incomplete")
        return cls(_Packed(threads, ids, kinds, times, actors, ends, places))


def distinct(turns: Iterable[Turn]) -> list[Turn]:
    """The turns, sorted; for the same thread, id and kind only the greatest."""
    return list({turn[:3]: turn for turn in sorted(turns)}.values())


def _union(parts: Sequence[_Packed]) -> _Packed:
    """All turns of the parts, sorted; for the same thread, id and kind only the one with the greatest rest."""
    begins = np.cumsum([0, *(len(part.places) for part in parts[:-1])]).astype(np.uint32)
    both = _Packed(
        np.concatenate([part.threads for part in parts]),
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.kinds for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.actors for part in parts]),
        np.concatenate([part.ends + begin for part, begin in zip(parts, begins, strict=True)]),
        b"".join(part.places for part in parts),
    )
    order = np.lexsort((both.kinds, both.ids, both.threads))
    threads, ids, kinds = both.threads[order], both.ids[order], both.kinds[order]
    again = np.flatnonzero((threads[1:] == threads[:-1]) & (ids[1:] == ids[:-1]) & (kinds[1:] == kinds[:-1]))
    kept = np.ones(len(order), np.bool_)
    kept[again] = False
    for row in again.tolist():
        if both.turn(int(order[row])) > both.turn(int(order[row + 1])):
            order[row + 1] = order[row]
    return both.take(order[kept])
