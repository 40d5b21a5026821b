"""The past, hour by hour, of a replay that has ended: its activities are aggregated once more, and their panes kept.

The topic `panes` forgets the hours of scope `all` after eight days, and holds late activities only once they have come.
So the topic `activity` is read again from its beginning, partition by partition, through the same `Partition` that made
the panes there; what it hands out goes to a file of its own, from which the windows are then moved along the hours.
"""

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Self

from aiokafka import TopicPartition

from agents.checkpoint import committed_consumer
from agents.config import Config
from agents.measurements import Measurement
from agents.operators.columns import Columns
from agents.operators.grains import floor, is_kept
from agents.operators.pane import Pane, RecordKey
from agents.operators.partition import Partition
from agents.operators.past import PaneRecord, Past, hours_covered
from agents.operators.progress import Progress
from streams.activity import HOUR, MINUTE, NoBatch, decode_batch
from streams.kafka.consume import stop, unread
from streams.kafka.topics import Topics

# Windows need no ids and no threads.
_LEFT_OUT: Final = ("ids", "threads")
# Event time in which most minutes become hours without being written; far below the time that hours are kept.
_REST: Final = 4 * HOUR
_TABLE: Final = """
CREATE TABLE pane (day INTEGER, start INTEGER, scope TEXT, partition INTEGER, summary TEXT, grain TEXT, shards INTEGER, shard INTEGER,
    value BLOB, PRIMARY KEY (day, start, scope, partition, summary, grain, shards, shard))
"""


class RecordsLost(Exception):
    """The broker has deleted activities: the past cannot be made of what is left."""


class PaneStore:
    """Panes in a file that lives as long as this object; nothing in it has to outlive a crash."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._remove()
        # For its owner only: it stands beside the keys of people's hashes.
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=OFF")
        self._file.execute("PRAGMA synchronous=OFF")
        self._file.execute(_TABLE)
        self._file.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self._remove()

    def _remove(self) -> None:
        if os.path.exists(self._path):
            os.unlink(self._path)

    def put(self, records: Iterable[PaneRecord]) -> None:
        """Keep records, each in place of its last version."""
        rows = [
            (
                key.grain == "day",
                key.start,
                key.scope,
                key.partition,
                key.summary,
                key.grain,
                key.shards,
                key.shard,
                value,
            )
            for key, value in records
        ]
        self._file.executemany("REPLACE INTO pane VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def finer(self, begin: int, end: int) -> Iterator[PaneRecord]:
        """The panes of minutes and hours that start in [begin, end), in µs."""
        return self._select(False, begin, end)

    def days(self, begin: int, end: int) -> Iterator[PaneRecord]:
        """Those of days."""
        return self._select(True, begin, end)

    def _select(self, day: bool, begin: int, end: int) -> Iterator[PaneRecord]:
        rows = self._file.execute(
            "SELECT * FROM pane WHERE day = ? AND start >= ? AND start < ? ORDER BY shards", (day, begin, end)
        )
        for _, start, scope, partition, summary, grain, shards, shard, value in rows:
            yield PaneRecord(RecordKey(scope, partition, summary, grain, start, shard, shards), value)

    def drop(self, begin: int, end: int, partition: int) -> None:
        """Forget a partition's panes of minutes and hours of scope `all` that start in [begin, end)."""
        place = "NOT day AND start >= ? AND start < ? AND partition = ? AND scope = 'all'"
        self._file.execute(f"DELETE FROM pane WHERE {place}", (begin, end, partition))

    def hours(self) -> list[int]:
        """The ends of the hours in which something happened, rising, µs."""
        return [
            hour + HOUR
            for (hour,) in self._file.execute(
                f"SELECT DISTINCT start - start % {HOUR} FROM pane WHERE NOT day ORDER BY 1"
            )
        ]


async def gather(
    config: Config, ends: Mapping[int, int], store: PaneStore, advance: Callable[[float], None]
) -> list[Progress]:
    """Aggregate the topic `activity` up to the end offset of each partition into the store; the last progress of each
    partition.

    `advance` is told the share that is done. Raises RecordsLost where the topic does not hold all records from its
    first one up to there, and BrokerAway where the broker does not give one.
    """
    topic = Topics(prefix=config.prefix, partitions=config.partitions).activity
    consumer = committed_consumer(config)
    done, whole, progress = 0, max(1, sum(ends.values())), []
    try:
        await consumer.start()
        for number in range(config.partitions):
            place, end = TopicPartition(topic, number), ends.get(number, 0)
            consumer.assign([place])
            first = (await consumer.beginning_offsets([place]))[place]
            if first > 0:
                raise RecordsLost(f"{topic} begins with record {first} of partition {number}")
            await consumer.seek_to_beginning(place)
            keeper = Keeper(number, store)
            position = 0
            async for _ in unread(consumer, [place]):
                for records in (await consumer.getmany(place, timeout_ms=200)).values():
                    for record in records:
                        if record.offset < end:
                            keeper.take(record.offset, record.value)
                now = min(end, await consumer.position(place))
                done, position = done + now - position, now
                advance(done / whole)
                if position >= end:
                    break
            if position < end:
                raise RecordsLost(f"{topic} ends with record {position - 1} of partition {number}, not {end - 1}")
            progress.append(keeper.end())
    finally:
        await stop(consumer)
    return progress


