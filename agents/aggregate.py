"""The aggregate worker: a Faust app that makes panes of the topic `activity`, exactly once, whatever dies.

The agent decodes a record, lets `Partition` take it in, and a timer checkpoints what changed. Everything between two
awaits is atomic for the loop; what must not be torn by a checkpoint runs under the lock.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Iterable
from typing import Any, Final, NoReturn

import faust
from faust.tables.manager import TableManager
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types import TP

from agents.checkpoint import RECEIVED, Checkpoints, Outgoing, read_back
from agents.config import Config
from agents.memory import Trimmer
from agents.operators import sound
from agents.operators.partition import Partition
from agents.service import run_app
from streams.activity import Batch, NoBatch, decode_batch
from streams.kafka.consume import Guard
from streams.kafka.dead_letters import misread
from streams.kafka.topics import Topics
from streams.kafka.unpack import pass_over_unreadable

logger = logging.getLogger("nomadwatch.aggregate")
# Faust's services log under the name of the module that a class stands in: these would speak as if they were ours.
_FAUST: Final = logging.getLogger("faust")

# A checkpoint may take a tenth of the time at most.
REST: Final = 10
FETCH_WAIT_MS: Final = 100
_FULL: Final = 1.0
# Seconds for which a checkpoint may make no progress before it has failed, and after which one that does is told.
STUCK: Final = 30.0
SLOW: Final = 10.0
# Seconds of records after which the agent lets others have the loop: where the next record is there, waiting for it
# does not.
_TURN: Final = 0.05


class _NoTables(TableManager):
    """Faust gives tables a second to be declared; here there are none to wait for."""

    logger = _FAUST

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class _PromptThread(AIOKafkaConsumerThread):
    """Faust lets a fetch wait for 1.5 s, and a partition that was not part of it waits as long: at the end of a stream
    for nothing.
    """

    logger = _FAUST

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Print no traceback: the app crashes with the same reason, and whoever runs it says so."""


class _PromptConsumer(Consumer):
    logger = _FAUST

    def _new_consumer_thread(self) -> Any:
        return _PromptThread(self, loop=self.loop, beacon=self.beacon)

    async def _wait_next_records(self, timeout: float) -> Any:
        """Where the buffers of all partitions are full Faust sleeps for a second; they are empty again long before."""
        until = time.monotonic() + _FULL
        while self.flow_active and self.assignment() and not self._get_active_partitions() and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_FULL / 100)
        return await super()._wait_next_records(timeout)


