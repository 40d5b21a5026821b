"""The log: topics, appended batches, reading, offsets of groups.

Ordinary topics keep a row a batch, its id being the place of the last record; compacted topics a row a record, so that
compaction is a DELETE.
"""

import asyncio
import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from broker.bulk import Buffer
from broker.clock import SteadyClock
from broker.errors import Code, LogUnusable, Refused
from broker.file import unusable
from broker.notices import warn
from broker.records import Batch, Record, checksum
from broker.store import Store
from broker.topic import OFFSETS, REMEMBERED, SHIFT, Partition, Producer, Topic
from broker.transactions import Transactions

OPENED_BYTES: Final = 16 << 20
# Of a batch for a compacted topic, which keeps a row a record; clients' own limits are below. More would hold up the
# others.
_MOST_RECORDS: Final = 20_000
_COST_BYTES: Final = 10_000
_MOST_PRODUCERS: Final = 1000
_SAVE_CLOCK_MS: Final = 1000
_MOST_NAMED: Final = 5
_MOST_PARTITIONS: Final = 10_000
_LAST_PARTITION: Final = 1 << (63 - SHIFT)
# The horizon of a tombstone that compaction has not reached yet.
PENDING: Final = -1


class Log:
    """Everything that is kept. Methods that change something return a future that is done once the change is committed."""

    def __init__(self, path: Path, synchronous: str = "NORMAL", clock: Callable[[], int] | None = None) -> None:
        """Raises LogInUse or LogUnusable. `clock`: ms, in place of the steady one."""
        self.store = Store(path, synchronous)
        self.store.state = self
        self.topics: dict[str, Topic] = {}
        self.by_id: dict[int, Partition] = {}
        self.touched: set[Partition] = set()
        self._saved = 0
        self.transactions = Transactions(self)
        self._waiting: dict[tuple[str, int], set[asyncio.Event]] = {}
        try:
            self.clock = clock or self._steady_clock()
            self.load()
            self._compare_with_mark()
        except sqlite3.Error as error:
            self.store.abandon()
            raise unusable(path, error) from None
        except (ValueError, TypeError, KeyError) as error:  # JSON or numbers that are none
            self.store.abandon()
            raise LogUnusable(
                f"{path} is damaged ({error!r}): bring back a copy of it, or remove it to begin anew"
            ) from None

    def _steady_clock(self) -> SteadyClock:
        clock = SteadyClock()
        row = self.store.execute("SELECT value FROM counters WHERE name = 'clock'").fetchone()
        clock.begin(row[0] if row else None)
        return clock

    def close(self) -> None:
        self.store.close()

    # The store's side.

    def load(self) -> None:
        execute = self.store.execute
        self.touched.clear()
        self.topics = {
            name: Topic(name, json.loads(settings), [])
            for name, settings in execute("SELECT name, settings FROM topics")
        }
        self.by_id = {}
        columns = "id, topic, number, first, end, cleaned, size, taken"
        for row in execute(f"SELECT {columns} FROM partitions ORDER BY topic, number").fetchall():
            partition = Partition(*row)
            self.topics[partition.topic].partitions.append(partition)
            self.by_id[partition.id] = partition
        for part, producer, epoch, recent, seen in execute(
            "SELECT part, id, epoch, recent, seen FROM producers ORDER BY seen"
        ).fetchall():
            if part in self.by_id:
                self.by_id[part].producers[producer] = Producer(
                    epoch, deque(map(tuple, json.loads(recent)), REMEMBERED), seen
                )
        self.transactions.load()

    def save(self) -> None:
        now = self.clock()
        if abs(now - self._saved) >= _SAVE_CLOCK_MS:
            self._saved = now
            self.store.execute("INSERT OR REPLACE INTO counters VALUES('clock', ?)", (now,))
        self.store.executemany(
            "UPDATE partitions SET first = ?, end = ?, cleaned = ?, size = ?, taken = ? WHERE id = ?",
            [(p.first, p.end, p.cleaned, p.size, p.taken, p.id) for p in self.touched],
        )

    def publish(self) -> None:
        self._mark({partition.id: partition.end for partition in self.touched})
        for partition in self.touched:
            self._wake(partition)
        self.touched.clear()

    def _mark(self, ends: Mapping[int, int]) -> None:
        try:
            self.store.mark.set(ends)
        except OSError as error:  # what is committed is committed
            warn("mark", f"{self.store.mark.path} cannot be written ({error.strerror})")

    def _compare_with_mark(self) -> None:
        """Say which partitions end before where they ended once, or are not there at all."""
        ends = {partition.id: partition.end for partition in self.by_id.values()}
        names = {partition.id: f"{partition.topic}-{partition.number}" for partition in self.by_id.values()}
        (last,) = self.store.execute(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'partitions'"
        ).fetchone()
        gone = dict.fromkeys(range(last + 1, self.store.mark.count), 0)
        ends |= gone
        lost = {number: count for number, end in ends.items() if (count := self.store.mark.end(number) - end) > 0}
        if lost:
            where = ", ".join(names.get(number, "a topic that is gone") for number in list(lost)[:_MOST_NAMED])
            warn(
                f"mark {self.store.path}",
                f"{self.store.path} has lost its newest {sum(lost.values())} records, of {len(lost)} partitions ({where}): "
                f"{self.store.path.name}-wal was removed or cut after the broker died, an older copy was put back, or the machine lost "
                "its power. Consumers may stand beyond the end",
            )
        self._mark(ends)

    def _wake(self, partition: Partition) -> None:
        for event in self._waiting.get((partition.topic, partition.number), ()):
            event.set()

    @contextmanager
    def watching(self, places: Iterable[tuple[str, int]]) -> Iterator[asyncio.Event]:
        """An event that is set whenever one of the partitions (topic, number) changes."""
        event = asyncio.Event()
        places = set(places)
        for place in places:
            self._waiting.setdefault(place, set()).add(event)
        try:
            yield event
        finally:
            for place in places:
                self._waiting[place].discard(event)
                if not self._waiting[place]:
                    del self._waiting[place]

    # Topics.

    def find(self, name: str, number: int) -> tuple[Topic, Partition]:
        """Raises Refused for what does not exist, and while the file cannot be read."""
        if self.store.stale:
            raise Refused(Code.KAFKA_STORAGE_ERROR, "the log cannot be read")
        topic = self.topics.get(name)
        if topic is None or not 0 <= number < len(topic.partitions):
            raise Refused(Code.UNKNOWN_TOPIC_OR_PARTITION, "no such topic or partition")
        return topic, topic.partitions[number]

    def create(self, name: str, partitions: int, settings: dict[str, str]) -> "asyncio.Future[None]":
        def job() -> None:
            if name in self.topics:
                raise Refused(Code.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
            if len(self.by_id) + partitions > _MOST_PARTITIONS:
                raise Refused(
                    Code.POLICY_VIOLATION, f"this broker keeps {_MOST_PARTITIONS} partitions, not more: delete topics"
                )
            (last,) = self.store.execute(
                "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'partitions'"
            ).fetchone()
            if last + partitions >= _LAST_PARTITION:
                raise Refused(Code.POLICY_VIOLATION, "no number is left for a partition: begin a new log")
            self.store.execute("INSERT INTO topics VALUES(?, ?)", (name, json.dumps(settings)))
            topic = Topic(name, settings, [])
            for number in range(partitions):
                row = self.store.execute("INSERT INTO partitions(topic, number) VALUES(?, ?)", (name, number)).lastrowid
                assert row is not None
                partition = Partition(row, name, number)
                topic.partitions.append(partition)
                self.by_id[row] = partition
                self.touched.add(partition)
            self.topics[name] = topic

        return self.store.write(job)

    def delete(self, name: str) -> "asyncio.Future[None]":
        """Gone at once; its rows go with housekeeping."""

        def job() -> None:
            if name not in self.topics:
                raise Refused(Code.UNKNOWN_TOPIC_OR_PARTITION, "no such topic")
            topic = self.topics.pop(name)
            for partition in topic.partitions:
                self.store.execute("INSERT INTO dropped VALUES(?)", (partition.id,))
                self.store.execute("DELETE FROM open_ranges WHERE part = ?", (partition.id,))
                del self.by_id[partition.id]
                self.touched.discard(partition)
                self._wake(partition)
            self.store.execute("DELETE FROM topics WHERE name = ?", (name,))
            self.store.execute("DELETE FROM partitions WHERE topic = ?", (name,))
            self.store.execute("DELETE FROM offsets WHERE topic = ?", (name,))

        return self.store.write(job)

    def configure(self, name: str, settings: dict[str, str]) -> "asyncio.Future[None]":
        def job() -> None:
            topic = self.topics.get(name)
            if topic is None:
                raise Refused(Code.UNKNOWN_TOPIC_OR_PARTITION, "no such topic")
            if Topic(name, settings, []).compacted != topic.compacted:
                raise Refused(
                    Code.INVALID_CONFIG, "cleanup.policy cannot change between compact and delete: create another topic"
                )
            self.store.execute("UPDATE topics SET settings = ? WHERE name = ?", (json.dumps(settings), name))
            topic.settings = settings

        return self.store.write(job)

    def truncate(self, name: str, number: int, before: int) -> "asyncio.Future[int]":
        """Move the log's start to `before` (-1: the end); the future's result is the new start. Rows go with
        housekeeping.
        """

        def job() -> int:
            _, partition = self.find(name, number)
            start = partition.end if before == -1 else before
            if not 0 <= start <= partition.end:
                raise Refused(Code.OFFSET_OUT_OF_RANGE, "beyond the end")
            partition.first = max(partition.first, start)
            self.touched.add(partition)
            return partition.first

        return self.store.write(job)

    # Appending.

    async def append(self, name: str, number: int, data: Buffer, transaction: str | None = None) -> tuple[int, int]:
        """(offset of the batch's first record, the log's start), once it is committed. Raises Refused."""
        return await (await self.take(name, number, data, transaction))

    async def take(
        self, name: str, number: int, data: Buffer, transaction: str | None = None
    ) -> "asyncio.Future[tuple[int, int]]":
        """Check a batch as Kafka does, and put it into the next commit; the future's result is that of `append`.

        Raises Refused for a batch that cannot be taken. Each record is looked at, compressed ones too.
        """
        topic, _ = self.find(name, number)
        limit = topic.number("max.message.bytes")
        if len(data) > limit:
            raise Refused(Code.MESSAGE_TOO_LARGE, f"the batch has {len(data)} bytes, {name} takes {limit}")
        batch = Batch(data)
        batch.check_produced()
        if bool(transaction) != batch.transactional:
            raise Refused(
                Code.INVALID_RECORD, "a transactional batch needs a transactional id, and the other way round"
            )
        if topic.compacted and batch.count > _MOST_RECORDS:
            raise Refused(
                Code.MESSAGE_TOO_LARGE, f"{batch.count} records in a batch, a compacted topic takes {_MOST_RECORDS}"
            )
        await batch.open(max(2 * limit, OPENED_BYTES))
        await batch.check_records()
        records = None
        if topic.compacted:
            records = await batch.explode()
            if any(record.key is None for record in records):
                raise Refused(Code.INVALID_RECORD, "a compacted topic's records need a key")
        cost = len(data) // _COST_BYTES + (len(records) if records is not None else 1)
        return self.store.write(lambda: self._append(name, number, batch, records, transaction), cost)

    def _append(
        self, name: str, number: int, batch: Batch, records: list[Record] | None, transaction: str | None
    ) -> tuple[int, int]:
        topic, partition = self.find(name, number)
        if topic.compacted != (records is not None):
            raise Refused(Code.UNKNOWN_TOPIC_OR_PARTITION, "the topic was made anew")
        if transaction:
            self.transactions.check_open(transaction, batch.producer_id, batch.epoch, partition)
        if batch.producer_id >= 0:
            repeated = _offset_if_repeated(partition, batch)
            if repeated is not None:
                return repeated, partition.first
        base = partition.end
        if base + batch.count > OFFSETS:
            raise Refused(Code.POLICY_VIOLATION, f"{name}-{number} is at its last offset: make another topic")
        partition.taken = max(partition.taken, self.clock())
        if records is None:
            data = batch.placed(base)
            self.store.execute(
                "INSERT INTO batches VALUES(?, ?, ?, ?)",
                (partition.row(base + batch.delta), batch.newest_stamp, partition.taken, data),
            )
            partition.size += len(data)
        else:
            part, taken, first = partition.id, partition.taken, partition.row(base)
            self.store.executemany(
                "INSERT INTO records VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        row,
                        part,
                        r.stamp,
                        taken,
                        PENDING if r.tombstone else None,
                        r.key,
                        r.tail,
                        checksum(row, r.stamp, r.tail),
                    )
                    for row, r in enumerate(records, first)
                ],
            )
        partition.end = base + batch.count
        self.touched.add(partition)
        if transaction:
            self.transactions.opened(transaction, partition, base)
        if batch.producer_id >= 0:
            self._remember(partition, batch, base)
        return base, partition.first

    def _remember(self, partition: Partition, batch: Batch, base: int) -> None:
        # The one that was silent for longest goes first.
        producer = partition.producers.pop(batch.producer_id, None) or Producer(batch.epoch)
        partition.producers[batch.producer_id] = producer
        if len(partition.producers) > _MOST_PRODUCERS:
            silent = next(iter(partition.producers))
            del partition.producers[silent]
            self.store.execute("DELETE FROM producers WHERE part = ? AND id = ?", (partition.id, silent))
        if producer.epoch != batch.epoch:
            producer.epoch = batch.epoch
            producer.recent.clear()
        producer.recent.append((batch.sequence, batch.last_sequence, base))
        producer.seen = partition.taken
        self.store.execute(
            "INSERT OR REPLACE INTO producers VALUES(?, ?, ?, ?, ?)",
            (partition.id, batch.producer_id, batch.epoch, json.dumps(list(producer.recent)), producer.seen),
        )

    def new_producer_id(self) -> int:
        """To be called in a job."""
        self.store.execute(
            "INSERT INTO counters VALUES('producer', 1000) ON CONFLICT(name) DO UPDATE SET value = value + 1"
        )
        (value,) = self.store.execute("SELECT value FROM counters WHERE name = 'producer'").fetchone()
        return int(value)

    def damaged(self, partition: Partition, offset: int) -> None:
        """Say that a stored record is not what came in."""
        name = f"{partition.topic}-{partition.number}"
        warn(
            f"damaged {name}",
            f"{self.store.path} is damaged: the record at offset {offset} of {name} fails its checksum. Its readers stop there: "
            "delete the topic, or bring back a copy of the file",
        )

    # Offsets of groups.

    def commit_offsets(self, group: str, rows: list[tuple[str, int, int, str | None]]) -> "asyncio.Future[None]":
        """`rows`: (topic, partition, offset, note)."""

        def job() -> None:
            self.store.executemany(
                "INSERT OR REPLACE INTO offsets VALUES(?, ?, ?, ?, ?)", [(group, *row) for row in rows]
            )

        return self.store.write(job)

    def committed_offsets(self, group: str) -> Mapping[tuple[str, int], tuple[int, str | None]]:
        rows = self.store.execute("SELECT topic, number, offset, note FROM offsets WHERE member_group = ?", (group,))
        return {(topic, number): (offset, note) for topic, number, offset, note in rows.fetchall()}

    def groups_with_offsets(self) -> list[str]:
        return [group for (group,) in self.store.execute("SELECT DISTINCT member_group FROM offsets").fetchall()]

    def forget_offsets(self, group: str) -> "asyncio.Future[None]":
        def job() -> None:
            self.store.execute("DELETE FROM offsets WHERE member_group = ?", (group,))

        return self.store.write(job)


def _offset_if_repeated(partition: Partition, batch: Batch) -> int | None:
    """The offset of the batch that this one repeats, None for a new one. A producer that is not known (any more) may
    begin anywhere, as in Kafka.
    """
    producer = partition.producers.get(batch.producer_id)
    if producer is None:
        return None
    if batch.epoch < producer.epoch:
        raise Refused(Code.INVALID_PRODUCER_EPOCH, "an older epoch of this producer")
    if batch.epoch > producer.epoch:
        if batch.sequence != 0:
            raise Refused(Code.OUT_OF_ORDER_SEQUENCE_NUMBER, "a new epoch begins at sequence 0")
        return None
    for first, last, offset in producer.recent:
        if (first, last) == (batch.sequence, batch.last_sequence):
            return offset
    expected = (producer.recent[-1][1] + 1) & 0x7FFFFFFF
    if batch.sequence != expected:
        raise Refused(Code.OUT_OF_ORDER_SEQUENCE_NUMBER, f"expected sequence {expected}, got {batch.sequence}")
    return None