class _Remembering(Partition):
    """A partition that remembers what it counts of hours that are no longer kept, which stands in their days alone."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.belated: defaultdict[int, list[tuple[int, Columns]]] = defaultdict(list)

    def _count(self, minute: int, group: Any, sign: int = 1) -> None:
        super()._count(minute, group, sign)
        if all(grain == "day" for _, grain, _ in self._routed(minute)["all"]):
            self.belated[floor(minute * MINUTE, "hour")].append((sign, Columns(minute, *group)))

    def would_lose(self, mark: int) -> bool:
        """Whether what changed since the last checkpoint would be past its keep, and never be handed out, at a later
        mark.
        """
        return any(
            not is_kept(scope, "day" if grain == "day" else "hour", start, mark)
            for scope, grain, start in self._changed
        )


class Keeper:
    """One partition, aggregated as the worker does it; what it hands out is kept: of each hour its pane, or those of
    its minutes.
    """

    def __init__(self, number: int, store: PaneStore) -> None:
        self._partition, self._store = _Remembering(number), store
        # Minutes wait in memory for the hour that takes their place.
        self._minutes: defaultdict[tuple[str, int], dict[bytes, bytes]] = defaultdict(dict)
        self._hours: set[tuple[str, int]] = set()
        self._due = 0

    def take(self, offset: int, value: bytes | None) -> None:
        """A record of the topic; what the worker sets aside as a dead letter is passed over here."""
        try:
            batch = decode_batch(value)
        except NoBatch:
            return
        if batch.complete_to is not None and (
            batch.complete_to >= self._due or self._partition.would_lose(batch.complete_to)
        ):
            self._keep()
            self._due = batch.complete_to + _REST
        if self._partition.advance(offset, batch):
            if self._partition.closing_due:
                for _ in self._partition.close():
                    pass
            self._partition.take(batch.activities)

    def _keep(self) -> None:
        fresh: list[PaneRecord] = []
        for raw, value in self._partition.checkpoint():
            if value is None or raw == self._partition.progress_key:
                continue
            key = RecordKey.parse(raw)
            hour = key.scope, floor(key.start, "hour")
            if key.summary in _LEFT_OUT or (key.grain == "minute" and hour in self._hours):
                continue
            if key.grain == "minute":
                self._minutes[hour][raw] = value
                continue
            if key.grain == "hour":
                self._hours.add(hour)
                self._minutes.pop(hour, None)
            fresh.append(PaneRecord(key, value))
        self._partition.committed()
        self._store.put(fresh)

    def end(self) -> Progress:
        """The end of the input: minutes of hours that no mark has closed are kept too, and what came too late for its
        hour joins it.
        """
        self._keep()
        for minutes in self._minutes.values():
            self._store.put(PaneRecord(RecordKey.parse(raw), value) for raw, value in minutes.items())
        for hour, belated in self._partition.belated.items():
            self._join(hour, belated)
        return self._partition.progress

    def _join(self, hour: int, belated: list[tuple[int, Columns]]) -> None:
        number = self._partition.number
        contents: defaultdict[tuple[str, int], dict[tuple[str, int, int], bytes]] = defaultdict(dict)
        for key, value in self._store.finer(hour, hour + HOUR):
            if key.partition == number and key.scope == "all":
                contents[key.grain, key.start][key.summary, key.shard, key.shards] = value
        pane = Pane(with_ids=False)
        if contents:
            for _ in pane.merge_in_slices([Pane.restore(records, with_ids=False) for records in contents.values()]):
                pass
        for sign, columns in belated:
            if sign > 0:
                pane.absorb(columns)
            else:
                pane.withdraw(columns)
        self._store.drop(hour, hour + HOUR, number)
        self._store.put(
            PaneRecord(RecordKey("all", number, summary, "hour", hour, shard, shards), value)
            for summary, shard, shards, value in pane.records()
            if value is not None
        )


def points(
    store: PaneStore, past: Past, progress: list[Progress], until: int, *, covered_only: bool = False
) -> Iterator[tuple[int, list[Measurement]]]:
    """(end of the hour in µs, measurements) of every hour that was seen whole and ends no later than `until`.

    Where no hour was seen whole: of every hour in which something happened, unless `covered_only`, for then those hours
    are torn.
    """
    taken, days = 0, 0
    ends = hours_covered(progress)
    for end in ends if ends or covered_only else store.hours():
        if end > until:
            return
        past.take(store.finer(taken, end))
        past.take(store.days(days, floor(end, "day")))
        taken, days = end, floor(end, "day")
        yield end, past.at(end)
