"""How many people, and how many repositories."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from agents.family import Family, measurement, row
from agents.measurements import Measurement

if TYPE_CHECKING:
    from agents.operators.window import WindowSums

_ROWS: Final = (
    row(
        "active_developers",
        "scope platform feature window",
        "people",
        "invalid",
        group="A",
        help=(
            "How many different people did the feature. A person who does several features counts in each of them: do "
            "not add the numbers."
        ),
        formula="number of different human actors with at least one activity",
        source="CHAOSS, Contributors",
    ),
    row(
        "active_repositories",
        "scope platform feature window",
        "repositories",
        "invalid",
        group="A",
        help=(
            "How many different repositories had the feature. A repository with several features counts in each of "
            "them: do not add them."
        ),
        formula="number of different repositories with at least one human activity",
        source="CHAOSS, Activity",
    ),
)


def _of_window(window: "WindowSums") -> Iterator[Measurement]:
    from agents.operators.window import distinct

    for name, (keys, _) in (("active_developers", window.people), ("active_repositories", window.repositories)):
        for platform, feature, n in distinct(keys):
            yield measurement(name, window.labels | {"platform": platform, "feature": feature}, n)


FAMILY: Final = Family(30, _ROWS, of_window=_of_window)
