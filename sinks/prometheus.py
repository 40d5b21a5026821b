"""The board as Prometheus scrapes it: a view at the time of the scrape, without state of its own."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from agents.catalogue import CATALOGUE
from agents.measurements import LATENCY, Histogram, Measurement, series
from agents.metric import Metric
from sinks.board import Board, wall_clock
from sinks.reference import REFERENCE

# Each label is bounded (docs/metrics.md); this bounds the number of series.
MOST: Final = 50_000
_LONGEST: Final = "nomadwatch_top_repository_activity"
LEFT_OUT: Final = "nomadwatch_series_left_out"
_PARTS: Final = ("_bucket", "_count", "_sum")


class BoardCollector(Collector):
    """Collects the families of the catalogue that have a value on the board; unknown ones are absent. `now` in µs UTC.

    It leaves out names that are not in the catalogue (`strangers`) and series that another role has reported already
    (`repeated` counts them). Beyond `most` series, a scrape leaves measurements out and says how many; the health of
    the roles always fits.
    """

    def __init__(self, board: Board, now: Callable[[], int] = wall_clock, most: int = MOST) -> None:
        self.strangers: set[str] = set()
        self.repeated = 0
        self._board = board
        self._now = now
        self._most = most
        self._latency = Histogram()
        self._rows = {name: row for row in CATALOGUE for name in _sample_names(row)}

    def describe(self) -> Iterator[Family]:
        """Every family, without values."""
        return map(family_of, CATALOGUE)

    def collect(self) -> Iterator[Family]:
        """One scrape."""
        families: dict[str, Family] = {}
        evaluation = self._board.evaluation
        if evaluation is not None and not self._board.is_stale:
            self._latency.observe((self._now() - evaluation.evaluated_at) / 1e6)
        shown, health = self._board.shown, [row for row in self._health() if row.name != LEFT_OUT]
        room = max(0, self._most - len(health) - len(REFERENCE) - 1)
        if len(shown) > room:
            # Over the limit, drop series of top repositories first: a missing series of a project would look like zero.
            shown = sorted(shown, key=lambda row: row.name == _LONGEST)
        if shown:
            health.append(Measurement(LEFT_OUT, {}, max(0, len(shown) - room)))
        # The papers' figures are shown beside measurements only, never alone.
        for measurement in chain(islice(shown, room), REFERENCE if shown else (), health):
            row = self._rows.get(measurement.name)
            if row is None:
                self.strangers.add(measurement.name)
                continue
            family = families.get(row.name)
            if family is None:
                family = families[row.name] = family_of(row)
            family.samples.append(Sample(measurement.name, measurement.labels, measurement.value))
        for row in CATALOGUE:
            if row.name in families:
                family = families[row.name]
                if row.type == "histogram":
                    family.samples.sort(key=_place_in_histogram)
                yield family

    def _health(self) -> Iterator[Measurement]:
        """The health series, each once: Prometheus refuses a scrape that has a series twice."""
        seen: set[bytes] = set()
        for measurement in (*self._latency.rows(LATENCY, {"stage": "shown"}), *self._board.health):
            key = series(measurement.name, measurement.labels)
            if key in seen:
                self.repeated += 1
            else:
                seen.add(key)
                yield measurement


def registry_of(collector: BoardCollector) -> CollectorRegistry:
    """A new registry with the collector of the board; `about.register` adds the series about the program."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def family_of(row: Metric) -> Family:
    """An empty family.

    Its unit is set if the name ends in the unit, as OpenMetrics requires; else it is in the help.
    """
    if row.family.endswith("_" + row.unit):
        return Family(row.family, row.help, row.type, row.unit)
    return Family(row.family, f"{row.help} Unit: {row.unit}.", row.type)


def _sample_names(row: Metric) -> Iterable[str]:
    return [row.name + part for part in _PARTS] if row.type == "histogram" else [row.name]


def _place_in_histogram(sample: Sample) -> tuple[list[tuple[str, str]], str, float]:
    """Sort key: the buckets of a label set in rising order, then their count and sum."""
    labels = [(label, value) for label, value in sorted(sample.labels.items()) if label != "le"]
    return labels, sample.name, float(sample.labels.get("le", 0))
