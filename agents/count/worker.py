"""The worker `count`: a Faust app that turns the topic `activity` into facts, exactly once, also when it is killed.

The agent decodes a record and passes its activities to `Count`; a timer writes checkpoints. Nothing else runs between
two awaits. What a checkpoint must not see half done runs under the lock.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, NoReturn

from agents import faust_adapter as faust
from agents.checkpoint import RECEIVED, Checkpoints, Outgoing, read_from
from agents.config import Config
from agents.count.cache import Cache, Place, checksum
from agents.count.partition import Count
from agents.facts import KEY, Facts, encode_in_parts, read_facts
from agents.memory import Trimmer
from streams.activity import Batch, NoBatch, decode_batch
from streams.kafka.consume import Guard
from streams.kafka.dead_letters import misread
from streams.kafka.topics import Topics

logger = logging.getLogger("nomadwatch.count")

# A checkpoint may take a tenth of the time at most.
REST: Final = 10
# Seconds without any progress after which a checkpoint has failed; seconds after which a slow one is told.
STUCK: Final = 30.0
SLOW: Final = 10.0
# Seconds after which the agent yields to the event loop. Waiting for the next record does not yield if it is there
# already.
_TURN: Final = 0.05
# Activities since the last checkpoints, of all partitions, after which the next one does not wait for its time.
MOST_UNCOMMITTED: Final = 100_000
# Rows that are read back together.
_TOGETHER: Final = 20_000


class Worker:
    """The partitions that this worker owns, and their way through assignment, counting and checkpoints."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.topics = Topics(prefix=config.prefix, partitions=config.partitions)
        self.source = self.topics.activity
        self.checkpoints = Checkpoints(config, "count", compression="zstd")
        self.partitions: dict[int, Count] = {}
        self.caches: dict[int, Cache] = {}
        self.written: dict[int, int] = {}
        # The last record of `facts` that this worker has committed.
        self.places: dict[int, Place] = {}
        self.dead_letters: dict[int, list[Outgoing]] = {}
        self.holes: dict[int, int] = {}
        # When (s) the oldest record arrived that is not in a checkpoint yet.
        self.received: dict[int, float] = {}
        self.foreign = Guard(self.source)
        self.trim = Trimmer()
        self.lock = asyncio.Lock()
        self.urgent = asyncio.Event()
        self.app = faust.consuming_app(
            config,
            "count",
            self.source,
            self._count,
            task=self._checkpoint_regularly,
            revoked=self._on_revoked,
            assigned=self._on_assigned,
            shutdown=self._on_shutdown,
        )

    # Assignment: fence the previous owners, read back what they committed, go on behind it.

    async def _on_revoked(self) -> None:
        async with self.lock:
            await self._checkpoint(at_end=True)
            self._drop()

    async def _on_assigned(self) -> None:
        async with self.lock:
            self._drop()
            numbers = faust.assigned_partitions(self.app, self.source)
            try:
                await self._take_over(numbers)
            except Exception as error:  # noqa: BLE001 - whatever it was, a half-made assignment must not be used
                self._die("cannot take over its partitions", error)

    async def _take_over(self, numbers: list[int]) -> None:
        started = time.monotonic()
        await self.checkpoints.open(numbers)
        if not numbers:
            return
        earliest = await faust.earliest_offsets(self.app, self.source, numbers)
        await self._read_back(numbers)
        for number in numbers:
            count = self.partitions[number]
            # Before what is lost is counted, so that the next checkpoint says so even if nothing else comes.
            self.written[number] = count.progress.offset
            self._note_missing(number, earliest[number])
            await faust.seek(self.app, self.source, number, count.progress.offset + 1)
        self.trim()
        logger.info("owns partitions %s after %.2f s", numbers, time.monotonic() - started)

    async def _read_back(self, numbers: list[int]) -> None:
        """Make the state of each partition: of its cache and what the topic has behind that, or of the topic alone."""
        starts = {}
        expected: dict[int, Place] = {}
        for number in numbers:
            cache = self.caches[number] = Cache(self.config.data_dir, self.topics.facts, number)
            starts[number] = 0
            if (kept := cache.load()) is not None:
                self.partitions[number], expected[number] = kept
                starts[number] = kept[1].offset
        wrong = [number async for number in self._learn(starts, expected)]
        for number in wrong:
            self.caches[number].refuse(f"it is of another topic of the name {self.topics.facts}, or of an older one")
            del self.partitions[number]
        async for _ in self._learn(dict.fromkeys(wrong, 0), {}):
            pass

    async def _learn(self, starts: dict[int, int], expected: dict[int, Place]) -> AsyncIterator[int]:
        """Read the topic from these offsets on; yields the partitions whose first record is not the expected one."""
        # Foreign records are told and counted by `measure`, which reads them all.
        guard = Guard(self.topics.facts, quiet=True)
        wrong: set[int] = set()
        async for number, records in read_from(self.config, self.topics.facts, starts):
            count = self.partitions.get(number)
            if count is None:
                count = self.partitions[number] = Count(number, self.caches[number].folder)
            if (place := expected.pop(number, None)) is not None:
                if not records or Place(records[0].offset, checksum(records[0].value)) != place:
                    wrong.add(number)
                    yield number
                records = records[1:]
            if number in wrong:
                continue
            waiting: list[Facts] = []
            rows = 0
            for record in records:
                facts = guard.read(read_facts, number, record.key, record.value)
                if facts is not None:
                    waiting.append(facts)
                    rows += len(facts.rows)
                    self.caches[number].add(facts)
                if rows > _TOGETHER:
                    count.learn(waiting)
                    waiting, rows = [], 0
            count.learn(waiting)

    def _note_missing(self, number: int, earliest: int) -> None:
        """Go on behind records that the broker has deleted before they were counted."""
        progress = self.partitions[number].progress
        lost = earliest - progress.offset - 1
        if lost > 0:
            logger.warning("partition %d: %d records were deleted before they were counted", number, lost)
            progress.missing += lost
            progress.offset = earliest - 1

    def _drop(self) -> None:
        for cache in self.caches.values():
            cache.close()
        for table in (
            self.caches,
            self.places,
            self.partitions,
            self.written,
            self.dead_letters,
            self.holes,
            self.received,
        ):
            table.clear()

    # Counting.

    async def _count(self, events: AsyncIterator[Any]) -> None:
        turn = time.monotonic()
        async for event in events:
            if time.monotonic() - turn > _TURN:
                await asyncio.sleep(0)
                turn = time.monotonic()
            if self.lock.locked():
                # A busy agent would starve a checkpoint that waits for the loop.
                async with self.lock:
                    pass
            try:
                self._take(event.message, event.value)
            except Exception as error:  # noqa: BLE001 - Faust would let the agent end, and the worker live on without it
                place = f"the record at {event.message.offset} of partition {event.message.partition}"
                self._die(f"{place} cannot be counted", error)
            if sum(count.uncommitted for count in self.partitions.values()) >= MOST_UNCOMMITTED:
                # Input that comes faster than checkpoints would fill the memory, and the next checkpoint.
                async with self.lock:
                    await self._checkpoint()

    def _take(self, message: Any, value: bytes | None) -> None:
        """Count a record that is next in its partition; pass over what was counted before, and note a hole."""
        count = self.partitions.get(message.partition)
        if count is None or message.offset <= count.progress.offset:
            return
        if message.offset > count.progress.offset + 1:
            self.holes.setdefault(message.partition, count.progress.offset + 1)
            return
        self.holes.pop(message.partition, None)
        batch = self._decode(message.partition, message.offset, value)
        if batch is None:
            count.progress.offset = message.offset
            return
        if count.advance(message.offset, batch):
            if batch.activities:
                self.received.setdefault(message.partition, message.timestamp)
            count.take(batch)
        if batch.closed and all(own.progress.closed for own in self.partitions.values()):
            self.urgent.set()

    def _decode(self, number: int, offset: int, value: bytes | None) -> Batch | None:
        """The record's batch; what is none goes to the dead letters, with its place, in the next checkpoint."""
        try:
            return decode_batch(value)
        except NoBatch as error:
            self.foreign.pass_over(error)
            logger.info("partition %d offset %d is no batch: %s", number, offset, error)
            progress = self.partitions[number].progress
            progress.dead_letters["batch"] = progress.dead_letters.get("batch", 0) + 1
            letter = misread(
                self.source, f"partition {number}", offset, "batch", value or b"", self.config.dead_letters
            )
            dead = Outgoing(self.topics.dead_letters, 0, self.source.encode(), letter)
            self.dead_letters.setdefault(number, []).append(dead)
            return None

    # Checkpoints.

    async def _checkpoint_regularly(self) -> None:
        rest = self.config.checkpoint_interval
        while not self.app.should_stop:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.urgent.wait(), rest)
            self.urgent.clear()
            started = time.monotonic()
            async with self.lock:
                await self._checkpoint()
            await self._fill_holes()
            self.trim()
            rest = max(self.config.checkpoint_interval, REST * (time.monotonic() - started))

    async def _checkpoint(self, *, at_end: bool = False) -> None:
        """Commit what changed since the last one, one transaction a partition, side by side. Under the lock."""
        due = {n: own for n, own in self.partitions.items() if own.progress.offset != self.written[n]}
        try:
            if due:
                await self._commit(due)
        except BaseException as error:  # noqa: BLE001 - fenced, refused, stuck, cancelled: nothing here may be used again
            self._die("a checkpoint failed", error)
        self._write_caches(at_end=at_end)
        if due:
            offsets = {number: self.written[number] + 1 for number in due}
            await faust.commit_offsets(self.app, self.source, offsets)

    async def _commit(self, due: dict[int, Count]) -> None:
        """Write the checkpoints of partitions."""
        writing: dict[int, asyncio.Future[dict[str, int]]] = {}
        values: dict[int, bytes | None] = {}
        for number, count in due.items():
            facts = count.checkpoint()
            self.caches[number].add(facts)
            records = self._outgoing(number, count, facts)
            values[number] = records[-1].value
            writing[number] = asyncio.ensure_future(self.checkpoints.write(number, records))
            # The broker takes one partition's records while the next one's are packed.
            await asyncio.sleep(0)
        await self._written(writing.values())
        for number, count in due.items():
            self.written[number] = count.progress.offset
            count.tidy()
            offset = writing[number].result()[self.topics.facts] - 1
            self.places[number] = Place(offset, checksum(values[number]))

    def _write_caches(self, *, at_end: bool) -> None:
        """Write a cache that is due, at the end all of them: several could hold up the next checkpoint. Only of what is
        committed whole.
        """
        for number, place in self.places.items():
            count = self.partitions[number]
            if count.progress.offset == self.written[number] and self.caches[number].is_due(at_end=at_end):
                self.caches[number].write(count, place)
                if not at_end:
                    break

    async def _written(self, writing: Iterable[asyncio.Future[Any]]) -> None:
        """Wait until everything is committed. On a busy machine that may take long: only a checkpoint without progress
        has failed.
        """
        started = moved = time.monotonic()
        told, taken = False, self.checkpoints.taken
        unfinished = set(writing)
        while unfinished:
            finished, unfinished = await asyncio.wait(
                unfinished, timeout=STUCK / 10, return_when=asyncio.FIRST_EXCEPTION
            )
            for each in finished:
                each.result()
            now = time.monotonic()
            if self.checkpoints.taken != taken:
                taken, moved = self.checkpoints.taken, now
            elif now - moved > STUCK:
                raise TimeoutError(f"the broker has taken nothing for {STUCK:.0f} s")
            if not told and unfinished and now - started > SLOW:
                told = True
                logger.warning(
                    "a checkpoint has been under way for %.0f s: the machine, its disk or the broker is busy",
                    now - started,
                )

    def _outgoing(self, number: int, count: Count, facts: Facts) -> list[Outgoing]:
        """The records of a checkpoint. The last one of `facts` says when the oldest activity in it was received."""
        records = self.dead_letters.pop(number, [])
        watched = count.watched.take(facts)
        if watched is not None:
            records += self._records(self.topics.facts_watched, number, watched)
        records += self._records(self.topics.facts, number, facts)
        received = self.received.pop(number, None)
        if received is not None:
            records[-1] = records[-1]._replace(headers=((RECEIVED, str(round(1000 * received)).encode()),))
        return records

    def _records(self, topic: str, number: int, facts: Facts) -> list[Outgoing]:
        return [Outgoing(topic, number, KEY, value) for value in encode_in_parts(facts, number)]

    async def _fill_holes(self) -> None:
        """Read again what a rebalance made Faust skip; once is not enough where a fetch was under way."""
        for number, offset in list(self.holes.items()):
            earliest = (await faust.earliest_offsets(self.app, self.source, [number]))[number]
            async with self.lock:
                if number in self.partitions:
                    self._note_missing(number, earliest)
            await faust.seek(self.app, self.source, number, max(offset, earliest))

    async def _on_shutdown(self) -> None:
        async with self.lock:
            await self._checkpoint(at_end=True)
            self._drop()
        await self.checkpoints.close()

    def _die(self, what: str, error: BaseException) -> NoReturn:
        """End without another word to the broker: a producer that failed must neither abort nor be used again."""
        logger.error("%s (%s: %s); ending, to be started again", what, type(error).__name__, error)
        logging.shutdown()
        os._exit(1)


def run(config: Config) -> None:
    """The role `count`: until SIGTERM or SIGINT."""
    faust.run_app(lambda: Worker(config).app)
