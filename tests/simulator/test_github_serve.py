"""The command that serves both platforms, as a process of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_platforms_are_served_until_a_signal_ends_them(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "simulator", "serve", "--seed", "3", "--scale", "60", "--release-in", "60"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            assert told["scale"] == 60
            assert told["release"]["factor"] > 1
            for platform in ("github", "huggingface"):
                assert told[platform].startswith("http://127.0.0.1:")
            with urllib.request.urlopen(f"{told['github']}/events", timeout=60) as answer:
                assert answer.headers["X-Poll-Interval"] == "1"
                assert len(json.load(answer)) == 15
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, out, err) == (0, "", "")
        finally:
            process.kill()


@pytest.mark.parametrize("faults", ["fire=0.1", "error", "error=2"])
def test_faults_that_make_no_sense_are_a_usage_error(faults: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulator", "serve", "--faults", faults], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "--faults" in done.stderr


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    async def run() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        command = [sys.executable, "-m", "simulator", "serve", "--port", str(port)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        server.close()
        assert done.returncode == 1
        assert done.stderr.startswith("Error: cannot serve")
        assert done.stderr.count("\n") == 1

    asyncio.run(run())
