"""What a station's topics hold, and when it was counted; read by librdkafka, which reads a hundred megabytes a
second.
"""

import json
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import Consumer, Message, TopicPartition

from agents.measurements import EVALUATION, Evaluation, decode_evaluation
from streams.kafka.topics import Topics

TOPICS = Topics()
_SETTINGS: dict[str, Any] = {
    "group.id": "day",
    "enable.auto.commit": False,
    "log_level": 0,
    "auto.offset.reset": "earliest",
}


def bootstrap_of(folder: Path) -> str:
    """The address of the broker of a station with this data folder."""
    return f"127.0.0.1:{json.loads((folder / 'state.json').read_text())['port']}"


def records(folder: Path, topic: str, patience: float = 30.0) -> Iterator[Message]:
    """All committed records that a topic holds now. Raises KafkaException if no broker answers."""
    consumer = Consumer({**_SETTINGS, "bootstrap.servers": bootstrap_of(folder)})
    places = [TopicPartition(topic, number, 0) for number in range(TOPICS.partitions_of(topic))]
    ends = {place.partition: consumer.get_watermark_offsets(place, timeout=patience)[1] for place in places}
    consumer.assign([place for place in places if ends[place.partition]])
    try:
        while any(place.offset < ends[place.partition] for place in consumer.position(places) if ends[place.partition]):
            for message in consumer.consume(10_000, timeout=0.5):
                if message.error() is None:
                    yield message
    finally:
        consumer.close()


class Counted:
    """Follows the evaluations of a station, which later ones replace in their topic: when what was counted.

    The broker may die and come back meanwhile, also on another port.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._consumer: Consumer | None = None
        self._bootstrap = ""
        self._next = confluent_kafka.OFFSET_BEGINNING
        self.latest: Evaluation | None = None
        self._times: dict[int, list[int]] = {}
        self._ends: dict[int, list[int]] = {}

    def follow(self, seconds: float) -> None:
        """Take what arrives in so many seconds of real time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for message in self._connected().consume(1_000, timeout=min(left, 0.5)):
                if message.error() is None:
                    self._take(message)

    def at(self, partition: int, offset: int) -> int | None:
        """When (µs of real time) the first evaluation was made that counts a record of `activity`; None while there is
        none.
        """
        ends = self._ends.get(partition, [])
        place = bisect_right(ends, offset)
        return self._times[partition][place] if place < len(ends) else None

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()

    def _connected(self) -> Consumer:
        bootstrap = bootstrap_of(self._folder)
        if self._consumer is None or bootstrap != self._bootstrap:
            self.close()
            self._bootstrap, self._consumer = bootstrap, Consumer({**_SETTINGS, "bootstrap.servers": bootstrap})
            self._consumer.assign([TopicPartition(TOPICS.measurements, 0, self._next)])
        return self._consumer

    def _take(self, message: Message) -> None:
        self._next = (message.offset() or 0) + 1
        if message.key() != EVALUATION or not (value := message.value()):
            return
        self.latest = decode_evaluation(value)
        for partition, end in self.latest.offsets.items():
            ends = self._ends.setdefault(partition, [])
            if not ends or end > ends[-1]:
                ends.append(end)
                self._times.setdefault(partition, []).append(self.latest.evaluated_at)
