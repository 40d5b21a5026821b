"""Transactions: all or nothing for readers of committed records."""

import asyncio
import subprocess
import sys
from typing import Any

import confluent_kafka
import kafka
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from tests.broker.clients import eventually, read, read_values, soon, unique
from tests.broker.embedded import EmbeddedBroker
from tests.broker.transacting import COMPACTED, commit, producer_of, put, seen


@pytest.mark.parametrize("policy", ["compact", "delete"])
def test_committed_readers_see_a_transaction_after_its_commit_and_never_one_that_was_aborted(
    broker: Any, make_topic: Any, policy: str
) -> None:
    topic = make_topic(cleanup_policy=policy)

    async def scenario() -> None:
        producer = await producer_of(broker, topic)
        await commit(producer, topic, b"1", key=b"1")
        await producer.begin_transaction()
        await put(producer, topic, b"2", key=b"2")
        await seen(broker, topic, b"1")
        assert await read_values(broker.address, topic, committed=False) == [b"1", b"2"]
        await producer.commit_transaction()
        await seen(broker, topic, b"1", b"2")
        await producer.begin_transaction()
        await put(producer, topic, b"3", b"4", key=b"3")
        await producer.abort_transaction()
        await seen(broker, topic, b"1", b"2")
        await commit(producer, topic, b"5", key=b"5")
        await seen(broker, topic, b"1", b"2", b"5")
        await producer.stop()

    asyncio.run(scenario())


def test_a_waiting_reader_sees_a_record_only_after_its_commit(broker: Any, make_topic: Any) -> None:
    topic = make_topic(**COMPACTED)

    async def scenario() -> None:
        producer = await producer_of(broker, topic)
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=broker.address,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=10_000,
        )
        await consumer.start()
        found: list[bytes] = []

        async def follow() -> None:
            async for record in consumer:
                found.append(record.value)

        following = asyncio.create_task(follow())
        for number in range(10):
            await producer.begin_transaction()
            await put(producer, topic, b"%d" % number)
            assert len(found) == number
            await producer.commit_transaction()
            await soon(lambda number=number: len(found) == number + 1, 5)  # type: ignore[misc]
        following.cancel()
        await consumer.stop()
        await producer.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("isolation", ["read_committed", "read_uncommitted"])
def test_every_client_reaches_the_end_over_an_aborted_transaction(broker: Any, make_topic: Any, isolation: str) -> None:
    topic = make_topic(**COMPACTED)

    async def scenario() -> None:
        producer = await producer_of(broker, topic)
        await commit(producer, topic, b"1")
        await producer.begin_transaction()
        await put(producer, topic, b"2")
        await producer.abort_transaction()
        await producer.stop()
        await seen(broker, topic, b"1")

    asyncio.run(scenario())
    kept = [b"1"] if isolation == "read_committed" or isinstance(broker, EmbeddedBroker) else [b"1", b"2"]
    assert _kafka_python_reads(broker.address, topic, isolation) == kept
    assert _confluent_reads(broker.address, topic, isolation) == kept


def _kafka_python_reads(address: str, topic: str, isolation: str) -> list[bytes]:
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=address, auto_offset_reset="earliest", isolation_level=isolation, enable_auto_commit=False
    )
    place = kafka.TopicPartition(topic, 0)
    consumer.assign([place])
    end = consumer.end_offsets([place])[place]
    consumer.seek_to_beginning(place)
    found: list[bytes] = []

    def at_end() -> bool:
        found.extend(record.value for records in consumer.poll(timeout_ms=200).values() for record in records)
        return bool(consumer.position(place) >= end)

    assert eventually(at_end)
    consumer.close()
    return found


def _confluent_reads(address: str, topic: str, isolation: str) -> list[bytes]:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": address,
            "group.id": unique("g"),
            "isolation.level": isolation,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    found: list[bytes] = []

    def at_end() -> bool:
        record = consumer.poll(0.2)
        if record is None:
            return False
        if record.error():
            assert record.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
            return True
        found.append(record.value())
        return False

    assert eventually(at_end)
    consumer.close()
    return found


def test_the_end_offset_of_committed_readers_stops_at_the_open_transaction(
    broker: Any, raw: Any, make_topic: Any
) -> None:
    topic = make_topic(**COMPACTED)

    async def aiokafka_end(isolation: str) -> tuple[int, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.address, isolation_level=isolation)
        await consumer.start()
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        await consumer.seek_to_end(place)
        position = await consumer.position(place)
        await consumer.stop()
        return end, position

    def kafka_python_end(isolation: str) -> int:
        consumer = kafka.KafkaConsumer(bootstrap_servers=broker.address, isolation_level=isolation)
        (end,) = consumer.end_offsets([kafka.TopicPartition(topic, 0)]).values()
        consumer.close()
        return int(end)

    async def scenario() -> None:
        producer = await producer_of(broker, topic)
        await commit(producer, topic, b"1")
        await producer.begin_transaction()
        await put(producer, topic, b"2")
        end = raw.offset(topic, -1)[1]
        stable = raw.offset(topic, -1, committed=True)[1]
        assert stable < end
        for isolation, expected in (("read_committed", stable), ("read_uncommitted", end)):
            assert await aiokafka_end(isolation) == (expected, expected)
            assert await asyncio.to_thread(kafka_python_end, isolation) == expected
        await producer.abort_transaction()
        await producer.stop()

    asyncio.run(scenario())


