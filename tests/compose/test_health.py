"""The command `health` where nobody is well; where everybody is, `test_run` asks it."""

import pytest

from nomadwatch.connect import free_port
from nomadwatch.errors import Failure
from nomadwatch.health import judged
from sinks.board import STALE_AFTER
from tests.nomadwatch.commands import command


def test_a_role_that_is_silent_for_longer_than_the_board_believes_it_is_not_well() -> None:
    assert judged("streams", 0, STALE_AFTER) == "streams spoke 1 min ago"
    with pytest.raises(Failure, match="streams has not spoken for 1 min"):
        judged("streams", 0, STALE_AFTER + 1)


def test_a_role_that_never_spoke_is_not_well() -> None:
    with pytest.raises(Failure, match="measure has not spoken for 1 min"):
        judged("measure", None, 0)


def test_sinks_that_does_not_answer_is_not_well() -> None:
    port = free_port()
    done = command("health", "sinks", "--port", port)
    assert (done.code, done.output) == (1, "")
    assert done.complaint == f"nomadwatch: sinks does not answer on port {port} (ConnectionRefusedError); start it, or name its --port\n"


@pytest.mark.parametrize("role", ["aggregate", "measure", "streams"])
def test_a_role_without_a_broker_is_a_wrong_question(role: str) -> None:
    done = command("health", role)
    assert (done.code, done.output) == (2, "")
    assert "--broker HOST:PORT" in done.complaint


def test_a_broker_that_is_away_is_said() -> None:
    done = command("health", "aggregate", "--broker", f"127.0.0.1:{free_port()}")
    assert (done.code, done.output) == (1, "")
    assert "no Kafka broker answers" in done.complaint
