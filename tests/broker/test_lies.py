"""Batches that are not what their header says: refused, and the log is as it was. The same on both brokers unless a
test says so.
"""

import asyncio
import gzip
import random
import sqlite3
import struct
from pathlib import Path
from typing import Any

import cramjam
import pytest
import zstandard
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch

from broker.appending import append
from broker.compression import decompress
from broker.errors import Code, Refused
from broker.log import Log
from broker.reading import read
from broker.records import RecordBatch
from broker.topic import OFFSETS
from tests.broker.clients import unique
from tests.broker.embedded import EmbeddedBroker
from tests.broker.raw import CODECS, HEAD_BYTES, Raw, altered, batch

UNKNOWN_SERVER_ERROR, CORRUPT_MESSAGE, MESSAGE_TOO_LARGE, INVALID_TIMESTAMP, INVALID_RECORD = -1, 2, 10, 32, 87
_TWO = batch(b"a", b"b")
_RECORDS = _TWO[HEAD_BYTES:]
_SNAPPY = bytes(cramjam.snappy.compress_raw(_RECORDS))
_FIRST = _RECORDS[: 1 + (_RECORDS[0] >> 1)]


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(altered(batch(b"x"), count=2**31 - 1, delta=2**31 - 2), id="more records than it holds"),
        pytest.param(altered(_TWO, count=1, delta=0), id="fewer records than it holds"),
        pytest.param(altered(_TWO, count=0, delta=-1), id="no records"),
        pytest.param(altered(_TWO, count=-1, delta=-2), id="a negative count"),
        pytest.param(altered(_TWO, delta=5), id="a last offset beyond the count"),
        pytest.param(altered(_TWO, delta=-1), id="a negative last offset"),
        pytest.param(altered(_TWO, _FIRST + b"\x80" * 11), id="a length that never ends"),
        pytest.param(
            altered(_TWO, _FIRST + bytes([0xFE, 0xFF, 0xFF, 0xFF, 0x0F]) + b"x"), id="a length beyond the batch"
        ),
        pytest.param(altered(_TWO, attributes=0x20), id="a control batch"),
    ],
)
@pytest.mark.parametrize("policy", ["delete", "compact"])
def test_a_batch_that_lies_about_its_records_is_refused(raw: Raw, make_topic: Any, lie: bytes, policy: str) -> None:
    topic = make_topic(cleanup_policy=policy)
    code, _ = raw.produce(topic, lie)
    # Apache Kafka has no name for some of them; a compacted topic here has a bound below the largest count.
    assert code in (CORRUPT_MESSAGE, INVALID_RECORD, UNKNOWN_SERVER_ERROR, MESSAGE_TOO_LARGE)
    assert raw.offset(topic, -1)[1] == 0


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("count", [1, 3, 2**31 - 1])
def test_compressed_records_are_counted_too(raw: Raw, make_topic: Any, codec: str, count: int) -> None:
    topic = make_topic()
    honest = batch(b"a" * 500, b"b" * 500, codec=codec)
    code, _ = raw.produce(topic, altered(honest, count=count, delta=count - 1))
    assert code in (CORRUPT_MESSAGE, INVALID_RECORD)
    assert raw.produce(topic, honest) == (0, 0)
    assert raw.offset(topic, -1)[1] == 2


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_bytes_that_are_not_of_their_codec_are_refused(embedded: EmbeddedBroker, codec: str) -> None:
    """Apache Kafka answers some of these with an error of its own."""
    topic = unique()
    noise = altered(_TWO, random.Random(3).randbytes(300), attributes=CODECS[codec])
    with Raw(embedded.address) as raw:
        assert raw.create(topic) == 0
        assert raw.produce(topic, noise)[0] in (CORRUPT_MESSAGE, INVALID_RECORD)


@pytest.mark.parametrize(
    ("codec", "packed"),
    [
        pytest.param("zstd", zstandard.compress(_RECORDS) + b"more", id="bytes after zstd"),
        pytest.param("zstd", zstandard.compress(_RECORDS) + bytes(8), id="zeros after zstd"),
        pytest.param("zstd", zstandard.compress(_RECORDS) * 2, id="zstd twice"),
        pytest.param(
            "snappy", b"\x82SNAPPY\0" + struct.pack(">iii", 9, 9, len(_SNAPPY)) + _SNAPPY, id="an unknown xerial"
        ),
    ],
)
def test_what_clients_cannot_unpack_is_refused(embedded: EmbeddedBroker, codec: str, packed: bytes) -> None:
    """Every client decompresses batches in its own way; one that it cannot read would stop it for good."""
    topic = unique()
    data = altered(_TWO, packed, attributes=CODECS[codec])
    with pytest.raises((CorruptRecordException, cramjam.DecompressionError)):
        list(DefaultRecordBatch(data))
    with Raw(embedded.address) as raw:
        assert raw.create(topic) == 0
        assert raw.produce(topic, data)[0] in (CORRUPT_MESSAGE, INVALID_RECORD)
        assert raw.offset(topic, -1)[1] == 0


def test_a_compacted_topic_s_records_are_read_by_every_client_alike(embedded: EmbeddedBroker) -> None:
    """Attributes that one parser takes for a byte and another for a varint would be two different records."""
    topic = unique()
    shifted = altered(batch(b"v", key=b"k"), bytes.fromhex("10ff00000002610000"))
    with Raw(embedded.address) as raw:
        assert raw.create(topic, cleanup_policy="compact") == 0
        assert raw.produce(topic, shifted)[0] == INVALID_RECORD
        assert raw.offset(topic, -1)[1] == 0


