"""What `/metrics` says about the program itself: its version, the world of its figures, and this process."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector, CollectorRegistry

from agents.catalogue import by_name
from agents.measurements import Measurement
from sinks.board import Board, World
from sinks.prometheus import family_of

BUILD: Final = "nomadwatch_build_info"


# The number of series that this adds to a scrape.
SERIES: Final = 7


def build_info(world: World) -> Measurement:
    """The series with the version and the world as labels; its value is always 1.

    >>> build_info("simulated").labels["world"], build_info("simulated").value
    ('simulated', 1.0)
    """
    return Measurement(BUILD, {"version": _version(), "python": platform.python_version(), "world": world}, 1.0)


def _version() -> str:
    try:
        return version("nomadwatch")
    except PackageNotFoundError:
        return "unknown"  # run from a folder without an installation


class AboutCollector(Collector):
    """Collects `nomadwatch_build_info`, also before anything is measured."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def describe(self) -> Iterator[Family]:
        """Nothing: the collector of the board describes all families of the catalogue."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        """One scrape."""
        family = family_of(by_name(BUILD))
        said = build_info(self._board.world)
        family.add_sample(said.name, said.labels, said.value)
        yield family


def register(registry: CollectorRegistry, board: Board) -> None:
    """Add `nomadwatch_build_info` and the `process_*` series of Prometheus' client libraries to a registry."""
    registry.register(AboutCollector(board))
    ProcessCollector(registry=registry)
