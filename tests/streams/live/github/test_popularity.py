"""Stars, forks and watchers of the watched repositories, as the simulated GitHub states them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from simulator.servers.clock import WorldClock
from simulator.servers.github import GithubServer
from streams.live.common.clock import Clock
from streams.live.common.context import Context
from streams.live.common.health import Feeds
from streams.live.common.http import open_session
from streams.live.github.limits import GithubLimits
from streams.live.github.page import GithubPages
from streams.live.github.poller import GithubPoller
from streams.live.github.popularity import POPULARITY_CURSOR, GithubPopularity, Stated, _PopularityCursor
from streams.watchlist import Project, Watchlist
from tests.streams.live.github.serving import MemoryOutlet, ScriptedGithub, until
from tests.streams.made import KEY

SCALE = 600.0
NAME = "sample-hub/tinysample"


def decoded(outlet: MemoryOutlet, name: str) -> Stated:
    """The numbers of a repository, as they were saved."""
    stated = msgspec.json.decode(outlet.cursors[POPULARITY_CURSOR + name], type=_PopularityCursor).stated
    assert stated is not None
    return stated


async def keep(_: bytes) -> None:
    pass


def test_popularity_is_the_sum_over_the_repositories_of_a_project() -> None:
    async def scenario() -> None:
        origin = time.time()
        server = GithubServer(11, WorldClock(SCALE, origin), rate=2.0, token="t", history=3_600.0)
        address = await server.start()
        places = {"tinysample": NAME, "fabula": "sampleai", "gone": "no/where"}
        watchlist = Watchlist([Project(project, github=(place,)) for project, place in places.items()])
        outlet = MemoryOutlet()
        found: dict[tuple[str, str, str], float] = {}

        async def poll(token: str, known: int) -> None:
            async with open_session("tests") as session:
                clock, cursors = Clock(SCALE, origin), dict(outlet.cursors)
                context = Context(
                    watchlist=watchlist, actor_key=KEY, outlet=outlet, cursors=cursors, feeds=Feeds(), clock=clock
                )
                poller = GithubPoller(address, token, session, context)
                running = asyncio.create_task(poller.run())
                try:
                    if known:
                        await until(lambda: len({row[0] for row in poller.popularity()}) >= known, timeout=60)
                    else:
                        await until(lambda: len(server.api.requests) > 20, timeout=60)
                    found.clear()
                    found.update({row[:3]: row.value for row in poller.popularity() if row.value is not None})
                finally:
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)

        try:
            await poll("t", known=2)
            assert {project for project, _, _ in found} == {"tinysample", "fabula"}, "what is gone is forgotten"
            assert found["tinysample", "software", "stars"] == decoded(outlet, NAME).stargazers_count > 0
            assert {kind for _, _, kind in found} >= {"stars", "forks"}
            assert POPULARITY_CURSOR + NAME in outlet.cursors
            before = [
                path for _, path, _ in server.api.requests if path.startswith("/repos/") and not path.endswith("events")
            ]
            await poll("t", known=2)
            after = [
                path for _, path, _ in server.api.requests if path.startswith("/repos/") and not path.endswith("events")
            ]
            assert len(after) < 2 * len(before), "what was stated an hour ago is not asked for again after a restart"
            assert server.offences == []
        finally:
            await server.stop()

    asyncio.run(scenario())


HOUR = 3_600 * 1_000_000


class Hand:
    """A clock that moves only when it is told to; waits end at once."""

    def __init__(self) -> None:
        self._wall = time.time()
        self.clock = Clock(1e6, self._wall, lambda: self._wall)

    def go(self, microseconds: int) -> None:
        """Let time pass."""
        self._wall += microseconds / 1e12


class Popular:
    """The popularity of some repositories of a scripted GitHub, by the names that it states; a status of 200 is an
    answer.
    """

    def __init__(
        self, server: ScriptedGithub, watchlist: Watchlist, cursors: Mapping[str, bytes] | None = None
    ) -> None:
        self.hand, self.outlet, self.server = Hand(), MemoryOutlet(), server
        self.outlet.cursors |= cursors or {}
        self.answers: dict[str, dict[str, Any] | int] = {}
        self.asked: Counter[str] = Counter()
        server.script = self._answer
        self._watchlist = watchlist

    def _answer(self, server: ScriptedGithub, path: str, page: int) -> web.Response:
        name = path.removeprefix("/repos/")
        self.asked[name] += 1
        answer = self.answers.get(name, 404)
        if isinstance(answer, int):
            return web.json_response({"message": "Repository access blocked"}, status=answer)
        return web.json_response({"full_name": name, **answer})

    @asynccontextmanager
    async def run(self) -> AsyncIterator[GithubPopularity]:
        """A start of the program, with what earlier ones have saved."""
        async with open_session("tests") as session:
            clock = self.hand.clock
            pages = GithubPages(self.server.address, "t", session, GithubLimits("t", clock, None, keep), clock)
            popularity = GithubPopularity(pages, self.outlet, clock, self.outlet.cursors, self._watchlist)
            running = asyncio.create_task(popularity.run())
            try:
                yield popularity
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def ask(self, name: str, times: int = 1) -> None:
        """Let time pass until a repository was asked for so many times more, and until all that was due was asked
        for.
        """
        wanted = self.asked[name] + times
        async with asyncio.timeout(20):
            while self.asked[name] < wanted:
                self.hand.go(HOUR // 6)
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)


def rows_of(popularity: GithubPopularity, kind: str = "stars") -> dict[str, tuple[int | None, float, float]]:
    """(sum, answered, counted) of each project."""
    return {
        row.project: (row.value, round(row.answered, 3), round(row.counted, 3))
        for row in popularity.get()
        if row.kind == kind
    }


def stars_of(popularity: GithubPopularity) -> dict[str, int | None]:
    return {project: value for project, (value, _, _) in rows_of(popularity).items()}


OLMO = Watchlist([Project("olmo", github=("allenai/a", "allenai/b", "allenai/c"))])
NAMED = [("allenai/a", "olmo"), ("allenai/b", "olmo"), ("allenai/c", "olmo")]


def counted(stars: int, number: int) -> dict[str, Any]:
    return {"id": number, "stargazers_count": stars, "forks_count": 1, "subscribers_count": 10}


def three() -> dict[str, dict[str, Any] | int]:
    return {"allenai/a": counted(1, 1), "allenai/b": counted(10, 2), "allenai/c": counted(100, 3)}


@pytest.mark.parametrize("failure", [403, 451, 500, 401])
def test_a_repository_that_stops_answering_stands_at_its_last_number_for_a_day(failure: int) -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            it = Popular(server, OLMO)
            it.answers = three()
            async with it.run() as popularity:
                popularity.see(NAMED)
                await it.ask("allenai/c")
                await until(lambda: rows_of(popularity) == {"olmo": (111, 1.0, 1.0)})
                it.answers["allenai/b"] = failure
                it.answers["allenai/c"] = counted(105, 3)
                await it.ask("allenai/c")
                await until(lambda: rows_of(popularity) == {"olmo": (116, 0.667, 1.0)})
            # A restart changes nothing.
            async with it.run() as popularity:
                assert stars_of(popularity) == {"olmo": 116}
                await it.ask("allenai/b", 2)
                assert rows_of(popularity) == {"olmo": (116, 0.667, 1.0)}
                it.hand.go(19 * HOUR)
                await it.ask("allenai/a")
                await until(lambda: rows_of(popularity) == {"olmo": (106, 0.667, 0.667)})
                it.answers["allenai/b"] = counted(12, 2)
                await it.ask("allenai/b")
                await until(lambda: rows_of(popularity) == {"olmo": (118, 1.0, 1.0)})

    asyncio.run(scenario())


@pytest.mark.parametrize("failure", [403, 451, 500])
def test_a_repository_that_never_answers_hides_no_other(failure: int) -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            watchlist = Watchlist([*OLMO.projects, Project("blocked", github=("no/one",))])
            it = Popular(server, watchlist)
            it.answers = {**three(), "allenai/b": failure, "no/one": failure}
            async with it.run() as popularity:
                popularity.see([*NAMED, ("no/one", "blocked")])
                assert rows_of(popularity) == {}, "not even asked yet"
                # A refusal is accepted at once, a failure after several.
                for name in ("allenai/b", "no/one"):
                    await until(lambda name=name: it.asked[name] >= 1)  # type: ignore[misc]
                    if failure == 500:
                        await it.ask(name, 3)
                if failure != 500:
                    assert it.asked["no/one"] == 1
                # Absent, not zero.
                await until(lambda: rows_of(popularity) == {"blocked": (None, 0.0, 0.0), "olmo": (101, 0.667, 0.667)})
                it.answers["allenai/b"] = counted(10, 2)
                await it.ask("allenai/b")
                await until(lambda: rows_of(popularity)["olmo"] == (111, 1.0, 1.0))

    asyncio.run(scenario())


def test_one_failure_at_the_start_makes_no_level_that_jumps() -> None:
    """It is asked for again a minute later, and nothing is shown before."""

    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            it = Popular(server, OLMO)
            it.answers = {**three(), "allenai/b": 500}
            async with it.run() as popularity:
                popularity.see(NAMED)
                await it.ask("allenai/b")
                assert rows_of(popularity) == {}
                it.answers = three()
                await it.ask("allenai/b")
                await until(lambda: rows_of(popularity) == {"olmo": (111, 1.0, 1.0)})
            assert it.asked["allenai/a"] == 1

    asyncio.run(scenario())


def test_a_number_that_an_answer_lacks_stays_what_it_was() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            it = Popular(server, OLMO)
            it.answers = three()
            async with it.run() as popularity:
                popularity.see(NAMED)
                await it.ask("allenai/c")
                await until(lambda: rows_of(popularity, "watchers") == {"olmo": (30, 1.0, 1.0)})
                it.answers["allenai/b"] = {"id": 2, "stargazers_count": 11, "forks_count": 1}
                await it.ask("allenai/b")
                await until(lambda: rows_of(popularity) == {"olmo": (112, 1.0, 1.0)})
                assert rows_of(popularity, "watchers") == {"olmo": (30, 0.667, 1.0)}
            async with it.run() as popularity:
                assert rows_of(popularity, "watchers") == {"olmo": (30, 0.667, 1.0)}
                it.hand.go(25 * HOUR)
                it.answers = dict.fromkeys(three(), 500)
                assert rows_of(popularity) == {"olmo": (None, 0.0, 0.0)}, "what is older than a day is not known"

    asyncio.run(scenario())


def test_a_repository_that_is_gone_leaves_the_sum_and_one_404_does_not_say_so() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            it = Popular(server, OLMO)
            it.answers = three()
            async with it.run() as popularity:
                popularity.see(NAMED)
                await it.ask("allenai/c")
                await until(lambda: stars_of(popularity) == {"olmo": 111})
                it.answers["allenai/b"] = 404
                await it.ask("allenai/b")
                assert rows_of(popularity) == {"olmo": (111, 0.667, 1.0)}
                await it.ask("allenai/b", 2)
                await until(lambda: rows_of(popularity) == {"olmo": (101, 1.0, 1.0)})
            async with it.run() as popularity:
                assert stars_of(popularity) == {"olmo": 101}

    asyncio.run(scenario())


def test_what_is_not_watched_any_more_is_neither_shown_nor_asked_for() -> None:
    """A repository that belongs to another project today does so after a restart too."""

    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            names = {"allenai/olmo": "olmo", "dropped/one": "dropped", "moved/one": "before"}
            watchlist = Watchlist([Project("olmo", github=("allenai",)), Project("after", github=("moved/one",))])
            it = Popular(server, watchlist)
            earlier = it.hand.clock.now() - 7 * HOUR
            it.outlet.cursors |= {
                POPULARITY_CURSOR + name: msgspec.json.encode(_PopularityCursor(project, earlier, Stated(3, 0)))
                for name, project in names.items()
            }
            it.outlet.cursors["github:/events"] = b"?"
            it.answers = {name: {"stargazers_count": 5, "forks_count": 1} for name in names}
            async with it.run() as popularity:
                assert stars_of(popularity) == {"after": 3, "olmo": 3}
                await until(lambda: stars_of(popularity) == {"after": 5, "olmo": 5})
            async with it.run() as popularity:
                assert stars_of(popularity) == {"after": 5, "olmo": 5}
            assert it.asked == {"allenai/olmo": 1, "moved/one": 1}

    asyncio.run(scenario())


def test_a_renamed_repository_counts_once() -> None:
    """The old name leads to the new one, and the watchlist and old events have both."""

    async def scenario() -> None:
        server = GithubServer(11, WorldClock(1.0, time.time()), rate=0.01, token="t")
        address = await server.start()
        server.rename(NAME, NAME + "-next")
        watchlist, outlet, clock = (
            Watchlist([Project("tinysample", github=("sample-hub/tiny*",))]),
            MemoryOutlet(),
            Clock(1e4, time.time()),
        )
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
                rows = {row.kind: row.value for row in each.get()}
                assert rows["stars"] == truth["stargazers_count"] > 0
                assert rows["forks"] == truth["forks_count"]
        finally:
            await server.stop()

    asyncio.run(scenario())


def test_a_repository_that_has_moved_belongs_to_whom_it_has_moved_to() -> None:
    """A repository that the watchlist names stays with the project that names it."""

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=1e6) as server:
            moved = {"allenai/sold": "stranger/sold", "allenai/given": "eleutherai/given", "stays/one": "stranger/one"}
            numbers = {name: number for number, name in enumerate(["allenai/olmo", *moved.values()], 1)}

            def script(server: ScriptedGithub, path: str, page: int) -> web.Response:
                name = path.removeprefix("/repos/")
                number = numbers[moved.get(name, name)]
                body = {
                    "id": number,
                    "full_name": moved.get(name, name),
                    "stargazers_count": 10**number,
                    "forks_count": 0,
                }
                return web.json_response(body)

            server.script = script
            outlet = MemoryOutlet()
            watchlist = Watchlist(
                [Project("olmo", github=("allenai",)), Project("pythia", github=("eleutherai", "stays/one"))]
            )
            names = ["allenai/olmo", *moved, "eleutherai/given"]
            async with open_session("tests") as session:
                pages = GithubPages(
                    server.address, "t", session, GithubLimits("t", server.clock, None, keep), server.clock
                )
                known = GithubPopularity(pages, outlet, server.clock, {}, watchlist)
                known.see((name, "olmo" if name.startswith("allenai") else "pythia") for name in names)
                running = asyncio.create_task(known.run())
                await until(lambda: len(outlet.cursors) == len(names))
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                for each in (known, GithubPopularity(pages, outlet, server.clock, outlet.cursors, watchlist)):
                    assert stars_of(each) == {"olmo": 10, "pythia": 10**3 + 10**4}

    asyncio.run(scenario())
