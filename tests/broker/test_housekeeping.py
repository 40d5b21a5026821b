"""What leaves the embedded log, and when, by a clock that the test sets."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from broker.appending import append
from broker.housekeeping import keep_house
from broker.log import Log
from broker.reading import read
from broker.records import RecordBatch
from tests.broker.raw import batch

_DAY = 86_400_000


class Clock:
    """Milliseconds, set by hand."""

    def __init__(self) -> None:
        self.now = 1_000 * _DAY

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[Log]:
    opened = Log(tmp_path / "log.db", clock=clock)
    yield opened
    opened.store.database.close()


def in_loop(scenario: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await scenario()

    asyncio.run(run())


async def put(log: Log, value: bytes | None, key: bytes | None = None, stamp: int = 1) -> int:
    offset, _ = await append(log, "t", 0, batch(value, key=key, stamp=stamp))
    return offset


async def tidy(log: Log) -> None:
    while await keep_house(log):
        pass


def kept(log: Log) -> list[int]:
    """The offsets of the rows that are there."""
    topic, partition = log.find("t", 0)
    table, _ = topic.table
    rows = log.store.execute(f"SELECT id FROM {table} ORDER BY id").fetchall()
    return [id - partition.row(0) for (id,) in rows if partition.row(0) <= id < partition.row(1 << 39)]


def test_the_last_row_of_a_compacted_partition_is_never_removed(log: Log, clock: Clock) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {"cleanup.policy": "compact", "delete.retention.ms": "0"})
        await put(log, b"1", b"a")
        await put(log, None, b"a")
        clock.now += 10 * _DAY
        await tidy(log)
        clock.now += 10 * _DAY
        await tidy(log)
        assert kept(log) == [1]
        await put(log, b"2", b"b")
        clock.now += 1
        await tidy(log)
        assert kept(log) == [2]

    in_loop(scenario)


def test_a_row_waits_until_the_one_that_replaces_it_is_past_the_lag(log: Log, clock: Clock) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {"cleanup.policy": "compact", "min.compaction.lag.ms": "1000"})
        await put(log, b"old", b"a")
        clock.now += 5000
        await put(log, b"new", b"a")
        clock.now += 999
        await tidy(log)
        assert kept(log) == [0, 1]
        clock.now += 1
        await tidy(log)
        assert kept(log) == [1]

    in_loop(scenario)


def test_an_open_transaction_neither_removes_nor_is_removed(log: Log, clock: Clock) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {"cleanup.policy": "compact"})
        await put(log, b"kept", b"a")
        owner = await log.transactions.begin_epoch("x", 60_000, -1, -1)
        await log.transactions.add("x", *owner, [("t", 0)])
        await append(log, "t", 0, batch(b"open", key=b"a", producer=owner, sequence=0, transactional=True), "x")
        await put(log, b"after", b"a")
        clock.now += _DAY
        await tidy(log)
        assert kept(log) == [0, 1, 2]
        await log.transactions.end("x", *owner, commit=False)
        await tidy(log)
        assert kept(log) == [2]

    in_loop(scenario)


def test_a_committed_row_replaces_what_was_there_before(log: Log) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {"cleanup.policy": "compact"})
        await put(log, b"old", b"a")
        owner = await log.transactions.begin_epoch("x", 60_000, -1, -1)
        await log.transactions.add("x", *owner, [("t", 0)])
        await append(log, "t", 0, batch(b"new", key=b"a", producer=owner, sequence=0, transactional=True), "x")
        await log.transactions.end("x", *owner, commit=True)
        await tidy(log)
        assert kept(log) == [1]

    in_loop(scenario)


def test_retention_counts_from_arrival_whatever_the_record_s_stamp(log: Log, clock: Clock) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {"retention.ms": "1000"})
        await put(log, b"ancient", stamp=1)
        await put(log, b"from the future", stamp=clock.now + 100 * _DAY)
        clock.now += 1000
        await tidy(log)
        assert kept(log) == [0, 1]
        clock.now += 1
        await tidy(log)
        assert kept(log) == []
        _, partition = log.find("t", 0)
        assert (partition.first, partition.end) == (2, 2)

    in_loop(scenario)


def test_retention_by_size_keeps_the_newest(log: Log) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {"retention.bytes": "30000"})
        for _ in range(10):
            await put(log, bytes(9900))
        await tidy(log)
        assert kept(log) == [7, 8, 9]

    in_loop(scenario)


def test_much_is_removed_in_slices(log: Log) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {"cleanup.policy": "compact", "max.message.bytes": "2000000"})
        for _ in range(8):
            await put(log, bytes(900_000), b"a")
        assert await keep_house(log)
        assert 1 < len(kept(log)) < 8
        await tidy(log)
        assert kept(log) == [7]

    in_loop(scenario)


def test_a_key_that_is_written_ten_thousand_times_is_compacted_in_slices_to_its_newest_record(log: Log) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {"cleanup.policy": "compact"})
        await append(log, "t", 0, batch(*[b"v"] * 10_000, key=b"k"))
        await put(log, b"other", b"j")
        before = log.store.database.total_changes
        assert await keep_house(log)
        assert log.store.database.total_changes - before < 3000
        await tidy(log)
        assert kept(log) == [9_999, 10_000]

    in_loop(scenario)


def test_a_deleted_topic_s_rows_go_and_another_of_its_name_is_untouched(log: Log) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {})
        await put(log, b"old")
        await log.delete("t")
        await log.create("t", 1, {})
        await put(log, b"new")
        await tidy(log)
        assert kept(log) == [0]
        (rows,) = log.store.execute("SELECT count(*) FROM batches").fetchone()
        assert rows == 1

    in_loop(scenario)


def test_a_producer_that_was_silent_for_a_day_is_forgotten(log: Log, clock: Clock) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {})
        await append(log, "t", 0, batch(b"x", producer=(7, 0), sequence=0))
        await tidy(log)
        _, partition = log.find("t", 0)
        assert list(partition.producers) == [7]
        clock.now += _DAY + 1
        await tidy(log)
        assert not partition.producers
        assert log.store.execute("SELECT count(*) FROM producers").fetchone() == (0,)

    in_loop(scenario)


def test_a_transactional_id_that_was_unused_for_a_week_is_forgotten(log: Log, clock: Clock) -> None:
    async def scenario() -> None:
        first = await log.transactions.begin_epoch("x", 60_000, -1, -1)
        assert log.transactions.expire() is None
        clock.now += 8 * _DAY
        expired = log.transactions.expire()
        assert expired is not None
        await expired
        assert (await log.transactions.begin_epoch("x", 60_000, -1, -1))[0] > first[0]

    in_loop(scenario)


def test_a_log_opened_again_is_as_it_was(log: Log, tmp_path: Path) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {"retention.bytes": "1000"})
        await append(log, "t", 0, batch(b"x", b"y", producer=(7, 0), sequence=0))
        owner = await log.transactions.begin_epoch("x", 60_000, -1, -1)
        await log.transactions.add("x", *owner, [("t", 0)])
        await append(log, "t", 0, batch(b"open", producer=owner, sequence=0, transactional=True), "x")
        _, before = log.find("t", 0)
        log.load()
        _, after = log.find("t", 0)
        assert after is not before
        assert (after.first, after.end, after.stable, after.size, after.taken) == (0, 3, 2, before.size, before.taken)
        assert after.producers == before.producers
        topic, _ = log.find("t", 0)
        assert topic.settings == {"retention.bytes": "1000"}

    in_loop(scenario)


def test_the_last_epoch_is_followed_by_another_producer_id(log: Log) -> None:
    async def scenario() -> None:
        first, epoch = await log.transactions.begin_epoch("x", 60_000, -1, -1)
        log.store.execute("UPDATE transactions SET epoch = 32766")
        log.load()
        second, begun = await log.transactions.begin_epoch("x", 60_000, -1, -1)
        assert (epoch, begun) == (0, 0)
        assert second != first

    in_loop(scenario)


def test_a_compacted_topic_is_read_back_with_its_gaps(log: Log) -> None:
    async def scenario() -> None:
        await log.create("t", 1, {"cleanup.policy": "compact"})
        for key in (b"a", b"b", b"a", b"c"):
            await put(log, b"v", key)
        await tidy(log)
        topic, partition = log.find("t", 0)
        (found,) = read(log, topic, partition, 0, 1 << 20, partition.end)
        whole = RecordBatch(found)  # its checksum holds
        assert (whole.base, whole.count, whole.base + whole.delta) == (1, 3, 3)

    in_loop(scenario)
