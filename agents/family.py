"""A family of metrics: rows of the catalogue and how they are computed, in one file.

Each file of `agents/metrics` is a family, with a constant `FAMILY`. The catalogue is the sum of their rows, and
`measure`, the report, `/metrics` and docs/metrics.md follow from it. Programs that compute nothing read the catalogue
too, so functions that compute import numpy and the operators themselves.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from agents.measurements import Measurement
from agents.metric import PREFIX, Kind, Metric, UnderSampling

if TYPE_CHECKING:
    from agents.facts import Rows
    from agents.operators.progress import Progress
    from agents.operators.window import WindowSums
    from streams.windows import Window

YE_ZHOU: Final = "Ye & Zhou 2026, From OSS to Open Source AI"
OWN: Final = "nomadwatch"
_FEATURES: Final = " What counts as which feature: docs/metrics.md#features, and /features of a station."
_SCALING: Final = (
    " To estimate a whole window, divide by its `window_coverage_ratio`, and only where that is at least 0.5."
)


class View(Protocol):
    """A family's own state over the rows of a span of event time, exact whenever rows enter or leave.

    `window`: the window that it is evaluated with. `span`: the time whose rows it holds (None: all that are kept).
    `watched`: it gets rows of the watchlist only, which are kept longer.
    """

    window: str
    span: "Window | None"
    watched: bool

    def add(self, rows: "Rows") -> None:
        """Rows enter, in any order; a row whose `n` is -1 withdraws an earlier one."""
        ...

    def remove(self, rows: "Rows") -> None:
        """Rows that were added leave."""
        ...

    def evaluate(self, front: int) -> Iterable[Measurement]:
        """The measurements for the rows that it holds, at the front (µs)."""
        ...


def _nothing(*_: object) -> Iterator[Measurement]:
    return iter(())


class Family(NamedTuple):
    """Rows of the catalogue and how they are computed. A family whose figures other roles publish has rows only.

    `order` is its place in the catalogue. `of_window` computes from the sums of a scope and window, `of_coverage` from
    what the partitions have reached and a window's [begin, end) in µs, `of_totals` from what they have reached since
    the beginning (a partition of which nothing is known is None). `views` makes the views of one state. `labels`
    explains labels that no other family has.
    """

    order: int
    rows: Sequence[Metric]
    of_window: "Callable[[WindowSums], Iterable[Measurement]]" = _nothing
    of_coverage: "Callable[[str, tuple[int, int], Sequence[Progress | None]], Iterable[Measurement]]" = _nothing
    of_totals: "Callable[[Sequence[Progress | None]], Iterable[Measurement]]" = _nothing
    views: "Callable[[], Sequence[View]]" = tuple
    labels: Mapping[str, str] = {}


def row(
    name: str,
    labels: str,
    unit: str,
    under_sampling: UnderSampling,
    *,
    help: str,
    formula: str,
    source: str = OWN,
    type: Kind = "gauge",
    group: str,
) -> Metric:
    """A row of the catalogue; `name` without the prefix, `labels` separated by spaces."""
    said = set(labels.split())
    more = [_SCALING] if under_sampling == "scales" and "window" in said else []
    more += [_FEATURES] if {"feature", "a"} & said and group != "I" else []
    return Metric(
        name=PREFIX + name,
        group=group,
        type=type,
        unit=unit,
        labels=tuple(labels.split()),
        help=help + "".join(more),
        formula=formula,
        source=source,
        under_sampling=under_sampling,
    )


def measurement(name: str, labels: dict[str, str], value: float) -> Measurement:
    """A value of the metric of this name (without the prefix).

    >>> measurement("commits", {"platform": "github"}, 3)
    Measurement(name='nomadwatch_commits', labels={'platform': 'github'}, value=3.0)
    """
    return Measurement(PREFIX + name, labels, float(value))
