"""Reading a topic from its beginning, and from a time on."""

import asyncio
import time
from pathlib import Path

from sinks.topic import Record, TopicReader
from streams.topics import Topics
from tests.sinks.publishing import publish
from tests.streams.brokers import TOPICS, broker


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
