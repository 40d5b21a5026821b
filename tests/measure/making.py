"""Activities and batches as tests make them, and `count` and `measure` in one process, without a broker."""

from pathlib import Path

from agents.count.partition import Count
from agents.facts import decode_facts, encode_facts
from agents.measure.binding import open_store
from agents.measure.store import Place, Store
from agents.measure.windows import Windows
from agents.measurements import Measurement
from streams.activity import DAY, Activity, Batch

NOW = 20_000 * DAY
PARTITIONS = 4

Series = tuple[str, frozenset[tuple[str, str]]]


def activity(number: int, at: int, **fields: object) -> Activity:
    """A push; `fields` say what is otherwise."""
    base = {"id": f"github:PushEvent:{number}", "platform": "github", "kind": "push", "repo_id": 5 << 32, "repo": "o/r"}
    times = {"occurred_at": at, "ingested_at": at}
    return Activity(**{**base, **times, "owner": "o", "actor": 7 << 32, **fields})  # type: ignore[arg-type]


class Measured:
    """Batches in, measurements out. `path` is the file of the store."""

    def __init__(self, path: Path, partitions: int = PARTITIONS) -> None:
        self._path = path
        self._counts = [Count(number) for number in range(partitions)]
        self._offsets = [0] * partitions
        self._records = [0] * partitions
        self._written = [0] * partitions
        self.windows = Windows(Store(path), partitions)

    def take(self, number: int, batch: Batch) -> None:
        """What `count` does with a record of `activity`."""
        if self._counts[number].advance(self._offsets[number], batch):
            self._counts[number].take(batch)
        self._offsets[number] += 1

    def checkpoint(self, number: int) -> None:
        """A record of `facts`, which `measure` reads; none where nothing came since the last one."""
        if self._offsets[number] == self._written[number]:
            return
        self._written[number] = self._offsets[number]
        facts = decode_facts(encode_facts(self._counts[number].checkpoint()))
        self._records[number] += 1
        assert self.windows.incoming.put(number, facts, Place(self._records[number], 0, b""))

    def feed(self, number: int, *own: Batch) -> list[Measurement]:
        """Take, write and measure batches."""
        for batch in own:
            self.take(number, batch)
        self.checkpoint(number)
        return self.measured()

    def measured(self, *, final: bool = False) -> list[Measurement]:
        self.windows.take_up()
        return self.windows.evaluate(final=final)

    def restart(self) -> None:
        """`measure` ends in order and starts again; the store is all that it has."""
        self.windows.take_up()
        self.windows.store.write()
        self.windows.store.close()
        self.windows = Windows(open_store(self._path), len(self._counts))
        list(self.windows.fill())


def by_series(measurements: list[Measurement]) -> dict[Series, float]:
    found = {(m.name, frozenset(m.labels.items())): m.value for m in measurements}
    assert len(found) == len(measurements), "each series once"
    return found


def one(measurements: list[Measurement], name: str, **labels: str) -> float | None:
    """The value of a series."""
    return by_series(measurements).get((f"nomadwatch_{name}", frozenset(labels.items())))
