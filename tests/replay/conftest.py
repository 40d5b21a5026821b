"""Replays that several tests use: the recorded hours and a generated world."""

from pathlib import Path

import pytest

from simulator.archive import ArchivePlan, write
from simulator.clock import HOUR
from simulator.stream import START
from simulator.truth import StreamTruth
from tests.replay.running import Replayed, replayed
from tests.simulator.recorded import recorded

MESSY = ArchivePlan(
    start=START + 9 * HOUR,
    hours=5,
    events=6000,
    hub_events=1000,
    seed=11,
    duplicates=0.03,
    late=0.01,
    future=0.004,
    garbage=35,
)


class World:
    """Five hours of both platforms with everything that can be wrong, their truth, and the report of an undisturbed
    replay.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[Path]
        self.truth: StreamTruth
        self.paths, self.truth = write(folder, MESSY)
        self.undisturbed = replayed(folder)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def hours() -> list[Path]:
    """Two recorded hours, 22 and 23."""
    return sorted(recorded("gharchive-min-2015").glob("*.json.gz"))


@pytest.fixture(scope="session")
def plain(hours: list[Path]) -> Replayed:
    """The recorded hours as they are, their folder named."""
    return replayed(hours[0].parent)
