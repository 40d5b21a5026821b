"""Everything that uses Faust: its apps, its consumer and their private parts. No other file imports `faust`.

Two kinds of apps are made here: one that consumes a topic as a member of a group (`consuming_app`), and one that only
runs a task (`task_app`). `run_app` runs either as the role of a process.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Any, Final, NoReturn

import faust
from aiokafka.errors import KafkaConnectionError
from faust.app.base import BootStrategy
from faust.tables.manager import TableManager
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types import TP

from agents.config import Config
from agents.memory import one_arena
from streams.kafka.unpack import pass_over_unreadable

logger = logging.getLogger("nomadwatch.agents")
# Faust's services log under the name of the module that defines a class: these would seem to be ours.
_FAUST: Final = logging.getLogger("faust")

FETCH_WAIT_MS: Final = 100
_FULL: Final = 1.0


class _NoTables(TableManager):
    """Faust waits a second for tables to be declared. Here there are none, so do not wait."""

    logger = _FAUST

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class _PromptThread(AIOKafkaConsumerThread):
    """Faust lets the broker hold a fetch for 1.5 s, and a partition that was not part of it waits as long."""

    logger = _FAUST

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Print no traceback: the app crashes with the same reason, and `run_app` says it."""


class PromptConsumer(Consumer):
    """Faust's consumer without its long waits."""

    logger = _FAUST

    def _new_consumer_thread(self) -> Any:
        return _PromptThread(self, loop=self.loop, beacon=self.beacon)

    async def _wait_next_records(self, timeout: float) -> Any:
        """Where the buffers of all partitions are full Faust sleeps for a second; they are empty again long before."""
        until = time.monotonic() + _FULL
        while self.flow_active and self.assignment() and not self._get_active_partitions() and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_FULL / 100)
        return await super()._wait_next_records(timeout)


class _WithoutKafka(BootStrategy):
    """Faust's lifecycle and tasks, without its consumer group and producer."""

    enable_kafka = False


class _TaskApp(faust.App):
    BootStrategy = _WithoutKafka
    producer_only = True


def task_app(config: Config, name: str, work: Callable[[], Awaitable[None]]) -> faust.App:
    """An app that runs one task, and crashes if the task is cancelled by anybody else."""
    app = _TaskApp(
        f"{config.prefix}{name}",
        broker=f"kafka://{config.bootstrap}",
        store="memory://",
        datadir=os.path.join(config.data_dir, "faust"),
        web_enabled=False,
    )

    async def task() -> None:
        try:
            await work()
        except asyncio.CancelledError:
            if app.should_stop:
                raise
            # Faust takes a cancelled task for one that ended in order, and the worker would go on without it.
            raise RuntimeError("cancelled, but not by us") from None

    app.task(task)
    return app


def consuming_app(
    config: Config,
    name: str,
    topic: str,
    consume: Callable[[AsyncIterator[Any]], Awaitable[None]],
    *,
    task: Callable[[], Awaitable[None]],
    revoked: Callable[[], Awaitable[None]],
    assigned: Callable[[], Awaitable[None]],
    shutdown: Callable[[], Awaitable[None]],
) -> faust.App:
    """An app of the consumer group `name` on a topic.

    `consume` is given the events (`event.message`, `event.value`: bytes or None) of all its partitions; offsets and
    acknowledgements are left to it. `revoked` is called before a rebalance, `assigned` behind it, when nothing that was
    fetched before is delivered any more.
    """
    app = faust.App(
        f"{config.prefix}{name}",
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
    app.transport.Consumer = PromptConsumer
    pass_over_unreadable()
    source = app.topic(
        topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=False
    )

    async def agent(stream: Any) -> None:
        await consume(stream.noack().events())

    async def on_revoked(app: faust.App, gone: set[TP], **_: Any) -> None:
        await revoked()

    async def on_assigned(app: faust.App, **_: Any) -> None:
        # Faust goes on delivering what it fetched before a rebalance, from offsets that are no longer ours
        # (faust-streaming #596).
        app.consumer.stop_flow()
        app.flow_control.suspend()
        app.flow_control.clear()
        await assigned()

    async def on_shutdown(app: faust.App, **_: Any) -> None:
        await shutdown()

    app.agent(source, name=name)(agent)
    app.task(task)
    app.on_partitions_revoked.connect(on_revoked)
    app.on_rebalance_complete.connect(on_assigned)
    app.on_before_shutdown.connect(on_shutdown)
    return app


def assigned_partitions(app: faust.App, topic: str) -> list[int]:
    """The partitions of the topic that the app owns, rising."""
    return sorted(place.partition for place in app.consumer.assignment() if place.topic == topic)


async def earliest_offsets(app: faust.App, topic: str, partitions: Collection[int]) -> dict[int, int]:
    """{partition: the first offset that the broker still has}."""
    found = await app.consumer.earliest_offsets(*(TP(topic, number) for number in partitions))
    return {place.partition: offset for place, offset in found.items()}


async def seek(app: faust.App, topic: str, partition: int, offset: int) -> None:
    """Let the app go on at an offset."""
    await app.consumer.seek(TP(topic, partition), offset)


async def commit_offsets(app: faust.App, topic: str, offsets: Mapping[int, int]) -> None:
    """Write {partition: next offset} to the group. Only so that its lag can be seen."""
    await app.consumer._commit({TP(topic, number): offset for number, offset in offsets.items()})


def run_app(make: Callable[[], faust.App]) -> None:
    """Run the app until SIGTERM or SIGINT; exits with 1 if it crashed."""
    one_arena()
    threading.excepthook = _note
    asyncio.run(_run(make))


async def _run(make: Callable[[], faust.App]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = make()
    app.loop = loop
    try:
        await app.start()
    except KafkaConnectionError as error:
        _fail(error)
    stopped = asyncio.ensure_future(stop.wait())
    crashed = asyncio.ensure_future(app._crashed.wait())
    await asyncio.wait((stopped, crashed), return_when=asyncio.FIRST_COMPLETED)
    if crashed.done():
        _fail(app._crash_reason)
    crashed.cancel()
    await app.stop()


def _note(died: threading.ExceptHookArgs) -> None:
    """A thread of the app that dies crashes the app, which is said once, without a traceback of each thread."""
    logger.info("%s ended with %r", died.thread and died.thread.name, died.exc_value)


def _fail(reason: BaseException | None) -> NoReturn:
    """End at once: a crashed app's threads go on, and what they still print is of no use to anybody."""
    if isinstance(reason, KafkaConnectionError):
        logger.error("the broker does not answer (%s); start it, or name another one with --broker", reason)
    else:
        logger.error("crashed: %r", reason)
    logging.shutdown()
    os._exit(1)
