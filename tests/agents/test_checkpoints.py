"""How long a checkpoint may take: as long as it makes progress."""

import asyncio
import logging
from pathlib import Path

import pytest

from agents.config import Config
from agents.count import worker as count
from agents.count.worker import Worker


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr(count, "STUCK", 0.2)
    monkeypatch.setattr(count, "SLOW", 0.1)
    return Worker(Config(bootstrap="127.0.0.1:1", data_dir=str(tmp_path)))


def test_a_slow_checkpoint_is_told_once_and_waited_for_while_the_broker_takes_something(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    async def write() -> None:
        for _ in range(20):
            await asyncio.sleep(0.05)
            worker.checkpoints.taken += 1

    async def check() -> None:
        await worker._written([asyncio.ensure_future(write())])

    with caplog.at_level(logging.WARNING):
        asyncio.run(check())
    assert worker.checkpoints.taken == 20
    assert [record.message.partition(" for ")[0] for record in caplog.records] == ["a checkpoint has been under way"]


def test_a_checkpoint_of_which_the_broker_takes_nothing_has_failed(worker: Worker) -> None:
    async def check() -> None:
        writing = asyncio.ensure_future(asyncio.sleep(3600))
        with pytest.raises(TimeoutError, match="taken nothing"):
            await worker._written([writing])
        writing.cancel()

    asyncio.run(check())


def test_a_partition_that_is_refused_fails_the_checkpoint_at_once(worker: Worker) -> None:
    async def refused() -> None:
        raise RuntimeError("fenced")

    async def check() -> None:
        others = asyncio.ensure_future(asyncio.sleep(3600))
        with pytest.raises(RuntimeError, match="fenced"):
            await worker._written([others, asyncio.ensure_future(refused())])
        others.cancel()

    asyncio.run(check())
