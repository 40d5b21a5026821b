"""Activities of the simulator, counted into a store and written to a lake, and the same counted by plain Python."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from agents.count.partition import Count
from agents.measure.snapshot import Snapshot
from agents.measure.store import Place, Store
from agents.measure.windows import Windows
from simulator.accepted import credited
from simulator.deed import Deed
from simulator.stream import START, five_days
from simulator.wire import deed
from sinks.lake.folder import Lake
from sinks.lake.write import Updated, update
from streams.activity import ARCHIVE, Activity, Batch, partition_of

__all__ = ["PARTITIONS", "START", "Counter", "filled", "refreshed", "truth", "world"]

PARTITIONS = 4
_RELATIONS = ("finetune", "adapter", "merge", "quantized")
_SIDES = ("internal", "staff", "external", "unknown")


class Counter:
    """Counts activities into a store, as `count` and `measure` do."""

    def __init__(self, store: Store) -> None:
        self.windows = Windows(store, PARTITIONS)
        self._counts = [Count(number) for number in range(PARTITIONS)]
        self._offsets = [0] * PARTITIONS

    def take(self, activities: Sequence[dict[str, Any]], *, together: int = 2_000) -> None:
        """Take activities in wire form, in order; what follows from them stands in the store's file then."""
        for begin in range(0, len(activities), together):
            own: list[list[Activity]] = [[] for _ in self._counts]
            for activity in msgspec.convert(activities[begin : begin + together], list[Activity]):
                own[partition_of(activity.repo_id, PARTITIONS)].append(activity)
            for number, count in enumerate(self._counts):
                batch = Batch(feed=ARCHIVE, activities=own[number], sequence=self._offsets[number])
                count.advance(self._offsets[number], batch)
                count.take(batch)
                self._offsets[number] += 1
                self.windows.incoming.put(number, count.checkpoint(), Place(self._offsets[number], 0, b""))
            self.windows.incoming.store()
            self.windows.store.write()


def world(days: float = 5, n: int = 8_000, seed: int = 7) -> list[dict[str, Any]]:
    """Activities in the order of their arrival, with derivatives that name their base, and sides in watched places."""
    random = Random(f"lake/{seed}")
    arrivals = five_days(seed=seed, n=n, days=days)
    sides: dict[str, dict[str, Any]] = {}
    models: list[str] = []
    for activity in arrivals:
        more = sides.setdefault(activity["id"], {})
        if not more:
            if activity["platform"] == "huggingface" and activity["artefact"] == "model":
                if activity["kind"] == "derivative" and models:
                    more |= {"family": random.choice(models), "relation": random.choice(_RELATIONS)}
                models.append(activity["repo"])
            if "project" in activity:
                more |= {"affiliation": random.choice(_SIDES)}
        activity |= more
    return arrivals


def truth(arrivals: Iterable[dict[str, Any]]) -> list[tuple[Deed, dict[str, Any]]]:
    """What counts, each thing once and merges credited, with the activity that said it (of a credit the merge's, with
    none of what the merge alone is), by plain Python.
    """
    first: dict[str, dict[str, Any]] = {}
    for activity in arrivals:
        first.setdefault(activity["id"], activity)
    deeds = credited([deed(activity) for activity in first.values()])
    return [(done, first.get(done.id) or first[done.id.removesuffix(":accepted")]) for done in deeds]


def filled(folder: Path, arrivals: Sequence[dict[str, Any]]) -> Path:
    """A data folder with a store of these activities; its path."""
    (folder / "measure").mkdir(parents=True)
    with Store(folder / "measure" / "facts.sqlite") as store:
        Counter(store).take(arrivals)
    return folder


def refreshed(state: Path, *, until: int | None = None, thoroughly: bool = False) -> tuple[Path, Updated]:
    """The lake of a data folder, brought up to date; its path, and what was done."""
    lake = Lake(state / "lake")
    with Snapshot(state / "measure" / "facts.sqlite") as source, lake.writing(10):
        done = update(lake, source, until=until, thoroughly=thoroughly)
    return lake.path, done
