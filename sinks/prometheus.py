"""The board as Prometheus sees it: a view at the moment of a scrape, nothing is kept twice."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, chain
from math import inf
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from agents.catalogue import CATALOGUE
from agents.measurements import Measurement, series
from agents.metric import Metric
from sinks.board import Board, wall_clock

LATENCY: Final = "nomadwatch_pipeline_latency_seconds"
# Seconds; a board is stale after the last.
_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_PARTS: Final = ("_bucket", "_count", "_sum")


class BoardCollector(Collector):
    """Collects the families of the catalogue that have a value on the board; unknown is absent. `now` in µs UTC.

    Left out are `strangers`, names without a row in the catalogue, and rows `repeated`: as often as a scrape met a series that another role
    had said before.
    """

    def __init__(self, board: Board, now: Callable[[], int] = wall_clock) -> None:
        self.strangers: set[str] = set()
        self.repeated = 0
        self._board = board
        self._now = now
        self._latency = _Histogram(LATENCY, {"stage": "shown"})
        self._rows = {name: row for row in CATALOGUE for name in _sample_names(row)}

    def describe(self) -> Iterator[Family]:
        """Every family, without values."""
        return map(_family, CATALOGUE)

    def collect(self) -> Iterator[Family]:
        """One scrape."""
        families: dict[str, Family] = {}
        evaluation = self._board.evaluation
        if evaluation is not None and not self._board.is_stale:
            self._latency.observe(max(0.0, (self._now() - evaluation.evaluated_at) / 1e6))
        for measurement in chain(self._board.shown, self._health()):
            row = self._rows.get(measurement.name)
            if row is None:
                self.strangers.add(measurement.name)
                continue
            family = families.get(row.name)
            if family is None:
                family = families[row.name] = _family(row)
            family.samples.append(Sample(measurement.name, measurement.labels, measurement.value))
        for row in CATALOGUE:
            if row.name in families:
                family = families[row.name]
                if row.type == "histogram":
                    family.samples.sort(key=_place_in_histogram)
                yield family

    def _health(self) -> Iterator[Measurement]:
        """What the roles say, each series once: Prometheus refuses a scrape that says one twice."""
        seen: set[bytes] = set()
        for measurement in (*self._latency.rows(), *self._board.health):
            key = series(measurement.name, measurement.labels)
            if key in seen:
                self.repeated += 1
            else:
                seen.add(key)
                yield measurement


def registry_of(collector: BoardCollector) -> CollectorRegistry:
    """A registry of its own: nothing about this process among the figures."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def _family(row: Metric) -> Family:
    """The unit stands where OpenMetrics allows it, at the end of the name, else in the help."""
    if row.family.endswith("_" + row.unit):
        return Family(row.family, row.help, row.type, row.unit)
    return Family(row.family, f"{row.help} Unit: {row.unit}.", row.type)


def _sample_names(row: Metric) -> Iterable[str]:
    return [row.name + part for part in _PARTS] if row.type == "histogram" else [row.name]


def _place_in_histogram(sample: Sample) -> tuple[list[tuple[str, str]], str, float]:
    """Buckets of one label set beside each other, rising, before their count and sum."""
    labels = [(label, value) for label, value in sorted(sample.labels.items()) if label != "le"]
    return labels, sample.name, float(sample.labels.get("le", 0))


class _Histogram:
    """Observations since the start of the process."""

    def __init__(self, name: str, labels: dict[str, str]) -> None:
        self._name = name
        self._labels = labels
        self._counts = [0] * (len(_BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(_BUCKETS, value)] += 1
        self._sum += value

    def rows(self) -> Iterator[Measurement]:
        """None before the first observation."""
        if not any(self._counts):
            return
        for edge, count in zip((*_BUCKETS, inf), accumulate(self._counts), strict=True):
            yield Measurement(self._name + "_bucket", {**self._labels, "le": "+Inf" if edge == inf else str(edge)}, count)
        yield Measurement(self._name + "_count", self._labels, sum(self._counts))
        yield Measurement(self._name + "_sum", self._labels, self._sum)
