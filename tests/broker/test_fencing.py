"""One owner of a transactional id: what a zombie, a stranger and a producer that takes too long are told."""

import asyncio
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced

from tests.broker.clients import eventually, unique
from tests.broker.raw import Raw, batch, message
from tests.broker.transacting import COMPACTED, commit, producer_of, put, seen


async def _sends_more(zombie: AIOKafkaProducer, topic: str) -> None:
    await put(zombie, topic, b"zombie again")


async def _commits(zombie: AIOKafkaProducer, topic: str) -> None:
    await zombie.commit_transaction()


async def _sends_and_commits_without_looking(zombie: AIOKafkaProducer, topic: str) -> None:
    await zombie.send(topic, b"zombie again", key=b"k", partition=0)
    await zombie.commit_transaction()


@pytest.mark.parametrize("act", [_sends_more, _commits, _sends_and_commits_without_looking])
def test_a_zombie_inside_a_transaction_is_fenced_and_leaves_nothing(broker: Any, make_topic: Any, act: Any) -> None:
    topic = make_topic(**COMPACTED)

    async def scenario() -> None:
        zombie = await producer_of(broker, topic)
        await zombie.begin_transaction()
        await put(zombie, topic, b"zombie")
        owner = await producer_of(broker, topic)
        with pytest.raises(ProducerFenced):
            await act(zombie, topic)
        await zombie.stop()
        await commit(owner, topic, b"owner")
        await seen(broker, topic, b"owner")
        await owner.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("act", [_sends_more, _sends_and_commits_without_looking])
def test_a_zombie_between_transactions_cannot_begin_another(broker: Any, make_topic: Any, act: Any) -> None:
    topic = make_topic(**COMPACTED)

    async def scenario() -> None:
        zombie = await producer_of(broker, topic)
        await commit(zombie, topic, b"1", key=b"1")
        owner = await producer_of(broker, topic)
        await zombie.begin_transaction()
        with pytest.raises(ProducerFenced):
            await act(zombie, topic)
        await zombie.stop()
        await commit(owner, topic, b"2", key=b"2")
        await seen(broker, topic, b"1", b"2")
        await owner.stop()

    asyncio.run(scenario())


class Owner(NamedTuple):
    """A producer of a transactional id, on the wire."""

    id: str
    producer: int
    epoch: int


class RawTransactions:
    """Requests of a transactional producer, repeated while Apache Kafka is still busy with the last one (codes 14, 15,
    16, 51).
    """

    def __init__(self, raw: Raw, topic: str) -> None:
        self.raw = raw
        self.topic = topic

    def _patiently(self, call: Any) -> int:
        code = 0

        def answered() -> bool:
            nonlocal code
            code = call()
            return code not in (14, 15, 16, 51)

        assert eventually(answered)
        return code

    def init(self, id: str, version: int = 0, timeout_ms: int = 60_000, **fields: Any) -> tuple[int, Owner]:
        answers: list[Any] = []

        def call() -> int:
            answers.append(
                self.raw.call(
                    "InitProducerId", version, transactional_id=id, transaction_timeout_ms=timeout_ms, **fields
                )
            )
            return int(answers[-1].error_code)

        code = self._patiently(call)
        return code, Owner(id, answers[-1].producer_id, answers[-1].producer_epoch)

    def add(self, owner: Owner, version: int = 0, topic: str | None = None) -> int:
        wanted = message("AddPartitionsToTxnRequest.AddPartitionsToTxnTopic", name=topic or self.topic, partitions=[0])

        def call() -> int:
            answer = self.raw.call(
                "AddPartitionsToTxn",
                version,
                v3_and_below_transactional_id=owner.id,
                v3_and_below_producer_id=owner.producer,
                v3_and_below_producer_epoch=owner.epoch,
                v3_and_below_topics=[wanted],
            )
            return int(answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code)

        return self._patiently(call)

    def produce(self, owner: Owner, sequence: int) -> int:
        data = batch(b"v", key=b"k", producer=(owner.producer, owner.epoch), sequence=sequence, transactional=True)
        return self.raw.produce(self.topic, data, transactional_id=owner.id)[0]

    def end(self, owner: Owner, version: int = 0, *, committed: bool = True) -> int:
        fields = {
            "transactional_id": owner.id,
            "producer_id": owner.producer,
            "producer_epoch": owner.epoch,
            "committed": committed,
        }
        return self._patiently(lambda: self.raw.call("EndTxn", version, **fields).error_code)


@pytest.fixture
def wire(raw: Raw, make_topic: Any) -> RawTransactions:
    return RawTransactions(raw, make_topic(**COMPACTED))


def test_the_steps_of_a_transaction_are_answered_with_kafka_s_codes(wire: RawTransactions) -> None:
    code, owner = wire.init(wire.topic)
    assert (code, owner.epoch) == (0, 0)
    assert wire.produce(owner, 0) == 48
    assert wire.end(owner) == 48
    assert wire.add(owner) == 0
    assert wire.produce(owner, 0) == 0
    assert wire.produce(owner, 0) == 0  # the same again
    assert wire.produce(owner, 5) == 45
    assert wire.end(owner) == 0
    assert wire.end(owner) == 0  # the answer may have been lost
    assert wire.end(owner, committed=False) == 48
    assert wire.produce(owner, 1) == 48


def test_an_older_epoch_is_fenced_by_each_request_in_its_own_version(wire: RawTransactions) -> None:
    _, zombie = wire.init(wire.topic)
    wire.add(zombie)
    wire.produce(zombie, 0)
    _, owner = wire.init(wire.topic)
    assert owner.producer == zombie.producer
    assert owner.epoch > zombie.epoch
    assert wire.produce(zombie, 1) == 47
    assert [wire.add(zombie, version) for version in (0, 2)] == [47, 90]
    assert [wire.end(zombie, version) for version in (0, 2)] == [47, 90]
    assert wire.end(zombie, committed=False) == 47
    kept = {"producer_id": zombie.producer, "producer_epoch": zombie.epoch}
    assert [wire.init(wire.topic, version, **kept)[0] for version in (3, 4)] == [47, 90]


def test_what_nobody_knows_is_refused(wire: RawTransactions) -> None:
    _, owner = wire.init(wire.topic)
    stranger = Owner(wire.topic, 987_654_321, 0)
    assert wire.add(stranger) == 49
    assert wire.end(stranger) == 49
    assert wire.add(owner, topic=unique("none")) == 3
    assert wire.init(unique(), version=1, timeout_ms=10**7)[0] == 50
    assert wire.init("", version=1)[0] == 42


def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced(
    broker: Any, raw: Raw, make_topic: Any
) -> None:
    topic = make_topic(**COMPACTED)

    async def scenario() -> None:
        slow = await producer_of(broker, topic, transaction_timeout_ms=4000)
        await commit(slow, topic, b"1", key=b"1")
        await slow.begin_transaction()
        await put(slow, topic, b"late", key=b"late")
        stable = raw.offset(topic, -1, committed=True)[1]
        assert await asyncio.to_thread(lambda: eventually(lambda: raw.offset(topic, -1, committed=True)[1] > stable))
        with pytest.raises(ProducerFenced):
            await slow.commit_transaction()
        await slow.stop()
        await seen(broker, topic, b"1")
        owner = await producer_of(broker, topic)
        await commit(owner, topic, b"2", key=b"2")
        await seen(broker, topic, b"1", b"2")
        await owner.stop()

    asyncio.run(scenario())
