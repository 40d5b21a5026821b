"""`nomadwatch feeds` and `nomadwatch sinks`, as a person types them."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from nomadwatch.cli import run
from nomadwatch.errors import Failure
from nomadwatch.processes.embedded import embedded
from nomadwatch.processes.sinks_role import Address, run_sinks
from nomadwatch.state import Kept, State
from streams.kafka.admin import create
from streams.kafka.topics import Topics
from tests.nomadwatch.commands import command, started
from tests.sinks.made import evaluation_record, measurement, record
from tests.sinks.publishing import health_record, polled, publish
from tests.streams.brokers import TOPICS, Process, broker


def now() -> int:
    """When it is asked, for a session of tests may last longer than what they publish is fresh."""
    return time.time_ns() // 1000


COMMITS = measurement("commits", 5.0, scope="all", platform="github", window="1h")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with broker(tmp_path) as running:
        yield running


def on(process: Process) -> list[str]:
    return ["--broker", process.bootstrap, "--prefix", TOPICS.prefix]


def test_each_feed_is_a_row_and_unknown_is_a_dash(process: Process, capfd: pytest.CaptureFixture[str]) -> None:
    asyncio.run(publish(process.bootstrap, TOPICS, [polled(now())]))
    assert run(["feeds", *on(process)]) == 0
    shown = capfd.readouterr().out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert re.fullmatch(r"streams as of \S+Z", lines[0])
    assert lines[1] == "feed state seen lag quota polls gaps"
    assert lines[2] == "github:/events ok 4.12 % 1.6 min 4,871 1,203 none"
    assert lines[3] == "huggingface:models failing: 502 97 % 2 h 0 47 1 away (16 min)"
    assert lines[4:6] == ["2 limited 3 overflow (46 s)", "5 failed"]
    assert lines[6] == "github:/repos/huggingface/transformers/events starting – – – 0 none"


def test_programs_get_every_figure_and_null_for_what_is_unknown(
    process: Process, capfd: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(publish(process.bootstrap, TOPICS, [polled(now())]))
    assert run(["feeds", *on(process), "--format", "json"]) == 0
    feeds = {feed["feed"]: feed for feed in json.loads(capfd.readouterr().out)}
    models = feeds["huggingface:models"]
    assert models.pop("evaluated_at").endswith("Z")
    assert models == {
        "feed": "huggingface:models",
        "role": "streams",
        "state": "failing: 502",
        "coverage": 0.97,
        "lag_seconds": 7300.0,
        "remaining": 0,
        "polls": {"new": 40, "unchanged": 0, "limited": 2, "failed": 5},
        "gaps": {"away": {"count": 1, "seconds": 930.0}, "overflow": {"count": 3, "seconds": 45.5}},
    }
    begun = feeds["github:/repos/huggingface/transformers/events"]
    assert (begun["coverage"], begun["lag_seconds"], begun["remaining"], begun["gaps"]) == (None, None, None, {})


def test_where_no_station_has_written_a_line_says_so(process: Process, capfd: pytest.CaptureFixture[str]) -> None:
    said = f"nomadwatch: no station has polled anything at {process.bootstrap}; "
    said += "start one with nomadwatch up, or choose another\n"
    assert run(["feeds", *on(process)]) == 1
    assert capfd.readouterr() == ("", said)
    # A role without feeds has not polled either.
    asyncio.run(
        publish(process.bootstrap, TOPICS, [record(COMMITS), evaluation_record(), health_record(now(), "count")])
    )
    assert run(["feeds", *on(process), "--format", "json"]) == 1
    assert capfd.readouterr() == ("", said)


def test_nobody_named_and_a_folder_without_state_are_wrong_usage(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["feeds"]) == 2
    assert capfd.readouterr().err.startswith("nomadwatch: no station has its state in /")
    assert run(["feeds", "--data-dir", str(tmp_path)]) == 2
    assert (
        capfd.readouterr().err
        == f"nomadwatch: {tmp_path} holds no state; name the --data-dir of a station or a replay\n"
    )


def test_a_station_that_does_not_run_is_read_from_its_folder_and_said_to_be_away(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def fill() -> None:
        async with embedded(tmp_path) as address:
            await asyncio.to_thread(create, address, Topics(partitions=2))
            await publish(address, Topics(partitions=2), [polled(now() - 3 * 3600 * 1_000_000)])

    with State(str(tmp_path)) as state:
        state.keep(Kept(partitions=2))
        asyncio.run(fill())
    assert run(["feeds", "--data-dir", str(tmp_path)]) == 0
    shown = capfd.readouterr().out
    assert ": 3 h ago; it is not running" in shown.splitlines()[0]
    assert "huggingface:models" in shown


def test_a_station_that_runs_on_the_folder_is_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "state"
    with broker(tmp_path, topics=Topics(partitions=4)) as process, State(str(folder)) as state:
        asyncio.run(publish(process.bootstrap, Topics(partitions=4), [polled(now())]))
        state.keep(Kept(partitions=4, port=process.port))
        assert run(["feeds", "--data-dir", str(folder)]) == 0
    assert "does not run" not in capfd.readouterr().out


def test_sinks_serves_until_it_is_asked_to_end(process: Process) -> None:
    asyncio.run(
        publish(process.bootstrap, TOPICS, [record(COMMITS), evaluation_record(evaluated_at=time.time_ns() // 1000)])
    )
    sinks = started("sinks", *on(process), "--partitions", TOPICS.partitions, "--port", 0)
    try:
        assert sinks.stdout is not None
        address = sinks.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", address)
        deadline = time.monotonic() + 30
        while "nomadwatch_commits{" not in urllib.request.urlopen(address, timeout=30).read().decode():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        port = address.split(":")[2].removesuffix("/metrics")
        other = command("sinks", *on(process), "--partitions", TOPICS.partitions, "--port", port)
        said = (
            f"nomadwatch: port {port} of 127.0.0.1 is in use: choose another with --port, or --port 0 for a free one\n"
        )
        assert other == (1, "", said)
        sinks.send_signal(signal.SIGTERM)
        assert sinks.communicate(timeout=30) == ("", "")
        assert sinks.returncode == 0
    finally:
        sinks.kill()
        sinks.communicate()


@pytest.mark.parametrize(
    ("host", "near", "warned"),
    [("0.0.0.0", "127.0.0.1", True), ("::1", "[::1]", False), ("localhost", "localhost", False)],
)
def test_sinks_that_others_can_reach_says_so(process: Process, host: str, near: str, warned: bool) -> None:
    sinks = started(
        "sinks",
        *on(process),
        "--partitions",
        TOPICS.partitions,
        "--port",
        0,
        "--host",
        host,
        "--allow-host",
        "monitor.example.org",
    )
    try:
        assert sinks.stdout is not None
        address = sinks.stdout.readline().strip()
        assert re.fullmatch(rf"http://{re.escape(near)}:\d+/metrics", address)
        for name in ("monitor.example.org", "evil.example"):
            request = urllib.request.Request(address, headers={"Host": name})
            if name == "evil.example":
                with pytest.raises(urllib.error.HTTPError, match="421"):
                    urllib.request.urlopen(request, timeout=30)
            else:
                assert urllib.request.urlopen(request, timeout=30).status == 200
        port = address.rpartition(":")[2].removesuffix("/metrics")
        assert command("health", "sinks", "--host", host, "--port", port).complaint.startswith(
            "nomadwatch: sinks answers 503"
        )
        sinks.send_signal(signal.SIGTERM)
        said = sinks.communicate(timeout=30)[1]
    finally:
        sinks.kill()
        sinks.communicate()
    warning = f"nomadwatch: warning: everyone who can reach port {port} of 0.0.0.0 can read the page and /metrics, "
    warning += "without a password or encryption; "
    assert said == (warning + "docs/proxy.md says how to put them behind a proxy with TLS\n" if warned else "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--host", "http://localhost"],
            "--host: 'http://localhost' is not a host name; write it without http:// and without a port",
        ),
        (
            ["--allow-host", "a:80"],
            "--allow-host: 'a:80' is not a host name; write it without http:// and without a port",
        ),
        (["--host", ""], "--host: '' is not valid for host; give a text, not an empty one"),
    ],
)
@pytest.mark.parametrize("role", ["up", "demo", "sinks"])
def test_an_address_that_is_none_is_wrong_usage(role: str, arguments: list[str], said: str, tmp_path: Path) -> None:
    where = ["--broker", "127.0.0.1:9"] if role == "sinks" else ["--data-dir", str(tmp_path / "state")]
    assert command(role, *arguments, *where) == (2, "", f"nomadwatch: {said}\n")


@pytest.mark.parametrize("port", [0, 9107])
def test_an_address_of_another_machine_is_told(process: Process, port: int) -> None:
    done = command("sinks", *on(process), "--partitions", TOPICS.partitions, "--host", "192.0.2.1", "--port", port)
    assert done == (1, "", "nomadwatch: 192.0.2.1 is not an address of this machine: correct --host\n")


def test_the_role_says_its_port_and_ends_in_peace_and_says_of_a_taken_port_what_to_do(process: Process) -> None:
    call = "from nomadwatch.processes.sinks_role import Address, run_sinks; import sys; "
    call += "say = lambda kind, body: print(kind, body, flush=True); "
    call += f"run_sinks(say, {process.bootstrap!r}, {TOPICS.prefix!r}, 4, Address(int(sys.argv[1])))"
    role = subprocess.Popen(
        [sys.executable, "-c", call, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert role.stdout is not None
        kind, _, port = role.stdout.readline().strip().partition(" ")
        assert kind == "ready"
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30)
        with pytest.raises(Failure, match=f"^port {port} of 127.0.0.1 is in use: choose another with --port"):
            run_sinks(lambda kind, body=None, /: None, process.bootstrap, TOPICS.prefix, 4, Address(int(port)))
        role.send_signal(signal.SIGTERM)
        assert role.communicate(timeout=30)[0] == ""
        assert role.returncode == 0
    finally:
        role.kill()
        role.communicate()


def test_sinks_without_a_broker_is_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["sinks"]) == 2
    assert capfd.readouterr().err == "nomadwatch: sinks needs a broker; name it with --broker HOST:PORT\n"