class Aggregate:
    """The partitions that this worker owns, and their way through assignment, aggregation and checkpoints."""

    def __init__(self, config: Config) -> None:
        self.config = config
        topics = Topics(prefix=config.prefix, partitions=config.partitions)
        self.source, self.panes, self.dead_letters = topics.activity, topics.panes, topics.dead_letters
        self.checkpoints = Checkpoints(config, "aggregate")
        self.partitions: dict[int, Partition] = {}
        self.written: dict[int, int] = {}
        self.poison: dict[int, list[Outgoing]] = {}
        self.holes: dict[int, int] = {}
        # When (s) the oldest record arrived that is not in a checkpoint yet.
        self.received: dict[int, float] = {}
        self.foreign = Guard(self.source)
        self.trim = Trimmer()
        self.lock = asyncio.Lock()
        self.urgent = asyncio.Event()
        self.app = self._app()

    def _app(self) -> faust.App:
        config = self.config
        app = faust.App(
            f"{config.prefix}aggregate",
            broker=f"kafka://{config.bootstrap}",
            store="memory://",
            datadir=os.path.join(config.data_dir, "faust"),
            topic_partitions=config.partitions,
            topic_disable_leader=True,
            web_enabled=False,
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=4 << 20,
            consumer_metadata_max_age_ms=5000,
            broker_session_timeout=config.session_timeout,
            broker_heartbeat_interval=config.session_timeout / 4,
            broker_rebalance_timeout=20,
            stream_buffer_maxsize=256,
            # Offsets and acknowledgements are ours: a record counts when its checkpoint is committed.
            stream_wait_empty=False,
            TableManager=_NoTables,
        )
        app.transport.Consumer = _PromptConsumer
        pass_over_unreadable()
        source = app.topic(
            self.source, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=False
        )
        app.agent(source, name="aggregate")(self._aggregate)
        app.task(self._checkpoint_regularly)
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_rebalance_complete.connect(self._on_assigned)
        app.on_before_shutdown.connect(self._on_shutdown)
        return app

    # Assignment: fence the previous owners, read back what they committed, go on behind it.

    async def _on_revoked(self, app: faust.App, revoked: set[TP], **_: Any) -> None:
        async with self.lock:
            await self._checkpoint()
            self._drop()

    async def _on_assigned(self, app: faust.App, **_: Any) -> None:
        # Faust goes on delivering what it fetched before a rebalance, from offsets that are no longer ours
        # (faust-streaming #596).
        app.consumer.stop_flow()
        app.flow_control.suspend()
        app.flow_control.clear()
        async with self.lock:
            self._drop()
            places = sorted(place for place in app.consumer.assignment() if place.topic == self.source)
            try:
                await self._take_over(places)
            except Exception as error:  # noqa: BLE001 - whatever it was, the half-made assignment must not be used
                self._die("cannot take over its partitions", error)

    async def _take_over(self, places: list[TP]) -> None:
        started = time.monotonic()
        numbers = [place.partition for place in places]
        await self.checkpoints.open(numbers)
        if not numbers:
            return
        earliest = await self.app.consumer.earliest_offsets(*places)
        async for number, table in read_back(self.config, self.panes, numbers, sound.read):
            place = TP(self.source, number)
            partition = Partition.restore(number, table.items())
            # Before what is lost is counted, so that the next checkpoint says so even if nothing else comes.
            self.written[number] = partition.progress.offset
            if earliest[place] > partition.progress.offset + 1:
                lost = earliest[place] - partition.progress.offset - 1
                logger.warning("partition %d: %d records were deleted before they were aggregated", number, lost)
                partition.progress.missing += lost
                partition.progress.offset = earliest[place] - 1
            self.partitions[number] = partition
            await self.app.consumer.seek(place, partition.progress.offset + 1)
        self.trim()
        logger.info("owns partitions %s after %.2f s", numbers, time.monotonic() - started)

    def _drop(self) -> None:
        for table in (self.partitions, self.written, self.poison, self.holes, self.received):
            table.clear()

    # Aggregation.

    async def _aggregate(self, stream: Any) -> None:
        turn = time.monotonic()
        async for event in stream.noack().events():
            if time.monotonic() - turn > _TURN:
                await asyncio.sleep(0)
                turn = time.monotonic()
            if self.lock.locked():
                # A busy agent would starve a checkpoint that waits for the loop.
                async with self.lock:
                    pass
            try:
                await self._take(event.message, event.value)
            except Exception as error:  # noqa: BLE001 - Faust would let the agent end, and the worker live on without it
                self._die(
                    f"the record at {event.message.offset} of partition {event.message.partition} cannot be aggregated",
                    error,
                )

    async def _take(self, message: Any, value: bytes | None) -> None:
        """Take in a record that is next in its partition; pass over what was taken in before, and note a hole."""
        partition = self.partitions.get(message.partition)
        if partition is None or message.offset <= partition.progress.offset:
            return
        if message.offset > partition.progress.offset + 1:
            self.holes.setdefault(message.partition, partition.progress.offset + 1)
            return
        if partition.torn:
            self._die(
                "the agent was cancelled in the middle of a batch",
                RuntimeError(f"partition {partition.number} is torn"),
            )
        self.holes.pop(message.partition, None)
        batch = self._decode(message.partition, message.offset, value)
        if batch is None:
            partition.progress.offset = message.offset
            return
        if partition.advance(message.offset, batch):
            if batch.activities:
                self.received.setdefault(message.partition, message.timestamp)
            if partition.closing_due:
                async with self.lock:
                    for _ in partition.close():
                        await asyncio.sleep(0)
                    if self.partitions.get(message.partition) is partition:
                        partition.take(batch.activities)
            else:
                partition.take(batch.activities)
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
            dead = Outgoing(self.dead_letters, 0, self.source.encode(), letter)
            self.poison.setdefault(number, []).append(dead)
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

    async def _checkpoint(self) -> None:
        """Commit what changed since the last one, one transaction a partition, side by side. Under the lock."""
        # An agent that was cancelled in the middle of a closing leaves a torn partition: whoever owns it next takes
        # that batch again.
        due = {n: own for n, own in self.partitions.items() if own.progress.offset != self.written[n] and not own.torn}
        if not due:
            return
        try:
            writing = []
            for n, partition in due.items():
                writing.append(asyncio.ensure_future(self.checkpoints.write(n, self._outgoing(n, partition))))
                # The broker takes one partition's records while the next one's are packed.
                await asyncio.sleep(0)
            await self._written(writing)
        except BaseException as error:  # noqa: BLE001 - fenced, refused, stuck, cancelled: nothing here may be used again
            self._die("a checkpoint failed", error)
        for number, partition in due.items():
            partition.committed()
            self.written[number] = partition.progress.offset
        # Only so that the group's lag can be seen; nothing is read from these offsets.
        await self.app.consumer._commit({TP(self.source, n): self.written[n] + 1 for n in due})

    async def _written(self, writing: Iterable[asyncio.Future[None]]) -> None:
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

    def _outgoing(self, number: int, partition: Partition) -> list[Outgoing]:
        changed = [Outgoing(self.panes, number, key, value) for key, value in partition.checkpoint()]
        received = self.received.pop(number, None)
        if received is not None:
            changed[-1] = changed[-1]._replace(headers=((RECEIVED, str(round(1000 * received)).encode()),))
        return self.poison.pop(number, []) + changed

    async def _fill_holes(self) -> None:
        """Read again what a rebalance made Faust skip; once is not enough where a fetch was under way."""
        for number, offset in list(self.holes.items()):
            place = TP(self.source, number)
            earliest = (await self.app.consumer.earliest_offsets(place))[place]
            async with self.lock:
                partition = self.partitions.get(number)
                if partition is not None and earliest > partition.progress.offset + 1:
                    lost = earliest - partition.progress.offset - 1
                    logger.warning("partition %d: %d records were deleted before they were aggregated", number, lost)
                    partition.progress.missing += lost
                    partition.progress.offset = earliest - 1
            await self.app.consumer.seek(place, max(offset, earliest))

    async def _on_shutdown(self, app: faust.App, **_: Any) -> None:
        async with self.lock:
            await self._checkpoint()
            self._drop()
        await self.checkpoints.close()

    def _die(self, what: str, error: BaseException) -> NoReturn:
        """End without another word to the broker: a producer that failed must neither abort nor be used again."""
        logger.error("%s (%s: %s); ending, to be started again", what, type(error).__name__, error)
        logging.shutdown()
        os._exit(1)


def run(config: Config) -> None:
    """The role `aggregate`: until SIGTERM or SIGINT."""
    run_app(lambda: Aggregate(config).app)
