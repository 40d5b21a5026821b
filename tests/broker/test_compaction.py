"""What compaction and retention take away, and what never."""

import asyncio
import time
from typing import Any

from tests.broker.clients import eventually, now_ms, read
from tests.broker.embedded import EmbeddedBroker
from tests.broker.raw import batch

_BRISK = {"cleanup_policy": "compact", "segment_ms": 300, "min_cleanable_dirty_ratio": 0.0}


class Writer:
    """Writes single records. Apache Kafka rolls a segment only when a record comes that is younger than segment.ms by
    its stamp.
    """

    def __init__(self, broker: Any, raw: Any, topic: str) -> None:
        self.broker = broker
        self.raw = raw
        self.topic = topic

    def put(self, key: bytes, value: bytes | None) -> None:
        assert self.raw.produce(self.topic, batch(value, key=key, stamp=now_ms()))[0] == 0

    def roll(self) -> None:
        """Let what was written leave the newest segment."""
        time.sleep(0.4)
        self.put(b"roll", b"")

    def found(self) -> list[tuple[bytes, bytes | None, int]]:
        records = asyncio.run(read(self.broker.address, self.topic))
        return [(record.key, record.value, record.offset) for record in records if record.key != b"roll"]

    def values(self, key: bytes) -> list[bytes | None]:
        return [value for found, value, _ in self.found() if found == key]


def test_compaction_keeps_the_highest_offset_of_each_key(broker: Any, raw: Any, make_topic: Any) -> None:
    writer = Writer(broker, raw, make_topic(**_BRISK))
    for number in range(20):
        writer.put(b"a", b"%d" % number)
        writer.put(b"k%d" % (number % 5), b"%d" % number)
    writer.roll()
    expected = [
        (b"k0", b"15", 31),
        (b"k1", b"16", 33),
        (b"k2", b"17", 35),
        (b"k3", b"18", 37),
        (b"a", b"19", 38),
        (b"k4", b"19", 39),
    ]
    assert eventually(lambda: writer.found() == expected), writer.found()


def test_nothing_younger_than_the_lag_is_removed_nor_removes(broker: Any, raw: Any, make_topic: Any) -> None:
    """A record that was just written, such as a fenced worker's last words, does not win at once."""
    lag = 8.0
    writer = Writer(broker, raw, make_topic(**_BRISK, min_compaction_lag_ms=int(lag * 1000)))
    writer.put(b"a", b"old")
    writer.roll()
    time.sleep(lag)
    writer.put(b"a", b"new")
    replaced = time.monotonic()
    writer.roll()
    time.sleep(1.5)  # several rounds of compaction
    assert writer.values(b"a") == [b"old", b"new"]
    assert eventually(lambda: writer.values(b"a") == [b"new"])
    assert time.monotonic() - replaced > lag - 1


def test_a_tombstone_stays_for_its_retention_and_then_goes(broker: Any, raw: Any, make_topic: Any) -> None:
    writer = Writer(broker, raw, make_topic(**_BRISK, delete_retention_ms=1500))
    writer.put(b"a", b"1")
    writer.put(b"b", b"2")
    writer.roll()
    writer.put(b"a", None)
    writer.roll()
    assert eventually(lambda: [(key, value) for key, value, _ in writer.found()] == [(b"b", b"2"), (b"a", None)]), (
        writer.found()
    )

    def gone() -> bool:
        writer.roll()
        return writer.values(b"a") == []

    assert eventually(gone)
    assert writer.values(b"b") == [b"2"]


def test_a_tombstone_at_the_very_end_is_kept_so_that_readers_reach_the_end(
    broker: Any, raw: Any, make_topic: Any
) -> None:
    writer = Writer(broker, raw, make_topic(**_BRISK, delete_retention_ms=0))
    writer.put(b"a", b"1")
    writer.roll()
    writer.put(b"a", None)
    if isinstance(broker, EmbeddedBroker):
        assert eventually(lambda: [value for _, value, _ in writer.found()] == [None])
        time.sleep(0.6)  # several rounds of housekeeping
    found = writer.found()
    assert found[-1] == (b"a", None, raw.offset(writer.topic, -1)[1] - 1)


def test_old_records_go_by_time(raw: Any, make_topic: Any) -> None:
    topic = make_topic(retention_ms=1500, segment_ms=300)
    for _ in range(3):
        raw.produce(topic, batch(b"x", stamp=now_ms()))
    assert raw.offset(topic, -2)[1] == 0
    assert eventually(lambda: raw.offset(topic, -2)[1] == 3)
    assert raw.offset(topic, -1)[1] == 3


def test_old_records_go_by_size(raw: Any, make_topic: Any) -> None:
    """Apache Kafka removes whole segments, the embedded broker single batches."""
    topic = make_topic(retention_bytes=400_000, segment_bytes=1_048_576)
    for _ in range(250):
        raw.produce(topic, batch(b"x" * 10_000, stamp=now_ms()))
    assert eventually(lambda: raw.offset(topic, -2)[1] > 0)
    assert raw.offset(topic, -1)[1] == 250
    assert raw.offset(topic, -2)[1] < 250
