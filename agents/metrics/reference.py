"""What papers found."""

from typing import Final

from agents.family import Family, row

_ROWS: Final = (
    row(
        "reference",
        "source metric platform feature stat",
        "as in its metric",
        "exact",
        group="I",
        help=(
            "What a paper found, to stand beside what is measured. A label that does not apply is empty; `stat` says "
            "which of several values of the metric it is. The papers looked at whole lives or at one year: compare "
            "orders and ratios rather than levels."
        ),
        formula="as published",
        source="Ye & Zhou 2026, From OSS to Open Source AI; Dias et al., quoted there",
    ),
)

FAMILY: Final = Family(140, _ROWS)
