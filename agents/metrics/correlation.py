"""Whether features go together."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from agents.family import YE_ZHOU, Family, measurement, row
from agents.measurements import Measurement

if TYPE_CHECKING:
    from agents.operators.window import WindowSums

_ROWS: Final = (
    row(
        "feature_correlation",
        "scope platform a b window",
        "r",
        "invalid",
        group="B",
        help=(
            "Whether repositories with much of one feature have much of the other: 1 always, 0 unrelated, -1 the "
            "opposite. The paper finds weak correlations of 0.04 to 0.09, so one feature cannot stand in for "
            "another."
        ),
        formula=(
            "Pearson's r of the activities of two features over the same repositories as `intensity`; absent if one "
            "does not vary"
        ),
        source=f"{YE_ZHOU}, RQ1; Pearson 1895",
    ),
)


def _of_window(window: "WindowSums") -> Iterator[Measurement]:
    from agents.operators.correlation import correlations

    for platform, own in window.platforms.items():
        for (a, b), r in correlations(*own).items():
            yield measurement("feature_correlation", window.labels | {"platform": platform, "a": a, "b": b}, r)


FAMILY: Final = Family(100, _ROWS, of_window=_of_window)
