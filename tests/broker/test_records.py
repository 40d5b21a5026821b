"""Records as they go in and come out, over every client."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import confluent_kafka
import kafka
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tests.broker.clients import eventually, read, send, unique
from tests.broker.raw import Raw, batch, message


def test_records_come_back_in_order_with_dense_offsets(broker: Any, make_topic: Any) -> None:
    topic = make_topic(2)
    asyncio.run(send(broker.address, topic, [{"value": b"%d" % i, "partition": i % 2} for i in range(500)]))
    found = asyncio.run(read(broker.address, topic, 2))
    for partition in (0, 1):
        records = [record for record in found if record.partition == partition]
        assert [record.offset for record in records] == list(range(250))
        assert [int(record.value) for record in records] == list(range(partition, 500, 2))


def test_headers_null_keys_null_values_and_stamps_survive(broker: Any, make_topic: Any) -> None:
    topic = make_topic()
    first = {"value": b"v", "key": None, "headers": [("h", b"1"), ("e", b"")], "timestamp_ms": 1_234_567_890_123}
    second = {"value": None, "key": b"k", "timestamp_ms": 1}
    asyncio.run(send(broker.address, topic, [first, second]))
    a, b = asyncio.run(read(broker.address, topic))
    assert (a.key, a.value, list(a.headers), a.timestamp) == (None, b"v", [("h", b"1"), ("e", b"")], 1_234_567_890_123)
    assert (b.key, b.value, b.timestamp) == (b"k", None, 1)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_pass_through_an_ordinary_topic(broker: Any, make_topic: Any, codec: str) -> None:
    """Over librdkafka, which brings its own codecs."""
    topic = make_topic()
    values = [bytes([i % 7]) * 3000 for i in range(50)]
    _confluent_send(broker.address, topic, codec, [(None, value) for value in values])
    assert [value for _, value in _confluent_read(broker.address, topic, 50)] == values


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_are_taken_by_a_compacted_topic(broker: Any, make_topic: Any, codec: str) -> None:
    topic = make_topic(cleanup_policy="compact")
    pairs = [(b"%d" % i, bytes([i % 7]) * 3000) for i in range(50)]
    _confluent_send(broker.address, topic, codec, pairs)
    found = asyncio.run(read(broker.address, topic))
    assert _confluent_read(broker.address, topic, 50) == pairs
    assert [(record.key, record.value, record.offset) for record in found] == [
        (*pair, i) for i, pair in enumerate(pairs)
    ]


def _confluent_send(address: str, topic: str, codec: str, pairs: Sequence[tuple[bytes | None, bytes]]) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": address, "compression.type": codec, "linger.ms": 50})
    failures: list[Any] = []
    for key, value in pairs:
        producer.produce(topic, value, key=key, on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(20) == 0
    assert failures == [None] * len(pairs)


def _confluent_read(address: str, topic: str, count: int) -> list[tuple[bytes | None, bytes | None]]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": address, "group.id": unique("g"), "enable.auto.commit": False}
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    found = consumer.consume(count, timeout=20)
    consumer.close()
    assert [message.error() for message in found] == [None] * count
    return [(message.key(), message.value()) for message in found]


def test_a_record_up_to_the_limit_is_taken_and_one_beyond_is_refused(broker: Any, make_topic: Any, raw: Any) -> None:
    topic = make_topic(max_message_bytes=5_000_000)
    large = os.urandom(4_999_000)
    assert raw.produce(topic, batch(large)) == (0, 0)
    assert raw.produce(topic, batch(os.urandom(5_000_001)))[0] == 10
    # Larger than what is asked for, and yet delivered: a reader must not be stuck.
    (found,) = asyncio.run(read(broker.address, topic, max_partition_fetch_bytes=1000))
    assert found.value == large
    with pytest.raises(KafkaError):
        asyncio.run(send(broker.address, topic, [{"value": os.urandom(6_000_000)}], max_request_size=8_000_000))


def test_many_large_records_come_through_whole(broker: Any, make_topic: Any) -> None:
    topic = make_topic(2)
    values = [os.urandom(150_000 + i) for i in range(40)]
    messages = [{"value": value, "partition": i % 2} for i, value in enumerate(values)]
    asyncio.run(send(broker.address, topic, messages, max_batch_size=1 << 20))
    found = asyncio.run(read(broker.address, topic, 2))
    assert {record.value for record in found} == set(values)


def test_a_damaged_batch_is_refused(raw: Any, make_topic: Any) -> None:
    topic = make_topic()
    damaged = bytearray(batch(b"abc"))
    damaged[-1] ^= 1
    assert raw.produce(topic, bytes(damaged))[0] == 2
    assert raw.produce(topic, batch(b"a") + batch(b"b"))[0] == 87
    assert raw.offset(topic, -1)[1] == 0


def test_a_compacted_topic_refuses_a_record_without_a_key(raw: Any, make_topic: Any) -> None:
    assert raw.produce(make_topic(cleanup_policy="compact"), batch(b"x"))[0] == 87


def test_kafka_python_writes_and_reads_with_a_group(broker: Any, make_topic: Any) -> None:
    topic = make_topic()
    producer = kafka.KafkaProducer(bootstrap_servers=broker.address)
    producer.send(topic, b"one").get(10)
    producer.close()
    consumer = kafka.KafkaConsumer(
        topic,
        bootstrap_servers=broker.address,
        auto_offset_reset="earliest",
        consumer_timeout_ms=10_000,
        group_id=unique("g"),
    )
    assert next(consumer).value == b"one"
    consumer.close()


def test_confluent_writes_idempotently_and_reads_with_a_group(broker: Any, make_topic: Any) -> None:
    topic = make_topic()
    failures: list[Any] = []
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.address, "enable.idempotence": True})
    producer.produce(topic, b"one", on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(10) == 0
    assert failures == [None]
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.address, "group.id": unique("g"), "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    found = consumer.poll(20)
    consumer.close()
    assert found is not None
    assert found.value() == b"one"


def test_offsets_are_found_by_time_inside_a_batch(raw: Any, make_topic: Any) -> None:
    topic = make_topic()
    raw.produce(topic, batch(b"a", b"b", b"c", stamp=1000))
    raw.produce(topic, batch(b"d", b"e", stamp=5000, codec="gzip"))
    assert [raw.offset(topic, stamp) for stamp in (-2, -1)] == [(0, 0, -1), (0, 5, -1)]
    found = [raw.offset(topic, stamp)[1:] for stamp in (0, 1001, 1003, 5001, 5002)]
    assert found == [(0, 1000), (1, 1001), (3, 5000), (4, 5001), (-1, -1)]


def test_a_fetch_out_of_range_says_so_and_the_client_starts_anew(broker: Any, make_topic: Any) -> None:
    topic = make_topic()
    asyncio.run(send(broker.address, topic, [{"value": b"x"}]))

    async def first_offset(reset: str) -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset=reset)
        await consumer.start()
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.seek(place, 999)
        try:
            return int((await asyncio.wait_for(consumer.getone(), 10)).offset)
        finally:
            await consumer.stop()

    assert asyncio.run(first_offset("earliest")) == 0
    with pytest.raises(KafkaError, match="OffsetOutOfRange"):
        asyncio.run(first_offset("none"))


def test_a_waiting_fetch_wakes_when_a_record_comes(broker: Any, raw: Any, make_topic: Any) -> None:
    topic = make_topic()
    with Raw(broker.address) as reader:
        reader.begin_fetch(topic, 0, wait_ms=60_000)
        assert raw.produce(topic, batch(b"x")) == (0, 0)
        # The connection gives up after half a minute, the fetch would wait for a whole one.
        code, found = reader.end_fetch()
    assert (code, len(found)) == (0, len(batch(b"x")))


def test_a_fetch_answers_with_nothing_when_its_time_is_over(raw: Any, make_topic: Any) -> None:
    topic = make_topic()
    raw.produce(topic, batch(b"x"))
    raw.begin_fetch(topic, 1, wait_ms=50)
    assert raw.end_fetch() == (0, b"")


def test_deleted_records_move_the_start_and_the_end_stays(broker: Any, raw: Any, make_topic: Any) -> None:
    topic = make_topic()
    raw.produce(topic, batch(b"a", b"b", b"c"))

    def delete(before: int) -> tuple[int, int]:
        piece = message(
            "DeleteRecordsRequest.DeleteRecordsTopic.DeleteRecordsPartition", partition_index=0, offset=before
        )
        wanted = [message("DeleteRecordsRequest.DeleteRecordsTopic", name=topic, partitions=[piece])]
        found = raw.call("DeleteRecords", 1, topics=wanted, timeout_ms=5000).topics[0].partitions[0]
        return found.error_code, found.low_watermark

    assert delete(2) == (0, 2)
    assert raw.offset(topic, -2)[1] == 2
    assert [record.value for record in asyncio.run(read(broker.address, topic))] == [b"c"]
    assert delete(9)[0] == 1
    assert delete(-1) == (0, 3)
    assert eventually(lambda: raw.offset(topic, -2)[1] == raw.offset(topic, -1)[1] == 3)
    assert raw.produce(topic, batch(b"d")) == (0, 3)


def test_a_repeated_sequence_gets_its_offset_again_and_a_gap_is_refused(raw: Any, make_topic: Any) -> None:
    topic = make_topic()
    first = raw.producer_id()

    def produce(sequence: int, *values: bytes, epoch: int = 0) -> tuple[int, int]:
        code, offset = raw.produce(topic, batch(*values, producer=(first, epoch), sequence=sequence))
        return code, offset

    assert [produce(sequence, b"a", b"b") for sequence in (0, 2, 4)] == [(0, 0), (0, 2), (0, 4)]
    assert produce(2, b"a", b"b") == (0, 2)
    assert raw.offset(topic, -1)[1] == 6
    assert produce(9, b"z")[0] == 45
    assert produce(5, b"z", epoch=1)[0] == 45
    assert produce(0, b"z", epoch=1) == (0, 6)
    assert produce(6, b"z")[0] == 47


def test_a_repeat_older_than_five_batches_is_refused_not_appended(raw: Any, make_topic: Any) -> None:
    topic = make_topic()
    producer = raw.producer_id()
    for sequence in range(8):
        assert raw.produce(topic, batch(b"a", producer=(producer, 0), sequence=sequence)) == (0, sequence)
    assert raw.produce(topic, batch(b"a", producer=(producer, 0), sequence=0))[0] in (45, 46)
    assert raw.offset(topic, -1)[1] == 8


def test_sequences_wrap_around_after_the_largest(raw: Any, make_topic: Any) -> None:
    topic = make_topic()
    producer = raw.producer_id()
    assert raw.produce(topic, batch(b"a", b"b", producer=(producer, 0), sequence=2**31 - 1)) == (0, 0)
    assert raw.produce(topic, batch(b"c", producer=(producer, 0), sequence=1)) == (0, 2)


@pytest.mark.parametrize("version", range(3, 9))
def test_each_version_of_the_answer_to_produce_says_the_same(raw: Any, make_topic: Any, version: int) -> None:
    topic = make_topic(2)
    pieces = [
        message("ProduceRequest.TopicProduceData.PartitionProduceData", index=number, records=records)
        for number, records in ((0, batch(b"a", b"b")), (1, batch(b"a", b"b")[:-1] + b"x"), (7, batch(b"c")))
    ]
    wanted = message("ProduceRequest.TopicProduceData", name=topic, partition_data=pieces)
    answer = raw.call("Produce", version, transactional_id=None, acks=-1, timeout_ms=10_000, topic_data=[wanted])
    (found,) = answer.responses
    assert found.name == topic
    by_partition = {
        each.index: (each.error_code, each.base_offset, each.log_append_time_ms) for each in found.partition_responses
    }
    assert by_partition == {0: (0, 0, -1), 1: (2, -1, -1), 7: (3, -1, -1)}
    if version >= 5:
        assert {each.index: each.log_start_offset for each in found.partition_responses}[0] == 0
