"""Reading topics past what others have written into them."""

import asyncio
import logging
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from streams.activity import ARCHIVE, Foreign
from streams.consume import Guard, Table
from streams.cursors import begin, decoded, encode_cursor, sound_archive
from streams.errors import UnreadableCursor
from streams.publish import read_cursor
from tests.streams.brokers import TOPICS, broker

CURSOR = begin(ARCHIVE, "r", 1_700_000_000_000_000, 4)


def test_the_first_foreign_record_is_told_in_one_plain_line_and_all_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard("panes")
    with caplog.at_level(logging.WARNING):
        for why in ("no\npane\x1b[2J", "another"):
            guard.pass_over(why)
    assert guard.passed == 2
    assert [record.getMessage() for record in caplog.records] == [
        "a record of the topic panes is not ours and is passed over, as all such are (no pane\\x1b[2J)"
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
        Guard("panes", quiet=True).read(mistaken)
    assert Guard("panes", quiet=True).read(_foreign) is None


def _foreign() -> None:
    raise Foreign("theirs")
