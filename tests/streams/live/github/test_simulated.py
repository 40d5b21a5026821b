"""GitHub's feeds and the simulated GitHub, which knows what it showed and whether its rules were kept."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from simulator.population import WATCHLIST
from simulator.servers.clock import WorldClock
from simulator.servers.faults import Faults
from simulator.servers.github import GithubServer
from streams.live.common.clock import Clock
from streams.live.common.context import Context
from streams.live.common.health import Feeds
from streams.live.common.http import open_session
from streams.live.github.poller import GithubPoller
from streams.watchlist import Watchlist
from tests.streams.live.github.serving import MemoryOutlet, until
from tests.streams.made import KEY

SCALE = 600.0
TOKEN = "a-valid-token"
WATCHED = (
    "/orgs/example-lab/events",
    "/orgs/sampleai/events",
    "/orgs/ImaginaryAI/events",
    "/repos/sample-hub/tinysample/events",
)
FAULTS = {"dropped": 0.02, "cut": 0.02, "error": 0.02, "truncated": 0.02, "garbage": 0.02, "stale": 0.05}
"""Shares of answers."""


def watched() -> Watchlist:
    """The part of the built-in watchlist that the simulated world has."""
    owners = {path.split("/")[2].casefold() for path in WATCHED}
    projects = Watchlist.load(WATCHLIST).projects
    return Watchlist(
        [each for each in projects if owners & {place.split("/")[0].casefold() for place in each.places["github"]}]
    )


@asynccontextmanager
async def polling(
    address: str, clock: Clock, outlet: MemoryOutlet, feeds: Feeds, token: str = TOKEN
) -> AsyncIterator[None]:
    async with open_session("nomadwatch/0 (+https://example.invalid)") as session:
        cursors = dict(outlet.cursors)
        context = Context(watchlist=watched(), actor_key=KEY, outlet=outlet, cursors=cursors, feeds=feeds, clock=clock)
        poller = GithubPoller(address, token, session, context)
        task = asyncio.create_task(poller.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def watch(server: GithubServer, clock: Clock, outlet: MemoryOutlet, seconds: float, kills: int) -> Feeds:
    """Poll for seconds of real time, and until the feeds have come that far; the poller is restarted `kills` times on
    the way.
    """
    address = await server.start()
    feeds = Feeds()
    for leg in range(kills + 1):
        async with polling(address, clock, outlet, feeds):
            await asyncio.sleep(seconds / (kills + 1))
            if leg < kills:
                # A poller that is killed before it has saved anything cannot know that it has polled.
                await until(
                    lambda: {f"github:{path}" for path in ("/events", *WATCHED)} <= outlet.cursors.keys(), timeout=60
                )
            if leg == kills:
                ended = clock.now()
                server.faults.clear()
                await until(lambda ended=ended: _done(outlet, feeds, ended), timeout=60)  # type: ignore[misc]
    return feeds


def _done(outlet: MemoryOutlet, feeds: Feeds, ended: int) -> bool:
    """Whether every feed has come so far (simulated µs), and the sampled one knows its coverage."""
    sampled = feeds.by_name["github:/events"]
    return sampled.coverage is not None and all(_mark(outlet, feed) >= ended for feed in _names(feeds))


def _names(feeds: Feeds) -> list[str]:
    return [feed for feed, health in feeds.by_name.items() if not health.state.startswith("not found")]


def _mark(outlet: MemoryOutlet, feed: str) -> int:
    return max((result.complete_to for result in outlet.of(feed) if result.complete_to is not None), default=0)


@pytest.mark.parametrize(("faults", "kills"), [({}, 0), ({}, 3), (FAULTS, 0)])
def test_every_watched_feed_is_published_whole_and_once(faults: dict[str, float], kills: int) -> None:
    async def scenario() -> None:
        origin = time.time()
        wall = WorldClock(SCALE, origin=origin)
        server = GithubServer(11, wall, Faults(5), rate=2.0, token=TOKEN, unknown=0.01, history=3_600.0)
        server.faults.set(**faults)
        clock, outlet = Clock(SCALE, origin), MemoryOutlet()
        try:
            # A request by the old name is redirected.
            server.rename("sample-hub/tinysample", "sample-hub/tinysample-next")
            began = clock.now()
            feeds = await watch(server, clock, outlet, 2.0, kills)
            for path in WATCHED:
                feed = f"github:{path}"
                health = feeds.by_name[feed]
                assert "overflow" not in health.gaps
                published = outlet.published(feed)
                dead_letters = sum(len(result.dead_letters) for result in outlet.of(feed))
                known = {event.id for event in server.events if event.known}
                # Everything that was shown, and up to the watermarks nothing that a perfect poller sees is missing.
                assert set(published) >= server.visible(path, began, _mark(outlet, feed)) & known
                assert set(published) <= set(server.shown(path))
                assert dead_letters == len(set(server.shown(path)) - known)
                assert max(published.values()) == 1
                assert len(published) >= 5
            assert server.offences == []
            everything = feeds.by_name["github:/events"]
            assert everything.coverage is not None
        finally:
            await server.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("token", [TOKEN, ""])
def test_no_limit_is_ever_reached(token: str) -> None:
    """An hour is a second, and allows 60 requests without a token, 100 with it; nothing is refused, and every feed is
    asked.
    """
    scale = 3_600.0

    async def scenario() -> None:
        origin = time.time()
        server = GithubServer(11, WorldClock(scale, origin=origin), rate=0.2, token=TOKEN, history=3_600.0)
        server.limits.authorised = 100
        feeds = Feeds()
        try:
            async with polling(await server.start(), Clock(scale, origin), MemoryOutlet(), feeds, token):
                await until(
                    lambda: sum(request.status == 200 or not token for request in server.api.requests) > 130, timeout=60
                )
            assert server.limits.refused.total() == 0
            assert server.offences == []
            assert all(feeds.by_name[f"github:{path}"].polls["new"] > 0 for path in WATCHED)
        finally:
            await server.stop()

    asyncio.run(scenario())
