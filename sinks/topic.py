"""Reads a topic of one partition: committed records only, without a consumer group."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from streams.kafka.consume import read_to_end, stop

Record = tuple[bytes | None, bytes | None]


class TopicReader:
    """Follows partition 0 of a topic."""

    def __init__(self, consumer: Any, place: Any) -> None:
        self._consumer = consumer
        self._place = place

    @classmethod
    @asynccontextmanager
    async def open(cls, bootstrap: str, topic: str, since: int | None = None) -> AsyncIterator[Self]:
        """A reader of a topic, which must exist, from its beginning or from a time (µs UTC) on.

        Raises KafkaError when no broker answers. Its reads raise OffsetOutOfRangeError, a KafkaError, once the topic
        does not hold the next record any more: it was deleted and created again.
        """
        from aiokafka import TopicPartition

        from streams.kafka import unpack

        consumer = unpack.consumer(
            bootstrap_servers=bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="none",
            fetch_max_wait_ms=200,
        )
        try:
            await consumer.start()
            place = TopicPartition(topic, 0)
            offset = await _offset(consumer, place, since)
            consumer.assign([place])
            consumer.seek(place, offset)
            yield cls(consumer, place)
        finally:
            await stop(consumer)

    async def read(self, timeout: float = 0.2) -> list[Record]:
        """The records that have come, after waiting for some for at most `timeout` seconds."""
        fetched = await self._consumer.getmany(self._place, timeout_ms=int(timeout * 1000))
        return [(record.key, record.value) for record in fetched.get(self._place, ())]

    async def read_to_end(self) -> list[Record]:
        """All records that are committed now and not read yet."""
        records: list[Record] = []
        async for _, batch in read_to_end(self._consumer, [self._place]):
            records += [(record.key, record.value) for record in batch]
        return records


async def _offset(consumer: Any, place: Any, since: int | None) -> int:
    """The offset of the first record since a time (µs UTC), or of the first record there is."""
    offset: int
    if since is None:
        offset = (await consumer.beginning_offsets([place]))[place]
        return offset
    first = (await consumer.offsets_for_times({place: since // 1000}))[place]
    offset = first.offset if first else (await consumer.end_offsets([place]))[place]
    return offset
