"""Statistics of the activities per repository, for one feature."""

from typing import Final

from agents.operators.histogram import Histogram

STATS: Final = ("mean", "median", "p90", "p99", "max", "gini")


def intensity(histogram: Histogram) -> dict[str, float]:
    """The statistics of activities per repository, by name. Unknown ones are absent (Gini if all values are 0).

    >>> intensity(Histogram.of([6, 1, 1], zeros=2))
    {'mean': 1.6, 'median': 1.0, 'p90': 4.0, 'p99': 5.8, 'max': 6.0, 'gini': 0.65}

    Source: Ye & Zhou 2026, table 2 and figures 4 to 6.
    """
    found = {
        "mean": histogram.mean,
        "median": histogram.percentile(50),
        "p90": histogram.percentile(90),
        "p99": histogram.percentile(99),
        "max": histogram.maximum,
        "gini": histogram.gini,
    }
    return {stat: float(value) for stat, value in found.items() if value is not None}
