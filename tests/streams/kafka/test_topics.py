"""The topics are created and checked as `streams.kafka.topics` defines them."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaAdminClient

from streams.errors import BrokerAway
from streams.kafka.admin import check, create, delete, lag
from streams.kafka.topics import Topics
from tests.streams.brokers import TOPICS, broker


def test_topics_are_made_once_and_are_what_they_should_be(tmp_path: Path) -> None:
    with broker(tmp_path, topics=None) as process:
        assert check(process.bootstrap, TOPICS) == [
            f"topic {name} is missing: run `nomadwatch topics create`" for name in TOPICS.names
        ]
        assert create(process.bootstrap, TOPICS) == TOPICS.names
        assert create(process.bootstrap, TOPICS) == []
        assert check(process.bootstrap, TOPICS) == []


def test_another_number_of_partitions_and_another_retention_are_said(tmp_path: Path) -> None:
    with broker(tmp_path, topics=None) as process:
        admin = KafkaAdminClient(bootstrap_servers=process.bootstrap)
        admin.create_topics(
            {
                TOPICS.activity: {
                    "num_partitions": 3,
                    "replication_factor": 1,
                    "configs": TOPICS.settings_of(TOPICS.activity),
                },
                TOPICS.cursors: {"num_partitions": 1, "replication_factor": 1, "configs": {"cleanup.policy": "delete"}},
            }
        )
        admin.close()
        create(process.bootstrap, TOPICS)
        problems = check(process.bootstrap, TOPICS)
    assert problems[0].startswith("topic test-activity has 3 partitions, not 4: ")
    assert any(
        problem.startswith("topic test-cursors has cleanup.policy = delete, not compact: ") for problem in problems
    )
    assert all(problem.startswith(("topic test-activity has 3", "topic test-cursors")) for problem in problems)


def test_two_prefixes_live_beside_each_other_and_are_deleted_apart(tmp_path: Path) -> None:
    other = replace(TOPICS, prefix="other-")
    with broker(tmp_path) as process:
        create(process.bootstrap, other)
        assert delete(process.bootstrap, TOPICS) == TOPICS.names
        assert delete(process.bootstrap, TOPICS) == []
        assert check(process.bootstrap, other) == []


def test_lag_is_what_a_group_has_not_committed(tmp_path: Path) -> None:
    async def produce_and_commit(bootstrap: str) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
        await producer.start()
        for _ in range(5):
            await producer.send_and_wait(TOPICS.activity, b"x", partition=1)
        await producer.stop()
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id="count", enable_auto_commit=False)
        await consumer.start()
        consumer.assign([TopicPartition(TOPICS.activity, 1)])
        await consumer.commit({TopicPartition(TOPICS.activity, 1): 2})
        await consumer.stop()

    with broker(tmp_path) as process:
        asyncio.run(produce_and_commit(process.bootstrap))
        assert lag(process.bootstrap, TOPICS, "count") == {0: 0, 1: 3, 2: 0, 3: 0}
        assert lag(process.bootstrap, TOPICS, "nobody") == {0: 0, 1: 5, 2: 0, 3: 0}


@pytest.mark.parametrize("bootstrap", ["127.0.0.1:{free}", "no-port", "127.0.0.1:x"])
def test_a_broker_that_is_down_is_said_at_once(bootstrap: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = bootstrap.format(free=probe.getsockname()[1])
        for call in (create, check, delete):
            with pytest.raises(BrokerAway, match="no broker listens at"):
                call(address, TOPICS)


def test_names_carry_the_prefix() -> None:
    assert Topics("a.").names == [
        "a.activity",
        "a.facts",
        "a.facts-watched",
        "a.measurements",
        "a.shifts",
        "a.gaps",
        "a.cursors",
        "a.dead-letters",
    ]
