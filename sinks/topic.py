"""Reads a topic of one partition, committed records only, without a group."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from streams.kafka.consume import stop, unread

Record = tuple[bytes | None, bytes | None]


class TopicReader:
    """Follows partition 0 of a topic."""

    def __init__(self, consumer: Any, place: Any) -> None:
        self._consumer = consumer
        self._place = place

    @classmethod
    @asynccontextmanager
    async def open(cls, bootstrap: str, topic: str, since: int | None = None) -> AsyncIterator[Self]:
        """A reader of the broker's topic, which must exist, from its beginning or a time (µs) on. Raises KafkaError
        when nobody answers.
        """
        from aiokafka import TopicPartition

        from streams.kafka import unpack

        consumer = unpack.consumer(
            bootstrap_servers=bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=200,
        )
        try:
            await consumer.start()
            place = TopicPartition(topic, 0)
            consumer.assign([place])
            if since is None:
                await consumer.seek_to_beginning(place)
            else:
                first = (await consumer.offsets_for_times({place: since // 1000}))[place]
                # By number: `seek_to_end` can be overtaken by the reset to the earliest that assigning began.
                consumer.seek(place, first.offset if first else (await consumer.end_offsets([place]))[place])
            yield cls(consumer, place)
        finally:
            await stop(consumer)

    async def read(self, timeout: float = 0.2) -> list[Record]:
        """What has come, after waiting at most `timeout` seconds for something."""
        fetched = await self._consumer.getmany(self._place, timeout_ms=int(timeout * 1000))
        return [(record.key, record.value) for record in fetched.get(self._place, ())]

    async def read_to_end(self) -> list[Record]:
        """Everything that is committed now and not read yet."""
        records: list[Record] = []
        async for _ in unread(self._consumer, [self._place]):
            records += await self.read()
        return records
