"""What GitHub's simulated limits do to clients that ask too often, and to those that go on nevertheless."""

import asyncio
from contextlib import suppress

import aiohttp
import pytest

from simulator.servers.clock import WorldClock
from simulator.servers.github_limits import DIALECTS, GithubServerLimits
from simulator.servers.ledger import BANNED
from tests.simulator.github_serving import NOON, TOKEN, Wall, serving


def limits(wall: Wall, scale: float = 1.0, seed: int = 1) -> GithubServerLimits:
    return GithubServerLimits(WorldClock(scale, NOON, wall), seed)


def test_60_requests_an_hour_without_a_token_then_a_refusal_that_states_when() -> None:
    async def run() -> None:
        async with serving() as client:
            reset = NOON + 3_600
            for remaining in range(59, -1, -1):
                answer = await client.get("/repos/sample-hub/tinysample", None)
                assert (answer.status, answer.headers["X-RateLimit-Remaining"]) == (200, str(remaining))
            refused = await client.get("/repos/sample-hub/tinysample", None)
            assert refused.status in (403, 429)
            assert "rate limit" in refused.json["message"]
            stated = [refused.headers[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")]
            assert stated == ["60", "0", f"{reset:.0f}"]
            assert (await client.get("/repos/sample-hub/tinysample")).status == 200, "a token has an hour of its own"
            assert client.server.offences == [], "one refusal is how a client learns of it"
            client.wall.time = reset
            assert (await client.get("/repos/sample-hub/tinysample", None)).status == 200

    asyncio.run(run())


def test_whoever_asks_during_a_ban_is_written_down_and_waits_longer() -> None:
    async def run() -> None:
        async with serving() as client:
            client.server.limits.anonymous = 0
            client.server.limits.dialects = ("reset",)
            first = await client.get("/events", None)
            client.wall.wait(10)
            second = await client.get("/events", None)
            assert [(offence.what, offence.feed) for offence in client.server.offences] == [(BANNED, "/events")]
            assert int(second.headers["X-RateLimit-Reset"]) > int(first.headers["X-RateLimit-Reset"])
            client.server.limits.anonymous = 60
            client.wall.time = float(first.headers["X-RateLimit-Reset"])
            assert (await client.get("/events", None)).status in (403, 429)
            assert len(client.server.offences) == 2

    asyncio.run(run())


@pytest.mark.parametrize("scale", [1.0, 60.0])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_secondary_ban_speaks_its_dialect_and_ends_when_it_says(dialect: str, scale: float) -> None:
    wall = Wall()
    own = limits(wall, scale)
    own.dialects, own.points = (dialect,), 900
    for _ in range(900):
        assert own.enter("a", "/events", authorised=True) is None
        own.leave("a", free=True)
    refusal = own.enter("a", "/events", authorised=True)
    assert refusal is not None
    spent = refusal.headers["X-RateLimit-Remaining"] == "0"
    assert ("Retry-After" in refusal.headers, spent) == (dialect == "retry-after", dialect == "reset")
    wait = 60 / scale
    if dialect == "retry-after":
        assert refusal.headers["Retry-After"] == f"{wait:.0f}"
    if dialect == "reset":
        assert float(refusal.headers["X-RateLimit-Reset"]) == NOON + wait
    wall.wait(wait)
    assert own.enter("a", "/events", authorised=True) is None
    assert own.refused == {"secondary": 1}


def test_points_are_counted_by_endpoint_and_minute() -> None:
    wall = Wall()
    own = limits(wall)
    own.points = 3
    for endpoint in ("/events", "/orgs/a/events") * 3:
        assert own.enter("a", endpoint, authorised=True) is None
        own.leave("a", free=False)
    wall.wait(60)
    assert own.enter("a", "/events", authorised=True) is None
    assert [own.enter("b", "/events", authorised=True) for _ in range(3)] == [None] * 3
    assert own.enter("b", "/events", authorised=True) is not None


def test_100_requests_at_once_are_the_most() -> None:
    own = limits(Wall())
    for number in range(100):
        assert own.enter("a", f"/{number}", authorised=True) is None
    own.leave("a", free=False)
    assert own.enter("a", "/100", authorised=True) is None
    assert own.enter("b", "/", authorised=True) is None
    assert own.enter("a", "/101", authorised=True) is not None


def test_a_server_refuses_the_request_too_many_at_once() -> None:
    async def run() -> None:
        async with serving() as client:
            client.server.limits.concurrent = 1
            assert (await client.get("/events")).status == 200
            assert client.server.limits.enter(TOKEN, "/elsewhere", authorised=True) is None
            assert (await client.get("/repos/sample-hub/tinysample")).status in (403, 429)

    asyncio.run(run())


def test_both_statuses_and_all_dialects_occur_and_the_seed_decides() -> None:
    def refusals(seed: int) -> list[tuple[int, bool, bool]]:
        own = limits(Wall(), seed=seed)
        own.points = 0
        made = [own.enter(str(client), "/events", authorised=True) for client in range(40)]
        return [
            (each.status, "Retry-After" in each.headers, each.headers["X-RateLimit-Remaining"] == "0")
            for each in made
            if each
        ]

    assert refusals(1) == refusals(1) != refusals(2)
    assert {status for status, _, _ in refusals(1)} == {403, 429}
    assert {(retry_after, reset) for _, retry_after, reset in refusals(1)} == {
        (True, False),
        (False, True),
        (False, False),
    }


def test_everybody_can_be_refused_for_a_while() -> None:
    async def run() -> None:
        async with serving(scale=60.0) as client:
            client.server.limits.refuse_everybody(120, "retry-after")
            answer = await client.get("/events")
            assert (answer.status in (403, 429), answer.headers["Retry-After"]) == (True, "2")
            client.wall.wait(2)
            assert (await client.get("/events", TOKEN)).status == 200
            assert client.server.offences == []

    asyncio.run(run())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_whoever_was_told_that_everybody_is_refused_and_asks_again_offends(dialect: str) -> None:
    async def run() -> None:
        async with serving() as client:
            client.server.limits.refuse_everybody(600, dialect)
            assert (await client.get("/events")).status in (403, 429)
            assert (await client.get("/events", None)).status in (403, 429), "another client, which is told for itself"
            assert client.server.offences == []
            client.wall.wait(59)
            assert (await client.get("/orgs/sampleai/events")).status in (403, 429)
            assert [(offence.what, offence.feed) for offence in client.server.offences] == [
                (BANNED, "/orgs/sampleai/events")
            ]
            # A client that got no time may try again after a minute.
            client.wall.wait(60)
            assert (await client.get("/events")).status in (403, 429)
            assert len(client.server.offences) == (1 if dialect == "silent" else 2)
            client.wall.wait(481)
            assert (await client.get("/events")).status == 200
            assert len(client.server.offences) == (1 if dialect == "silent" else 2)

    asyncio.run(run())


@pytest.mark.parametrize("fault", ["dropped", "error", "garbage", "cut", "truncated"])
def test_whom_a_fault_kept_from_being_told_does_not_offend(fault: str) -> None:
    async def run() -> None:
        async with serving() as client:
            client.server.limits.refuse_everybody(600, "silent")
            client.server.faults.set(**{fault: 1.0})
            with suppress(aiohttp.ClientError):
                await client.get("/events")
            client.server.faults.clear()
            assert (await client.get("/events")).status in (403, 429)
            assert client.server.limits.refused["secondary"] >= 2
            assert client.server.offences == []
            await client.get("/events")
            assert len(client.server.offences) == 1

    asyncio.run(run())
