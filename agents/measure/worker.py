"""The worker `measure`: a Faust app that turns the topic `facts` into measurements.

It reads committed records without a consumer group, from the offset that its store holds, so there is no session to
wait for. It publishes nothing before it has read up to the end that the topic had at its start, so that no figure goes
back after a restart.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from agents.checkpoint import RECEIVED, Checkpoints, Outgoing, committed_consumer, read_back
from agents.config import Config
from agents.facts import read_facts
from agents.faust_adapter import run_app, task_app
from agents.measure.binding import bound_store, lock
from agents.measure.keep import Keep
from agents.measure.pace import Pace
from agents.measure.store import Place, checksum_of, store_path
from agents.measure.windows import Windows
from agents.measurements import EVALUATION, Evaluation, Histogram, Measurement, encode, is_health, series
from agents.memory import Trimmer
from streams.kafka.consume import Guard, stop
from streams.kafka.topics import Topics
from streams.windows import WINDOWS

logger = logging.getLogger("nomadwatch.measure")

# Seconds of waiting for records while no evaluation is due.
IDLE: Final = 0.2
# Rows are added to the windows when this many wait, although no evaluation is due.
_MOST_WAITING: Final = 50_000
# Rows wait in memory for the store until there are this many, or for this many seconds.
_MOST_UNWRITTEN: Final = 20_000
_WRITE_EVERY: Final = 2.0
# Digits of a time in milliseconds that is plausible.
_DIGITS: Final = 15


class Measure:
    """Follows `facts`, keeps rows, windows and views, and publishes what changed."""

    def __init__(self, config: Config) -> None:
        self.config = config
        topics = Topics(prefix=config.prefix, partitions=config.partitions)
        self.activity, self.facts, self.measurements = topics.activity, topics.facts, topics.measurements
        self.windows: Windows
        self.foreign = Guard(self.facts)
        # What stands in the topic, and what each window (and the totals, under "") gave when it was last evaluated.
        self.published: dict[bytes, bytes] = {}
        self.values: dict[str, dict[bytes, bytes]] = {}
        self.fronts: dict[str, int] = {}
        # The offsets of `activity` that each window held when it was last evaluated.
        self.held: dict[str, dict[int, int]] = {}
        self.pace = Pace(list(WINDOWS), config.refresh_interval)
        self.keep = Keep(config.keep_everything)
        self.trim = Trimmer()
        # One transactional id: if two workers run by mistake, the later one fences the earlier one.
        self.output = Checkpoints(config, "measure")
        self.latencies = {stage: Histogram() for stage in ("folded", "measured")}
        # When (ms) the checkpoints were made that no evaluation shows yet.
        self.folded: list[int] = []
        self.written_at = 0.0
        self.lock = -1
        # The most sums that were below 0 at once.
        self.below_zero = 0
        self.app = task_app(config, "measure", self._follow)

    async def _follow(self) -> None:
        started = time.monotonic()
        consumer = committed_consumer(self.config)
        try:
            await consumer.start()
            places = [TopicPartition(self.facts, number) for number in range(self.config.partitions)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            path = store_path(self.config.data_dir)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.lock = lock(path)
            with await bound_store(path, consumer, places, ends) as store:
                self.windows = Windows(store, self.config.partitions)
                await self.output.open([0])
                await self._read_published()
                await self._catch_up(consumer, ends, started)
                await self._serve(consumer)
                store.write()
        finally:
            await stop(consumer)
            await self.output.close()
            if self.lock >= 0:
                os.close(self.lock)

    async def _read_published(self) -> None:
        """What an earlier run has published."""
        table = {
            key: value async for _, own in read_back(self.config, self.measurements, [0]) for key, value in own.items()
        }
        # The topic also has the health of other roles, which must not be withdrawn.
        self.published = {key: value for key, value in table.items() if not is_health(key) and key != EVALUATION}

    async def _catch_up(self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], started: float) -> None:
        """Read to what was the end at the start, into the store alone; then fill the windows from there."""
        rows = 0
        while not all([await consumer.position(place) >= end for place, end in ends.items()]):
            if self.app.should_stop:
                return
            await self._read(consumer, IDLE, note=False)
            if self.windows.incoming.waiting > _MOST_WAITING:
                rows += self.windows.incoming.waiting
                self.windows.incoming.store()
                self.windows.store.write()
        rows += self.windows.incoming.waiting
        self.windows.incoming.store()
        self.windows.store.write()
        read = time.monotonic()
        for _ in self.windows.fill():
            # So many rows take seconds, in which a signal must be heard.
            await asyncio.sleep(0)
        self.trim()
        if self.windows.progress != [None] * self.config.partitions:
            self.pace.changed()
        logger.info(
            "has read %s to the end after %.2f s (%d rows), and filled its windows in %.2f s",
            self.facts, read - started, rows, time.monotonic() - read,
        )  # fmt: skip

    async def _read(self, consumer: AIOKafkaConsumer, wait: float, *, note: bool) -> bool:
        """Take up records; False where none came."""
        fetched = await consumer.getmany(timeout_ms=int(1000 * wait))
        for place, records in fetched.items():
            for record in records:
                self._put(place.partition, record)
                if note and record.headers:
                    self._note(record.timestamp, dict(record.headers))
        if not fetched and self.windows.incoming.pending:
            await self._drop_unfinished(consumer)
        return bool(fetched)

    def _put(self, partition: int, record: ConsumerRecord) -> None:
        facts = self.foreign.read(read_facts, partition, record.key, record.value)
        if facts is None:
            return
        place = Place(record.offset + 1, checksum_of(record.value or b""), b"")
        if self.foreign.read(self.windows.incoming.put, partition, facts, place):
            self.pace.changed()

    async def _drop_unfinished(self, consumer: AIOKafkaConsumer) -> None:
        """Drop records that no progress follows although their partition is read to its committed end: no checkpoint
        wrote them.
        """
        places = [TopicPartition(self.facts, number) for number in self.windows.incoming.pending]
        ends = await consumer.end_offsets(places)
        for place in places:
            if await consumer.position(place) >= ends[place]:
                self.windows.incoming.drop_unfinished(place.partition)
                self.foreign.pass_over("records that no progress follows")

    # Evaluation.

    async def _serve(self, consumer: AIOKafkaConsumer) -> None:
        silent_until = time.monotonic() + self.config.silence
        while not self.app.should_stop:
            # The fetcher runs only while this waits, so wait as long as the rest of a checkpoint is missing.
            idle = not self.pace.waiting() or self.windows.incoming.pending
            await self._read(consumer, IDLE if idle else self.pace.wait(time.monotonic()), note=True)
            if self.windows.incoming.waiting > _MOST_WAITING:
                self.windows.take_up()
            self._write_store()
            if self.windows.incoming.pending:
                continue
            complete = all(progress is not None and progress.closed for progress in self.windows.progress)
            now = time.monotonic()
            chosen = [*self.pace.waiting()] if complete else self.pace.due(now)
            if not chosen and now >= silent_until:
                # If nothing happens, the last figures still hold. Publish them again: a silent worker looks dead.
                silent_until = now + self.config.silence
                chosen = list(WINDOWS) if await self._is_current(consumer) else []
            if chosen:
                await self._publish(chosen, complete)
                silent_until = time.monotonic() + self.config.silence

    def _write_store(self, *, now: bool = False) -> None:
        """Write what waits for the store: many rows at once, and not before every evaluation."""
        store, moment = self.windows.store, time.monotonic()
        if now or store.waiting > _MOST_UNWRITTEN or moment - self.written_at > _WRITE_EVERY:
            self.written_at = moment
            store.write()
            self.keep.apply(store, self.windows.watermark)

    async def _is_current(self, consumer: AIOKafkaConsumer) -> bool:
        """Whether everything in `activity` is in the figures. False while `count` is not running."""
        ends = await consumer.end_offsets(
            [TopicPartition(self.activity, number) for number in range(self.config.partitions)]
        )
        taken = [0 if progress is None else progress.offset + 1 for progress in self.windows.progress]
        return self.windows.front is not None and all(taken[place.partition] >= end for place, end in ends.items())

    def _note(self, at: int, headers: Mapping[str, bytes | None]) -> None:
        """Note when (ms) a checkpoint was made, and when its oldest record had arrived."""
        received = headers.get(RECEIVED)
        if received is not None and received.isdigit() and len(received) <= _DIGITS:
            self.latencies["folded"].observe((at - int(received)) / 1e3)
            self.folded.append(at)

    async def _publish(self, chosen: Collection[str], complete: bool) -> None:
        """Bring the windows to the front, and publish what changed in these, in one transaction that ends with the
        evaluation.
        """
        self.windows.take_up()
        if complete:
            # A history is made of the store as soon as the last figures are published.
            self._write_store(now=True)
        records: dict[bytes, bytes | None] = {}
        for window in chosen:
            before = time.monotonic()
            records.update(self._changes(window, self.windows.measure(window, final=complete)))
            if self.windows.front is not None:
                self.fronts[window] = self.windows.front
            self.held[window] = self._offsets()
            now = time.monotonic()
            self.pace.evaluated(window, now, now - before)
        records.update(self._changes("", self.windows.totals()))
        if self.values.keys() >= WINDOWS.keys():
            # What an earlier run published and this one does not know.
            own = set().union(*self.values.values())
            records.update(dict.fromkeys(self.published.keys() - own))
        await self.output.write(
            0, [Outgoing(self.measurements, 0, key, value) for key, value in records.items()] + [self._end(complete)]
        )
        for key, value in records.items():
            if value is None:
                self.published.pop(key, None)
            else:
                self.published[key] = value
        self.trim()

    def _changes(self, window: str, measurements: Iterable[Measurement]) -> dict[bytes, bytes | None]:
        """The changes of a window that are not in the topic yet."""
        values = {series(m.name, m.labels): encode(m) for m in measurements}
        gone = self.values.get(window, {}).keys() - values.keys()
        self.values[window] = values
        changed = {key: value for key, value in values.items() if self.published.get(key) != value}
        return {**changed, **dict.fromkeys(gone)}

    def _end(self, complete: bool) -> Outgoing:
        return Outgoing(self.measurements, 0, EVALUATION, encode(self._evaluation(complete)))

    def _evaluation(self, complete: bool) -> Evaluation:
        known = {number: progress for number, progress in enumerate(self.windows.progress) if progress is not None}
        dead_letters: Counter[str] = Counter()
        for progress in known.values():
            dead_letters.update(progress.dead_letters)
        if self.foreign.passed:
            dead_letters["facts"] += self.foreign.passed
        self.below_zero = max(self.below_zero, self.windows.below_zero)
        if self.below_zero:
            dead_letters["below-zero"] += self.below_zero
        offsets = self._offsets()
        now = time.time_ns() // 1000
        for at in self.folded:
            self.latencies["measured"].observe((now - 1000 * at) / 1e6)
        self.folded.clear()
        return Evaluation(
            evaluated_at=now,
            front=self.windows.front,
            watermark=self.windows.watermark,
            offsets=offsets,
            activities=sum(progress.activities for progress in known.values()),
            duplicates=sum(progress.duplicates for progress in known.values()),
            missing=sum(progress.missing for progress in known.values()),
            late=sum(progress.late for progress in known.values()),
            dead_letters=dict(dead_letters),
            closed=complete,
            latencies=self.latencies,
            simulated=any(progress.simulated for progress in known.values()),
            # A window that says nothing here stands at the front.
            behind={window: front for window, front in self.fronts.items() if front != self.windows.front},
            held={window: held for window in WINDOWS if (held := self.held.get(window, {})) != offsets},
        )

    def _offsets(self) -> dict[int, int]:
        """The next offset of each partition of `activity`."""
        return {
            number: progress.offset + 1 for number, progress in enumerate(self.windows.progress) if progress is not None
        }


def run(config: Config) -> None:
    """The role `measure`: until SIGTERM or SIGINT."""
    run_app(lambda: Measure(config).app)
