"""The station as a person runs it: on the simulated world, with every process real."""

import asyncio
import json
import os
import re
import signal
import time
from pathlib import Path

import aiohttp
import pytest

from nomadwatch.processes import roles
from nomadwatch.processes.process import Say
from sinks.board import SIMULATED
from streams.watchlist import Watchlist
from tests.live.world import World
from tests.nomadwatch.commands import command
from tests.nomadwatch.stations import PATIENCE, Station, gone, spoken


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demonstration_shows_both_platforms_and_ends_cleanly(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where a station would send what it sees; nobody answers there, and nothing made up should go there.
    monkeypatch.setenv("NOMADWATCH_BROKER", "127.0.0.1:9")
    station = Station("demo", "--port", "0", "--speed", "60", "--data-dir", str(tmp_path))
    try:
        for platform in ("github", "huggingface"):
            station.await_metric(rf'^nomadwatch_activity{{.*platform="{platform}".*}} [1-9]')
            station.await_metric(rf'^nomadwatch_window_coverage_ratio{{.*platform="{platform}".*}} 0\.')
        station.await_metric(r'^nomadwatch_feed_polls_total{feed="github:/events",outcome="new"} [1-9]')
        assert json.loads(station.ask("/healthz"))["status"] == "ok"
        station.await_metric(r'^nomadwatch_build_info{.*world="simulated".*} 1')
        assert not invented_in_vain(station.ask("/metrics"))
        report = json.loads(command("report", "--format", "json", "--data-dir", tmp_path).output)
        assert report["world"] == "simulated"
        assert report["as_of"].startswith("2024-05-0"), "nothing that is shown lies in the future"
        assert command("feeds", "--data-dir", tmp_path).output.startswith(SIMULATED)
        health = command("health", "--data-dir", tmp_path)
        assert (health.code, health.complaint) == (0, "")
        said = health.output.splitlines()
        assert [line.split()[0] for line in said[1:]] == ["measure", "sinks", "streams"]
        assert said[0] == "1 count worker of 127.0.0.1 at work"
        roles = station.roles()
        assert roles.keys() == {"broker", "polling", "count", "measure", "sinks", "simulator"}
        assert station.end(number) == 0, station.err
        assert gone(list(roles.values()))
    finally:
        station.kill()
    assert "Traceback" not in station.err
    ended = command("health", "--data-dir", tmp_path)
    assert (ended.code, ended.output) == (1, "")
    assert f"no station runs on {tmp_path}; start it" in ended.complaint
    assert ended.complaint.endswith("nomadwatch: not healthy: count, measure, sinks, streams\n")
    again = command("demo", "--port", "0", "--data-dir", tmp_path)
    assert (again.code, again.output) == (2, "")
    assert (
        f"{tmp_path} holds the state of a run, and demo needs a new folder: remove it or name another"
        in again.complaint
    )


def invented_in_vain(metrics: str) -> set[str]:
    """Owners and projects of the default watchlist that are among the labels: their figures would be invented."""
    real = Watchlist.load().projects
    owners = {
        place.partition("/")[0].casefold()
        for each in real
        for place in (*each.places["github"], *each.places["huggingface"])
    }
    shown = {name.partition("/")[0].casefold() for name in re.findall(r'(?:repository|release)="([^"]+)"', metrics)}
    assert {"example-lab", "sampleai"} & shown
    return owners & shown | {each.project for each in real} & set(re.findall(r'project="([^"]+)"', metrics))


def test_whoever_dies_is_started_again_and_a_killed_station_leaves_nobody(tmp_path: Path) -> None:
    station = Station("demo", "--port", "0", "--speed", "60", "--data-dir", str(tmp_path))
    try:
        station.await_metric(r'^nomadwatch_activity{.*platform="github".*} [1-9]')
        before = station.roles()
        # The platforms first, so that whoever asks them after its return asks those that have come back too.
        everybody = ("simulator", "polling", "count", "measure", "broker", "sinks")
        for role in everybody:
            os.kill(before[role], signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while any(station.roles().get(role) in (None, before[role]) for role in everybody):
            assert time.monotonic() < deadline, "not everybody has come back"
            time.sleep(0.1)
        back = time.time()
        while spoken(station) <= back:
            assert time.monotonic() < deadline, "the pollers have not spoken again"
            time.sleep(0.2)
        for feed in ("github:/events", "huggingface:models"):
            station.await_metric(rf'^nomadwatch_feed_polls_total{{feed="{feed}",outcome="new"}} [1-9]')
        roles = station.roles()
    finally:
        station.kill()
    assert gone(list(roles.values()))


def test_a_simulator_that_is_started_again_goes_on_with_the_same_world() -> None:
    """At the same address; what was shown before stands there still."""

    async def life(
        origin: float, ports: tuple[int, int]
    ) -> tuple[tuple[int, int], set[tuple[str, str]], set[tuple[str, str]]]:
        ready: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        say: Say = lambda kind, body=None: ready.set_result(body)  # noqa: E731
        living = asyncio.create_task(roles._simulate(say, 3, 2.0, origin, 0.05, "", ports))
        github, hub = taken = await ready
        headers = {"Authorization": "Bearer simulated", "User-Agent": "a test"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(f"http://127.0.0.1:{github}/events?per_page=100") as answer:
                events = {(each["id"], each["created_at"]) for each in await answer.json()}
            async with session.get(f"http://127.0.0.1:{hub}/api/models?limit=1000") as answer:
                models = {(each["id"], each["createdAt"]) for each in await answer.json()}
        os.kill(os.getpid(), signal.SIGTERM)
        await living
        return taken, events, models

    origin = time.time()
    ports, events, models = asyncio.run(life(origin, (0, 0)))
    again, later_events, later_models = asyncio.run(life(origin, ports))
    assert again == ports
    assert len(events) > 20
    assert len(models) > 100
    # In a minute of the wall's, on a busy machine, not much comes, and hardly anything goes.
    assert len(events & later_events) > 0.8 * len(events)
    assert len(models & later_models) > 0.9 * len(models)


def test_a_token_that_is_refused_and_a_watchlist_that_is_none_are_said_at_once(tmp_path: Path) -> None:
    with World(1, 60.0, 1.0) as world:
        station = Station(
            "up",
            "--port",
            "0",
            "--data-dir",
            str(tmp_path),
            environment={**world.environment, "GITHUB_TOKEN": "wrong-one"},
        )
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
