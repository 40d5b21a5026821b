"""The measure worker: a Faust app that makes measurements of the topic `panes`.

It reads committed records without a group: there is no session to wait for, the topic is its state. From its start it
publishes nothing until it has reached what was the end then, so that no figure falls back after a restart.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.app.base import BootStrategy

from agents.checkpoint import RECEIVED, Checkpoints, Outgoing, committed_consumer, read_back
from agents.config import Config
from agents.faust_adapter import run_app
from agents.measurements import EVALUATION, Evaluation, Histogram, Measurement, encode, is_health, series
from agents.memory import Trimmer
from agents.operators import sound
from agents.operators.progress import Progress
from agents.operators.window import WINDOWS, Windows
from agents.pace import Pace
from streams.kafka.consume import Guard, stop
from streams.kafka.topics import Topics

logger = logging.getLogger("nomadwatch.measure")

# Seconds of waiting for records while no evaluation is due.
IDLE: Final = 0.2
# Of a time in milliseconds, for some thousand years.
_DIGITS: Final = 15


class _WithoutKafka(BootStrategy):
    """Faust's lifecycle and tasks, without its consumer group and producer."""

    enable_kafka = False


class _App(faust.App):
    BootStrategy = _WithoutKafka
    producer_only = True


class Measure:
    """Follows `panes`, keeps the windows, publishes what changed."""

    def __init__(self, config: Config) -> None:
        self.config = config
        topics = Topics(prefix=config.prefix, partitions=config.partitions)
        self.activity, self.panes, self.measurements = topics.activity, topics.panes, topics.measurements
        self.windows = Windows(config.partitions)
        self.foreign = Guard(self.panes)
        # What stands in the topic, and what each window (and the totals, under "") gave when it was last evaluated.
        self.published: dict[bytes, bytes] = {}
        self.values: dict[str, dict[bytes, bytes]] = {}
        self.fronts: dict[str, int] = {}
        self.pace = Pace(list(WINDOWS), config.refresh_interval)
        self.trim = Trimmer()
        # One transactional id: of two that run by mistake the later one fences the earlier.
        self.output = Checkpoints(config, "measure")
        self.latencies = {stage: Histogram() for stage in ("folded", "measured")}
        # When (ms) the checkpoints were made that no evaluation shows yet.
        self.folded: list[int] = []
        self.app = _App(
            f"{config.prefix}measure",
            broker=f"kafka://{config.bootstrap}",
            store="memory://",
            datadir=os.path.join(config.data_dir, "faust"),
            web_enabled=False,
        )
        self.app.task(self._work)

    async def _work(self) -> None:
        try:
            await self._follow()
        except asyncio.CancelledError:
            if self.app.should_stop:
                raise
            # Faust takes a task that is cancelled for one that has ended in order, and the worker would go on without
            # it.
            raise RuntimeError("cancelled, but not by us") from None

    async def _follow(self) -> None:
        started = time.monotonic()
        consumer = committed_consumer(self.config)
        try:
            await consumer.start()
            places = [TopicPartition(self.panes, number) for number in range(self.config.partitions)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            await consumer.seek_to_beginning(*places)
            await self.output.open([0])
            table = {
                key: value
                async for _, own in read_back(self.config, self.measurements, [0])
                for key, value in own.items()
            }
            # The health of others stands in the topic too, and is not ours to withdraw.
            self.published = {key: value for key, value in table.items() if not is_health(key) and key != EVALUATION}
            caught_up = False
            silent_until = time.monotonic() + self.config.silence
            while not self.app.should_stop:
                # Only a wait lets the fetcher run: while the rest of a checkpoint is to come there must always be one.
                idle = not self.pace.waiting() or not caught_up or self.windows.pending
                fetched = await consumer.getmany(
                    timeout_ms=int(1000 * (IDLE if idle else self.pace.wait(time.monotonic())))
                )
                for place, records in fetched.items():
                    for record in records:
                        self._put(place.partition, record.key, record.value)
                        if caught_up and record.headers:
                            self._note(record.timestamp, dict(record.headers))
                if not fetched and self.windows.pending:
                    await self._drop_unfinished(consumer)
                if not caught_up:
                    caught_up = all([await consumer.position(place) >= ends[place] for place in places])
                    if caught_up:
                        logger.info("has read %s to the end after %.2f s", self.panes, time.monotonic() - started)
                if not caught_up or self.windows.pending:
                    continue
                complete = all(progress is not None and progress.closed for progress in self.windows.progress)
                now = time.monotonic()
                chosen = [*self.pace.waiting()] if complete else self.pace.due(now)
                if not chosen and now >= silent_until:
                    # Where nothing happens the last figures are still true, and a worker that says nothing looks dead.
                    silent_until = now + self.config.silence
                    chosen = list(WINDOWS) if await self._is_current(consumer) else []
                if chosen:
                    await self._publish(chosen, complete)
                    silent_until = time.monotonic() + self.config.silence
        finally:
            await stop(consumer)
            await self.output.close()

    async def _is_current(self, consumer: AIOKafkaConsumer) -> bool:
        """Whether everything that stands in `activity` is in the figures: not where whoever makes the panes has
        stopped.
        """
        ends = await consumer.end_offsets(
            [TopicPartition(self.activity, number) for number in range(self.config.partitions)]
        )
        taken = [0 if progress is None else progress.offset + 1 for progress in self.windows.progress]
        return self.windows.front is not None and all(taken[place.partition] >= end for place, end in ends.items())

    def _put(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        """Take up a record; a tombstone says nothing here, windows expire by the front."""
        found = self.foreign.read(sound.read, partition, key, value)
        if isinstance(found, Progress):
            before = self.windows.progress[partition]
            if before is not None and found.offset < before.offset:
                self.foreign.pass_over("a progress that goes back")
                return
            self.windows.commit(partition, found)
            self.pace.changed()
        elif found is not None and value is not None:
            self.windows.put(partition, found, value)

    async def _drop_unfinished(self, consumer: AIOKafkaConsumer) -> None:
        """Drop records that no progress follows although their partition is read to its committed end: no checkpoint
        wrote them.
        """
        places = [TopicPartition(self.panes, number) for number in self.windows.unfinished]
        ends = await consumer.end_offsets(places)
        for place in places:
            if await consumer.position(place) >= ends[place]:
                self.windows.drop_unfinished(place.partition)
                self.foreign.pass_over("records that no progress follows")

    def _note(self, at: int, headers: Mapping[str, bytes | None]) -> None:
        """Take up when (ms) a checkpoint was made, and when its oldest record had arrived."""
        received = headers.get(RECEIVED)
        if received is not None and received.isdigit() and len(received) <= _DIGITS:
            self.latencies["folded"].observe((at - int(received)) / 1e3)
            self.folded.append(at)

    async def _publish(self, chosen: Collection[str], complete: bool) -> None:
        """Bring these windows to the front and publish what changed, in one transaction that ends with the evaluation."""
        records: dict[bytes, bytes | None] = {}
        for window in chosen:
            before = time.monotonic()
            self.windows.refresh([window])
            records.update(self._changes(window, self.windows.measure(window, final=complete)))
            if self.windows.front is not None:
                self.fronts[window] = self.windows.front
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
        """What the topic does not say yet of a window."""
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
            dead_letters["pane"] += self.foreign.passed
        now = time.time_ns() // 1000
        for at in self.folded:
            self.latencies["measured"].observe((now - 1000 * at) / 1e6)
        self.folded.clear()
        return Evaluation(
            evaluated_at=now,
            front=self.windows.front,
            watermark=self.windows.watermark,
            offsets={number: progress.offset + 1 for number, progress in known.items()},
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
        )


def run(config: Config) -> None:
    """The role `measure`: until SIGTERM or SIGINT."""
    run_app(lambda: Measure(config).app)
