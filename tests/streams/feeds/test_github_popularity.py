"""Stars, forks and watchers of the watched repositories, as the simulated GitHub states them."""

import asyncio
import time

import msgspec
from aiohttp import web

from simulator.servers.clock import Clock as ServerClock
from simulator.servers.github import GithubServer
from streams.feeds.clock import Clock
from streams.feeds.context import Context
from streams.feeds.github import GithubPoller
from streams.feeds.github_limits import Limits
from streams.feeds.github_page import GithubPages
from streams.feeds.github_popularity import POPULARITY_CURSOR, GithubPopularity, Known, Stated
from streams.feeds.health import Feeds
from streams.feeds.http import open_session
from streams.watchlist import Project, Watchlist
from tests.streams.feeds.github_serving import MemoryOutlet, ScriptedGithub, until
from tests.streams.made import KEY

SCALE = 600.0
NAME = "huggingface/smollm"


def test_popularity_is_the_sum_over_the_repositories_of_a_project() -> None:
    async def scenario() -> None:
        origin = time.time()
        server = GithubServer(11, ServerClock(SCALE, origin), rate=2.0, token="t", history=3_600.0)
        address = await server.start()
        places = {"smollm": NAME, "olmo": "allenai", "gone": "no/where"}
        watchlist = Watchlist([Project(project, github=(place,)) for project, place in places.items()])
        outlet = MemoryOutlet()
        found: dict[tuple[str, str, str], float] = {}

        async def poll(token: str, known: int) -> None:
            async with open_session("tests") as session:
                clock, cursors = Clock(SCALE, origin), dict(outlet.cursors)
                context = Context(watchlist=watchlist, actor_key=KEY, outlet=outlet, cursors=cursors, feeds=Feeds(), clock=clock)
                poller = GithubPoller(address, token, session, context)
                running = asyncio.create_task(poller.run())
                try:
                    if known:
                        await until(lambda: len({row[0] for row in poller.popularity()}) >= known, timeout=60)
                    else:
                        await until(lambda: len(server.api.requests) > 20, timeout=60)
                    found.clear()
                    found.update({row[:3]: row[3] for row in poller.popularity()})
                finally:
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)

        try:
            await poll("t", known=2)
            assert {project for project, _, _ in found} == {"smollm", "olmo"}, "what is gone is forgotten"
            assert abs(found["smollm", "software", "stars"] - server.stars(NAME)) <= 5
            assert {kind for _, _, kind in found} >= {"stars", "forks"}
            assert POPULARITY_CURSOR + NAME in outlet.cursors
            before = [path for _, path, _ in server.api.requests if path.startswith("/repos/") and not path.endswith("events")]
            await poll("t", known=2)
            after = [path for _, path, _ in server.api.requests if path.startswith("/repos/") and not path.endswith("events")]
            assert len(after) < 2 * len(before), "what was stated an hour ago is not asked for again after a restart"
            assert server.offences == []
        finally:
            await server.stop()

    asyncio.run(scenario())


def test_what_is_not_watched_any_more_is_neither_shown_nor_asked_for() -> None:
    """And what is gone, or is of another project today, is that after a restart too."""

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=1e6) as server:
            asked: set[str] = set()

            def script(server: ScriptedGithub, path: str, page: int) -> web.Response:
                asked.add(path)
                return web.json_response({"stargazers_count": 5, "forks_count": 1}, status=404 if "gone" in path else 200)

            server.script = script
            outlet = MemoryOutlet()
            names = {"allenai/olmo": "olmo", "allenai/gone": "olmo", "dropped/one": "dropped", "moved/one": "before"}
            earlier = {POPULARITY_CURSOR + name: msgspec.json.encode(Known(project, 1, Stated(3, 0))) for name, project in names.items()}
            watchlist = Watchlist([Project("olmo", github=("allenai",)), Project("after", github=("moved/one",))])

            async def save(_: bytes) -> None:
                pass

            async with open_session("tests") as session:
                pages = GithubPages(server.address, "t", session, Limits("t", server.clock, None, save), server.clock)

                def popularity(cursors: dict[str, bytes]) -> GithubPopularity:
                    return GithubPopularity(pages, outlet, server.clock, {"github:/events": b"?", **cursors}, watchlist)

                known = popularity(earlier)
                stars = [row for row in known.get() if row[2] == "stars"]
                assert stars == [("after", "software", "stars", 3), ("olmo", "software", "stars", 6)]
                running = asyncio.create_task(known.run())
                await until(lambda: asked >= {"/repos/allenai/olmo", "/repos/allenai/gone", "/repos/moved/one"} and len(outlet.finds) >= 3)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                assert "/repos/dropped/one" not in asked
                assert outlet.cursors.keys() == earlier.keys() - {POPULARITY_CURSOR + "dropped/one"}, "a cursor for each"
                stars = [row for row in popularity(outlet.cursors).get() if row[2] == "stars"]
                assert stars == [("after", "software", "stars", 5), ("olmo", "software", "stars", 5)]

    asyncio.run(scenario())
