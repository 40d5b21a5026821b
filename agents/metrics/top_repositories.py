"""The busiest repositories by name."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from agents.family import Family, measurement, row
from agents.measurements import Measurement

if TYPE_CHECKING:
    from agents.operators.window import WindowSums

_ROWS: Final = (
    row(
        "top_repository_activity",
        "scope platform feature window repository",
        "activities",
        "scales",
        group="A",
        help=(
            "Activity of the 50 busiest repositories by name. `_other` is the sum of the rest, so that all together "
            "are the platform's activity. If one name has a high share, the platform's figure is mostly that of one "
            "repository."
        ),
        formula=(
            "human activities of a repository in the window; repositories with equal figures in the order of their "
            "names; live, a repository keeps its place until others are clearly ahead"
        ),
    ),
)


OTHER: Final = "_other"


def _of_window(window: "WindowSums") -> Iterator[Measurement]:
    from agents.operators.window import by_feature

    for platform, own in window.platforms.items():
        for feature, repositories, values in by_feature(*own):
            chosen, other = window.rank((platform, feature), repositories, values)
            for name, n in [*chosen, (OTHER, other)]:
                if n:
                    labels = window.labels | {"platform": platform, "feature": feature, "repository": name}
                    yield measurement("top_repository_activity", labels, n)


FAMILY: Final = Family(50, _ROWS, of_window=_of_window)
