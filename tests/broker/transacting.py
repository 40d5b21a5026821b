"""What the tests of transactions share: an owner of a transactional id, and what committed readers see."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer

from tests.broker.clients import read_values

COMPACTED: dict[str, Any] = {"cleanup_policy": "compact"}


async def producer_of(broker: Any, id: str, **options: Any) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, transactional_id=id, **options)
    await asyncio.wait_for(producer.start(), 30)
    return producer


async def put(producer: AIOKafkaProducer, topic: str, *values: bytes, key: bytes = b"k") -> None:
    for value in values:
        await producer.send_and_wait(topic, value, key=key, partition=0)


async def commit(producer: AIOKafkaProducer, topic: str, *values: bytes, key: bytes = b"k") -> None:
    await producer.begin_transaction()
    await put(producer, topic, *values, key=key)
    await producer.commit_transaction()


async def seen(broker: Any, topic: str, *expected: bytes | None) -> None:
    """Committed readers see exactly this. Apache Kafka writes the end of a transaction a moment after it has answered
    the commit.
    """
    async with asyncio.timeout(20):
        while (found := await read_values(broker.address, topic)) != list(expected):
            assert len(found) < len(expected), found
            await asyncio.sleep(0.05)
