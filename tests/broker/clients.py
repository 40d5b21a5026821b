"""The little that most tests do through aiokafka: send, and read a topic from its start to its end."""

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

PATIENCE_SECONDS = 30.0


def unique(prefix: str = "t") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def now_ms() -> int:
    return int(time.time() * 1000)


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether the condition came true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


async def soon(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for the condition; the test fails if it does not come true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def send(address: str, topic: str, messages: list[dict[str, Any]], **options: Any) -> list[Any]:
    """Each message: the arguments of aiokafka's `send`. Returns what the broker said of each."""
    producer = AIOKafkaProducer(bootstrap_servers=address, **options)
    await producer.start()
    try:
        waiting = [await producer.send(topic, **each) for each in messages]
        return list(await asyncio.gather(*waiting))
    finally:
        await producer.stop()


async def read(address: str, topic: str, partitions: int = 1, *, committed: bool = False, **options: Any) -> list[Any]:
    """All records, to the end offset that this kind of reader is told; fails if a reader does not reach it."""
    isolation = "read_committed" if committed else "read_uncommitted"
    consumer = AIOKafkaConsumer(
        bootstrap_servers=address,
        auto_offset_reset="earliest",
        isolation_level=isolation,
        fetch_max_wait_ms=100,
        **options,
    )
    try:
        await consumer.start()
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        found: list[Any] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
        return found
    finally:
        await consumer.stop()


async def read_values(address: str, topic: str, *, committed: bool = True) -> list[bytes | None]:
    return [record.value for record in await read(address, topic, committed=committed)]
