"""Being asked to end: once in order, twice at once, even while the event loop is held up."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nomadwatch.commands import PROGRAM, generate
from tests.nomadwatch.waiting import children_of, until

MAIN = """
import asyncio, signal, sys, threading
from nomadwatch.processes import signals

async def main():
    asked = asyncio.Event()
    if sys.argv[1] != "heeds":
        signals._AGAIN_AFTER = 0.0
    with signals.heeded(asked):
        print("ready", flush=True)
        if sys.argv[1] == "heeds":
            await asked.wait()
            print("asked", flush=True)
        else:
            threading.Event().wait()  # holds the loop up

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_request_ends_in_order(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", MAIN, "heeds"], stdout=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        assert main.stdout.readline() == "ready\n"
        main.send_signal(number)
        assert main.communicate(timeout=30)[0] == "asked\n"
    assert main.returncode == 0


def test_the_second_request_ends_a_process_whose_loop_is_held_up() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "is held up"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as main:
        assert main.stdout is not None
        assert main.stdout.readline() == "ready\n"
        main.send_signal(signal.SIGTERM)
        main.send_signal(signal.SIGINT)
        assert main.communicate(timeout=30)[1] == "nomadwatch: interrupted twice, ended at once\n"
    assert main.returncode == 1


def test_what_the_caller_ignores_stays_ignored() -> None:
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN){MAIN}"
    with subprocess.Popen([sys.executable, "-c", ignoring, "heeds"], stdout=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        assert main.stdout.readline() == "ready\n"
        main.send_signal(signal.SIGHUP)
        main.send_signal(signal.SIGTERM)
        assert main.communicate(timeout=30)[0] == "asked\n"
    assert main.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_whole_group_ends_a_station_without_a_word(number: int) -> None:
    """As a supervisor, a terminal or `kill -- -PGID` sends it: the main process ends the roles in their order."""
    options = [*PROGRAM, "demo", "--port", "0"]
    with subprocess.Popen(
        options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as main:
        assert main.stdout is not None
        assert main.stderr is not None
        assert main.stdout.readline().startswith("the page at ")
        os.killpg(main.pid, number)
        said = main.stderr.read()
        assert (main.wait(), said) == (0, "")


def test_a_signal_to_the_whole_group_ends_a_replay_with_one_line(tmp_path: Path) -> None:
    """Whenever it comes."""
    generate(tmp_path / "hour", 20_000)
    for roles in (1, 3):
        options = [*PROGRAM, "replay", str(tmp_path / "hour")]
        with subprocess.Popen(options, stderr=subprocess.PIPE, text=True, start_new_session=True) as main:
            assert main.stderr is not None
            asyncio.run(until(lambda main=main, roles=roles: len(children_of(main.pid)) >= roles))  # type: ignore[misc]
            os.killpg(main.pid, signal.SIGTERM)
            said = main.stderr.read()
            assert main.wait() in (1, -signal.SIGTERM)
            assert said.count("\n") <= 1
            assert "starting it again" not in said
