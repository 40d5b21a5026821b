"""How work is spread over repositories."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from agents.family import YE_ZHOU, Family, measurement, row
from agents.measurements import Measurement

if TYPE_CHECKING:
    from agents.operators.window import WindowSums

_ROWS: Final = (
    row(
        "intensity",
        "scope platform feature window stat",
        "activities per repository",
        "invalid",
        group="B",
        help=(
            "How work is spread over repositories. A median of 0 beside a high maximum: most repositories saw none of "
            "the feature, a few saw much. Gini says how unequal they are and has no unit. A feature that did not "
            "occur has the mean 0, but `accepted` is absent then, because not every source reports merges."
        ),
        formula=(
            "mean, median, percentiles (linear interpolation), maximum and Gini coefficient (mean absolute difference "
            "÷ twice the mean) of the human activities per repository, over repositories active in any feature in "
            "the window, zeros included"
        ),
        source=f"{YE_ZHOU}, RQ1, table 2 and figures 4 to 6; percentiles: Hyndman & Fan 1996, definition 7",
    ),
)


def _of_window(window: "WindowSums") -> Iterator[Measurement]:
    from agents.operators.intensity import intensity

    for platform, features in window.histograms.items():
        for feature, histogram in features.items():
            labels = window.labels | {"platform": platform, "feature": feature}
            for stat, value in intensity(histogram).items():
                yield measurement("intensity", labels | {"stat": stat}, value)


FAMILY: Final = Family(80, _ROWS, of_window=_of_window)
