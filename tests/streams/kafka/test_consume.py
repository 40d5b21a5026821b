"""Topics are read past what others have written into them."""

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.activity import ARCHIVE, Foreign
from streams.archive.publish import read_cursor
from streams.errors import BrokerAway, UnreadableCursor
from streams.kafka.consume import Guard, Table, read_to_end, stop
from streams.kafka.cursors import begin, decoded, encode_cursor, sound_archive
from tests.streams.brokers import TOPICS, broker

CURSOR = begin(ARCHIVE, "r", 1_700_000_000_000_000, 4)


def test_the_first_foreign_record_is_told_in_one_plain_line_and_all_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guard = Guard("facts")
    with caplog.at_level(logging.WARNING):
        for why in ("no\nfacts\x1b[2J", "another"):
            guard.pass_over(why)
    assert guard.passed == 2
    assert [record.getMessage() for record in caplog.records] == [
        "a foreign record of the topic facts is skipped, and so are further ones (no facts\\x1b[2J)"
    ]


def test_what_stood_under_a_key_before_a_foreign_record_is_believed_on() -> None:
    guard = Guard("cursors", quiet=True)
    table = Table(guard, sound_archive)
    sound = encode_cursor(CURSOR)
    later = msgspec.structs.replace(CURSOR, line=10**30)
    for key, value in (
        (b"other", b"1"),
        (ARCHIVE.encode(), sound),
        (ARCHIVE.encode(), b"hello world"),
        (ARCHIVE.encode(), None),
        (ARCHIVE.encode(), encode_cursor(later)),
        (None, b"x"),
        (b"other", None),
    ):
        table.put(key, value)
    assert table.values == {ARCHIVE.encode(): sound}
    assert guard.passed == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, {"a": [float("-inf")]}], "text"])
def test_a_cursor_with_numbers_that_are_none_is_unreadable(value: object) -> None:
    decode = msgspec.msgpack.Decoder().decode
    data = msgspec.msgpack.encode(value)
    if value == "text":
        assert decoded("f", decode, data) == value
        return
    with pytest.raises(UnreadableCursor) as raised:
        decoded("f", decode, data)
    assert raised.value.key == "f"


def test_where_only_a_foreign_record_says_how_far_the_reader_was_nothing_is_guessed(tmp_path: Path) -> None:
    async def produce(bootstrap: str, value: bytes) -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            await producer.send_and_wait(TOPICS.cursors, value, key=ARCHIVE.encode(), partition=0)

    with broker(tmp_path) as process:
        assert asyncio.run(read_cursor(process.bootstrap, TOPICS, ARCHIVE)) is None
        asyncio.run(produce(process.bootstrap, b"hello world"))
        with pytest.raises(UnreadableCursor, match="begin anew with another --data-dir"):
            asyncio.run(read_cursor(process.bootstrap, TOPICS, ARCHIVE))
        asyncio.run(produce(process.bootstrap, encode_cursor(CURSOR)))
        asyncio.run(produce(process.bootstrap, b"hello world"))
        assert asyncio.run(read_cursor(process.bootstrap, TOPICS, ARCHIVE)) == CURSOR


def test_a_guard_hides_no_other_mistake() -> None:
    def mistaken() -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        Guard("facts", quiet=True).read(mistaken)
    assert Guard("facts", quiet=True).read(_foreign) is None


def _foreign() -> None:
    raise Foreign("theirs")


def test_a_record_that_the_broker_does_not_give_is_told_instead_of_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a bit that has flipped on the disk: the broker stops there, and so would everybody who reads to the end."""
    monkeypatch.setattr("streams.kafka.consume.STUCK", 1.0)

    async def produce(bootstrap: str) -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for number in range(3):
                await producer.send_and_wait(TOPICS.cursors, b"value %d" % number, key=b"key %d" % number, partition=0)

    async def read(bootstrap: str) -> list[bytes]:
        place = TopicPartition(TOPICS.cursors, 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        try:
            await consumer.start()
            consumer.assign([place])
            return [record.value async for _, records in read_to_end(consumer, [place]) for record in records]
        finally:
            await stop(consumer)

    with broker(tmp_path) as process:
        asyncio.run(produce(process.bootstrap))
        assert asyncio.run(read(process.bootstrap)) == [b"value 0", b"value 1", b"value 2"]
        process.kill()
        with closing(sqlite3.connect(tmp_path / "broker.log")) as file, file:
            for number, tail in file.execute("SELECT id, tail FROM records").fetchall():
                file.execute("UPDATE records SET tail = ? WHERE id = ?", (tail.replace(b"value 1", b"velue 1"), number))
        process.start()
        with pytest.raises(
            BrokerAway,
            match=r"returns no records of test-cursors, partition 0, from offset 1 on: its log may be damaged",
        ):
            asyncio.run(read(process.bootstrap))
