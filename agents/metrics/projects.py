"""What is done in watched projects."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from agents.family import YE_ZHOU, Family, measurement, row
from agents.measurements import Measurement

if TYPE_CHECKING:
    from agents.operators.window import WindowSums

_ROWS: Final = (
    row(
        "project_activity",
        "project platform artefact feature window",
        "activities",
        "scales",
        group="A",
        help=(
            "How much people did in a watched project: where, and on what kind of artefact. It shows whether an "
            "organisation's community gathers around its code or its models."
        ),
        formula="number of different human activities in the project's repositories in the window",
        source=f"features of {YE_ZHOU}, RQ1",
    ),
)


def _of_window(window: "WindowSums") -> Iterator[Measurement]:
    if window.scope != "watched":
        return
    for own in window.projects:
        labels = {
            "project": own.project,
            "platform": own.platform,
            "artefact": own.artefact,
            "feature": own.feature,
            "window": window.name,
        }
        yield measurement("project_activity", labels, own.n)


FAMILY: Final = Family(40, _ROWS, of_window=_of_window)
