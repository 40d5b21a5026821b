"""Names of the watchlist on the Hub: one that moves is followed, and one that is missing is reported."""

import asyncio

from aiohttp import web

from streams.live.hub.poller import CHANGES, REPOSITORIES
from streams.watchlist import Project, Watchlist
from tests.streams.live.hub.small import Kept, Repo, SmallHub, Station, station


def watching(*places: str) -> Watchlist:
    return Watchlist([Project("tool", huggingface=places)])


def led(hub: SmallHub, old: str, repo: Repo) -> None:
    """An old name leads to the new one, as on the Hub."""

    def answer(request: web.Request) -> web.StreamResponse | None:
        path = f"/api/{repo.kind}/{old}"
        if not request.path.startswith(path) or any(each.name == old for each in hub.repos):
            return None
        place = str(request.rel_url).replace(path, f"/api/{repo.kind}/{repo.name}", 1)
        return web.Response(status=307, headers={"Location": place})

    hub.answer = answer


def states(it: Station) -> tuple[str, float | None]:
    health = it.feeds.by_name[REPOSITORIES]
    return health.state, health.coverage


def projects(kept: Kept) -> dict[str, str | None]:
    return {activity.id[-40:][:2]: activity.project for activity in kept.of("commit")}


def test_a_repository_that_moved_before_the_station_began_is_its_projects() -> None:
    async def run() -> None:
        hub = SmallHub()
        repo = hub.repo("new-org/tool", native="7")
        repo.commit(1, 60, "Ada")
        led(hub, "old-org/tool", repo)
        async with station(hub, watchlist=watching("Old-org/tool")) as it:
            await it.until(lambda: bool(it.kept.of("commit")) and states(it)[1] == 1.0)
            assert projects(it.kept) == {"01": "tool"}
            assert it.kept.of("commit")[0].repo == "new-org/tool"
            await it.until(lambda: states(it)[0] == "ok, old-org/tool moved to new-org/tool")
            repo.commit(2, 1, "Ada")
            await it.until(lambda: len(it.kept.of("commit")) == 2)
            assert projects(it.kept) == {"01": "tool", "02": "tool"}
            assert states(it)[0] == "ok, old-org/tool moved to new-org/tool"

    asyncio.run(run())


def test_a_repository_that_moves_to_another_owner_stays_its_projects_after_a_restart_too() -> None:
    async def run(place: str) -> None:
        hub, kept = SmallHub(), Kept()
        repo = hub.repo("old-org/tool", native="7")
        repo.commit(1, 60, "Ada")
        async with station(hub, kept, watchlist=watching(place)) as it:
            await it.until(lambda: len(kept.of("commit")) == 1)
            repo.name = "new-org/other"
            led(hub, "old-org/tool", repo)
            repo.commit(2, 1, "Ada")
            await it.until(lambda: len(kept.of("commit")) == 2)
        async with station(hub, kept, watchlist=watching(place)) as it:
            repo.commit(3, 1, "Ada")
            await it.until(lambda: len(kept.of("commit")) == 3)
        assert projects(kept) == {"01": "tool", "02": "tool", "03": "tool"}

    for place in ("old-org/tool", "old-org", "old-org/to*"):
        asyncio.run(run(place))


def test_a_new_repository_under_the_old_name_is_not_the_projects() -> None:
    async def run() -> None:
        hub, kept = SmallHub(), Kept()
        repo = hub.repo("old-org/tool", native="7")
        repo.commit(1, 60, "Ada")
        async with station(hub, kept, watchlist=watching("old-org/tool")) as it:
            await it.until(lambda: len(kept.of("commit")) == 1)
            repo.name = "old-org/tool-classic"
            repo.commit(2, 1, "Ada")
            await it.until(lambda: len(kept.of("commit")) == 2)
            hub.repo("old-org/tool", native="8").commit(3, 1, "Bob")
            await it.until(lambda: len(kept.of("commit")) == 3)
        assert projects(kept) == {"01": "tool", "02": "tool", "03": None}

    asyncio.run(run())


def test_a_model_and_a_dataset_of_one_name_are_both_meant() -> None:
    async def run() -> None:
        hub, kept = SmallHub(), Kept()
        hub.repo("old-org/tool", native="7").commit(1, 60, "Ada")
        hub.repo("old-org/tool", kind="datasets", native="8").commit(2, 60, "Ada")
        async with station(hub, kept, watchlist=watching("old-org/tool")) as it:
            await it.until(lambda: len(kept.of("commit")) == 2)
        assert projects(kept) == {"01": "tool", "02": "tool"}

    asyncio.run(run())


def test_what_the_hub_does_not_list_is_told_and_not_called_well() -> None:
    async def run() -> None:
        hub = SmallHub()
        hub.repo("allenai/OLMo").commit(1, 60, "Ada")
        async with station(hub, watchlist=watching("allenai", "no-such-owner", "allenai/no-such-model")) as it:
            await it.until(
                lambda: bool(it.kept.of("commit")) and "not listed" in states(it)[0] and states(it)[1] is not None
            )
            await it.rounds(1)
            state, coverage = states(it)
            assert state == "not listed: allenai/no-such-model and 1 more; correct the name in the watchlist"
            assert coverage is not None
            assert abs(coverage - 1 / 3) < 0.01
            hub.repo("no-such-owner/one").commit(2, 1, "Ada")
            hub.repo("allenai/no-such-model").commit(3, 1, "Ada")
            await it.until(lambda: states(it)[0] == "ok")
            assert projects(it.kept)["01"] == "tool"

    asyncio.run(run())


def test_a_watchlist_of_which_nothing_is_there_is_not_called_well() -> None:
    async def run() -> None:
        async with station(SmallHub(), watchlist=watching("no-such-owner")) as it:
            await it.until(lambda: states(it) == ("not listed: no-such-owner; correct the name in the watchlist", 0.0))

    asyncio.run(run())


def test_feeds_that_have_nothing_to_ask_for_are_well_and_do_not_start_for_ever() -> None:
    async def run() -> None:
        async with station(SmallHub(), watchlist=Watchlist([])) as it:
            await it.until(lambda: {it.feeds.by_name[feed].state for feed in (REPOSITORIES, CHANGES)} == {"ok"})

    asyncio.run(run())
