"""Sends records to the broker, each once and in order, however long that takes; and reads tables back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError

from streams.errors import BrokerAway, TopicMismatch, in_words
from streams.kafka import unpack
from streams.kafka.consume import Guard, Table, read_to_end, stop
from streams.kafka.topics import Topics

_LOG: Final = logging.getLogger("nomadwatch.streams")
PATIENCE: Final = 5.0
# Activities are JSON and shrink to a sixth. Packing them costs the sender less than the rest of the way then saves: the
# broker, the network, the disk. Faster codecs pack half as well.
COMPRESSION: Final = "zstd"
_START: Final = 20.0
Sent: TypeAlias = "asyncio.Future[Any]"
Sound: TypeAlias = Callable[[bytes, bytes | None], object]


class Delivery:
    """An idempotent producer that waits for a broker that is away or full, and logs it once."""

    def __init__(self, producer: Any, topics: Topics) -> None:
        self._producer, self._topics = producer, topics
        self._silent = False

    @classmethod
    @asynccontextmanager
    async def open(cls, bootstrap: str, topics: Topics, client: str) -> "AsyncIterator[Delivery]":
        """Connect; disconnect within seconds at the end.

        Raises `BrokerAway` if the broker is away at the start or has lost this producer's state, `TopicMismatch` if a
        topic is missing.
        """
        producer = await connect(bootstrap, client)
        try:
            await _look_up(producer, topics)
            yield cls(producer, topics)
        except KafkaError as error:
            raise away(bootstrap, error) from error
        finally:
            await close(producer)

    async def send(self, topic: str, partition: int, value: bytes | None, key: bytes | None = None) -> Sent:
        """Hand a record to the producer. Waits while its buffers are full because the broker is away or full. Raises
        `TopicMismatch` if a broker that answers no longer has the topics.
        """
        unknown = 0
        while True:
            try:
                future: Sent = await self._producer.send(topic, value, key=key, partition=partition)
            except KafkaTimeoutError:
                self._note_silence()
                continue
            except UnknownTopicOrPartitionError:
                # The topic existed: a broker that has just come back may not know it yet.
                self._note_silence()
                unknown += 1
                if unknown > 1:
                    with suppress(KafkaError):  # no broker answers that could know
                        await _look_up(self._producer, self._topics)
                continue
            future.add_done_callback(_look_at)
            return future

    async def acknowledged(self, sent: list[Sent]) -> list[Any]:
        """Where the broker stored the records, in order. Waits as long as it takes; an idempotent producer repeats by
        itself.
        """
        waiting: set[Sent] = set(sent)
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=PATIENCE)
            if waiting:
                self._note_silence()
        if self._silent:
            _LOG.info("the broker answers again")
            self._silent = False
        return [future.result() for future in sent]

    def _note_silence(self) -> None:
        if not self._silent:
            _LOG.warning("the broker does not accept records (away or full?): waiting for it, nothing is lost")
            self._silent = True


def _look_at(sent: Sent) -> None:
    """Retrieve a failure, so that it is not reported as never retrieved if the sender ended for another reason
    first.
    """
    if not sent.cancelled():
        sent.exception()


async def connect(bootstrap: str, client: str) -> Any:
    """A started producer. Raises `BrokerAway`."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        client_id=client,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=1 << 20,
        max_request_size=16 << 20,
        compression_type=COMPRESSION,
    )
    try:
        async with asyncio.timeout(_START):
            await producer.start()
    except (KafkaError, TimeoutError) as error:
        await close(producer)
        raise away(bootstrap, error) from error
    return producer


async def _look_up(producer: Any, topics: Topics) -> None:
    """Let a producer learn all topics while the broker answers: otherwise it would ask for each at its first record.
    Raises `TopicMismatch`.
    """
    # Not by their names: a broker may create a missing topic that is asked for.
    there = await producer.client.fetch_all_metadata()
    if not there.topics() >= set(topics.names):
        raise missing(topics)
    await producer.client.set_topics(topics.names)


async def close(producer: Any) -> None:
    """Stop a producer within seconds, whether or not the broker answers. The next run sends again what the broker did
    not take.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            await producer.stop()
    except TimeoutError:
        await producer.client.close()


async def read_table(
    bootstrap: str, topics: Topics, topic: str, sound: Sound = lambda key, value: None
) -> dict[bytes, bytes]:
    """The last value of each key of a compacted topic of one partition; records for which `sound` raises Foreign are
    skipped.

    Raises `BrokerAway`, and `TopicMismatch` if the topic is missing.
    """
    consumer = unpack.consumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    place = TopicPartition(topic, 0)
    table = Table(Guard(topic), sound)
    try:
        async with asyncio.timeout(_START):
            await consumer.start()
            if topic not in await consumer.topics():
                raise missing(topics)
            consumer.assign([place])
            async for _, records in read_to_end(consumer, [place]):
                for record in records:
                    table.put(record.key, record.value)
    except (KafkaError, TimeoutError) as error:
        raise away(bootstrap, error) from error
    finally:
        await stop(consumer)
    return table.values


def away(bootstrap: str, error: BaseException) -> BrokerAway:
    """The exception for a broker that does not do what it is asked for."""
    return BrokerAway(f"the broker at {bootstrap} does not answer as it should ({in_words(error)}): is it running?")


def missing(topics: Topics) -> TopicMismatch:
    """The exception for a missing topic."""
    return TopicMismatch(
        f"the topics of nomadwatch (prefix {topics.prefix!r}) are missing: run `nomadwatch topics create`"
    )
