"""Checkpoints as Kafka transactions: one transactional producer for each source partition, whose id names the partition
and not the worker.

Starting a partition's producer ends the open transaction of its previous owner and fences that owner. After a failure
nothing here may be used again: the worker ends, and the next owner of the partition starts from what was committed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from itertools import groupby
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from agents.config import Config
from streams.kafka import unpack
from streams.kafka.consume import Guard, Table, read_to_end, stop

# Seconds after which the broker ends an open transaction by itself. The next owner of a partition ends it at once, so
# this only has to be longer than a checkpoint can take on a busy machine.
TRANSACTION_TIMEOUT: Final = 600.0
MAX_REQUEST_BYTES: Final = 8 << 20
_READ_BACK_WAIT_MS: Final = 20
# A header of a checkpoint's last record: when (ms, wall clock) the oldest record arrived that the checkpoint adds. Not
# in the record itself: the same input gives the same facts.
RECEIVED: Final = "received"


class Outgoing(NamedTuple):
    """A record of a checkpoint."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Checkpoints:
    """The transactional producers of a worker's partitions. Opened at each assignment, before anything is read back."""

    def __init__(self, config: Config, name: str, compression: str | None = None) -> None:
        """`compression`: a codec's name; None where values are small and read by everybody."""
        self._config, self._name, self._compression = config, name, compression
        self._producers: dict[int, AIOKafkaProducer] = {}
        # Batches that the broker has confirmed, over all partitions. While it grows, a slow checkpoint makes progress.
        self.taken = 0

    async def open(self, partitions: Iterable[int]) -> None:
        """Stop the producers of an earlier assignment and start new ones. When this returns, the transactions of
        previous owners have ended.
        """
        await self.close()
        self._producers = {number: self._producer(number) for number in partitions}
        await asyncio.gather(*(producer.start() for producer in self._producers.values()))

    def _producer(self, number: int) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._config.bootstrap,
            client_id=f"{self._config.prefix}{self._name}-{number}",
            transactional_id=f"{self._config.prefix}{self._name}-{number}",
            transaction_timeout_ms=int(TRANSACTION_TIMEOUT * 1000),
            acks="all",
            enable_idempotence=True,
            max_batch_size=1 << 20,
            max_request_size=MAX_REQUEST_BYTES,
            compression_type=self._compression,
            linger_ms=0,
        )

    async def write(self, number: int, records: Iterable[Outgoing]) -> dict[str, int]:
        """Commit the records in one transaction, in their order; {topic: the offset behind its last record}.

        Every send is awaited before the commit: aiokafka commits even if a record was refused, which would be half a
        checkpoint.
        """
        producer = self._producers[number]
        await producer.begin_transaction()
        sent: list[tuple[asyncio.Future[Any], int]] = []
        for (topic, partition), own in groupby(records, key=lambda record: (record.topic, record.partition)):
            # Whole batches: sending record by record costs ten times as much.
            batch, count = producer.create_batch(), 0
            for record in own:
                if not _append(batch, record):
                    sent.append((await self._send(producer, batch, topic, partition), count))
                    batch, count = producer.create_batch(), 0
                    _append(batch, record)
                count += 1
            sent.append((await self._send(producer, batch, topic, partition), count))
        await asyncio.gather(*(future for future, _ in sent))
        await producer.commit_transaction()
        self.taken += 1
        written = [(future.result(), count) for future, count in sent]
        return {metadata.topic: metadata.offset + count for metadata, count in written}

    async def _send(self, producer: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=partition)
        future.add_done_callback(self._count)
        return future

    def _count(self, _: object) -> None:
        self.taken += 1

    async def close(self) -> None:
        """Stop the producers. One that was fenced fails to stop; that failure is ignored."""
        producers, self._producers = self._producers, {}
        await asyncio.gather(*(producer.stop() for producer in producers.values()), return_exceptions=True)


def _append(batch: Any, record: Outgoing) -> bool:
    """Whether the record still had room in the batch."""
    made = batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    return made is not None


def committed_consumer(config: Config, wait_ms: int = 500) -> AIOKafkaConsumer:
    """A consumer without a group that sees committed records only. The broker may hold a fetch for `wait_ms` where
    nothing is.
    """
    return unpack.consumer(
        bootstrap_servers=config.bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=wait_ms,
        max_partition_fetch_bytes=MAX_REQUEST_BYTES,
        fetch_max_bytes=64 << 20,
        metadata_max_age_ms=5000,
    )


async def read_back(
    config: Config,
    topic: str,
    partitions: Iterable[int],
    sound: Callable[[int, bytes, bytes | None], object] = lambda *record: None,
) -> AsyncIterator[tuple[int, dict[bytes, bytes]]]:
    """Each partition with the last value of each of its keys, up to its committed end; tombstoned keys are left out.

    One partition after the other, so that only one is held here. What `sound(partition, key, value)` refuses by raising
    Foreign is passed over without a word: `measure` tells and counts it.
    """
    # A request waits behind a fetch that the broker holds open at the end of a partition, so such a fetch must be
    # short.
    consumer = committed_consumer(config, wait_ms=_READ_BACK_WAIT_MS)
    try:
        await consumer.start()
        places = {number: TopicPartition(topic, number) for number in partitions}
        firsts = await consumer.beginning_offsets(places.values())
        ends = await consumer.end_offsets(places.values())
        for number, place in places.items():
            table = Table(Guard(topic, quiet=True), partial(sound, number))
            if firsts[place] < ends[place]:
                consumer.assign([place])
                consumer.seek(place, firsts[place])
                async for _, records in read_to_end(consumer, [place]):
                    for record in records:
                        table.put(record.key, record.value)
            yield number, table.values
    finally:
        await stop(consumer)


async def read_from(
    config: Config, topic: str, starts: Mapping[int, int]
) -> AsyncIterator[tuple[int, list[ConsumerRecord]]]:
    """(partition, records) of each partition from its offset in `starts` (or the first that is kept) up to its
    committed end, one partition after the other; a partition without records is yielded once with none.
    """
    # A request waits behind a fetch that the broker holds open at the end of a partition, so such a fetch must be
    # short.
    consumer = committed_consumer(config, wait_ms=_READ_BACK_WAIT_MS)
    try:
        await consumer.start()
        places = {number: TopicPartition(topic, number) for number in starts}
        firsts = await consumer.beginning_offsets(places.values())
        ends = await consumer.end_offsets(places.values())
        for number, place in places.items():
            begin = max(firsts[place], min(starts[number], ends[place]))
            found = False
            if begin < ends[place]:
                consumer.assign([place])
                consumer.seek(place, begin)
                async for _, records in read_to_end(consumer, [place]):
                    found = True
                    yield number, records
            if not found:
                yield number, []
    finally:
        await stop(consumer)
