"""Reading a topic from its beginning, and from a time on."""

import asyncio
import time
from pathlib import Path

import pytest

from sinks.topic import Record, TopicReader
from streams.kafka.topics import Topics
from tests.sinks.publishing import publish
from tests.streams.brokers import TOPICS, Process, broker


async def read(bootstrap: str, topics: Topics, since: int | None) -> list[Record]:
    async with TopicReader.open(bootstrap, topics.measurements, since) as reader:
        return await reader.read_to_end()


def test_from_a_time_on_there_is_what_came_since(tmp_path: Path) -> None:
    async def scenario(bootstrap: str) -> None:
        await publish(bootstrap, TOPICS, [(b"a", b"1"), (b"b", b"2")])
        await asyncio.sleep(0.01)
        since = time.time_ns() // 1000
        await asyncio.sleep(0.01)
        await publish(bootstrap, TOPICS, [(b"c", b"3")])
        assert await read(bootstrap, TOPICS, None) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
        assert await read(bootstrap, TOPICS, since) == [(b"c", b"3")]
        assert await read(bootstrap, TOPICS, since + 3_600_000_000) == []

    with broker(tmp_path) as process:
        asyncio.run(scenario(process.bootstrap))


def test_a_reader_whose_broker_is_gone_ends_in_peace(tmp_path: Path) -> None:
    async def scenario(process: Process) -> None:
        await publish(process.bootstrap, TOPICS, [(b"a", b"1")])
        for _ in range(3):
            async with TopicReader.open(process.bootstrap, TOPICS.measurements) as reader:
                assert await reader.read_to_end() == [(b"a", b"1")]
                await asyncio.to_thread(process.kill)
                # Until a fetch has failed, and waits to be tried again.
                for _ in range(3):
                    await reader.read(0.2)
            await asyncio.to_thread(process.start)

    with broker(tmp_path) as process:
        asyncio.run(scenario(process))


def test_who_cancels_us_is_heard(tmp_path: Path) -> None:
    async def scenario(process: Process) -> None:
        async def follow() -> None:
            async with TopicReader.open(process.bootstrap, TOPICS.measurements) as reader:
                while True:
                    await reader.read(0.2)

        following = asyncio.create_task(follow())
        await asyncio.sleep(0.5)
        await asyncio.to_thread(process.kill)
        await asyncio.sleep(0.5)
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
        process.start()

    with broker(tmp_path) as process:
        asyncio.run(scenario(process))
