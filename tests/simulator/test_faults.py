"""The faults between a server and a client: they occur when they are switched on, and only then."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime

import aiohttp
import pytest
from aiohttp import web

from simulator.servers.faults import KINDS, Faults
from tests.simulator.github_serving import NOON, serving

Get = Callable[[], Awaitable[tuple[int, str, str]]]


async def asking(faults: Faults, run: Callable[[Get], Awaitable[None]]) -> None:
    """A server that answers 1, 2, 3, … with an ETag each, over a fresh connection each time: (status, ETag, body)."""
    asked = 0

    async def count(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"asked": asked, "filler": "x" * 10_000}, headers={"ETag": f'"{asked}"'})

    app = web.Application(middlewares=[faults.middleware])
    app.router.add_get("/", count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"

        async def get() -> tuple[int, str, str]:
            connector = aiohttp.TCPConnector(force_close=True)
            async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
                return response.status, response.headers.get("ETag", ""), await response.text()

        await run(get)
    finally:
        await runner.cleanup()


def test_nothing_goes_wrong_unless_it_is_told_to() -> None:
    faults = Faults(1)

    async def run(get: Get) -> None:
        for number in range(1, 20):
            status, tag, body = await get()
            assert (status, tag, json.loads(body)["asked"]) == (200, f'"{number}"', number)

    asyncio.run(asking(faults, run))
    assert not faults.counts


def test_a_connection_ends_before_or_in_the_middle_of_an_answer() -> None:
    faults = Faults(1)

    async def run(get: Get) -> None:
        faults.set(dropped=1.0)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await get()
        faults.set(dropped=0.0, cut=1.0)
        with pytest.raises(aiohttp.ClientPayloadError):
            await get()

    asyncio.run(asking(faults, run))
    assert faults.counts["dropped"] >= 1
    assert faults.counts["cut"] == 1


def test_an_answer_is_an_error_a_torso_or_garbage() -> None:
    faults = Faults(1)

    async def run(get: Get) -> None:
        faults.set(error=1.0)
        assert {(await get())[0] for _ in range(30)} == {500, 502, 503}
        faults.clear()
        faults.set(truncated=1.0)
        status, tag, body = await get()
        assert (status, bool(tag)) == (200, True)
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
        faults.clear()
        faults.set(garbage=1.0)
        status, _, body = await get()
        assert (status, body[:9]) == (200, "<!DOCTYPE")

    asyncio.run(asking(faults, run))
    assert faults.counts == {"error": 30, "truncated": 1, "garbage": 1}


def test_a_stale_answer_is_an_old_one_with_its_old_tag() -> None:
    faults = Faults(1)

    async def run(get: Get) -> None:
        for _ in range(3):
            await get()
        faults.set(stale=1.0)
        for _ in range(10):
            status, tag, body = await get()
            number = json.loads(body)["asked"]
            assert (status, tag) == (200, f'"{number}"')
            assert number <= 3
        faults.clear()
        assert json.loads((await get())[2])["asked"] == 14

    asyncio.run(asking(faults, run))
    assert faults.counts == {"stale": 10}


def test_a_frozen_page_answers_its_own_tag_with_304_and_states_todays_quota() -> None:
    async def run() -> None:
        async with serving() as client:
            old = await client.get("/events")
            client.wall.wait(60)
            client.server.faults.set(stale=1.0)
            stale = await client.get("/events")
            assert (stale.ids, stale.headers["ETag"]) == (old.ids, old.headers["ETag"])
            assert int(stale.headers["X-RateLimit-Remaining"]) == int(old.headers["X-RateLimit-Remaining"]) - 1
            assert (await client.get("/events", If_None_Match=old.headers["ETag"])).status == 304
            client.server.faults.clear()
            assert (await client.get("/events", If_None_Match=old.headers["ETag"])).status == 200

    asyncio.run(run())


def test_only_the_latest_requests_have_older_answers() -> None:
    async def run() -> None:
        async with serving() as client:
            client.server.limits.points = 10_000
            first = await client.get("/events?per_page=1")
            for number in range(2, 80):
                await client.get(f"/orgs/sampleai/events?page=2&per_page={number}")
            client.wall.wait(60)
            client.server.faults.set(stale=1.0)
            assert (await client.get("/events?per_page=1")).ids != first.ids, "forgotten"
            assert client.server.faults.counts["stale"] == 0
            await client.get("/orgs/sampleai/events?page=2&per_page=79")
            assert client.server.faults.counts["stale"] == 1

    asyncio.run(run())


def test_the_date_is_skewed_and_nothing_else() -> None:
    async def run() -> None:
        async with serving() as client:
            client.server.faults.set(skew=-3_600)
            answer = await client.get("/events")
            assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == NOON - 3_600
            assert answer.status == 200

    asyncio.run(run())


def test_the_seed_decides_what_befalls_which_answer() -> None:
    async def statuses(seed: int) -> list[int]:
        faults, seen = Faults(seed), list[int]()

        async def run(get: Get) -> None:
            faults.set(error=0.5)
            for _ in range(30):
                seen.append((await get())[0])

        await asking(faults, run)
        return seen

    first, again, other = (asyncio.run(statuses(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert 5 < first.count(200) < 25


def test_rates_that_make_no_sense_are_refused() -> None:
    faults = Faults(1)
    for wrong in ({"fire": 0.1}, {"error": 1.5}, {"error": -0.1}, {"error": 0.6, "stale": 0.6}):
        with pytest.raises(ValueError, match="fault"):
            faults.set(**wrong)
    assert faults.rates == dict.fromkeys(KINDS, 0.0)
