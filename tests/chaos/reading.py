"""What stands in topics, for tests."""

from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition

from streams.kafka.topics import Topics


def read_topic(bootstrap: str, topic: str, partitions: int) -> Iterator[tuple[int, bytes, bytes | None]]:
    """(partition, key, value) of all committed records."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=16 << 20,
    )
    places = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(places)
    ends = consumer.end_offsets(places)
    consumer.seek_to_beginning(*places)
    while any(consumer.position(place) < ends[place] for place in places):
        for place, records in consumer.poll(timeout_ms=500).items():
            for record in records:
                yield place.partition, record.key, record.value
    consumer.close()


def end_offsets(bootstrap: str, topics: Topics) -> dict[int, int]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    ends = consumer.end_offsets([TopicPartition(topics.activity, number) for number in range(topics.partitions)])
    consumer.close()
    return {place.partition: end for place, end in ends.items()}
