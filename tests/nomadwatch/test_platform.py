"""A third platform: a module of its own, named in one variable, is polled, counted and shown like the others."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nomadwatch.stations import ROOT, Station
from tests.nomadwatch.waiting import until

PLATFORM = """
from streams.platform import Platform, PlatformSetting

FORGE = Platform(
    id="forge",
    title="Forge",
    name="the Forge",
    holds="tools",
    endpoint=PlatformSetting("forge_api", "FORGE_API", "http://127.0.0.1:9"),
    token=PlatformSetting("forge_token", "FORGE_TOKEN"),
    poller="forge_poller:ForgePoller",
)
"""
POLLER = '''
import asyncio

from streams.activity import Activity, Cover, hash_name
from streams.live.common.poll_result import PollResult
from streams.live.common.poller import Poller


def pushes(now, watchlist):
    """Three pushes of two people to two repositories, a minute ago."""
    for number, (repo, actor) in enumerate([("smith/anvil", 1), ("smith/anvil", 2), ("other/tongs", 1)]):
        yield Activity(
            id=f"forge:{number}", platform="forge", kind="push", occurred_at=now - 60_000_000, ingested_at=now,
            repo=repo, repo_id=hash_name("forge:" + repo), owner=repo.split("/")[0], actor=hash_name(f"forge:{actor}"),
            project=watchlist.project_of("forge", repo),
        )


class ForgePoller(Poller):
    def __init__(self, address, token, session, context):
        self.feeds, self.outlet = context.feeds, context.outlet
        self.now, self.watchlist = context.clock.now(), context.watchlist

    async def run(self):
        self.feeds.open("forge:events", "forge", scope="all").state = "ok"
        covered, made = [Cover("forge", self.now - 3_600_000_000, self.now)], list(pushes(self.now, self.watchlist))
        result = PollResult(feed="forge:events", platform="forge", cursor=b"{}", activities=made, covered=covered)
        await self.outlet.put(result)
        await asyncio.Event().wait()
'''
WATCHLIST = "- project: smithy\n  forge: [smith]\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of a station which knows the Forge, and whose other platforms do not answer."""
    (tmp_path / "forge.py").write_text(PLATFORM)
    (tmp_path / "forge_poller.py").write_text(POLLER)
    (tmp_path / "watchlist.yaml").write_text(WATCHLIST)
    return {
        "PYTHONPATH": str(tmp_path),
        "NOMADWATCH_PLATFORMS": "forge:FORGE",
        "NOMADWATCH_GITHUB_API": "http://127.0.0.1:9",
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "NOMADWATCH_WATCHLIST": str(tmp_path / "watchlist.yaml"),
        "NOMADWATCH_DATA_DIR": str(tmp_path / "data"),
    }


def nomadwatch(environment: dict[str, str], *arguments: str, code: int = 0) -> str:
    """What a command says, on a wide terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "nomadwatch", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    return done.stdout or done.stderr


def line(station: Station) -> list[float | None]:
    """The points of the Forge's line on the page."""
    past = json.loads(station.ask("/live/history?scope=all&window=1h&feature=contribution"))
    values: list[float | None] = past["seconds"]["values"]["forge"]["activity"]
    return values


def test_a_third_platform_is_polled_counted_and_shown_without_an_edit_elsewhere(environment: dict[str, str]) -> None:
    station = Station("up", "--port", "0", environment=environment)
    try:
        for scope, number in (("all", 3), ("watched", 2)):
            wanted = (f'scope="{scope}"', 'platform="forge"', 'feature="contribution"', 'window="1h"')
            labels = "".join(rf"(?=[^}}]*{each})" for each in wanted)
            station.await_metric(rf"^nomadwatch_activity{{{labels}[^}}]*}} {number}\.0")
            station.await_metric(rf"^nomadwatch_active_developers{{{labels}[^}}]*}} 2\.0")
            station.await_metric(rf"^nomadwatch_active_repositories{{{labels}[^}}]*}} {number - 1}\.0")
        station.await_metric(r'^nomadwatch_window_coverage_ratio{(?=[^}]*scope="all")(?=[^}]*platform="forge")[^}]*} ')
        station.await_metric(r'^nomadwatch_project_activity{(?=[^}]*platform="forge")(?=[^}]*project="smithy")[^}]*} 2')
        assert 'data-platform="forge"' in station.ask("/")
        asyncio.run(until(lambda: line(station)[-1:] == [3.0]))
        assert "forge:events" in nomadwatch(environment, "feeds")
        assert [row["state"] for row in json.loads(nomadwatch(environment, "feeds", "--format", "json"))][-1] == "ok"
    finally:
        assert station.end() == 0
    report = json.loads(nomadwatch(environment, "report", "--format", "json"))
    found = {
        (row["labels"]["scope"], row["name"].removeprefix("nomadwatch_")): row["value"]
        for row in report["measurements"]
        if row["labels"].get("platform") == "forge" and row["labels"].get("window") == "1h" and "scope" in row["labels"]
    }
    assert (found["all", "activity"], found["watched", "activity"]) == (3.0, 2.0)
    assert "Forge" in nomadwatch(environment, "report")
    refused = nomadwatch(
        {**environment, "NOMADWATCH_PLATFORMS": "", "NOMADWATCH_WATCHLIST": ""}, "up", "--port", "0", code=2
    )
    assert "holds the state of the platforms github, huggingface, forge" in refused


def test_the_commands_know_a_third_platform(environment: dict[str, str]) -> None:
    assert "0 places on GitHub, 0 on Hugging Face, 1 on Forge" in nomadwatch(environment, "watch", "check")
    assert "smith" in nomadwatch(environment, "watch", "list")
    assert "is a person" in nomadwatch(environment, "bots", "explain", "ada", "--platform", "forge")
    told = nomadwatch({**environment, "FORGE_TOKEN": "a-secret", "FORGE_API": "http://127.0.0.1:7/"}, "doctor")
    assert re.search(r"forge_api +http://127\.0\.0\.1:7 ", told)
    assert "a-secret" not in told
    assert "the Forge was not checked" in told
    (Path(environment["PYTHONPATH"]) / "nomadwatch.toml").write_text("")
    refused = nomadwatch({**environment, "FORGE_API": "forge.example"}, "doctor", code=2)
    assert "FORGE_API: 'forge.example' is not an address" in refused
