"""The newest name of each repository (64-bit key)."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from agents.operators.keys import (
    HEADER_BYTES,
    NO_KEYS,
    Keys,
    as_keys,
    find,
    header,
    places_by_chunk,
    read_header,
    take_texts,
)

_KIND: Final = b"name"
_NOTHING: Final = np.empty(0, np.uint32)


class _Packed(NamedTuple):
    """Sorted keys, their minutes, and where each name ends in the joined UTF-8 text."""

    keys: Keys
    minutes: NDArray[np.uint32]
    ends: NDArray[np.uint32]
    text: bytes

    def name(self, place: int) -> str:
        start = int(self.ends[place - 1]) if place else 0
        return self.text[start : int(self.ends[place])].decode()

    def take(self, places: NDArray[np.intp]) -> "_Packed":
        """The entries at the places, in their order."""
        return _Packed(self.keys[places], self.minutes[places], *take_texts(self.ends, self.text, places))


_EMPTY: Final = _Packed(NO_KEYS, _NOTHING, _NOTHING, b"")


class Names:
    """Names by key, each with the minute (since the epoch) in which it was seen. The newest name wins; within a minute
    the last one in alphabetical order.

    There is no `subtract`: a name that a newer one replaced is forgotten.

    >>> names = Names()
    >>> names.put(16, 100, "old/name")
    >>> names.put(16, 101, "new/name")
    >>> names.put(16, 99, "zzz/before")
    >>> names.get(16), names.get(32)
    ((101, 'new/name'), None)
    >>> Names.restore(names.snapshot()).get(16)
    (101, 'new/name')
    """

    __slots__ = ("_packed", "_pending")

    def __init__(self, packed: _Packed = _EMPTY) -> None:
        self._packed = packed
        self._pending: dict[int, tuple[int, str]] = {}

    @classmethod
    def of(cls, keys: Keys, minutes: NDArray[np.uint32], ends: NDArray[np.uint32], text: bytes) -> Self:
        """The names whose texts are joined in UTF-8 and known by where they end; keys must rise."""
        return cls(_Packed(keys, minutes, ends, text))

    def put(self, key: int, minute: int, name: str) -> None:
        """Note that the key had this name in the minute."""
        met = (minute, name)
        if self._pending.setdefault(key, met) < met:
            self._pending[key] = met

    def put_many(self, keys: Iterable[int], minute: int, names: Iterable[str]) -> None:
        """`put` for many keys of one minute."""
        for key, name in zip(keys, names, strict=True):
            self.put(key, minute, name)

    def get(self, key: int) -> tuple[int, str] | None:
        """(minute, name) of a key, None if it has none."""
        best = self._pending.get(key)
        keys = self._packed.keys
        place = int(keys.searchsorted(np.uint64(key)))
        if place < len(keys) and int(keys[place]) == key:
            packed = int(self._packed.minutes[place]), self._packed.name(place)
            return packed if best is None else max(best, packed)
        return best

    def get_many(self, keys: Sequence[int]) -> dict[int, tuple[int, str]]:
        """{key: (minute, name)} of the keys that have a name; much cheaper than `get` for each."""
        packed = self.pack()
        wanted = as_keys(keys)
        places, found = find(packed.keys, wanted)
        places = places[found]
        minutes = packed.minutes[places].tolist()
        return {
            key: (minute, packed.name(place))
            for key, minute, place in zip(wanted[found].tolist(), minutes, places.tolist(), strict=True)
        }

    def get_all(self) -> list[tuple[int, int, str]]:
        """(key, minute, name) of every key, sorted by key."""
        packed = self.pack()
        pairs = zip(packed.keys.tolist(), packed.minutes.tolist(), strict=True)
        return [(key, minute, packed.name(place)) for place, (key, minute) in enumerate(pairs)]

    def pack(self) -> _Packed:
        """Everything as arrays. Do not change them."""
        if self._pending:
            keys = sorted(self._pending)
            names = [self._pending[key][1].encode() for key in keys]
            minutes = np.fromiter((self._pending[key][0] for key in keys), np.uint32, len(keys))
            ends = np.cumsum(np.fromiter(map(len, names), np.uint32, len(names)), dtype=np.uint32)
            self._packed = _merged(self._packed, _Packed(as_keys(keys), minutes, ends, b"".join(names)))
            self._pending.clear()
        return self._packed

    def merge(self, other: Self) -> None:
        """Add another's names."""
        self._packed = _merged(self.pack(), other.pack())

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        """The merge of many, in pairs, so that each name is copied only a few times."""
        packed = [part.pack() for part in parts] or [_EMPTY]
        while len(packed) > 1:
            packed = [
                _merged(*packed[i : i + 2]) if i + 1 < len(packed) else packed[i] for i in range(0, len(packed), 2)
            ]
        return cls(packed[0])

    def __len__(self) -> int:
        """The number of keys."""
        return len(self.pack().keys)

    def split(self, chunks: int) -> list[Self]:
        """Names for each chunk of keys (`(key >> 8) % chunks`); their merge is this one."""
        packed = self.pack()
        return [type(self)(packed.take(places)) for places in places_by_chunk(packed.keys, chunks)]

    def snapshot(self) -> bytes:
        """Header, keys as little-endian u8, minutes and ends as u4, text: the same names always give the same bytes."""
        keys, minutes, ends, text = self.pack()
        arrays = keys.astype("<u8", copy=False), minutes.astype("<u4", copy=False), ends.astype("<u4", copy=False)
        return header(_KIND, len(keys)) + b"".join(array.tobytes() for array in arrays) + text

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """The names of a snapshot. A name is decoded when it is asked for. Raises ValueError for other bytes."""
        count, _ = read_header(_KIND, data)
        keys = np.frombuffer(data, "<u8", count, HEADER_BYTES)
        minutes = np.frombuffer(data, "<u4", count, HEADER_BYTES + 8 * count)
        ends = np.frombuffer(data, "<u4", count, HEADER_BYTES + 12 * count)
        text = data[HEADER_BYTES + 16 * count :]
        if len(text) != (int(ends[-1]) if count else 0):
            raise ValueError("a snapshot of names is incomplete")
        return cls(_Packed(keys, minutes, ends, text))


def _merged(a: _Packed, b: _Packed) -> _Packed:
    """For each key the entry with the greatest (minute, name)."""
    if not len(a.keys) or not len(b.keys):
        return b if len(b.keys) else a
    both = _Packed(
        np.concatenate((a.keys, b.keys)),
        np.concatenate((a.minutes, b.minutes)),
        np.concatenate((a.ends, b.ends + np.uint32(len(a.text)))),
        a.text + b.text,
    )
    order = np.argsort(both.keys, kind="stable")
    keys = both.keys[order]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    kept = np.ones(len(order), np.bool_)
    first, second = order[twice], order[twice + 1]
    second_wins = both.minutes[second] > both.minutes[first]
    for i in np.flatnonzero(both.minutes[second] == both.minutes[first]).tolist():
        second_wins[i] = both.name(int(second[i])) > both.name(int(first[i]))
    kept[twice + 1] = second_wins
    kept[twice[second_wins]] = False
    return both.take(order[kept])
