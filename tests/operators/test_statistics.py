"""Statistics against numpy and scipy on every prefix of random streams, with heavy ties and degenerate cases."""

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from agents.operators import correlation
from agents.operators.correlation import correlations, pearson
from agents.operators.histogram import Histogram
from agents.operators.intensity import STATS, intensity
from agents.operators.mann_whitney import mann_whitney
from streams.activity import FEATURES

Counts = NDArray[np.int64]


def streams() -> dict[str, Counts]:
    rng = np.random.default_rng(7)
    return {
        "heavy tail": np.minimum(rng.zipf(1.5, 150), 10**9),
        "ties": rng.integers(0, 3, 150),
        "mostly zero": rng.integers(0, 2, 150) * rng.integers(0, 2, 150) * rng.integers(0, 50, 150),
        "all zero": np.zeros(40, np.int64),
        "all equal": np.full(40, 5),
        "around the edge of small": rng.integers(4090, 4100, 100),
        "wide": rng.integers(0, 10**12, 150),
    }


STREAMS = streams()


def prefixes(stream: Counts) -> Iterator[Counts]:
    return (stream[:n] for n in range(1, len(stream) + 1))


@pytest.mark.parametrize("name", STREAMS)
def test_figures_of_a_histogram_equal_numpy_to_the_last_bit(name: str) -> None:
    for values in prefixes(STREAMS[name]):
        histogram = Histogram.of(values[values > 0], zeros=int((values == 0).sum()))
        assert histogram.n == len(values)
        assert histogram.maximum == values.max()
        assert histogram.mean == int(values.sum()) / len(values)
        for q in (0, 1, 25, 50, 90, 99, 100):
            assert histogram.percentile(q) == np.percentile(values, q), (len(values), q)
        assert histogram.percentile(50) == np.median(values)


@pytest.mark.parametrize("name", STREAMS)
def test_gini_is_half_the_relative_mean_absolute_difference_of_all_pairs(name: str) -> None:
    for values in list(prefixes(STREAMS[name]))[::9]:
        items = [int(value) for value in values]
        total = sum(items)
        differences = sum(abs(a - b) for a in items for b in items)
        expected = float(Fraction(differences, 2 * len(items) * total)) if total else None
        assert Histogram.of(items).gini == expected


def test_an_empty_histogram_has_no_figures() -> None:
    nothing = Histogram.of([])
    assert (nothing.mean, nothing.maximum, nothing.percentile(50), nothing.gini) == (None, None, None, None)
    assert intensity(nothing) == {}


def test_zeros_have_every_figure_but_gini() -> None:
    assert intensity(Histogram.of([], zeros=3)) == dict.fromkeys(STATS[:-1], 0.0)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("other", STREAMS)
def test_mann_whitney_equals_scipy(name: str, other: str) -> None:
    for a, b in list(zip(prefixes(STREAMS[name]), prefixes(STREAMS[other][::-1]), strict=False)):
        found = mann_whitney(Histogram.of(a), Histogram.of(b))
        assert found is not None
        pooled = np.concatenate((a, b))
        if np.ptp(pooled) == 0:
            assert found == (len(a) * len(b) / 2, None, None, 0.5)
            continue
        expected = stats.mannwhitneyu(a, b, method="asymptotic", alternative="two-sided")
        assert found.u == expected.statistic
        assert found.p == pytest.approx(expected.pvalue, rel=1e-9, abs=0)
        assert found.dominance == found.u / (len(a) * len(b))
        assert found.z is not None
        assert stats.norm.sf(abs(found.z)) * 2 == pytest.approx(expected.pvalue, rel=1e-9)
        assert np.sign(found.z) in (0, np.sign(found.dominance - 0.5))


def test_unequal_sizes_and_exchanged_sides_mirror_each_other() -> None:
    a, b = Histogram.of([0, 1, 5, 5, 9]), Histogram.of([0, 0, 2], zeros=4)
    forth, back = mann_whitney(a, b), mann_whitney(b, a)
    assert forth is not None
    assert back is not None
    assert forth.z is not None
    assert (back.u, back.z, back.p) == (a.n * b.n - forth.u, -forth.z, forth.p)
    assert forth.u == stats.mannwhitneyu([0, 1, 5, 5, 9], [0, 0, 2, 0, 0, 0, 0], method="asymptotic").statistic


