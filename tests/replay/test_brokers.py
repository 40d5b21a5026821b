"""Brokers of others: one that is not there, and a real Apache Kafka."""

import socket

import pytest

from tests.apache_kafka import ApacheKafka
from tests.nomadwatch.commands import command
from tests.replay.conftest import World
from tests.replay.running import replayed


def test_a_broker_that_does_not_answer_is_waited_for_and_then_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOMADWATCH_BROKER_WAIT", "0.5")
    with socket.socket() as bound:  # bound and not listening: nobody else takes the port meanwhile
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        done = command("replay", world.folder, "--broker", address, "--report", "-", timeout=20)
    assert (done.code, done.output) == (1, "")
    assert done.complaint.startswith(f"nomadwatch: no Kafka broker answers at {address} (waited 0.5 s")
    assert done.complaint.endswith("start it or correct --broker\n")
    assert done.complaint.count("\n") == 1


def test_on_apache_kafka_the_report_is_identical(apache_kafka: ApacheKafka, world: World) -> None:
    assert replayed(world.folder, "--broker", apache_kafka.address).text == world.undisturbed.text
