"""Replays on another broker: one that does not answer, and Apache Kafka."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.apache_kafka import ApacheKafka
from tests.nomadwatch.commands import command
from tests.nomadwatch.waiting import until
from tests.replay.conftest import World
from tests.replay.running import replayed, running

SECONDS = 90.0


def test_a_broker_that_does_not_answer_is_waited_for_and_then_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOMADWATCH_BROKER_WAIT", "0.5")
    with socket.socket() as bound:  # bound but not listening: no other process gets the port
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        done = command("replay", world.folder, "--broker", address, "--report", "-", timeout=20)
    assert (done.code, done.output) == (1, "")
    assert done.complaint.startswith(f"nomadwatch: no Kafka broker answers at {address} (waited 0.5 s")
    assert done.complaint.endswith("start it or correct --broker\n")
    assert done.complaint.count("\n") == 1


def test_on_apache_kafka_the_report_is_identical(apache_kafka: ApacheKafka, world: World) -> None:
    assert replayed(world.folder, "--broker", apache_kafka.address).text == world.undisturbed.text


def test_apache_kafka_is_killed_and_comes_back_and_the_report_is_identical(
    mortal_kafka: ApacheKafka, world: World, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    with running(world.folder, "--broker", mortal_kafka.address, "--report", report) as main:
        # A tenth and more of what a whole replay writes there: while the reader sends, and while facts are committed.
        for topic, enough in (("activity", 150_000), ("facts", 100_000)):

            def busy(topic: str = topic, enough: int = enough) -> bool:
                return main.poll() is not None or _size(mortal_kafka.folder, topic) > enough

            asyncio.run(until(busy, SECONDS))
            assert main.poll() is None, "it was too late to kill anybody"
            mortal_kafka.kill()
            mortal_kafka.start()
        main.communicate(timeout=2 * SECONDS)
    assert main.returncode == 0
    assert report.read_text() == world.undisturbed.text


def _size(folder: Path, topic: str) -> int:
    """Bytes that a broker holds of a topic, with any prefix."""
    return sum(log.stat().st_size for log in folder.glob(f"data/*{topic}-[0-9]*/*.log"))