def test_an_empty_population_has_no_test() -> None:
    assert mann_whitney(Histogram.of([]), Histogram.of([1])) is None
    assert mann_whitney(Histogram.of([1]), Histogram.of([])) is None


def test_ties_of_millions_of_repositories_do_not_overflow() -> None:
    # 3,000,000³ does not fit into 64 bits.
    found = mann_whitney(Histogram([0, 1], [3_000_000, 1_000]), Histogram([0, 1], [2_000_000, 2_000]))
    n1, n2 = 3_001_000, 2_002_000
    n = n1 + n2
    ties = sum(Fraction(t**3 - t) for t in (5_000_000, 3_000))
    variance = Fraction(n1 * n2, 12) * ((n + 1) - ties / (n * (n - 1)))
    u = 1_000 * 2_000_000 + Fraction(3_000_000 * 2_000_000 + 1_000 * 2_000, 2)
    assert found is not None
    assert found.u == u
    assert found.z == pytest.approx(float(u - Fraction(n1 * n2, 2) + Fraction(1, 2)) / math.sqrt(variance), rel=1e-12)


def columns(rng: np.random.Generator, n: int) -> Counts:
    """Repositories × features: some alike, some sparse, one all zero, one constant, some heavy."""
    table = np.minimum(rng.zipf(1.7, (n, len(FEATURES))), 10**6) * (rng.random((n, len(FEATURES))) < 0.6)
    table[:, 1] = table[:, 0] * 2
    table[:, 4] = 0
    table[:, 5] = 3
    table[:, 6] = rng.integers(0, 2, n)
    return np.array(table, np.int64)


def keyed(table: Counts) -> tuple[NDArray[np.uint64], Counts]:
    """The table as sorted keys of what is not 0; every repository has at least the constant column."""
    rows, features = np.nonzero(table)
    keys = np.arange(1, len(table) + 1, dtype=np.uint64)[rows] * np.uint64(1 << 40) | features.astype(np.uint64)
    return keys, table[rows, features]


def test_correlations_equal_scipy_on_every_prefix() -> None:
    table = columns(np.random.default_rng(3), 120)
    for n in range(1, len(table) + 1):
        part = table[:n]
        found = correlations(*keyed(part))
        varied = [f for f in range(len(FEATURES)) if np.ptp(part[:, f])]
        pairs = [(a, b) for a in varied for b in varied if a < b]
        assert list(found) == [(FEATURES[a], FEATURES[b]) for a, b in pairs]
        for a, b in pairs:
            expected = (
                stats.pearsonr(part[:, a], part[:, b]).statistic if n > 2 else np.corrcoef(part[:, a], part[:, b])[0, 1]
            )
            assert found[FEATURES[a], FEATURES[b]] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_blocks_and_great_values_are_summed_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    table = columns(np.random.default_rng(4), 100)
    table[::17, 2] = 3_000_000_019  # its square is beyond 2^53 and beyond 2^63
    table[5, :] = 1 << 18
    rows = [[int(value) for value in row] for row in table]
    n = len(rows)
    expected = {}
    for i, a in enumerate(FEATURES):
        for j, b in enumerate(FEATURES[:i]):
            x, y = [row[j] for row in rows], [row[i] for row in rows]
            r = pearson(
                n,
                sum(x),
                sum(y),
                sum(v * v for v in x),
                sum(v * v for v in y),
                sum(v * w for v, w in zip(x, y, strict=True)),
            )
            if r is not None:
                expected[b, a] = r
    for size in (1 << 16, 100, 99, 7, 1):
        monkeypatch.setattr(correlation, "_BLOCK", size)
        assert correlations(*keyed(table)) == expected


def test_a_constant_multiple_correlates_fully() -> None:
    assert pearson(3, 6, 12, 14, 56, 28) == 1.0
    assert pearson(3, 6, -12, 14, 56, -28) == -1.0


def test_no_repositories_have_no_correlation() -> None:
    assert correlations(np.empty(0, np.uint64), np.empty(0, np.int64)) == {}
