"""Ages and time-outs when somebody sets the machine's clock."""

import asyncio
import time
from pathlib import Path

import pytest

from broker.appending import append
from broker.clock import SteadyClock
from broker.errors import Refused
from broker.housekeeping import keep_house
from broker.log import Log
from tests.broker.raw import batch

_DAY = 86_400_000
_YEAR_SECONDS = 365 * 86_400


class Machine:
    """A machine's two clocks, in ms: one that can be set, one that cannot."""

    def __init__(self) -> None:
        self.wall = 20_000 * _DAY
        self.ticks = 5_000

    def passes(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.ticks += milliseconds

    def clock(self) -> SteadyClock:
        return SteadyClock(wall=lambda: self.wall, ticks=lambda: self.ticks)


def test_the_clock_goes_on_whatever_the_machine_s_clock_is_set_to() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.begin(None)
    begun = clock()
    for jump in (7 * _DAY, -400 * _DAY, 10**15):
        machine.wall += jump
        machine.passes(1000)
        clock()
    assert clock() - begun == 3000


def test_a_process_that_was_stopped_does_not_wake_up_to_an_old_log() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.begin(None)
    begun = clock()
    machine.passes(9 * _DAY)
    assert clock() - begun == 60_000


@pytest.mark.parametrize(("down", "counted"), [(3_600_000, 3_600_000), (-400 * _DAY, 0), (400 * _DAY, _DAY // 2)])
def test_the_time_while_the_broker_was_down_counts_for_half_a_day_at_most(down: int, counted: int) -> None:
    machine = Machine()
    first = machine.clock()
    first.begin(None)
    last = first()
    machine.wall += down
    again = machine.clock()
    again.begin(last)
    assert again() - last == counted


def _set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


def test_a_machine_a_week_ahead_for_a_moment_loses_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        log = Log(tmp_path / "log.db")
        await log.create("t", 1, {"retention.ms": str(2 * _DAY)})
        await append(log, "t", 0, batch(b"x", producer=(7, 0), sequence=0))
        with monkeypatch.context() as ahead:
            _set_clock(ahead, 8 * 86_400)
            await keep_house(log)
            await append(log, "t", 0, batch(b"y", producer=(7, 0), sequence=1))
            log.close()
            log = Log(tmp_path / "log.db")
            await keep_house(log)
        log.close()
        log = Log(tmp_path / "log.db")
        await keep_house(log)
        _, partition = log.find("t", 0)
        assert (partition.first, partition.end) == (0, 2)
        assert list(partition.producers) == [7]
        log.close()

    asyncio.run(scenario())


def test_an_open_transaction_ends_in_time_after_the_clock_was_set_back_a_year(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        log = Log(tmp_path / "log.db")
        await log.create("t", 1, {})
        owner = await log.transactions.begin_epoch("x", 300, -1, -1)
        await log.transactions.add("x", *owner, [("t", 0)])
        await append(log, "t", 0, batch(b"open", producer=owner, sequence=0, transactional=True), "x")
        _set_clock(monkeypatch, -_YEAR_SECONDS)
        log.close()
        log = Log(tmp_path / "log.db")
        async with asyncio.timeout(20):
            while (expired := log.transactions.expire()) is None:
                await asyncio.sleep(0.02)
            await expired
        _, partition = log.find("t", 0)
        assert partition.stable == partition.end == 1
        with pytest.raises(Refused):
            await log.transactions.end("x", *owner, commit=True)
        log.close()

    asyncio.run(scenario())


def test_a_transaction_that_an_earlier_version_began_in_the_future_ends_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = Log(tmp_path / "log.db")
        await log.create("t", 1, {})
        owner = await log.transactions.begin_epoch("x", 1, -1, -1)
        await log.transactions.add("x", *owner, [("t", 0)])
        log.store.execute("UPDATE transactions SET since = since + ?", (400 * _DAY,))
        log.load()
        async with asyncio.timeout(20):
            while (expired := log.transactions.expire()) is None:
                await asyncio.sleep(0.01)
            await expired
        log.close()

    asyncio.run(scenario())
