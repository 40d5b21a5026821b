"""Topics and their settings, raw and through kafka-python's admin client."""

from typing import Any

import kafka
import pytest
from kafka.admin import ConfigResource, NewTopic

from tests.broker.clients import eventually, unique
from tests.broker.embedded import EmbeddedBroker
from tests.broker.raw import Raw, batch, message


def test_creating_a_topic_wrongly_says_what_is_wrong(raw: Any, make_topic: Any) -> None:
    assert raw.create(make_topic()) == 36
    assert raw.create(unique(), 0) == 37
    assert raw.create(unique(), 1, 3) == 38
    assert raw.create("bad name!") == 17
    assert raw.create("") == 17
    assert raw.create(unique(), no_such_setting=1) == 40
    assert raw.create(unique(), cleanup_policy="burn") == 40
    assert raw.create(unique(), retention_ms="soon") == 40


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("retention_ms", "-2"),
        ("retention_ms", "1" + "0" * 30),
        ("retention_ms", "1_000"),
        ("retention_ms", "1e3"),
        ("retention_ms", ""),
        ("delete_retention_ms", "9223372036854775808"),
        ("min_compaction_lag_ms", "-1"),
        ("max_compaction_lag_ms", "0"),
        ("max_message_bytes", "2147483648"),
        ("segment_bytes", "0"),
        ("segment_ms", "0"),
        ("min_cleanable_dirty_ratio", "2"),
        ("min_cleanable_dirty_ratio", "nan"),
        ("cleanup_policy", "shred"),
    ],
)
def test_a_setting_out_of_range_is_refused_where_it_is_set(raw: Any, make_topic: Any, setting: str, value: str) -> None:
    name = unique()
    assert raw.create(name, **{setting: value}) == 40
    assert raw.metadata(name).error_code == 3
    config = message(
        "IncrementalAlterConfigsRequest.AlterConfigsResource.AlterableConfig",
        name=setting.replace("_", "."),
        config_operation=0,
        value=value,
    )
    wanted = message(
        "IncrementalAlterConfigsRequest.AlterConfigsResource",
        resource_type=2,
        resource_name=make_topic(),
        configs=[config],
    )
    assert raw.call("IncrementalAlterConfigs", 0, resources=[wanted], validate_only=False).responses[0].error_code == 40


@pytest.mark.parametrize("value", ["-1", "9223372036854775807"])
def test_the_longest_retention_and_none_are_taken(raw: Any, value: str) -> None:
    assert raw.create(unique(), retention_ms=value) == 0


@pytest.mark.parametrize(("count", "code"), [(10**9, 37), (-5, 37), (1001, 37)])
def test_a_number_of_partitions_out_of_range_is_refused(embedded: EmbeddedBroker, count: int, code: int) -> None:
    with Raw(embedded.address) as raw:
        assert raw.create(unique(), count) == code


def test_a_topic_that_is_only_validated_is_not_made(raw: Any) -> None:
    name = unique()
    assert raw.create(name, validate_only=True) == 0
    assert raw.metadata(name).error_code == 3


def test_topic_settings_are_described_and_altered(broker: Any, raw: Any, make_topic: Any) -> None:
    topic = make_topic(retention_ms=5000)

    def settings() -> dict[str, tuple[str, int]]:
        wanted = message(
            "DescribeConfigsRequest.DescribeConfigsResource",
            resource_type=2,
            resource_name=topic,
            configuration_keys=None,
        )
        found = raw.call("DescribeConfigs", 2, resources=[wanted], include_synonyms=False).results[0].configs
        return {each.name: (each.value, each.config_source) for each in found}

    assert settings()["retention.ms"] == ("5000", 1)
    assert settings()["cleanup.policy"][0] == "delete"
    admin = kafka.KafkaAdminClient(bootstrap_servers=broker.address)
    try:
        admin.alter_configs([ConfigResource("topic", topic, {"retention.ms": "7000", "max.message.bytes": "2000000"})])
        assert eventually(lambda: settings()["retention.ms"] == ("7000", 1))
        assert settings()["max.message.bytes"] == ("2000000", 1)
        # kafka-python answers with the error instead of raising it.
        assert "InvalidConfiguration" in str(
            admin.alter_configs([ConfigResource("topic", topic, {"retention.ms": "soon"})])
        )
    finally:
        admin.close()


def test_a_deleted_topic_is_gone_and_may_come_back_empty(raw: Any, make_topic: Any) -> None:
    topic, group = make_topic(), unique("g")
    raw.produce(topic, batch(b"x"))
    assert eventually(lambda: raw.commit(group, topic, 1) == 0)

    def delete(name: str) -> int:
        return int(raw.call("DeleteTopics", 3, topic_names=[name], timeout_ms=5000).responses[0].error_code)

    assert delete(topic) == 0
    assert delete(unique("no")) == 3
    assert eventually(lambda: raw.metadata(topic).error_code == 3)
    assert eventually(lambda: raw.create(topic) == 0)
    assert eventually(lambda: raw.offset(topic, -1) == (0, 0, -1))
    assert raw.committed(group, topic) == -1


def test_an_unknown_topic_is_an_error_and_is_created_only_when_asked(raw: Any) -> None:
    name = unique()
    assert raw.metadata(name).error_code == 3
    assert raw.metadata(name).error_code == 3
    assert raw.produce(name, batch(b"x"))[0] == 3
    assert raw.offset(name, -1)[0] == 3
    assert raw.metadata(name, create=True).error_code in (0, 3, 5)
    assert eventually(lambda: raw.metadata(name).error_code == 0)
    assert raw.produce(name, batch(b"x"), partition=77)[0] == 3


def test_partitions_are_never_added_by_the_embedded_broker(broker: Any, raw: Any, make_topic: Any) -> None:
    embedded = isinstance(broker, EmbeddedBroker)
    wanted = [message("CreatePartitionsRequest.CreatePartitionsTopic", name=make_topic(), count=3, assignments=None)]
    found = raw.call("CreatePartitions", 1, topics=wanted, timeout_ms=5000, validate_only=not embedded).results[0]
    assert found.error_code == (44 if embedded else 0)


def test_kafka_python_s_admin_client_works_as_it_is(broker: Any) -> None:
    admin = kafka.KafkaAdminClient(bootstrap_servers=broker.address)
    name = unique()
    new = NewTopic(name, num_partitions=3, replication_factor=1, topic_configs={"cleanup.policy": "compact"})
    try:
        admin.create_topics([new])
        assert eventually(lambda: name in admin.list_topics())
        assert len(admin.describe_topics([name])[0]["partitions"]) == 3
        assert admin.describe_cluster()
        admin.list_groups()
        with pytest.raises(kafka.errors.TopicAlreadyExistsError):
            admin.create_topics([new])
        admin.delete_topics([name])
        assert eventually(lambda: name not in admin.list_topics())
    finally:
        admin.close()
