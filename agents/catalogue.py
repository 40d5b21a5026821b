"""The catalogue: everything that can be asked of nomadwatch, one row a metric.

It is the sum of the families in `agents/metrics`. It drives the Prometheus collector, the default panels and
`docs/metrics.md`, which `python -m agents.catalogue` prints.
"""

from typing import Final

from agents.metric import LABELS as SHARED
from agents.metric import Metric, render
from agents.metrics import FAMILIES

CATALOGUE: Final = tuple(row for family in FAMILIES for row in family.rows)
# What each label means.
LABELS: Final = SHARED | {label: meaning for family in FAMILIES for label, meaning in family.labels.items()}
_BY_NAME: Final = {row.name: row for row in CATALOGUE}


def by_name(name: str) -> Metric:
    """The row of a metric, by its full name; KeyError if there is none.

    >>> by_name("nomadwatch_commits").labels
    ('scope', 'platform', 'window')
    """
    return _BY_NAME[name]


if __name__ == "__main__":
    print(render(CATALOGUE, LABELS), end="")
