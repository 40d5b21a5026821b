"""Activities and batches as tests make them, and `count` and `measure` in one process, without a broker."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from agents.count.partition import Count
from agents.facts import decode_facts, encode_facts
from agents.measure.binding import open_store
from agents.measure.store import Place, Store
from agents.measure.windows import Windows
from agents.measurements import Measurement
from streams.activity import ARCHIVE, DAY, HOUR, Activity, Batch, partition_of

NOW = 20_000 * DAY
PARTITIONS = 4

Series = tuple[str, frozenset[tuple[str, str]]]


def activity(number: int, at: int, **fields: object) -> Activity:
    """A push; `fields` say what is otherwise."""
    base = {"id": f"github:PushEvent:{number}", "platform": "github", "kind": "push", "repo_id": 5 << 32, "repo": "o/r"}
    times = {"occurred_at": at, "ingested_at": at}
    return Activity(**{**base, **times, "owner": "o", "actor": 7 << 32, **fields})  # type: ignore[arg-type]


def batches(activities: list[Activity], random: Random) -> Iterator[tuple[int, Batch]]:
    """(partition, batch) in order of arrival, marked like a reader of hours: an hour is complete when it has ended."""
    buffers: list[list[Activity]] = [[] for _ in range(PARTITIONS)]
    numbers = [0] * PARTITIONS
    hour = activities[0].ingested_at // HOUR

    def send(partition: int, mark: int | None = None) -> tuple[int, Batch]:
        own, buffers[partition] = buffers[partition], []
        numbers[partition] += 1
        return partition, Batch(feed=ARCHIVE, activities=own, sequence=numbers[partition] - 1, complete_to=mark)

    for one in activities:
        if one.ingested_at // HOUR > hour:
            hour = one.ingested_at // HOUR
            yield from (send(partition, hour * HOUR) for partition in range(PARTITIONS))
        partition = partition_of(one.repo_id, PARTITIONS)
        buffers[partition].append(one)
        if len(buffers[partition]) >= random.randrange(1, 300):
            yield send(partition)
    yield from (send(partition, hour * HOUR + HOUR) for partition in range(PARTITIONS))


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
