"""A watched repository of GitHub that was renamed or transferred stays with its project; another one with its old name
does not belong to it.
"""

import asyncio
from collections.abc import Iterable

from aiohttp import web

from streams.live.common.context import Context
from streams.live.common.health import Feeds
from streams.live.common.http import open_session
from streams.live.common.popularity import Popularity
from streams.live.github.poller import GithubPoller
from streams.live.github.popularity import POPULARITY_CURSOR
from streams.times import format_time
from streams.watchlist import Project, Watchlist
from tests.streams.live.github.serving import MemoryOutlet, ScriptedGithub, polling, until
from tests.streams.made import KEY, event

WATCHED = Watchlist([Project("tool", github=("Old-Org/tool",))])
FEED = "github:/repos/Old-Org/tool/events"


class World:
    """Repositories by id with their names of today; old names lead to them unless another one has them."""

    def __init__(self, server: ScriptedGithub) -> None:
        self.server = server
        self.names: dict[int, str] = {}
        self.led: dict[str, int] = {}
        self._number = 0
        server.script = self.answer

    def call(self, native: int, name: str) -> None:
        if native in self.names:
            self.led[self.names[native].casefold()] = native
        self.names[native] = name

    def push(self, native: int, *, sampled: bool = True) -> str:
        """Something happens in a repository. It shows in its own feed and, if `sampled`, in that of everything."""
        self._number += 1
        moment = format_time((self.server.clock.now() - 60_000_000) // 1_000_000 * 1_000_000)
        made = event(number=self._number, created_at=moment, repo={"id": native, "name": self.names[native]})
        for path in (f"/repositories/{native}/events", "/events")[: 1 + sampled]:
            self.server.feeds[path] = [made, *self.server.feeds.get(path, [])]
        return str(self._number)

    def answer(self, server: ScriptedGithub, path: str, page: int) -> web.Response | None:
        match path.split("/"):
            case ["", "repos", owner, name, *rest]:
                asked = f"{owner}/{name}".casefold()
                native = next((native for native, name in self.names.items() if name.casefold() == asked), None)
                if native is None:
                    place = "/".join(["", "repositories", str(self.led[asked]), *rest]) if asked in self.led else ""
                    query = f"?per_page=100&page={page}" if rest else ""
                    return (
                        web.Response(status=301, headers={"Location": place + query})
                        if place
                        else web.Response(status=404)
                    )
                return self._show(native, rest, page)
            case ["", "repositories", native_text, *rest]:
                return (
                    self._show(int(native_text), rest, page)
                    if int(native_text) in self.names
                    else web.Response(status=404)
                )
        return None

    def _show(self, native: int, rest: list[str], page: int) -> web.Response:
        if rest:
            body, headers = self.server.page(f"/repositories/{native}/events", page)
            return web.Response(body=body, headers=headers)
        return web.json_response(
            {"id": native, "full_name": self.names[native], "stargazers_count": native, "forks_count": 1}
        )


def projects(outlet: MemoryOutlet) -> dict[str, str | None]:
    """The project of each published event, by its id; the first one counts, as it does downstream."""
    found: dict[str, str | None] = {}
    for result in outlet.results:
        for activity in result.activities:
            found.setdefault(activity.id.rpartition(":")[2], activity.project)
    return found


def stars(run: Iterable[Popularity]) -> list[tuple[str, float]]:
    return [(each.project, each.value) for each in run if each.kind == "stars"]


def test_a_repository_that_moved_before_the_station_began_is_its_projects() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            world, outlet = World(server), MemoryOutlet()
            world.call(77, "old-org/tool")
            world.call(77, "new-org/tool")
            pushed = [world.push(77) for _ in range(8)]
            async with polling(server, outlet, watchlist=WATCHED) as run:
                await until(lambda: projects(outlet).keys() >= set(pushed) and outlet.of(FEED))
                assert run.feeds.by_name[FEED].state == "ok, moved to new-org/tool"
                later = world.push(77)
                await until(lambda: later in projects(outlet))
                await until(lambda: len(outlet.ids(FEED)) == 9)
            named = [activity.project for result in outlet.of(FEED) for activity in result.activities]
            assert named == ["tool"] * 9, "what its own feed shows is its own"
            assert projects(outlet)[later] == "tool", "whichever feed shows it first"
            # A station that is started again knows it at once, from whichever feed.
            async with polling(server, outlet, watchlist=WATCHED):
                last = world.push(77)
                await until(lambda: last in projects(outlet))
            assert projects(outlet)[last] == "tool"

    asyncio.run(scenario())


def test_what_gets_the_old_name_is_not_the_projects_and_the_watched_one_is_followed() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            world, outlet = World(server), MemoryOutlet()
            world.call(77, "old-org/tool")
            first = world.push(77)
            async with polling(server, outlet, watchlist=WATCHED):
                await until(lambda: projects(outlet).get(first) == "tool")
                # Between two polls it goes, and another one takes its name.
                world.call(77, "new-org/tool")
                world.names[88] = "Old-org/Tool"
                strange, moved = world.push(88), world.push(77)
                await until(lambda: {strange, moved} <= projects(outlet).keys())
                assert (projects(outlet)[strange], projects(outlet)[moved]) == (None, "tool")
            async with polling(server, outlet, watchlist=WATCHED) as run:
                strange, moved = world.push(88), world.push(77)
                await until(lambda: {strange, moved} <= projects(outlet).keys())
                await until(lambda: run.feeds.by_name[FEED].state == "ok, moved to new-org/tool")
                await until(
                    lambda: any(a.id.endswith(f":{moved}") for result in outlet.of(FEED) for a in result.activities)
                )
                assert (projects(outlet)[strange], projects(outlet)[moved]) == (None, "tool"), "after a restart, too"

    asyncio.run(scenario())


def test_a_repository_that_is_gone_and_was_made_again_under_its_name_is_the_projects() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            world, outlet = World(server), MemoryOutlet()
            world.call(77, "old-org/tool")
            first = world.push(77)
            async with polling(server, outlet, watchlist=WATCHED):
                await until(lambda: projects(outlet).get(first) == "tool")
                del world.names[77]
                world.names[88] = "old-org/tool"
                again = world.push(88, sampled=False)
                await until(lambda: again in projects(outlet))
                later = world.push(88)
                await until(lambda: later in projects(outlet))
                assert (projects(outlet)[again], projects(outlet)[later]) == ("tool", "tool")

    asyncio.run(scenario())


def test_a_repository_of_a_watched_owner_that_goes_elsewhere_stays_the_owners_project() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            world, outlet = World(server), MemoryOutlet()
            world.call(77, "old-org/tool")
            first = world.push(77)
            async with polling(server, outlet, watchlist=Watchlist([Project("tool", github=("old-org",))])):
                await until(lambda: projects(outlet).get(first) == "tool")
                world.call(77, "new-org/tool")
                moved = world.push(77)
                await until(lambda: moved in projects(outlet))
                assert projects(outlet)[moved] == "tool"
                await until(lambda: POPULARITY_CURSOR + "old-org/tool" in outlet.cursors)

    asyncio.run(scenario())


def test_a_repository_that_moved_counts_once_in_its_projects_stars() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=6_000) as server:
            world, outlet = World(server), MemoryOutlet()
            world.call(77, "old-org/tool")
            world.call(77, "new-org/tool")
            world.push(77)
            context = Context(
                watchlist=WATCHED, actor_key=KEY, outlet=outlet, cursors={}, feeds=Feeds(), clock=server.clock
            )
            async with open_session("tests") as session:
                poller = GithubPoller(server.address, "t", session, context)
                running = asyncio.create_task(poller.run())
                await until(lambda: stars(poller.popularity()) == [("tool", 77)])
                await until(lambda: projects(outlet))
                assert stars(poller.popularity()) == [("tool", 77)]
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())
