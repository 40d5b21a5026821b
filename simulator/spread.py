"""How counts are spread over repositories, by the textbook: from sorted values and sums of integers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import erfc, sqrt
from typing import NamedTuple

from simulator.deed import FEATURES

# What was done in a repository: {feature: n > 0}.
Profile = Mapping[str, int]


def percentile(ordered: Sequence[int], share: float) -> float:
    """Of sorted values, interpolated linearly between the two order statistics around the rank (n - 1)·share.

    >>> percentile([1, 2, 4], 0.5), percentile([1, 2, 4], 0.75)
    (2.0, 3.0)
    """
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def gini(ordered: Sequence[int]) -> float | None:
    """Of sorted values: Σ (2i - n - 1)·x_i ÷ (n·Σ x_i), i from 1; None if the sum is 0.

    >>> gini([1, 1, 1]), gini([0, 0, 3]), gini([0, 0])
    (0.0, 0.6666666666666666, None)
    """
    n, total = len(ordered), sum(ordered)
    return sum((2 * i - n - 1) * value for i, value in enumerate(ordered, 1)) / (n * total) if total else None


def statistics(values: Sequence[int]) -> Iterator[tuple[str, float]]:
    """(statistic, value) of at least one value."""
    ordered = sorted(values)
    yield "mean", sum(ordered) / len(ordered)
    yield "median", percentile(ordered, 0.5)
    yield "p90", percentile(ordered, 0.9)
    yield "p99", percentile(ordered, 0.99)
    yield "max", float(ordered[-1])
    inequality = gini(ordered)
    if inequality is not None:
        yield "gini", inequality


class RankTest(NamedTuple):
    """Mann and Whitney's U of the first sample; z and p are None if all values are equal."""

    u: float
    z: float | None
    p: float | None


def mann_whitney(first: Sequence[int], second: Sequence[int]) -> RankTest:
    """Two-sided, corrected for ties and continuity, by counting how often the first sample exceeds the second.

    z is the distance of U from its mean, less the half of the continuity correction; 0 if U lies within that half; with
    the sign of U - mean.

    >>> mann_whitney([1, 2, 3], [0, 2])
    RankTest(u=4.5, z=0.5923488777590923, p=0.5536169919657804)
    """
    left, right = Counter(first), Counter(second)
    twice_u = smaller = ties = 0
    for value in sorted(left.keys() | right.keys()):
        a, b = left[value], right[value]
        twice_u += a * (2 * smaller + b)
        smaller += b
        ties += (a + b) ** 3 - (a + b)
    n1, n2 = len(first), len(second)
    n = n1 + n2
    variance = n1 * n2 / 12 * ((n + 1) - ties / (n * (n - 1)))
    u = twice_u / 2
    if ties == n**3 - n:
        return RankTest(u, None, None)
    distance = u - n1 * n2 / 2
    z = max(abs(distance) - 0.5, 0.0) / sqrt(variance)
    return RankTest(u, z if distance >= 0 else -z, erfc(z / sqrt(2)))


def correlations(profiles: Sequence[Profile]) -> Iterator[tuple[str, str, float]]:
    """(a, b, Pearson's r) of each pair of features over repositories, if both vary; sums are exact integers."""
    n = len(profiles)
    sums: Counter[str] = Counter()
    products: Counter[tuple[str, str]] = Counter()
    for profile in profiles:
        for a, x in profile.items():
            sums[a] += x
            for b, y in profile.items():
                products[a, b] += x * y
    variances = {feature: n * products[feature, feature] - sums[feature] ** 2 for feature in FEATURES}
    for a, b in combinations(FEATURES, 2):
        if variances[a] and variances[b]:
            covariance = n * products[a, b] - sums[a] * sums[b]
            yield a, b, covariance / (sqrt(variances[a]) * sqrt(variances[b]))
