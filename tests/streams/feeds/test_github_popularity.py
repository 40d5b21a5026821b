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
from streams.feeds.github_limits import GithubLimits
from streams.feeds.github_page import GithubPages
from streams.feeds.github_popularity import POPULARITY_CURSOR, GithubPopularity, Known, Stated
from streams.feeds.health import Feeds
from streams.feeds.http import open_session
from streams.watchlist import Project, Watchlist
from tests.streams.feeds.github_serving import MemoryOutlet, ScriptedGithub, until
from tests.streams.made import KEY

SCALE = 600.0
NAME = "sample-hub/tinysample"


def decoded(outlet: MemoryOutlet, name: str) -> Stated:
    """What was stated of a repository, as it was saved."""
    stated = msgspec.json.decode(outlet.cursors[POPULARITY_CURSOR + name], type=Known).stated
    assert stated is not None
    return stated


async def keep(_: bytes) -> None:
    pass


def test_popularity_is_the_sum_over_the_repositories_of_a_project() -> None:
    async def scenario() -> None:
        origin = time.time()
        server = GithubServer(11, ServerClock(SCALE, origin), rate=2.0, token="t", history=3_600.0)
        address = await server.start()
        places = {"tinysample": NAME, "fabula": "sampleai", "gone": "no/where"}
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
            assert {project for project, _, _ in found} == {"tinysample", "fabula"}, "what is gone is forgotten"
            assert found["tinysample", "software", "stars"] == decoded(outlet, NAME).stargazers_count > 0
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

            async with open_session("tests") as session:
                pages = GithubPages(server.address, "t", session, GithubLimits("t", server.clock, None, keep), server.clock)

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


def test_a_renamed_repository_counts_once() -> None:
    """The old name leads to the new one, and the watchlist and old events know both."""

    async def scenario() -> None:
        server = GithubServer(11, ServerClock(1.0, time.time()), rate=0.01, token="t")
        address = await server.start()
        server.rename(NAME, NAME + "-next")
        watchlist, outlet, clock = Watchlist([Project("tinysample", github=("sample-hub/tiny*",))]), MemoryOutlet(), Clock(1e4, time.time())
        try:
            async with open_session("tests") as session:
                async with session.get(f"{address}/repos/{NAME}-next", headers={"Authorization": "Bearer t"}) as answer:
                    truth = await answer.json()
                pages = GithubPages(address, "t", session, GithubLimits("t", clock, None, keep), clock)
                known = GithubPopularity(pages, outlet, clock, {}, watchlist)
                known.see([(NAME, "tinysample"), (NAME.upper() + "-next", "tinysample")])
                assert list(known.get()) == []
                running = asyncio.create_task(known.run())
                await until(lambda: len(outlet.cursors) == 2)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            assert {decoded(outlet, name).full_name for name in (NAME, NAME + "-next")} == {NAME + "-next"}
            for each in (known, GithubPopularity(pages, outlet, clock, outlet.cursors, watchlist)):
                rows = {kind: value for _, _, kind, value in each.get()}
                assert rows["stars"] == truth["stargazers_count"] > 0
                assert rows["forks"] == truth["forks_count"]
        finally:
            await server.stop()

    asyncio.run(scenario())


def test_a_repository_that_has_moved_belongs_to_whom_it_has_moved_to() -> None:
    """One that the watchlist names stays where it is named if that is nobody."""

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=1e6) as server:
            moved = {"allenai/sold": "stranger/sold", "allenai/given": "eleutherai/given", "stays/one": "stranger/one"}
            numbers = {name: number for number, name in enumerate(["allenai/olmo", *moved.values()], 1)}

            def script(server: ScriptedGithub, path: str, page: int) -> web.Response:
                name = path.removeprefix("/repos/")
                number = numbers[moved.get(name, name)]
                body = {"id": number, "full_name": moved.get(name, name), "stargazers_count": 10**number, "forks_count": 0}
                return web.json_response(body)

            server.script = script
            outlet = MemoryOutlet()
            watchlist = Watchlist([Project("olmo", github=("allenai",)), Project("pythia", github=("eleutherai", "stays/one"))])
            names = ["allenai/olmo", *moved, "eleutherai/given"]
            async with open_session("tests") as session:
                pages = GithubPages(server.address, "t", session, GithubLimits("t", server.clock, None, keep), server.clock)
                known = GithubPopularity(pages, outlet, server.clock, {}, watchlist)
                known.see((name, "olmo" if name.startswith("allenai") else "pythia") for name in names)
                running = asyncio.create_task(known.run())
                await until(lambda: len(outlet.cursors) == len(names))
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                for each in (known, GithubPopularity(pages, outlet, server.clock, outlet.cursors, watchlist)):
                    stars = {project: value for project, _, kind, value in each.get() if kind == "stars"}
                    assert stars == {"olmo": 10, "pythia": 10**3 + 10**4}

    asyncio.run(scenario())
