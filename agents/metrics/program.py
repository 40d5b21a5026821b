"""Which program speaks."""

from typing import Final

from agents.family import Family, row

_ROWS: Final = (
    row(
        "build_info",
        "version python world",
        "1",
        "exact",
        group="P",
        help=(
            "Which version speaks, and whether the figures beside it are of the `real` world or of a `simulated` one. "
            "One simulated activity among the input makes everything simulated: quote nothing of it."
        ),
        formula="always 1; the labels say it",
    ),
)

FAMILY: Final = Family(150, _ROWS)
