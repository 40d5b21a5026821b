"""Commits, where their number is stated."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from agents.family import YE_ZHOU, Family, measurement, row
from agents.measurements import Measurement

if TYPE_CHECKING:
    from agents.operators.window import WindowSums

_ROWS: Final = (
    row(
        "commits",
        "scope platform window",
        "commits",
        "scales",
        group="A",
        help=(
            "Commits of people, where the platform states how many: on the Hub each one, on GitHub pushes until 7 "
            "October 2025. Absent if no number was stated: a push can bring any number of commits."
        ),
        formula="sum of the stated numbers of commits over the window's human activities",
        source=f"{YE_ZHOU}, RQ1",
    ),
)


def _of_window(window: "WindowSums") -> Iterator[Measurement]:
    """Where at least one activity stated its number of commits: then 0 is a known number."""
    for platform, own in window.commits.items():
        if own.stated:
            yield measurement("commits", window.labels | {"platform": platform}, own.commits)


FAMILY: Final = Family(20, _ROWS, of_window=_of_window)
