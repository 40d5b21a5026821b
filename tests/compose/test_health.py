"""The command `health` where nobody is well, or somebody else is; where everybody is, `test_run` asks it."""

import socket
from pathlib import Path
from uuid import uuid4

import pytest

from nomadwatch.commands.health import judged
from nomadwatch.connect import parse_address
from nomadwatch.errors import Failure
from sinks.board import STALE_AFTER
from tests.apache_kafka import ApacheKafka
from tests.broker.raw import Raw
from tests.compose.containers import free_port
from tests.nomadwatch.commands import Done, command
from tests.prometheus.programs import wait_for


def test_a_role_that_is_silent_for_longer_than_the_board_believes_it_is_not_well() -> None:
    assert judged("streams", 0, STALE_AFTER) == "streams reported 1 min ago"
    with pytest.raises(Failure, match="streams has not reported for 1 min"):
        judged("streams", 0, STALE_AFTER + 1)


def test_a_role_that_never_spoke_is_not_well() -> None:
    with pytest.raises(Failure, match="measure has not reported for 1 min"):
        judged("measure", None, 0)


def test_sinks_that_does_not_answer_is_not_well() -> None:
    port = free_port()
    done = command("health", "sinks", "--port", port)
    assert (done.code, done.output) == (1, "")
    assert (
        done.complaint
        == f"nomadwatch: sinks does not answer on port {port} (connection refused); start it, or give its --port\n"
    )


@pytest.mark.parametrize("role", ["count", "measure", "streams"])
def test_a_role_without_a_broker_or_a_station_is_a_wrong_question(
    role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    done = command("health", role)
    assert (done.code, done.output) == (2, "")
    assert "or a broker (--broker)" in done.complaint
    assert f"no station has its state in {tmp_path / 'nomadwatch'}: start one with nomadwatch up" in done.complaint


def test_a_broker_that_is_away_is_said() -> None:
    done = command("health", "count", "--broker", f"127.0.0.1:{free_port()}")
    assert (done.code, done.output) == (1, "")
    assert "no Kafka broker answers" in done.complaint


class Worker(Raw):
    """A member of a group that comes from an address of loopback, as from a host of its own."""

    def __init__(self, broker: str, host: str) -> None:
        super().__init__(broker)
        self._socket.close()
        self._socket = socket.create_connection(parse_address(broker), 30, (host, 0))


def test_a_worker_of_another_host_does_not_make_this_one_well(apache_kafka: ApacheKafka) -> None:
    def asked(host: str) -> Done:
        """What is said while the group has one member, from that host."""
        prefix = f"{uuid4().hex}-"
        group = f"{prefix}count"
        with Worker(apache_kafka.address, host) as member:
            # A broker that has just started keeps no groups until somebody asks where they are.
            wait_for(lambda: member.call("FindCoordinator", 2, key=group, key_type=0).error_code == 0, "a coordinator")
            wait_for(lambda: member.join(group, timeout_ms=60_000).error_code == 0, "the group to take a member")
            return command("health", "count", "--broker", apache_kafka.address, "--prefix", prefix)

    elsewhere = asked("127.0.0.2")
    assert (elsewhere.code, elsewhere.output) == (1, "")
    assert elsewhere.complaint.startswith("nomadwatch: no count worker of 127.0.0.1 shares the partitions; start it")
    assert asked("127.0.0.1") == (0, "1 count worker of 127.0.0.1 at work\n", "")
