"""A watched name that is no organisation: a user's feed takes its place, and a name that does not exist holds up
nothing.
"""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web

from simulator.servers.clock import WorldClock
from simulator.servers.github import GithubServer
from streams.activity import MINUTE, decode_batch
from streams.kafka import admin
from streams.kafka.deliver import Delivery
from streams.kafka.topics import Topics
from streams.live.common.clock import Clock
from streams.live.common.context import Context
from streams.live.common.health import Feeds
from streams.live.common.http import open_session
from streams.live.common.outlet import KafkaOutlet
from streams.live.github.cursor import decode_github
from streams.live.github.poller import GithubPoller
from streams.watchlist import Project, Watchlist
from tests.chaos.conftest import Embedded
from tests.chaos.reading import read_topic
from tests.streams.live.github.serving import FEED, ORG, MemoryOutlet, Script, ScriptedGithub, polling, until
from tests.streams.made import KEY

USER = "/users/allenai/events/public"
USERS = "github:" + USER
NAMED = Watchlist([Project("named", github=("allenai", "somebody/else"))])
REPOSITORY = "/repos/somebody/else/events"


def without(*paths: str) -> Script:
    """A script that knows none of these paths."""
    return lambda server, path, page: web.json_response({}, status=404) if path in paths else None


def test_a_user_is_asked_for_where_there_is_no_organisation_and_gone_on_with_after_a_restart() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.script = without(ORG)
            outlet = MemoryOutlet()
            first = server.happen(120, USER)
            async with polling(server, outlet) as run:
                await until(lambda: run.outlet.ids(USERS) == first)
                second = server.happen(3, USER)
                await until(lambda: run.outlet.ids(USERS) == first + second)
                health = run.feeds.by_name[USERS]
                assert (health.state, health.gaps, health.seen) == ("ok", {}, 123)
                assert len(server.polls()) == 1
                assert FEED not in run.feeds.by_name, "what is no organisation is neither shown nor waited for"
            third = server.happen(3, USER)
            async with polling(server, outlet) as run:
                await until(lambda: run.outlet.ids(USERS) == first + second + third)
            assert outlet.published(USERS).most_common(1)[0][1] == 1
            assert outlet.gaps(USERS) == outlet.gaps(FEED) == []

    asyncio.run(scenario())


def test_the_coverage_of_a_user_is_not_known() -> None:
    """Others act in its repositories too, and its feed does not show how much."""

    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.script = without(ORG)
            server.happen(3, USER)
            async with polling(server, MemoryOutlet(), watchlist=NAMED) as run:
                await until(lambda: len(run.outlet.of(USERS)) > 3 and len(run.outlet.of("github:" + REPOSITORY)) > 3)
                assert not any(result.covered for result in run.outlet.of(USERS))
                assert run.feeds.by_name[USERS].coverage is None
                assert run.feeds.by_name["github:" + REPOSITORY].coverage == 1.0

    asyncio.run(scenario())


def test_what_is_nowhere_says_what_to_do_and_its_mark_goes_on_at_once() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            server.script = without(ORG, USER, REPOSITORY)
            nowhere = (USERS, "github:" + REPOSITORY)
            async with polling(server, MemoryOutlet(), watchlist=NAMED, interval_cap=300.0) as run:
                began = server.clock.now()
                # A quarter of an hour is 1.5 s of real time: after that a gap would have been made.
                await until(
                    lambda: (
                        server.clock.now() > began + 20 * MINUTE
                        and all(len(run.outlet.of(feed)) > 5 for feed in nowhere)
                    )
                )
                states = {feed: run.feeds.by_name[feed].state for feed in nowhere}
                assert all(state.startswith("not found: 404; ") for state in states.values())
                assert states[USERS] == "not found: 404; no organisation and no user: correct the name in the watchlist"
                assert states["github:" + REPOSITORY] == "not found: 404; correct the name in the watchlist"
                for feed in nowhere:
                    results = run.outlet.of(feed)
                    marks = [result.complete_to for result in results if result.complete_to is not None]
                    assert len(marks) == len(results)
                    assert marks == sorted(marks)
                    assert marks[0] >= began - MINUTE
                    assert not any(result.gaps or result.covered or result.activities for result in results)
                    assert run.feeds.by_name[feed].coverage is None
                assert all(len(server.polls(path)) == 1 for path in (ORG, USER, REPOSITORY)), "once an hour"

    asyncio.run(scenario())


def test_what_was_there_before_is_a_gap_when_it_is_not_found_any_more() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=3_600) as server:
            server.happen(3, ago=3_600)
            async with polling(server, MemoryOutlet(), interval_cap=60.0) as run:
                await until(lambda: len(run.outlet.ids()) == 3)
                server.script = without(ORG, USER)
                health = run.feeds.by_name[FEED]
                await until(
                    lambda: (
                        health.gaps.get("failed", 0) >= 1 and health.state == f"not found: 404; asked for as {USERS}"
                    )
                )
                assert run.outlet.gaps(USERS) == []

    asyncio.run(scenario())


