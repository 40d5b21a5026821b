"""The embedded broker dies, at any moment and inside its commits: what was answered is there, and nothing is there
twice.
"""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.broker.clients import read, unique
from tests.broker.embedded import EmbeddedBroker
from tests.broker.raw import Raw, batch

_CRASHES = 8


def test_what_was_answered_is_there_after_kill_9(log_file: Path) -> None:
    broker = EmbeddedBroker(log_file).start()
    with Raw(broker.address) as raw:
        plain, compacted = unique(), unique()
        raw.create(plain)
        raw.create(compacted, cleanup_policy="compact")
        producer = raw.producer_id()
        assert raw.produce(plain, batch(b"a", b"b", producer=(producer, 0), sequence=0)) == (0, 0)
        assert raw.produce(compacted, batch(b"v", key=b"k")) == (0, 0)
        assert raw.commit("g", plain, 2) == 0
    broker.kill()
    broker.start()
    with Raw(broker.address) as raw:
        assert [record.value for record in asyncio.run(read(broker.address, plain))] == [b"a", b"b"]
        assert [record.key for record in asyncio.run(read(broker.address, compacted))] == [b"k"]
        assert raw.committed("g", plain) == 2
        assert raw.produce(plain, batch(b"a", b"b", producer=(producer, 0), sequence=0)) == (0, 0)
        assert raw.produce(plain, batch(b"c", producer=(producer, 0), sequence=2)) == (0, 2)
        assert raw.producer_id() > producer
    assert broker.stop() == 0
    assert broker.complaints == ""


async def _keep_crashing(broker: EmbeddedBroker, probability: float, *, killed_too: bool) -> int:
    """Restart it each time that it has died, until it has died often enough; then without crashes. How often it died in
    a commit.
    """
    chance = random.Random(1)
    own_deaths = 0
    broker.environment = {"CRASH": str(probability)}
    broker.kill()
    for _ in range(_CRASHES):
        broker.start()
        begun = asyncio.get_running_loop().time()
        patience = chance.uniform(0.05, 0.6) if killed_too else 3.0
        while broker.alive() and asyncio.get_running_loop().time() - begun < patience:
            await asyncio.sleep(0.01)
        own_deaths += not broker.alive()
        broker.kill()
    broker.environment = {}
    broker.start()
    return own_deaths


@pytest.mark.parametrize("policy", ["delete", "compact"])
def test_idempotent_records_are_neither_lost_nor_doubled_when_the_broker_dies_in_its_commits(
    log_file: Path, policy: str
) -> None:
    broker = EmbeddedBroker(log_file, module="tests.broker.crashing").start()
    topic = unique()
    with Raw(broker.address) as raw:
        raw.create(topic, 2, cleanup_policy=policy)

    async def scenario() -> int:
        producer = AIOKafkaProducer(
            bootstrap_servers=broker.address, enable_idempotence=True, retry_backoff_ms=20, request_timeout_ms=60_000
        )
        await producer.start()
        crashing = asyncio.create_task(_keep_crashing(broker, 0.02, killed_too=True))
        waiting: list[Any] = []
        while not crashing.done():
            number = len(waiting)
            waiting.append(await producer.send(topic, b"%d" % number, key=b"%d" % number, partition=number % 2))
            if number % 20 == 0:
                await asyncio.wait([waiting[-1]], timeout=0.5)
        assert await crashing > 0
        await asyncio.gather(*waiting)
        await producer.stop()
        return len(waiting)

    sent = asyncio.run(scenario())
    found = asyncio.run(read(broker.address, topic, 2))
    for partition in (0, 1):
        values = [int(record.value) for record in found if record.partition == partition]
        assert values == list(range(partition, sent, 2))
    assert broker.stop() == 0
    assert broker.complaints == ""


_KEYS = 3


class Owner:
    """Writes the same number under three keys, a transaction each; after each failure anew, from what is committed."""

    def __init__(self, broker: EmbeddedBroker, topic: str, partition: int) -> None:
        self._broker = broker
        self._topic = topic
        self._partition = partition
        self.answered = 0
        self.torn: list[Any] = []

    async def run(self, over: asyncio.Event) -> None:
        while not over.is_set():
            producer = AIOKafkaProducer(
                bootstrap_servers=self._broker.address,
                transactional_id=f"{self._topic}-{self._partition}",
                transaction_timeout_ms=5000,
                request_timeout_ms=5000,
                retry_backoff_ms=20,
            )
            try:
                await producer.start()
                self.answered = await self.check()
                while not over.is_set():
                    await self._transact(producer, self.answered + 1)
                    self.answered += 1
            except Exception:  # noqa: BLE001 - aiokafka fails in many ways when its broker dies; each of them ends this producer
                await asyncio.sleep(0.05)
            finally:
                await _stop(producer)

    async def _transact(self, producer: AIOKafkaProducer, number: int) -> None:
        await producer.begin_transaction()
        sends = [
            await producer.send(self._topic, b"%d" % number, key=b"%d" % key, partition=self._partition)
            for key in range(_KEYS)
        ]
        await asyncio.gather(*sends)
        await producer.commit_transaction()

    async def check(self) -> int:
        """What is committed now; remembered as torn if the keys differ, or if an answered commit is missing."""
        records = await read(self._broker.address, self._topic, 2, committed=True)
        newest = {record.key: int(record.value) for record in records if record.partition == self._partition}
        counts = Counter(newest.values())
        value = max(counts, default=0)
        if len(counts) > 1 or (counts and counts[value] != _KEYS) or value < self.answered:
            self.torn.append((dict(newest), self.answered))
        return value


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        await asyncio.wait_for(producer.stop(), 10)
    except Exception:  # noqa: BLE001 - as above
        return


def test_a_transaction_is_whole_or_absent_when_the_broker_dies_in_its_commits(log_file: Path) -> None:
    broker = EmbeddedBroker(log_file, "--housekeeping", "0.2", module="tests.broker.crashing").start()
    topic = unique()
    with Raw(broker.address) as raw:
        raw.create(topic, 2, cleanup_policy="compact")

    async def scenario() -> list[Owner]:
        over = asyncio.Event()
        owners = [Owner(broker, topic, partition) for partition in range(2)]
        running = [asyncio.create_task(owner.run(over)) for owner in owners]
        assert await _keep_crashing(broker, 0.05, killed_too=False) > _CRASHES // 2
        reached = [owner.answered for owner in owners]
        async with asyncio.timeout(30):
            while any(owner.answered <= before + 1 for owner, before in zip(owners, reached, strict=True)):
                await asyncio.sleep(0.05)
        over.set()
        await asyncio.gather(*running)
        for owner in owners:
            await owner.check()
        return owners

    owners = asyncio.run(scenario())
    assert [owner.torn for owner in owners] == [[], []]
    assert broker.stop() == 0
    assert broker.complaints == ""
