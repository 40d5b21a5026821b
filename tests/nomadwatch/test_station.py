"""The station as a person runs it: on the simulated world, with every process real."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.live.world import World
from tests.nomadwatch.commands import command
from tests.nomadwatch.stations import PATIENCE, Station, gone, spoken


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demonstration_shows_both_platforms_and_ends_cleanly(number: int, tmp_path: Path) -> None:
    station = Station("demo", "--port", "0", "--speed", "60", "--data-dir", str(tmp_path))
    try:
        for platform in ("github", "huggingface"):
            station.await_metric(rf'^nomadwatch_activity{{.*platform="{platform}".*}} [1-9]')
            station.await_metric(rf'^nomadwatch_window_coverage_ratio{{.*platform="{platform}".*}} 0\.')
        station.await_metric(r'^nomadwatch_feed_polls_total{feed="github:/events",outcome="new"} [1-9]')
        assert json.loads(station.ask("/healthz"))["status"] == "ok"
        roles = station.roles()
        assert roles.keys() == {"broker", "polling", "aggregate", "measure", "sinks", "simulator"}
        assert station.end(number) == 0, station.err
        assert gone(list(roles.values()))
    finally:
        station.kill()
    assert "Traceback" not in station.err


def test_whoever_dies_is_started_again_and_a_killed_station_leaves_nobody(tmp_path: Path) -> None:
    station = Station("demo", "--port", "0", "--speed", "60", "--data-dir", str(tmp_path))
    try:
        station.await_metric(r'^nomadwatch_activity{.*platform="github".*} [1-9]')
        before = station.roles()
        for role in ("polling", "aggregate", "measure", "broker"):
            os.kill(before[role], signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while any(station.roles().get(role) in (None, before[role]) for role in ("polling", "aggregate", "measure", "broker")):
            assert time.monotonic() < deadline, "not everybody has come back"
            time.sleep(0.1)
        back = time.time()
        while spoken(station) <= back:
            assert time.monotonic() < deadline, "the pollers have not spoken again"
            time.sleep(0.2)
        station.await_metric(r'^nomadwatch_feed_polls_total{feed="github:/events",outcome="new"} [1-9]')
        roles = station.roles()
    finally:
        station.kill()
    assert gone(list(roles.values()))


def test_a_token_that_is_refused_and_a_watchlist_that_is_none_are_said_at_once(tmp_path: Path) -> None:
    with World(1, 60.0, 1.0) as world:
        station = Station("up", "--port", "0", "--data-dir", str(tmp_path), environment={**world.environment, "GITHUB_TOKEN": "wrong-one"})
        try:
            station.await_metric(r'^nomadwatch_feed_polls_total{feed="github:/events",outcome="failed"} [1-9]')
            assert station.end() == 0
        finally:
            station.kill()
    assert station.err.count("github: the token is refused") == 1
    assert "set a new GITHUB_TOKEN and start again" in station.err
    assert "wrong-one" not in station.out + station.err
    done = command("up", "--watchlist", tmp_path / "absent.yaml", "--data-dir", tmp_path / "other")
    assert (done.code, done.output) == (2, "")
    assert "absent.yaml: cannot be read" in done.complaint
