"""A log that is not as the broker left it: found where it is read, and said in words that name what happened."""

import asyncio
import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.appending import append
from broker.errors import LogUnusable, Refused
from broker.housekeeping import keep_house
from broker.log import Log
from broker.reading import read
from tests.broker.clients import eventually, unique
from tests.broker.embedded import EmbeddedBroker
from tests.broker.raw import Raw, batch

_CORRUPT_MESSAGE = 2


def _change(path: Path, change: Callable[[sqlite3.Connection], None]) -> None:
    database = sqlite3.connect(path)
    with database:
        change(database)
    database.close()


def _flip(column: str, number: int, bit: int = 3) -> Callable[[sqlite3.Connection], None]:
    """One bit in the middle of a stored record's column."""

    def change(database: sqlite3.Connection) -> None:
        ids = [id for (id,) in database.execute("SELECT id FROM records ORDER BY id")]
        (value,) = database.execute(f"SELECT {column} FROM records WHERE id = ?", (ids[number],)).fetchone()
        flipped = bytearray(value)
        flipped[len(flipped) // 2] ^= 1 << bit
        database.execute(f"UPDATE records SET {column} = ? WHERE id = ?", (bytes(flipped), ids[number]))

    return change


def test_a_flipped_bit_in_a_compacted_record_is_found_and_those_before_it_are_read(log_file: Path) -> None:
    broker = EmbeddedBroker(log_file).start()
    topic = unique()
    with Raw(broker.address) as raw:
        assert raw.create(topic, cleanup_policy="compact") == 0
        for key in (b"a", b"b", b"c"):
            assert raw.produce(topic, batch(b"a long value", key=key))[0] == 0
    assert broker.stop() == 0
    _change(log_file, _flip("tail", 1))
    broker.start()
    with Raw(broker.address) as raw:
        raw.begin_fetch(topic, 0, 10)
        code, found = raw.end_fetch()
        assert (code, found.count(b"a long value")) == (0, 1)
        for _ in range(20):
            raw.begin_fetch(topic, 1, 10)
            assert raw.end_fetch()[0] == _CORRUPT_MESSAGE
        raw.begin_fetch(topic, 2, 10)
        assert raw.end_fetch()[0] == 0
    assert broker.stop() == 0
    (line,) = broker.complaints.splitlines()
    assert f"{log_file} is damaged: the record at offset 1 of {topic}-0 fails its checksum" in line


def test_a_batch_that_is_out_of_its_place_is_found(log_file: Path) -> None:
    async def scenario() -> None:
        log = Log(log_file)
        await log.create("t", 1, {})
        await append(log, "t", 0, batch(b"x"))
        (data,) = log.store.execute("SELECT data FROM batches").fetchone()
        log.store.execute("UPDATE batches SET data = ?", (b"\x01" + data[1:],))
        topic, partition = log.find("t", 0)
        with pytest.raises(Refused, match="damaged"):
            read(log, topic, partition, 0, 1000, partition.end)
        log.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("column", ["key", "tail"])
@pytest.mark.parametrize("number", [0, 1])
def test_compaction_removes_nothing_by_a_damaged_key(log_file: Path, column: str, number: int) -> None:
    """`a` and `b` differ in two bits: a record with the key of the other would replace it or be replaced."""

    def become_the_other(database: sqlite3.Connection) -> None:
        ids = [id for (id,) in database.execute("SELECT id FROM records ORDER BY id")]
        other = (b"b", b"a")[number]
        if column == "key":
            database.execute("UPDATE records SET key = ? WHERE id = ?", (other, ids[number]))
        else:
            database.execute("UPDATE records SET tail = ? WHERE id = ?", (b"\x02" + other + b"\x02v\x00", ids[number]))

    async def scenario() -> None:
        log = Log(log_file)
        await log.create("t", 1, {"cleanup.policy": "compact"})
        for key in (b"a", b"b"):
            await append(log, "t", 0, batch(b"v", key=key))
        log.close()
        _change(log_file, become_the_other)
        log = Log(log_file)
        while await keep_house(log):
            pass
        (rows,) = log.store.execute("SELECT count(*) FROM records").fetchone()
        log.close()
        assert rows == 2

    asyncio.run(scenario())


def test_the_checksum_of_a_record_is_the_one_that_was_made_when_it_came(log_file: Path) -> None:
    async def scenario() -> None:
        log = Log(log_file)
        await log.create("t", 1, {"cleanup.policy": "compact"})
        for key in (b"a", b"b", b"a"):
            await append(log, "t", 0, batch(b"v", key=key))
        kept = dict(log.store.execute("SELECT id, checksum FROM records").fetchall())
        while await keep_house(log):
            pass
        topic, partition = log.find("t", 0)
        read(log, topic, partition, 0, 1000, partition.end)
        after = dict(log.store.execute("SELECT id, checksum FROM records").fetchall())
        log.close()
        assert len(after) == 2
        assert after.items() <= kept.items()

    asyncio.run(scenario())


def _wal(log_file: Path) -> Path:
    return log_file.with_name(log_file.name + "-wal")


@pytest.mark.parametrize(("left", "lost"), [("nothing", 20), ("its first half", 10), ("zero bytes", 20)])
def test_a_write_ahead_log_that_was_removed_or_cut_is_told(log_file: Path, left: str, lost: int) -> None:
    broker = EmbeddedBroker(log_file).start()
    topic = unique()
    with Raw(broker.address) as raw:
        assert raw.create(topic) == 0
        for number in range(20):
            assert raw.produce(topic, batch(b"x" * 9000)) == (0, number)
    broker.kill()
    wal = _wal(log_file)
    if left == "nothing":
        wal.unlink()
    else:
        os.truncate(wal, wal.stat().st_size // 2 if left == "its first half" else 0)
    broker.start()
    assert broker.stop() == 0
    (line,) = broker.complaints.splitlines()
    found = re.search(r"has lost its newest (\d+) records, of 1 partitions \((.*?)\)", line)
    assert found is not None
    assert found[2] == (f"{topic}-0" if left == "its first half" else "a deleted topic")
    assert int(found[1]) == lost if lost == 20 else 5 < int(found[1]) < 15
    assert str(log_file) in line
    assert f"{wal.name} was removed or truncated" in line


def test_an_older_copy_of_the_file_is_told(log_file: Path) -> None:
    broker = EmbeddedBroker(log_file).start()
    topic = unique()
    with Raw(broker.address) as raw:
        assert raw.create(topic) == 0
    assert broker.stop() == 0
    copy = log_file.read_bytes()
    broker.start()
    with Raw(broker.address) as raw:
        assert raw.produce(topic, batch(b"x")) == (0, 0)
    assert broker.stop() == 0
    assert broker.complaints == ""
    log_file.write_bytes(copy)
    broker.start()
    assert broker.stop() == 0
    assert "an older copy was restored" in broker.complaints


@pytest.mark.parametrize("killed", [False, True])
def test_a_file_that_was_cut_short_is_told_and_left_as_it_is(log_file: Path, killed: bool) -> None:
    async def fill() -> None:
        log = Log(log_file)
        await log.create("t", 1, {})
        for _ in range(100):
            await append(log, "t", 0, batch(b"x" * 9000))
        log.close()

    asyncio.run(fill())
    if killed:  # with a write-ahead log that has nothing of what is missing
        broker = EmbeddedBroker(log_file).start()
        with Raw(broker.address) as raw:
            assert raw.create(unique()) == 0
        broker.kill()
    size = log_file.stat().st_size
    os.truncate(log_file, size // 3)
    with pytest.raises(
        LogUnusable, match=f"{log_file} is damaged \\(it is truncated: {size // 3} of {size} bytes are left\\)"
    ):
        Log(log_file)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE topics SET settings = '{'", "UPDATE producers SET recent = 'x'", "UPDATE partitions SET topic = 'u'"],
)
def test_a_row_that_cannot_be_read_is_told_at_the_start(log_file: Path, statement: str) -> None:
    async def fill() -> None:
        log = Log(log_file)
        await log.create("t", 1, {})
        await append(log, "t", 0, batch(b"x", producer=(7, 0), sequence=0))
        log.close()

    asyncio.run(fill())
    _change(log_file, lambda database: database.execute(statement) and None)
    with pytest.raises(LogUnusable, match="is damaged"):
        Log(log_file)


def test_a_log_of_an_earlier_version_is_read_and_goes_on(log_file: Path) -> None:
    async def scenario() -> None:
        log = Log(log_file)
        await log.create(
            "t", 1, {"cleanup.policy": "compact", "delete.retention.ms": "1" + "0" * 30, "retention.bytes": "-7"}
        )
        await append(log, "t", 0, batch(b"old", key=b"a"))
        log.close()
        _change(log_file, lambda database: database.execute("ALTER TABLE records DROP COLUMN checksum") and None)
        log_file.with_name(log_file.name + "-mark").unlink()
        log = Log(log_file)
        await append(log, "t", 0, batch(b"new", key=b"b"))
        while await keep_house(log):
            pass
        topic, partition = log.find("t", 0)
        (found,) = read(log, topic, partition, 0, 1000, partition.end)
        log.close()
        assert b"old" in found
        assert b"new" in found

    asyncio.run(scenario())


def test_damage_inside_the_file_is_told_once_and_other_partitions_are_served(log_file: Path) -> None:
    broker = EmbeddedBroker(log_file).start()
    good, bad = unique(), unique()
    with Raw(broker.address) as raw:
        for topic in (good, bad):
            assert raw.create(topic, max_message_bytes=1_000_000) == 0
            assert raw.produce(topic, batch((topic.encode() + b" ") * 8000))[0] == 0
    assert broker.stop() == 0
    data = log_file.read_bytes()
    at = data.index(bad.encode() * 1 + b" " + bad.encode() + b" ", data.index(good.encode() + b" ") + 1)
    page = at // 8192 + 1
    log_file.write_bytes(data[: page * 8192] + b"\xff" * 8192 + data[(page + 1) * 8192 :])
    broker.start()
    with Raw(broker.address) as raw:
        raw.begin_fetch(good, 0, 10)
        code, found = raw.end_fetch()
        assert (code, found.count(good.encode())) == (0, 8000)
        for _ in range(20):
            raw.begin_fetch(bad, 0, 10)
            raw.end_fetch()
        assert eventually(lambda: raw.metadata(good).error_code == 0)
    assert broker.stop() == 0
    assert "Traceback" not in broker.complaints
    assert len(broker.complaints) < 2000
