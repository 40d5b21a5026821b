"""The figures of the papers, as constants beside what is measured: the metric `reference`.

Ratios are 0 to 1. `stat` tells several values of a metric apart: for networks it is projection and statistic, for
shares whose share it is. What a paper does not state is absent.
"""

from collections.abc import Iterator
from typing import Final

from agents.measurements import Measurement
from streams.activity import COMPARED

NAME: Final = "nomadwatch_reference"
_YE_ZHOU: Final = "Ye & Zhou 2026"
_DIAS: Final = "Dias et al."

# Ye & Zhou 2026, table 2: commits, issues or discussions, stars or likes of a mean repository in its whole life;
# (GitHub, Hugging Face).
_INTENSITY: Final = {"contribution": (1464.28, 10.65), "exchange": (35.94, 0.20), "preference": (142.78, 0.93)}

# Ye & Zhou 2026, RQ1: Pearson's r between features lies in this range on both platforms.
_CORRELATION: Final = {"low": 0.04, "high": 0.09}

# Ye & Zhou 2026, table 3, by projection, feature, platform: connected share; degree: mean of all nodes, mean of
# connected ones, greatest.
_NETWORKS: Final = {
    ("repository", "contribution", "github"): (0.4780, 1.44, 3.01, 31),
    ("repository", "contribution", "huggingface"): (0.8007, 68.06, 85.00, 478),
    ("repository", "exchange", "github"): (0.9915, 328.92, 331.74, 1353),
    ("repository", "exchange", "huggingface"): (0.8534, 135.67, 158.97, 1395),
    ("developer", "contribution", "github"): (0.9837, 422.20, 429.19, 1914),
    ("developer", "contribution", "huggingface"): (0.9204, 7.27, 7.90, 367),
    ("developer", "exchange", "github"): (1.0, 5880.94, 5880.94, 93441),
    ("developer", "exchange", "huggingface"): (0.9996, 139.45, 139.50, 7701),
}
_DEGREES: Final = ("mean", "mean_connected", "max")

# The rest: (source, metric, platform, feature, stat, value).
_OTHERS: Final = (
    # Communities of developers: share of the members in their most common organisation. The platform is not told apart.
    (_YE_ZHOU, "network_predominant_affiliation_ratio", "", "contribution", "", 0.498),
    (_YE_ZHOU, "network_predominant_affiliation_ratio", "", "exchange", "", 0.092),
    # In organisations' repositories on the Hub: committers, and participants in discussions.
    (_YE_ZHOU, "participants", "huggingface", "contribution", "internal", 0.7955),
    (_YE_ZHOU, "participants", "huggingface", "contribution", "staff", 0.1936),
    (_YE_ZHOU, "participants", "huggingface", "exchange", "internal", 0.0901),
    # Commits in open-source software that companies own.
    (_DIAS, "participation", "github", "contribution", "external", 0.567),
    # Themes of issues and discussions.
    (_YE_ZHOU, "theme_ratio", "github", "exchange", "bug", 0.427),
    (_YE_ZHOU, "theme_ratio", "github", "exchange", "suggestion", 0.282),
    (_YE_ZHOU, "theme_ratio", "huggingface", "exchange", "usage", 0.400),
    (_YE_ZHOU, "theme_ratio", "huggingface", "exchange", "evaluation", 0.223),
)


def _rows() -> Iterator[tuple[str, str, str, str, str, float]]:
    for feature, means in _INTENSITY.items():
        for platform, value in zip(COMPARED, means, strict=True):
            yield _YE_ZHOU, "intensity", platform, feature, "mean", value
    for stat, value in _CORRELATION.items():
        yield _YE_ZHOU, "feature_correlation", "", "", stat, value
    for (projection, feature, platform), (connected, *degrees) in _NETWORKS.items():
        yield _YE_ZHOU, "network_connected_ratio", platform, feature, projection, connected
        for stat, value in zip(_DEGREES, degrees, strict=True):
            yield _YE_ZHOU, "network_degree", platform, feature, f"{projection} {stat}", value
    yield from _OTHERS


REFERENCE: Final = tuple(
    Measurement(
        NAME, {"source": source, "metric": metric, "platform": platform, "feature": feature, "stat": stat}, value
    )
    for source, metric, platform, feature, stat, value in _rows()
)
