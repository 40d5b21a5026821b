"""The workers as processes on a real broker, and what is sent to them."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer

from agents.config import Config
from streams.kafka.topics import Topics

ROOT = Path(__file__).parents[2]
TOPICS = Topics(prefix="workers-", partitions=1)


@contextmanager
def workers(
    bootstrap: str,
    folder: Path,
    silence: float = 3600.0,
    roles: tuple[str, ...] = ("count", "measure"),
    partitions: int = 1,
    checkpoint_interval: float = 0.1,
) -> Iterator[None]:
    config = Config(
        bootstrap=bootstrap,
        prefix=TOPICS.prefix,
        partitions=partitions,
        data_dir=str(folder),
        checkpoint_interval=checkpoint_interval,
        refresh_interval=0.1,
        silence=silence,
    )
    encoded = msgspec.json.encode(config).decode()
    commands = [[sys.executable, "-m", "tests.chaos.crashing", role, encoded, "seed"] for role in roles]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for command in commands]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        assert not any(process.wait(timeout=15) for process in running), "SIGTERM is a clean end"


def send(bootstrap: str, *values: bytes | None, at: float | None = None) -> None:
    """Records of the topic `activity`, received now or at a time (s)."""
    stamp = None if at is None else int(1000 * at)

    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for value in values:
                await producer.send_and_wait(TOPICS.activity, value, key=b"", partition=0, timestamp_ms=stamp)

    asyncio.run(produce())
