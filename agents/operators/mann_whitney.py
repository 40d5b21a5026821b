"""Whether the counts of one population tend to be greater than those of another."""

import math
from typing import NamedTuple

from agents.operators.histogram import Histogram


class MannWhitney(NamedTuple):
    """A two-sided Mann–Whitney U test of a against b.

    `u`: number of pairs (one of a, one of b) in which a is greater; ties count half. `dominance`: u ÷ all pairs, the
    chance that a random one of a is greater than one of b (0.5: equal). `z`: how many standard deviations u is above
    (+) or below (-) its mean for equal populations, with continuity correction. `p`: the probability that equal
    populations differ at least this much. z and p are None if all values are the same.
    """

    u: float
    z: float | None
    p: float | None
    dominance: float


def mann_whitney(a: Histogram, b: Histogram) -> MannWhitney | None:
    """The test by the normal approximation with tie and continuity correction; None if one population is empty.

    >>> result = mann_whitney(Histogram.of([3, 4, 6]), Histogram.of([1, 2, 3, 5]))
    >>> result.u, round(result.z, 4), round(result.p, 4), result.dominance
    (9.5, 1.0703, 0.2845, 0.7916666666666666)

    Equal to `scipy.stats.mannwhitneyu(a, b, method="asymptotic")`. Source: Mann & Whitney 1947, On a Test of Whether
    one of Two Random Variables is Stochastically Larger than the Other.
    """
    n = a.n + b.n
    pairs = a.n * b.n
    if not pairs:
        return None
    of_a = dict(zip(a.values, a.frequencies, strict=True))
    of_b = dict(zip(b.values, b.frequencies, strict=True))
    twice_u = ties = below = 0
    for value in sorted(of_a | of_b):
        own, other = of_a.get(value, 0), of_b.get(value, 0)
        twice_u += own * (2 * below + other)
        below += other
        ties += (own + other) ** 3 - (own + other)
    u, dominance = twice_u / 2, twice_u / (2 * pairs)
    # n1 n2 / 12 · (n + 1 - ties / (n (n - 1))) as one fraction of integers: 0 exactly when all values are tied.
    variance = pairs * (n**3 - n - ties) / (12 * n * (n - 1))
    if not variance:
        return MannWhitney(u, None, None, dominance)
    away = (twice_u - pairs) / 2
    z = math.copysign(max(0.0, abs(away) - 0.5), away) / math.sqrt(variance)
    return MannWhitney(u, z, min(1.0, math.erfc(abs(z) / math.sqrt(2))), dominance)