_KILLED = """
import asyncio, os, sys
from aiokafka import AIOKafkaProducer

async def main():
    producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1], transactional_id=sys.argv[2])
    await producer.start()
    await producer.begin_transaction()
    for number in range(20):
        await producer.send_and_wait(sys.argv[2], b"dead", key=b"k", partition=0)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def test_a_new_owner_ends_what_a_killed_one_left_open(broker: Any, make_topic: Any) -> None:
    topic = make_topic(**COMPACTED)

    async def scenario() -> None:
        producer = await producer_of(broker, topic)
        await commit(producer, topic, b"1", key=b"1")
        await producer.stop()
        command = [sys.executable, "-W", "ignore", "-c", _KILLED, broker.address, topic]
        killed = await asyncio.to_thread(subprocess.run, command, check=False)
        assert killed.returncode == -9
        await seen(broker, topic, b"1")
        assert (await read_values(broker.address, topic, committed=False)).count(b"dead") == 20
        producer = await producer_of(broker, topic)
        # The answer to InitProducerId is the promise that the open transaction is over.
        await commit(producer, topic, b"2", key=b"2")
        await seen(broker, topic, b"1", b"2")
        await producer.stop()

    asyncio.run(scenario())


def test_a_producer_may_abort_and_go_on(broker: Any, make_topic: Any) -> None:
    topic = make_topic(**COMPACTED)

    async def scenario() -> None:
        producer = await producer_of(broker, topic)
        await producer.begin_transaction()
        await producer.abort_transaction()
        await producer.begin_transaction()
        with pytest.raises(MessageSizeTooLargeError):
            await put(producer, topic, b"x" * 2_000_000)
        await producer.abort_transaction()
        await commit(producer, topic, b"1")
        await seen(broker, topic, b"1")
        await producer.stop()

    asyncio.run(scenario())


def test_a_record_that_was_refused_is_known_only_to_who_awaits_it(broker: Any, make_topic: Any) -> None:
    """Therefore a checkpoint awaits each send: aiokafka's commit succeeds all the same."""
    topic = make_topic(**COMPACTED)

    async def scenario() -> None:
        producer = await producer_of(broker, topic)
        await producer.begin_transaction()
        await put(producer, topic, b"1")
        refused = await producer.send(topic, b"no key", partition=0)
        with pytest.raises(KafkaError):
            await refused
        await producer.commit_transaction()
        await seen(broker, topic, b"1")
        await producer.stop()

    asyncio.run(scenario())


def test_a_producer_that_stops_inside_leaves_nothing_for_its_successor(broker: Any, make_topic: Any) -> None:
    topic = make_topic(**COMPACTED)

    async def scenario() -> None:
        producer = await producer_of(broker, topic)
        await producer.begin_transaction()
        await put(producer, topic, b"left")
        await producer.stop()
        await seen(broker, topic)
        successor = await producer_of(broker, topic)
        await commit(successor, topic, b"1")
        await seen(broker, topic, b"1")
        await successor.stop()

    asyncio.run(scenario())


def test_compaction_stops_at_an_open_transaction(broker: Any, make_topic: Any) -> None:
    topic = make_topic(**COMPACTED, segment_ms=300, min_cleanable_dirty_ratio=0.0)

    async def scenario() -> None:
        other = await producer_of(broker, unique())
        producer = await producer_of(broker, topic)
        await commit(other, topic, b"kept", key=b"k")
        await producer.begin_transaction()
        await put(producer, topic, b"open", key=b"k")
        for number in range(4):  # rolls Apache Kafka's segments
            await commit(other, topic, b"%d" % number, key=b"other")
            await asyncio.sleep(0.4)
        assert [record.value for record in await read(broker.address, topic, committed=True) if record.key == b"k"] == [
            b"kept"
        ]
        uncommitted = await read_values(broker.address, topic, committed=False)
        assert uncommitted == [b"kept", b"open", b"0", b"1", b"2", b"3"]
        await producer.abort_transaction()

        async def others() -> list[bytes]:
            return [
                record.value for record in await read(broker.address, topic, committed=True) if record.key == b"other"
            ]

        async with asyncio.timeout(20):
            number = 4
            while b"0" in await others():
                await commit(other, topic, b"%d" % number, key=b"other")
                number += 1
                await asyncio.sleep(0.4)
        assert b"kept" in await read_values(broker.address, topic)
        await producer.stop()
        await other.stop()

    asyncio.run(scenario())
