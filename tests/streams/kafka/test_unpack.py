"""A batch with a valid checksum and unreadable records stops no reader: the records before and after it are read."""

import asyncio
import gzip
import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException

from broker.varint import varint
from streams.kafka import unpack
from streams.kafka.consume import read_to_end, stop
from tests.broker.raw import CODECS, HEAD_BYTES, Raw, altered, batch
from tests.streams.brokers import ROOT, TOPICS, broker

_TWO = batch(b"a", b"b")
_RECORDS = _TWO[HEAD_BYTES:]


def _record(offset: int, headers: bytes = b"\0") -> bytes:
    body = b"\0\0" + varint(offset) + varint(-1) + varint(1) + b"x" + headers
    return varint(len(body)) + body


# Each with the values of its records; None stands for a foreign one.
LIES: dict[str, tuple[bytes, list[bytes | None]]] = {
    "more records than it holds": (altered(_TWO, count=5), [b"a", b"b"]),
    "fewer records than it holds": (altered(_TWO, count=1), [b"a", None]),
    "no gzip": (altered(_TWO, attributes=CODECS["gzip"]), [None, None]),
    "bytes after gzip": (altered(_TWO, gzip.compress(_RECORDS) + b"more", attributes=CODECS["gzip"]), [None, None]),
    "nothing but ones": (altered(_TWO, b"\xff" * 40), [None, None]),
    "a header's name that is no UTF-8": (
        altered(_TWO, _record(0) + _record(1, varint(1) + varint(1) + b"\xff" + varint(-1))),
        [b"x", None],
    ),
    "an offset far beyond": (altered(_TWO, _record(0) + _record(10**9)), [b"x", None]),
    "an offset twice": (altered(_TWO, _record(0) + _record(0)), [b"x", None]),
    "an offset before the batch": (altered(_TWO, _record(0) + _record(-5)), [b"x", None]),
}


async def read(bootstrap: str) -> list[tuple[int, bytes | None, bytes | None]]:
    """(offset, key, value) of partition 0 of `activity`."""
    place = TopicPartition(TOPICS.activity, 0)
    consumer = unpack.consumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    try:
        await consumer.start()
        consumer.assign([place])
        async with asyncio.timeout(20):
            return [
                (each.offset, each.key, each.value)
                async for _, records in read_to_end(consumer, [place])
                for each in records
            ]
    finally:
        await stop(consumer)


def store(folder: Path, process: Any, middle: bytes) -> None:
    """Three batches of two records; the broker's file has another one in place of the middle one."""
    with Raw(process.bootstrap) as raw:
        for values in ((b"0", b"1"), (b"2", b"3"), (b"4", b"5")):
            assert raw.produce(TOPICS.activity, batch(*values, key=b"k"))[0] == 0
    process.kill()
    with closing(sqlite3.connect(folder / "broker.log")) as file, file:
        (row,) = file.execute("SELECT id FROM batches ORDER BY id LIMIT 1 OFFSET 1").fetchone()
        file.execute("UPDATE batches SET data = ? WHERE id = ?", ((2).to_bytes(8, "big") + middle[8:], row))
    process.start()


@pytest.mark.parametrize("lie", LIES)
def test_each_record_of_a_stored_batch_that_cannot_be_read_is_a_foreign_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lie: str
) -> None:
    data, readable = LIES[lie]
    unpack.forget()
    with broker(tmp_path) as process:
        store(tmp_path, process, data)
        with caplog.at_level(logging.WARNING, "streams.kafka.consume"):
            records = asyncio.run(read(process.bootstrap))
    sound = [(0, b"k", b"0"), (1, b"k", b"1"), (4, b"k", b"4"), (5, b"k", b"5")]
    assert [record for record in records if record[1] == b"k"] == sound
    middle = [record for record in records if record[1] is None]
    assert middle == [(offset, None, value or b"") for offset, value in enumerate(readable, 2)]
    told = [record.getMessage() for record in caplog.records if "unreadable" in record.getMessage()]
    assert len(told) == 1
    assert "unreadable records of the topic test-activity, partition 0, from offset 2 on are skipped" in told[0]


def test_a_wrong_checksum_is_damage_and_is_not_passed_over(tmp_path: Path) -> None:
    with broker(tmp_path) as process:
        store(tmp_path, process, _TWO[:-3] + b"z" + _TWO[-2:])
        with pytest.raises(CorruptRecordException):
            asyncio.run(read(process.bootstrap))


def test_all_consumers_of_ours_are_made_in_one_place() -> None:
    found = subprocess.run(
        ["git", "grep", "--untracked", "-lE", r"AIOKafkaConsumer\(", "--", "agents", "streams", "sinks", "nomadwatch"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.stdout.split() == ["streams/kafka/unpack.py"]


def test_faust_s_consumers_pass_over_them_too() -> None:
    code = """
from agents.count.worker import Worker
from agents.config import Config
from aiokafka.consumer import fetcher
Worker(Config(bootstrap="127.0.0.1:1", data_dir="."))
print(fetcher.PartitionRecords.__module__)
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["streams.kafka.unpack"]
