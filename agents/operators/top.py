"""The busiest repositories by name, and the sum of all others."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.operators.keys import Keys

Slot = Hashable
Numbers = NDArray[np.signedinteger[Any]]

# The names of keys, without those that have none. All are asked for at once, because that costs little more than one.
NamesOf = Callable[[Sequence[int]], Mapping[int, str]]


class Ranking(NamedTuple):
    """The chosen names with their counts, greatest first, and the sum of all others."""

    chosen: list[tuple[str, int]]
    other: int


class Top:
    """Chooses the k greatest counts; equal ones in the order of their names.

    With `hold` a chosen key stays until it falls behind rank k + hold, so that the list does not change with each small
    difference. The choice then depends on earlier ones. A key without a name counts among the others but keeps its
    rank.

    >>> top = Top(k=2, hold=1)
    >>> names = lambda keys: {1: "a/a", 2: "b/b", 3: "c/c", 4: "d/d"}
    >>> top.choose("slot", np.array([1, 2, 3, 4], np.uint64), np.array([9, 7, 5, 1]), names)
    Ranking(chosen=[('a/a', 9), ('b/b', 7)], other=6)
    >>> top.choose("slot", np.array([1, 2, 3, 4], np.uint64), np.array([9, 7, 8, 1]), names)
    Ranking(chosen=[('a/a', 9), ('b/b', 7)], other=9)
    >>> top.choose("slot", np.array([1, 2, 3, 4], np.uint64), np.array([9, 7, 8, 8]), names)
    Ranking(chosen=[('a/a', 9), ('c/c', 8)], other=15)
    """

    def __init__(self, k: int = 50, hold: int = 0) -> None:
        self.k, self.hold = k, hold
        self._members: dict[Hashable, set[int]] = {}

    def choose(self, slot: Slot, keys: Keys, values: Numbers, names_of: NamesOf) -> Ranking:
        """Rank the keys by their counts; each slot has members of its own."""
        ranked = _ranked(keys, values, self.k + self.hold, names_of)
        members = self._members.get(slot, set())
        stay = [entry for entry in ranked if entry.key in members]
        come = [entry for entry in ranked if entry.key not in members]
        chosen = sorted(stay + come[: self.k - len(stay)], key=_order)
        self._members[slot] = {entry.key for entry in chosen}
        shown: dict[str, int] = {}
        for entry in chosen:
            if entry.name is not None:
                # Two repositories with the same name (one was made anew) are one line.
                shown[entry.name] = shown.get(entry.name, 0) + entry.value
        return Ranking(list(shown.items()), int(values.sum()) - sum(shown.values()))


class _Entry(NamedTuple):
    value: int
    name: str | None
    key: int


def _order(entry: _Entry) -> tuple[int, bool, str, int]:
    return -entry.value, entry.name is None, entry.name or "", entry.key


def _ranked(keys: Keys, values: Numbers, k: int, names_of: NamesOf) -> list[_Entry]:
    """The first k by count and name. Names are asked for only where they can matter."""
    if len(values) > k:
        least = np.partition(values, len(values) - k)[len(values) - k]
        candidates = values >= least
        keys, values = keys[candidates], values[candidates]
    wanted = keys.tolist()
    names = names_of(wanted)
    entries = [_Entry(value, names.get(key), key) for key, value in zip(wanted, values.tolist(), strict=True)]
    return sorted(entries, key=_order)[:k]
