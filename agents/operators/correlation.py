"""Whether repositories that have much of one feature have much of another."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agents.operators.keys import Keys, starts_of_runs
from streams.activity import FEATURES
from streams.codes import FEATURE_BITS, FEATURE_MASK

Numbers = NDArray[np.signedinteger[Any]]

# Repositories in a block; this bounds the memory.
_BLOCK: Final = 1 << 16
# Up to this value a block's sums of products stay below 2^53, so they are exact in float64, in which matrix products
# are fast.
_EXACT: Final = 1 << 18


def pearson(n: int, sum_x: int, sum_y: int, sum_xx: int, sum_yy: int, sum_xy: int) -> float | None:
    """Pearson's r of n pairs (x, y) from the exact sums of x, y, x², y² and xy; None if x or y does not vary.

    >>> pearson(3, 6, 9, 14, 29, 20), pearson(3, 3, 9, 3, 29, 9)
    (1.0, None)

    Source: Pearson 1895, Notes on Regression and Inheritance in the Case of Two Parents.
    """
    spread = (n * sum_xx - sum_x**2) * (n * sum_yy - sum_y**2)
    if not spread:
        return None
    return max(-1.0, min(1.0, (n * sum_xy - sum_x * sum_y) / math.sqrt(spread)))


def correlations(keys: Keys, values: Numbers) -> dict[tuple[str, str], float]:
    """Pearson's r of each pair of features over all repositories, in the order of FEATURES. Pairs without variance are
    absent.

    `keys` are sorted: the feature's number in the lowest FEATURE_BITS, the repository above them; `values` are its
    activities. A repository without a feature counts as 0.

    >>> keys = np.array([0x10, 0x12, 0x20, 0x22, 0x32], np.uint64)  # three repositories, the last with exchange alone
    >>> correlations(keys, np.array([3, 1, 6, 2, 3]))
    {('contribution', 'exchange'): -0.5}

    Source: Ye & Zhou 2026 (features correlate weakly, 0.04 to 0.09).
    """
    n, sums, products = _moments(keys, values)
    found: dict[tuple[str, str], float] = {}
    for i, a in enumerate(FEATURES):
        for j, b in enumerate(FEATURES[i + 1 :], start=i + 1):
            r = pearson(n, sums[i], sums[j], products[i][i], products[j][j], products[i][j])
            if r is not None:
                found[a, b] = r
    return found


def _moments(keys: Keys, values: Numbers) -> tuple[int, list[int], list[list[int]]]:
    """Number of repositories, sum of each feature, sum of the products of each pair: exact integers."""
    starts = starts_of_runs(keys >> np.uint64(FEATURE_BITS))
    sums = np.zeros(len(FEATURES), object)
    products = np.zeros((len(FEATURES), len(FEATURES)), object)
    for block in _blocks(keys, values, starts):
        rare = block.max(axis=1) > _EXACT
        if rare.any():
            exact = block[rare].astype(np.int64).astype(object)
            products += exact.T @ exact
            block[rare] = 0
            sums += exact.sum(axis=0)
        sums += block.sum(axis=0).astype(np.int64).astype(object)
        products += (block.T @ block).astype(np.int64).astype(object)
    return len(starts), sums.tolist(), products.tolist()


def _blocks(keys: Keys, values: Numbers, starts: NDArray[np.intp]) -> Iterator[NDArray[np.float64]]:
    """Repositories × features, of at most `_BLOCK` repositories each."""
    bounds = [*starts[::_BLOCK].tolist(), len(keys)]
    for number, (begin, end) in enumerate(pairwise(bounds)):
        own = starts[number * _BLOCK : (number + 1) * _BLOCK]
        rows = np.repeat(np.arange(len(own)), np.diff(own, append=end))
        block = np.zeros((len(own), len(FEATURES)))
        block[rows, (keys[begin:end] & np.uint64(FEATURE_MASK)).astype(np.intp)] = values[begin:end]
        yield block
