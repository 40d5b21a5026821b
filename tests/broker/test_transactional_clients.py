"""Transactions of the other clients, and the offsets that the embedded broker refuses inside them."""

import asyncio
from typing import Any

import confluent_kafka
import kafka
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError

from tests.broker.clients import unique
from tests.broker.embedded import EmbeddedBroker
from tests.broker.raw import Raw
from tests.broker.transacting import COMPACTED, commit, producer_of, put, seen


def test_confluent_s_producer_commits_aborts_and_is_fenced(broker: Any, make_topic: Any) -> None:
    topic = make_topic(**COMPACTED)

    def owner() -> confluent_kafka.Producer:
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": broker.address,
                "transactional.id": topic,
                "transaction.timeout.ms": 10_000,
                "log_level": 0,
            }
        )
        producer.init_transactions(20)
        return producer

    first = owner()
    for value, end in (
        (b"1", first.commit_transaction),
        (b"x", first.abort_transaction),
        (b"2", first.commit_transaction),
    ):
        first.begin_transaction()
        first.produce(topic, value, key=value, partition=0)
        end(10)
    first.begin_transaction()
    first.produce(topic, b"zombie", key=b"z", partition=0)
    first.flush(5)
    second = owner()
    with pytest.raises(confluent_kafka.KafkaException) as raised:
        first.commit_transaction(10)
    assert raised.value.args[0].name() == "_FENCED"
    second.begin_transaction()
    second.produce(topic, b"3", key=b"3", partition=0)
    second.commit_transaction(10)
    asyncio.run(seen(broker, topic, b"1", b"2", b"3"))


def test_kafka_python_s_producer_commits_aborts_and_is_fenced(broker: Any, make_topic: Any) -> None:
    topic = make_topic(**COMPACTED)

    def owner() -> kafka.KafkaProducer:
        producer = kafka.KafkaProducer(bootstrap_servers=broker.address, transactional_id=topic)
        producer.init_transactions()
        return producer

    first = owner()
    for value, end in (
        (b"1", first.commit_transaction),
        (b"x", first.abort_transaction),
        (b"2", first.commit_transaction),
    ):
        first.begin_transaction()
        first.send(topic, value, key=value, partition=0)
        first.flush()
        end()
    first.begin_transaction()
    first.send(topic, b"zombie", key=b"z", partition=0)
    first.flush()
    second = owner()
    with pytest.raises(kafka.errors.ProducerFencedError):
        first.commit_transaction()
    second.begin_transaction()
    second.send(topic, b"3", key=b"3", partition=0)
    second.commit_transaction()
    second.close()
    first.close(timeout=1)
    asyncio.run(seen(broker, topic, b"1", b"2", b"3"))


def test_the_embedded_broker_refuses_offsets_inside_a_transaction_and_the_producer_goes_on(
    embedded: EmbeddedBroker,
) -> None:
    with Raw(embedded.address) as raw:
        topic = unique()
        assert raw.create(topic) == 0

    async def scenario() -> None:
        producer = await producer_of(embedded, topic)
        await producer.begin_transaction()
        await put(producer, topic, b"1")
        with pytest.raises(GroupAuthorizationFailedError):
            await producer.send_offsets_to_transaction({TopicPartition(topic, 0): 1}, unique("g"))
        await producer.abort_transaction()
        await commit(producer, topic, b"2")
        await seen(embedded, topic, b"2")
        await producer.stop()

    asyncio.run(scenario())


def test_offsets_inside_a_transaction_are_an_abortable_error_to_confluent(embedded: EmbeddedBroker) -> None:
    topic = unique()
    with Raw(embedded.address) as raw:
        assert raw.create(topic, **COMPACTED) == 0
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": embedded.address, "transactional.id": topic, "log_level": 0}
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, b"1", key=b"k", partition=0)
    consumer = confluent_kafka.Consumer({"bootstrap.servers": embedded.address, "group.id": unique("g")})
    with pytest.raises(confluent_kafka.KafkaException) as raised:
        producer.send_offsets_to_transaction(
            [confluent_kafka.TopicPartition(topic, 0, 1)], consumer.consumer_group_metadata(), 10
        )
    assert raised.value.args[0].txn_requires_abort()
    producer.abort_transaction(10)
    consumer.close()