def test_a_batch_that_is_not_at_offset_0_is_refused(raw: Raw, make_topic: Any) -> None:
    topic = make_topic()
    assert raw.produce(topic, altered(_TWO, base=7))[0] == INVALID_RECORD
    assert raw.offset(topic, -1)[1] == 0


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(batch(b"x", stamp=292_000_000 * 31_556_952_000), id="the year 292,000,000"),
        pytest.param(batch(b"x", stamp=-2), id="before 1970"),
        pytest.param(altered(_TWO, attributes=0x08), id="the broker's own time"),
    ],
)
def test_a_stamp_that_no_calendar_has_is_refused(embedded: EmbeddedBroker, data: bytes) -> None:
    """Apache Kafka takes some of them, for readers to fail on."""
    topic = unique()
    with Raw(embedded.address) as raw:
        assert raw.create(topic) == 0
        assert raw.produce(topic, data)[0] == INVALID_TIMESTAMP
        assert raw.offset(topic, -1)[1] == 0


def test_the_newest_stamp_is_looked_up_in_the_records_not_in_the_header(raw: Raw, make_topic: Any) -> None:
    topic = make_topic()
    assert raw.produce(topic, altered(batch(b"a", b"b", stamp=1000), newest_stamp=10**12)) == (0, 0)
    assert raw.produce(topic, batch(b"c", stamp=5000)) == (0, 2)
    assert raw.offset(topic, 2000)[1] == 2


@pytest.mark.parametrize("fields", [{"sequence": -5}, {"epoch": -1}])
def test_a_producer_s_id_needs_an_epoch_and_a_sequence(embedded: EmbeddedBroker, fields: dict[str, int]) -> None:
    topic = unique()
    with Raw(embedded.address) as raw:
        assert raw.create(topic) == 0
        known = batch(b"x", producer=(raw.producer_id(), 0), sequence=0)
        assert raw.produce(topic, altered(known, **fields))[0] == INVALID_RECORD


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_bomb_is_not_opened_beyond_the_limit(embedded: EmbeddedBroker, codec: str) -> None:
    """Sixty million bytes in at most three; the broker opens sixteen."""
    topic = unique()
    bomb = batch(bytes(60_000_000), codec=codec)
    with Raw(embedded.address) as raw:
        assert raw.create(topic, max_message_bytes=3_000_000) == 0
        assert raw.produce(topic, bomb)[0] == MESSAGE_TOO_LARGE
        assert raw.produce(topic, batch(b"x")) == (0, 0)


def test_what_is_decompressed_is_all_there_is() -> None:
    packed = gzip.compress(b"a" * 100)
    assert bytes(decompress(1, packed, 100)) == b"a" * 100
    for data, limit in ((packed, 99), (zstandard.compress(b"a" * 100), 99)):
        with pytest.raises(Refused) as refusal:
            decompress(1 if data is packed else 4, data, limit)
        assert refusal.value.code == Code.MESSAGE_TOO_LARGE
    for broken in (packed[:-1], packed + b"more"):
        with pytest.raises(Refused):
            decompress(1, broken, 1000)


def test_a_compacted_topic_takes_twenty_thousand_records_in_a_batch_and_not_one_more(embedded: EmbeddedBroker) -> None:
    topic = unique()
    with Raw(embedded.address) as raw:
        assert raw.create(topic, cleanup_policy="compact") == 0
        assert raw.produce(topic, batch(*[b""] * 20_001, key=b"k"))[0] == MESSAGE_TOO_LARGE
        assert raw.produce(topic, batch(*[b""] * 20_000, key=b"k")) == (0, 0)
        assert raw.offset(topic, -1)[1] == 20_000


def test_the_last_offset_of_a_partition_is_not_the_first_of_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def fill() -> None:
        log = Log(path)
        for name in ("full", "next"):
            await log.create(name, 1, {})
        await append(log, "next", 0, batch(b"good"))
        log.close()
        with sqlite3.connect(path) as database:
            database.execute(
                "UPDATE partitions SET first = ?, end = ? WHERE topic = 'full'", (OFFSETS - 2, OFFSETS - 2)
            )
        database.close()
        log = Log(path)
        assert (await append(log, "full", 0, batch(b"a", b"b")))[0] == OFFSETS - 2
        with pytest.raises(Refused) as refusal:
            await append(log, "full", 0, batch(b"c"))
        assert refusal.value.code == Code.POLICY_VIOLATION
        topic, partition = log.find("next", 0)
        (found,) = read(log, topic, partition, 0, 1000, partition.end)
        assert (RecordBatch(found).count, partition.end) == (1, 1)
        log.close()

    asyncio.run(fill())


def test_a_partition_s_number_is_not_given_out_twice_and_has_a_last_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = Log(tmp_path / "log.db")
        await log.create("t", 1, {})
        log.store.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'partitions'", ((1 << 23) - 3,))
        await log.create("u", 1, {})
        await append(log, "u", 0, batch(b"x"))
        with pytest.raises(Refused) as refusal:
            await log.create("v", 2, {})
        assert refusal.value.code == Code.POLICY_VIOLATION
        log.close()

    asyncio.run(scenario())
