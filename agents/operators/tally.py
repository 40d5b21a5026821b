"""A multiset of 64-bit keys: how often each repository, or person, did something."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agents.operators.keys import NO_KEYS, Keys, find, starts_of_runs

Values = NDArray[np.int64]
Counts = NDArray[np.int32]

NO_VALUES: Final[Values] = np.empty(0, np.int64)
# New keys of a running tally wait until there are more than this plus a sixteenth of all.
_FRESH: Final = 4096


def sum_tallies(parts: Sequence[tuple[Keys, Values]]) -> tuple[Keys, Values]:
    """The sum of (keys, signed values): sorted unique keys, and their sums where these are not 0.

    >>> from agents.operators.keys import as_keys
    >>> keys, values = sum_tallies([(as_keys([1, 5]), np.array([2, 3])), (as_keys([5, 9]), np.array([-3, 1]))])
    >>> keys.tolist(), values.tolist()
    ([1, 9], [2, 1])
    """
    parts = [part for part in parts if len(part[0])]
    if not parts:
        return NO_KEYS, NO_VALUES
    keys = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts])
    # Stable, because it merges parts that are sorted already in linear time.
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = starts_of_runs(keys)
    sums = np.add.reduceat(values[order], starts)
    keys = keys[starts]
    if not sums.all():
        kept = sums != 0
        return keys[kept], sums[kept]
    return keys, sums


class RunningTally:
    """A large tally that is changed in place by signed values: the content of a window while rows enter and leave.

    New keys wait in a small array beside the large one. So a change costs as much as it holds, not as much as the tally
    holds. A sum below 0 is kept, so that the order of changes does not matter, but `get` leaves it out.

    >>> from agents.operators.keys import as_keys
    >>> running = RunningTally()
    >>> running.add(as_keys([3, 8]), np.array([2, 1]))
    >>> running.add(as_keys([3, 5, 9]), np.array([-2, 4, -1]))
    >>> [array.tolist() for array in running.get()], running.below_zero
    ([[5, 8], [4, 1]], 1)
    >>> running.add(as_keys([9]), np.array([3]))
    >>> [array.tolist() for array in running.get()], running.below_zero
    ([[5, 8, 9], [4, 1, 2]], 0)
    """

    __slots__ = ("_fresh", "_keys", "_values", "below_zero")

    def __init__(self) -> None:
        self._keys: Keys = NO_KEYS
        # A sum of rows stays far below 2^31, and there are millions of them.
        self._values: NDArray[np.int32] = np.empty(0, np.int32)
        self._fresh = (NO_KEYS, NO_VALUES)
        # Keys whose sum was below 0 when `get` was last called: something was taken away that was never added.
        self.below_zero = 0

    def add(self, keys: Keys, values: Values) -> None:
        """Add signed values to sorted unique keys."""
        if not len(keys):
            return
        places, known = find(self._keys, keys)
        self._values[places[known]] += values[known].astype(np.int32)
        if not known.all():
            fresh = ~known
            self._fresh = sum_tallies([self._fresh, (keys[fresh], values[fresh])])
            if len(self._fresh[0]) > _FRESH + len(self._keys) // 16:
                self._join()

    def _join(self) -> None:
        """Bring new keys into the large arrays, and drop those whose sum is 0."""
        keys, values = self._fresh
        self._fresh = (NO_KEYS, NO_VALUES)
        kept = self._values != 0
        if not kept.all():
            self._keys, self._values = self._keys[kept], self._values[kept]
        if len(keys):
            places = np.searchsorted(self._keys, keys)
            self._keys = np.insert(self._keys, places, keys)
            self._values = np.insert(self._values, places, values)

    def get(self) -> tuple[Keys, Counts]:
        """(sorted keys, their counts above 0). Valid until the next `add`. Do not change the arrays."""
        self._join()
        below = self._values < 0
        self.below_zero = int(np.count_nonzero(below))
        return (self._keys[~below], self._values[~below]) if self.below_zero else (self._keys, self._values)
