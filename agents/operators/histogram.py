"""How a count is distributed over repositories: its values and how many repositories have each."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Smaller values are counted by index, the few others by sorting: most repositories have few activities.
_SMALL: Final = 1 << 12


class Histogram:
    """Integer values (>= 0), sorted and unique, and the frequency (> 0) of each.

    Sums are exact integers, so figures do not depend on the order of the counts.

    >>> histogram = Histogram.of([4, 1, 1], zeros=2)
    >>> histogram.values, histogram.frequencies
    ([0, 1, 4], [2, 2, 1])
    >>> histogram.n, histogram.total, histogram.mean, histogram.maximum
    (5, 6, 1.2, 4)
    """

    __slots__ = ("frequencies", "n", "total", "values")

    def __init__(self, values: list[int], frequencies: list[int]) -> None:
        self.values, self.frequencies = values, frequencies
        self.n = sum(frequencies)
        self.total = sum(value * frequency for value, frequency in zip(values, frequencies, strict=True))

    @classmethod
    def of(cls, counts: Iterable[int] | NDArray[np.signedinteger[Any]], zeros: int = 0) -> "Histogram":
        """The histogram of counts (>= 0), and of `zeros` further counts of 0."""
        array = counts if isinstance(counts, np.ndarray) else np.fromiter(counts, np.int64)
        small = array < _SMALL
        below = np.bincount(array[small], minlength=1)
        below[0] += zeros
        values = np.flatnonzero(below)
        large, frequencies = np.unique(array[~small], return_counts=True)
        return cls(values.tolist() + large.tolist(), below[values].tolist() + frequencies.tolist())

    @property
    def mean(self) -> float | None:
        """Sum of the values ÷ their number; None if there are none."""
        return self.total / self.n if self.n else None

    @property
    def maximum(self) -> int | None:
        """The greatest value; None if there are none."""
        return self.values[-1] if self.values else None

    def percentile(self, q: float) -> float | None:
        """The q-th percentile (0 to 100), interpolated linearly between order statistics (numpy's default).
        None if there are no values.

        >>> Histogram.of([1, 2, 3, 11]).percentile(50), Histogram.of([1, 2, 3, 11]).percentile(75)
        (2.5, 5.0)

        Source: Hyndman & Fan 1996, Sample Quantiles in Statistical Packages, definition 7.
        """
        if not self.n:
            return None
        # The same steps as numpy's, so that the result is the same to the last bit.
        place = (self.n - 1) * (q / 100)
        rank = int(place)
        low, high = self._ordered(rank), self._ordered(min(rank + 1, self.n - 1))
        weight = place - rank
        return high - (high - low) * (1 - weight) if weight >= 0.5 else low + (high - low) * weight

    def _ordered(self, rank: int) -> int:
        """The value at a rank, counted from 0 in increasing order."""
        for value, frequency in zip(self.values, self.frequencies, strict=True):
            if rank < frequency:
                return value
            rank -= frequency
        raise IndexError(rank)

    @property
    def gini(self) -> float | None:
        """The Gini coefficient: mean absolute difference of all pairs ÷ twice the mean. 0: all values are equal; near
        1: one value has nearly everything. None if the sum is 0.

        >>> Histogram.of([5, 5, 5]).gini, Histogram.of([7], zeros=3).gini, Histogram.of([1, 3]).gini
        (0.0, 0.75, 0.25)

        Source: Gini 1912, Variabilità e mutabilità; the population form, without the correction n ÷ (n - 1).
        """
        if not self.total:
            return None
        weighted = below = 0
        for value, frequency in zip(self.values, self.frequencies, strict=True):
            weighted += value * frequency * (2 * below + frequency - self.n)
            below += frequency
        return weighted / (self.n * self.total)
