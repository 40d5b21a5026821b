"""Being asked to end: once in order, twice at once, even while the event loop is held up."""

import signal
import subprocess
import sys

import pytest

MAIN = """
import asyncio, signal, sys, threading
from nomadwatch import signals

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
    with subprocess.Popen([sys.executable, "-c", MAIN, "is held up"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        assert main.stdout.readline() == "ready\n"
        main.send_signal(signal.SIGTERM)
        main.send_signal(signal.SIGINT)
        assert main.communicate(timeout=30)[1] == "nomadwatch: asked twice to end, ended at once\n"
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
