"""What a worker reads back of its partitions: all that is committed; an empty one is not waited for."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from agents import checkpoint
from agents.checkpoint import read_back
from agents.config import Config
from streams.kafka.topics import Topics
from tests.streams.brokers import broker

FIVE = Topics(prefix="back-", partitions=5)


def test_each_partition_is_read_back_and_only_those_that_hold_something_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    read_to_end = checkpoint.read_to_end

    def noting(consumer: Any, places: Any) -> Any:
        waited.extend(place.partition for place in places)
        return read_to_end(consumer, places)

    monkeypatch.setattr(checkpoint, "read_to_end", noting)

    async def scenario(bootstrap: str) -> dict[int, dict[bytes, bytes]]:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for partition, key, value in (
                (1, b"a", b"1"),
                (1, b"b", b"2"),
                (3, b"c", b"3"),
                (1, b"a", b"4"),
                (1, b"b", None),
            ):
                await producer.send_and_wait(FIVE.facts, value, key=key, partition=partition)
        config = Config(bootstrap=bootstrap, prefix=FIVE.prefix, partitions=5, data_dir=str(tmp_path))
        return {number: table async for number, table in read_back(config, FIVE.facts, range(5))}

    with broker(tmp_path, topics=FIVE) as process:
        assert asyncio.run(scenario(process.bootstrap)) == {0: {}, 1: {b"a": b"4"}, 2: {}, 3: {b"c": b"3"}, 4: {}}
    assert waited == [1, 3]
