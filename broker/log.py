"""The log: topics and partitions in memory, backed by the file. See `appending`, `reading`, `offsets`, `transactions`.

Ordinary topics keep one row for each batch; its id holds the offset of the batch's last record. Compacted topics keep
one row for each record, so that compaction is a DELETE.
"""

import asyncio
import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from broker.clock import SteadyClock
from broker.errors import Code, LogUnusable, Refused
from broker.file import unusable
from broker.notices import warn
from broker.offsets import Offsets
from broker.store import LogStore
from broker.topic import REMEMBERED, SHIFT, Partition, Producer, Topic
from broker.transactions import Transactions

_SAVE_CLOCK_MS: Final = 1000
_MOST_NAMED: Final = 5
_MOST_PARTITIONS: Final = 10_000
_LAST_PARTITION: Final = 1 << (63 - SHIFT)
# The horizon of a tombstone that compaction has not processed yet.
PENDING: Final = -1


class Log:
    """The state of the broker. A method that changes it returns a future that is done once the change is committed."""

    def __init__(self, path: Path, synchronous: str = "NORMAL", clock: Callable[[], int] | None = None) -> None:
        """Open a log file. `clock` replaces the steady clock (ms). Raises LogInUse or LogUnusable."""
        self.store = LogStore(path, synchronous)
        self.store.state = self
        self.topics: dict[str, Topic] = {}
        self.by_id: dict[int, Partition] = {}
        self.touched: set[Partition] = set()
        self._saved = 0
        self.transactions = Transactions(self)
        self.offsets = Offsets(self.store)
        self._waiting: dict[tuple[str, int], set[asyncio.Event]] = {}
        try:
            self.clock = clock or self._steady_clock()
            self.load()
            self._compare_with_mark()
        except sqlite3.Error as error:
            self.store.abandon()
            raise unusable(path, error) from None
        except (ValueError, TypeError, KeyError) as error:  # invalid JSON or numbers
            self.store.abandon()
            raise LogUnusable(
                f"{path} is damaged ({error!r}): restore a copy of it, or remove it to start with an empty log"
            ) from None

    def _steady_clock(self) -> SteadyClock:
        clock = SteadyClock()
        row = self.store.execute("SELECT value FROM counters WHERE name = 'clock'").fetchone()
        clock.begin(row[0] if row else None)
        return clock

    def close(self) -> None:
        self.store.close()

    # What the store calls.

    def load(self) -> None:
        """Read topics, partitions, producers and transactions from the file."""
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
        """Write the changed partitions, and the clock from time to time, within the current transaction."""
        now = self.clock()
        if abs(now - self._saved) >= _SAVE_CLOCK_MS:
            self._saved = now
            self.store.execute("INSERT OR REPLACE INTO counters VALUES('clock', ?)", (now,))
        self.store.executemany(
            "UPDATE partitions SET first = ?, end = ?, cleaned = ?, size = ?, taken = ? WHERE id = ?",
            [(p.first, p.end, p.cleaned, p.size, p.taken, p.id) for p in self.touched],
        )

    def publish(self) -> None:
        """After a commit: mark the new ends and wake the readers that wait for them."""
        self._mark({partition.id: partition.end for partition in self.touched})
        for partition in self.touched:
            self._wake(partition)
        self.touched.clear()

    def _mark(self, ends: Mapping[int, int]) -> None:
        try:
            self.store.mark.set(ends)
        except OSError as error:  # the commit stands all the same
            warn("mark", f"{self.store.mark.path} cannot be written ({error.strerror})")

    def _compare_with_mark(self) -> None:
        """Warn of partitions that end earlier than they once did, or are missing."""
        ends = {partition.id: partition.end for partition in self.by_id.values()}
        names = {partition.id: f"{partition.topic}-{partition.number}" for partition in self.by_id.values()}
        (last,) = self.store.execute(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'partitions'"
        ).fetchone()
        gone = dict.fromkeys(range(last + 1, self.store.mark.count), 0)
        ends |= gone
        lost = {number: count for number, end in ends.items() if (count := self.store.mark.end(number) - end) > 0}
        if lost:
            where = ", ".join(names.get(number, "a deleted topic") for number in list(lost)[:_MOST_NAMED])
            warn(
                f"mark {self.store.path}",
                f"{self.store.path} has lost its newest {sum(lost.values())} records, of {len(lost)} partitions "
                f"({where}): {self.store.path.name}-wal was removed or truncated after the broker died, an older copy "
                "was restored, or the machine lost power. Offsets of consumers may lie beyond the end",
            )
        self._mark(ends)

    def _wake(self, partition: Partition) -> None:
        for event in self._waiting.get((partition.topic, partition.number), ()):
            event.set()

    @contextmanager
    def watching(self, places: Iterable[tuple[str, int]]) -> Iterator[asyncio.Event]:
        """An event that is set whenever one of the partitions, given as (topic, number), changes."""
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
        """The topic and its partition. Raises Refused if there is none, and while the file cannot be read."""
        if self.store.stale:
            raise Refused(Code.KAFKA_STORAGE_ERROR, "the log cannot be read")
        topic = self.topics.get(name)
        if topic is None or not 0 <= number < len(topic.partitions):
            raise Refused(Code.UNKNOWN_TOPIC_OR_PARTITION, "no such topic or partition")
        return topic, topic.partitions[number]

    def create(self, name: str, partitions: int, settings: dict[str, str]) -> "asyncio.Future[None]":
        """Create a topic."""

        def job() -> None:
            if name in self.topics:
                raise Refused(Code.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
            if len(self.by_id) + partitions > _MOST_PARTITIONS:
                raise Refused(
                    Code.POLICY_VIOLATION, f"this broker keeps at most {_MOST_PARTITIONS} partitions: delete topics"
                )
            (last,) = self.store.execute(
                "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'partitions'"
            ).fetchone()
            if last + partitions >= _LAST_PARTITION:
                raise Refused(Code.POLICY_VIOLATION, "no partition numbers are left: start a new log")
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
        """Delete a topic. Housekeeping removes its rows later."""

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
        """Replace the settings of a topic."""

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
        """Move the start of a partition to `before` (-1: its end); the result is the new start.

        Housekeeping removes the rows later.
        """

        def job() -> int:
            _, partition = self.find(name, number)
            start = partition.end if before == -1 else before
            if not 0 <= start <= partition.end:
                raise Refused(Code.OFFSET_OUT_OF_RANGE, "the offset is beyond the end")
            partition.first = max(partition.first, start)
            self.touched.add(partition)
            return partition.first

        return self.store.write(job)

    # For requests, appending and reading.

    def new_producer_id(self) -> int:
        """The next producer id. Call it within a job of the store."""
        self.store.execute(
            "INSERT INTO counters VALUES('producer', 1000) ON CONFLICT(name) DO UPDATE SET value = value + 1"
        )
        (value,) = self.store.execute("SELECT value FROM counters WHERE name = 'producer'").fetchone()
        return int(value)

    def damaged(self, partition: Partition, offset: int) -> None:
        """Warn that a stored record does not match its checksum."""
        name = f"{partition.topic}-{partition.number}"
        warn(
            f"damaged {name}",
            f"{self.store.path} is damaged: the record at offset {offset} of {name} fails its checksum. Readers stop "
            "there: delete the topic, or restore a copy of the file",
        )
