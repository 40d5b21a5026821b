"""Roles as real processes: what they say is heard, what dies is started again, what fails ends all, nothing is left
behind.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nomadwatch.errors import Failure, Misuse
from nomadwatch.processes import forkserver, roles, supervisor
from nomadwatch.processes.latch import Latch
from nomadwatch.processes.supervisor import Role, Supervisor
from tests.nomadwatch import fake_roles
from tests.nomadwatch.waiting import gone, parent_of, until


class Station:
    """A supervisor and what came of it."""

    def __init__(self, patience: float | None = supervisor.PATIENCE) -> None:
        forkserver.prepare([])
        self.heard: list[tuple[str, str, Any]] = []
        self.noticed: list[str] = []
        self.supervisor = Supervisor(lambda *said: self.heard.append(said), self.noticed.append, patience=patience)

    def start(
        self,
        target: Callable[..., None],
        *arguments: object,
        once: bool = False,
        last: bool = False,
        name: str = "fake",
    ) -> None:
        self.supervisor.start(Role(name, target, lambda: arguments, once, last))

    async def hears(self, kind: str, count: int = 1) -> Any:
        await until(lambda: sum(1 for said in self.heard if said[1] == kind) >= count)
        return [said[2] for said in self.heard if said[1] == kind][-1]


def test_what_a_role_says_is_heard_even_when_it_ends_at_once() -> None:
    async def case() -> None:
        station = Station()
        station.start(fake_roles.speaks, "good morning", once=True)
        assert await station.hears("said") == "good morning"
        await station.supervisor.stop()
        assert station.noticed == []

    asyncio.run(case())


def test_a_role_that_dies_is_started_again_with_growing_waits_and_a_line_each_time(tmp_path: Path) -> None:
    async def case() -> None:
        station = Station()
        station.start(fake_roles.crashes_twice, str(tmp_path), once=True)
        assert await station.hears("said") == "life 2"
        await station.supervisor.stop()
        assert station.noticed == [
            "fake ended with an error (ValueError: the first life); starting it again in 0.1 s",
            "fake was ended by SIGKILL; starting it again in 0.2 s",
        ]

    asyncio.run(case())


def test_a_role_that_ends_without_being_asked_is_started_again() -> None:
    async def case() -> None:
        station = Station()
        station.start(fake_roles.speaks, "hello")
        await station.hears("said", 2)
        await station.supervisor.stop()
        assert station.noticed[0] == "fake ended with exit code 0; starting it again in 0.1 s"

    asyncio.run(case())


def test_a_line_for_the_person_ends_the_whole_with_its_exit_code() -> None:
    async def case() -> None:
        station = Station()
        station.start(fake_roles.lives, name="other")
        pid = await station.hears("lives")
        station.start(fake_roles.fails, "the file x is absent; name one that is there")
        with pytest.raises(Misuse, match=r"^the file x is absent; name one that is there$"):
            await station.supervisor.failed()
        await station.supervisor.stop()
        assert gone(pid)

    asyncio.run(case())


def test_a_role_that_only_fails_is_given_up_after_a_while() -> None:
    async def case() -> None:
        station = Station(patience=0.0)
        station.start(fake_roles.exits_at_once)
        with pytest.raises(Failure, match=r"^fake keeps failing \(ended with exit code 3\)"):
            await station.supervisor.failed()
        await station.supervisor.stop()

    asyncio.run(case())


def test_a_role_that_is_killed_again_and_again_is_given_up_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_WAIT", supervisor.FIRST_WAIT)

    async def case() -> None:
        station = Station()
        station.start(fake_roles.kills_itself)
        with pytest.raises(
            Failure,
            match=r"^fake was ended by SIGKILL 10 times in a row: is the memory full\? Free some memory and run",
        ):
            await station.supervisor.failed()
        await station.supervisor.stop()
        assert station.noticed == ["fake was ended by SIGKILL; starting it again in 0.1 s"] * 9

    asyncio.run(case())


def test_with_endless_patience_a_role_that_is_killed_again_and_again_is_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_WAIT", supervisor.FIRST_WAIT)

    async def case() -> None:
        station = Station(patience=None)
        station.start(fake_roles.kills_itself)
        await until(lambda: len(station.noticed) > supervisor.MOST_KILLS)
        await station.supervisor.stop()
        assert station.noticed[9] == "fake was ended by SIGKILL 10 times in a row; starting it again in 0.1 s"

    asyncio.run(case())


def test_a_broker_whose_port_is_taken_is_tried_again_until_it_is_free(tmp_path: Path) -> None:
    async def case() -> None:
        station = Station()
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = int(other.getsockname()[1])
            station.start(roles.run_broker, str(tmp_path), port, name="broker")
            await until(lambda: station.noticed)
        assert await station.hears("ready") == port
        await station.supervisor.stop()
        assert f"broker ended with an error (PortTaken: port {port} of 127.0.0.1 is in use" in station.noticed[0]

    asyncio.run(case())


def test_stopping_ends_the_broker_after_the_others_and_the_deaf_by_force() -> None:
    async def case() -> None:
        station = Station()
        station.start(fake_roles.lives, name="broker", last=True)
        broker = await station.hears("lives")
        station.start(fake_roles.lives_on_whatever_is_said)
        deaf = await station.hears("lives", 2)
        stopping = asyncio.create_task(station.supervisor.stop(grace=0.3))
        await until(lambda: gone(deaf))
        await stopping
        assert gone(broker)
        assert station.noticed == []

    asyncio.run(case())


def test_the_death_of_the_fork_server_takes_its_roles_along_and_they_are_started_again() -> None:
    async def case() -> None:
        station = Station()
        station.start(fake_roles.lives)
        first = await station.hears("lives")
        os.kill(parent_of(first), signal.SIGKILL)
        second = await station.hears("lives", 2)
        assert gone(first)
        await station.supervisor.stop()
        assert gone(second)

    asyncio.run(case())


@pytest.mark.parametrize("early", [False, True])
def test_a_latch_is_set_at_once_whoever_was_killed_while_waiting_and_the_next_life_gets_through(early: bool) -> None:
    async def case() -> None:
        station, latch = Station(), Latch()
        station.supervisor.start(Role("fake", fake_roles.waits_for, lambda: (latch.waiter,), once=True, early=early))
        for killed in range(1, 4):
            os.kill(await station.hears("waits", killed), signal.SIGKILL)
        await station.hears("waits", 4)
        latch.set()
        await station.hears("opened")
        await station.supervisor.stop()
        latch.close()

    asyncio.run(case())


def test_stopping_by_force_does_not_wait() -> None:
    async def case() -> None:
        station = Station()
        station.start(fake_roles.lives_on_whatever_is_said)
        pid = await station.hears("lives")
        await station.supervisor.stop(grace=0)
        assert gone(pid)

    asyncio.run(case())


def test_a_role_stopped_while_it_starts_is_not_left_behind() -> None:
    async def case() -> None:
        station = Station()
        station.start(fake_roles.lives)
        await asyncio.sleep(0)
        await station.supervisor.stop(grace=5)
        assert station.supervisor.pid("fake") is None

    asyncio.run(case())


def test_our_warnings_reach_the_person_once_and_other_peoples_logs_do_not() -> None:
    async def case() -> None:
        station = Station()
        station.start(fake_roles.warns, 5, once=True)
        await until(lambda: station.noticed)
        await station.supervisor.stop()
        assert station.noticed == ["fake: the same"]

    asyncio.run(case())


MAIN = """
import asyncio, sys
from nomadwatch.processes.forkserver import prepare
from nomadwatch.processes.supervisor import Role, Supervisor
from tests.nomadwatch import fake_roles

async def main():
    prepare([])
    keeper = Supervisor(lambda role, kind, body: print(body, flush=True), print)
    for name in sys.argv[1:]:
        keeper.start(Role(name, getattr(fake_roles, name)))
    await keeper.failed()

asyncio.run(main())
"""


@pytest.mark.parametrize("role", ["lives", "lives_on_whatever_is_said", "never_looks_up"])
def test_a_role_ends_when_the_main_process_is_killed(role: str) -> None:
    with subprocess.Popen([sys.executable, "-c", MAIN, role], stdout=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        pid = int(main.stdout.readline())
        main.kill()
    try:
        asyncio.run(until(lambda: gone(pid)))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