def test_what_comes_into_being_is_read_from_then_on() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=36_000) as server:
            server.script = without(ORG, USER)
            # Patience is three times the cap: a slow first answer must not open a gap.
            async with polling(server, MemoryOutlet(), interval_cap=100_000.0) as run:
                await until(lambda: run.outlet.of(USERS))
                assert FEED not in run.feeds.by_name
                server.script = None
                made = server.happen(5, ago=3_600)
                await until(lambda: run.outlet.ids() == made)
                assert run.outlet.gaps() == []
                health = run.feeds.by_name[FEED]
                assert (health.state, health.coverage) == ("ok", 1.0)
                assert decode_github(FEED, run.outlet.cursors[FEED]).complete_at is not None

    asyncio.run(scenario())


def test_no_mark_of_an_organisation_comes_before_its_users_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps the marks may come by after the 404, before the user's feed has taken its place: others would wait
    for that mark.
    """

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(GithubPoller, "_fall_back", never)

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            # A name that does not exist and has no user's feed shows that watermarks are kept.
            server.script = without(ORG, REPOSITORY)
            async with polling(server, MemoryOutlet(), watchlist=NAMED, interval_cap=300.0) as run:
                health = run.feeds.by_name[FEED]
                await until(lambda: health.state.startswith("not found"))
                before = len(run.outlet.of("github:" + REPOSITORY))
                await until(lambda: len(run.outlet.of("github:" + REPOSITORY)) >= before + 3)
                assert run.outlet.of(FEED) == []

    asyncio.run(scenario())


class Place(NamedTuple):
    """Where a poller finds a server."""

    address: str
    clock: Clock


def test_of_a_simulated_user_everything_is_published_once() -> None:
    scale, token, origin = 600.0, "a-valid-token", time.time()

    async def scenario() -> None:
        server = GithubServer(11, WorldClock(scale, origin), rate=1.0, token=token, history=2_400.0, people=40)
        clock = Clock(scale, origin)
        try:
            place = Place(await server.start(), clock)
            actors = Counter(event.happening.actor.login for event in server.events if not event.happening.actor.bot)
            name = actors.most_common(1)[0][0]
            path = f"/users/{name}/events/public"
            chosen = {"watchlist": Watchlist([Project("one", github=(name,))]), "token": token, "interval_cap": 3_000.0}
            async with polling(place, MemoryOutlet(), **chosen) as run:
                results = run.outlet.of
                began = clock.now()
                await until(
                    lambda: any(
                        (result.complete_to or 0) > began + 20 * MINUTE for result in results(f"github:{path}")
                    ),
                    timeout=60,
                )
                first = next(server.clock.at(asked.at) for asked in server.api.requests if asked.path.startswith(path))
                published = set(run.outlet.ids(f"github:{path}"))
                mark = max(result.complete_to or 0 for result in results(f"github:{path}"))
            assert run.outlet.gaps(f"github:{path}") == []
            assert len(published) > 10
            assert server.visible(path, first, mark) <= published <= set(server.shown(path))
            assert {event.happening.actor.login for event in server.events if event.id in published} == {name}
            assert server.offences == []
        finally:
            await server.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("nowhere", [(ORG,), (ORG, USER)])
def test_the_mark_of_the_platform_goes_on_beside_what_is_not_found(nowhere: tuple[str, ...], tmp_path: Path) -> None:
    """Although patience would never end here: it is three times the cap."""
    topics = Topics(prefix="users-", partitions=1)
    broker = Embedded(tmp_path)

    def mark() -> int:
        values = (value for _, _, value in read_topic(broker.bootstrap, topics.activity, 1) if value)
        return max((decode_batch(value).complete_to or 0 for value in values), default=0)

    async def scenario() -> None:
        async with ScriptedGithub.open() as server, Delivery.open(broker.bootstrap, topics, "test") as delivery:
            feeds = Feeds()
            outlet = KafkaOutlet(delivery, topics, server.clock, feeds, {}, lambda *_: (b"health/streams", b"{}"))
            running = asyncio.create_task(outlet.run())
            server.script = without(*nowhere)
            began = server.clock.now()
            async with open_session("nomadwatch/0 (+https://example.invalid)") as session:
                context = Context(
                    watchlist=NAMED,
                    actor_key=KEY,
                    outlet=outlet,
                    cursors={},
                    feeds=feeds,
                    clock=server.clock,
                    interval_cap=1e6,
                )
                poller = GithubPoller(server.address, "t", session, context)
                polling = asyncio.create_task(poller.run())
                async with asyncio.timeout(60):
                    while await asyncio.to_thread(mark) <= began:
                        await asyncio.sleep(0.1)
                polling.cancel()
                await asyncio.gather(polling, return_exceptions=True)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    try:
        admin.create(broker.bootstrap, topics)
        asyncio.run(scenario())
    finally:
        broker.stop()
