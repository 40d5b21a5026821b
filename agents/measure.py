"""The measure worker: a Faust app that makes measurements of the topic `panes`.

It reads committed records without a group: there is no session to wait for, the topic is its state. From its start it publishes nothing
until it has reached what was the end then, so that no figure falls back after a restart.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from typing import Final

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.app.base import BootStrategy

from agents.checkpoint import RECEIVED, Checkpoints, Outgoing, committed_consumer, read_back
from agents.config import Config
from agents.measurements import EVALUATION, Evaluation, Histogram, encode, is_health, series
from agents.operators.pane import RecordKey
from agents.operators.progress import decode_progress
from agents.operators.window import Windows
from agents.service import run_app
from streams.consume import stop
from streams.topics import Topics

logger = logging.getLogger("nomadwatch.measure")

# An evaluation may take a tenth of the time at most.
REST: Final = 10


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
        self.published: dict[bytes, bytes] = {}
        # One transactional id: of two that run by mistake the later one fences the earlier.
        self.output = Checkpoints(config, "measure")
        self.dirty = False
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
            # Faust takes a task that is cancelled for one that has ended in order, and the worker would go on without it.
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
            table = (await read_back(self.config, self.measurements, [0]))[0]
            # The health of others stands in the topic too, and is not ours to withdraw.
            self.published = {key: value for key, value in table.items() if not is_health(key)}
            caught_up = False
            due = time.monotonic() + self.config.refresh_interval
            silent_until = time.monotonic() + self.config.silence
            while not self.app.should_stop:
                wait = max(0.0, due - time.monotonic()) if self.dirty and caught_up else 0.2
                fetched = await consumer.getmany(timeout_ms=int(1000 * wait))
                for place, records in fetched.items():
                    for record in records:
                        self._put(place.partition, record.key, record.value)
                        if caught_up and record.headers:
                            self._note(record.timestamp, dict(record.headers))
                if not caught_up:
                    caught_up = all([await consumer.position(place) >= ends[place] for place in places])
                    if caught_up:
                        logger.info("has read %s to the end after %.2f s", self.panes, time.monotonic() - started)
                if not caught_up or self.windows.pending:
                    continue
                before = time.monotonic()
                complete = all(progress is not None and progress.closed for progress in self.windows.progress)
                due_now = self.dirty and (complete or before >= due)
                if not due_now and before >= silent_until:
                    # Where nothing happens the last figures are still true, and whoever said nothing would be taken for dead.
                    due_now = await self._is_current(consumer)
                    silent_until = time.monotonic() + self.config.silence
                if due_now:
                    await self._publish(complete)
                    due = time.monotonic() + max(self.config.refresh_interval, REST * (time.monotonic() - before))
                    silent_until = time.monotonic() + self.config.silence
        finally:
            await stop(consumer)
            await self.output.close()

    async def _is_current(self, consumer: AIOKafkaConsumer) -> bool:
        """Whether everything that stands in `activity` is in the figures: not where whoever makes the panes has stopped."""
        ends = await consumer.end_offsets([TopicPartition(self.activity, number) for number in range(self.config.partitions)])
        taken = [0 if progress is None else progress.offset + 1 for progress in self.windows.progress]
        return self.windows.front is not None and all(taken[place.partition] >= end for place, end in ends.items())

    def _put(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Take up a record; a tombstone says nothing here, windows expire by the front."""
        if value is None:
            return
        if key.startswith(b"progress/"):
            self.windows.commit(partition, decode_progress(value))
            self.dirty = True
        else:
            self.windows.put(partition, RecordKey.parse(key), value)

    def _note(self, at: int, headers: dict[str, bytes]) -> None:
        """Take up when (ms) a checkpoint was made, and when its oldest record had arrived."""
        received = headers.get(RECEIVED)
        if received is not None:
            self.latencies["folded"].observe((at - int(received)) / 1e3)
            self.folded.append(at)

    async def _publish(self, complete: bool) -> None:
        """Bring the windows to the front and publish what changed, in one transaction that ends with the evaluation."""
        self.dirty = False
        self.windows.refresh()
        values = {series(m.name, m.labels): encode(m) for m in self.windows.evaluate(final=complete)}
        changed: dict[bytes, bytes | None] = {key: value for key, value in values.items() if self.published.get(key) != value}
        gone = {key: None for key in self.published if key not in values and key != EVALUATION}
        records = [*changed.items(), *gone.items(), (EVALUATION, encode(self._evaluation(complete)))]
        await self.output.write(0, [Outgoing(self.measurements, 0, key, value) for key, value in records])
        self.published = values

    def _evaluation(self, complete: bool) -> Evaluation:
        known = {number: progress for number, progress in enumerate(self.windows.progress) if progress is not None}
        dead_letters: Counter[str] = Counter()
        for progress in known.values():
            dead_letters.update(progress.dead_letters)
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
        )


def run(config: Config) -> None:
    """The role `measure`: until SIGTERM or SIGINT."""
    run_app(lambda: Measure(config).app)
