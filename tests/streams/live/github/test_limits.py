"""Limits, refusals and failures: all feeds wait as the server demands, over restarts; never an exception, never a
loss.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from streams.activity import HOUR, MINUTE, SECOND
from streams.errors import StreamsError
from streams.github_events import GithubEvents
from streams.identities import Identities
from streams.live.common.clock import Clock
from streams.live.common.health import Feeds
from streams.live.common.http import Answer, open_session
from streams.live.github.cursor import GithubCursor, decode_github
from streams.live.github.feed import GithubFeed
from streams.live.github.limits import LIMITS_FEED, GithubLimits, is_limit
from streams.live.github.pace import PollPace
from streams.live.github.page import GithubPages
from streams.watchlist import Project, Watchlist
from tests.streams.live.github.serving import FEED, ORG, WATCHED, MemoryOutlet, ScriptedGithub, polling, until
from tests.streams.made import KEY

TWO = Watchlist([Project("two", github=("allenai", "other-org"))])
OTHER = "/orgs/other-org/events"


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, CIMultiDictProxy(CIMultiDict(named)), body)


class Hand:
    """A clock moved by hand, and by sleeping."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = 1_000_000.0
        self.saved: list[bytes] = []
        sleep = asyncio.sleep

        async def slept(seconds: float) -> None:
            self.time += seconds
            await sleep(0)

        monkeypatch.setattr(asyncio, "sleep", slept)

    def limits(self, token: str = "t", cursor: bytes | None = None) -> GithubLimits:
        return GithubLimits(token, Clock(wall=lambda: self.time), cursor, self._save)

    async def _save(self, cursor: bytes) -> None:
        self.saved.append(cursor)


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    return Hand(monkeypatch)


async def turns(hand: Hand, limits: GithubLimits, count: int, *, first: bool = True) -> list[float]:
    """The times at which so many requests may be made, one after the other."""
    times = []
    for _ in range(count):
        async with limits.poll():
            await limits.turn(first=first)
            times.append(hand.time)
    return times


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "7.5", "x_ratelimit_remaining": "0", "x_ratelimit_reset": "1000100"}, 7.5),
        ({"retry_after": formatdate(1_000_090, usegmt=True)}, 90),
        ({"retry_after": formatdate(1_000_090, usegmt=True), "date": formatdate(1_000_000, usegmt=True)}, 90),
        ({"retry_after": formatdate(1_000_090, usegmt=True), "date": formatdate(999_000, usegmt=True)}, 1_090),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1000120.5"}, 120.5),
        ({"retry_after": "soon", "x_ratelimit_remaining": "0", "x_ratelimit_reset": "1000120"}, 120),
        ({"x_ratelimit_remaining": "17", "x_ratelimit_reset": "1000120"}, 60),
        ({}, 60),
        ({"retry_after": "-5"}, 60),
        ({"retry_after": "1e99"}, 60),
    ],
)
@pytest.mark.parametrize("status", [403, 429])
def test_a_ban_lasts_as_long_as_it_says(hand: Hand, status: int, headers: dict[str, str], seconds: float) -> None:
    async def scenario() -> None:
        limits = hand.limits()
        refusal = answer(status, b'{"message":"You have exceeded a secondary rate limit"}', **headers)
        assert is_limit(refusal)
        await limits.refuse(refusal)
        again = hand.limits(cursor=hand.saved[-1])
        for each in (limits, again):
            hand.time = 1_000_000.0
            assert each.backoff.holds
            (begun,) = await turns(hand, each, 1)
            assert seconds <= begun - 1_000_000 <= seconds + 1
        hand.time = 1_000_000.0
        assert not hand.limits("another token", hand.saved[-1]).backoff.holds

    asyncio.run(scenario())


def test_silent_refusals_double_up_to_a_quarter_of_an_hour(hand: Hand) -> None:
    async def scenario() -> None:
        limits = hand.limits()
        waits = []
        for _ in range(6):
            before = hand.time
            await limits.refuse(answer(403))
            await turns(hand, limits, 1)
            waits.append(round(hand.time - before))
            limits = hand.limits(cursor=hand.saved[-1])
        assert waits == [60, 120, 240, 480, 900, 900]
        limits.allow()
        await limits.refuse(answer(403))
        before = hand.time
        await turns(hand, limits, 1)
        assert round(hand.time - before) == 60

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("refusal", "limit"),
    [
        (answer(429), True),
        (answer(403), False),
        (answer(403, b"{}"), False),
        (answer(403, b'{"message":"You have exceeded a secondary rate limit."}'), True),
        (answer(403, b'{"message":"API rate limit exceeded for user ID 7. (But here is the good news ...)"}'), True),
        (
            answer(403, b'{"message":"You have triggered an abuse detection mechanism. Please wait a few minutes."}'),
            True,
        ),
        (answer(403, b"<html><body>You have exceeded a secondary rate limit.</body></html>"), True),
        (
            answer(403, b'{"message":"Sorry.","documentation_url":"https://docs.github.com/rest/rate-limit#abuse"}'),
            False,
        ),
        (answer(403, b'{"message":"`limit-abuse` restricts OAuth Apps: access of third parties is limited."}'), False),
        (
            answer(403, b'{"message":"Resource protected by organization SAML enforcement: rate limit exceeded-org"}'),
            False,
        ),
        (answer(403, b'{"message":"Resource not accessible by personal access token"}'), False),
        (answer(403, b'{"message":"Resource not accessible"}', x_ratelimit_remaining="0"), True),
        (answer(403, b'{"message":"Resource not accessible"}', x_ratelimit_remaining="4000"), False),
        (answer(403, b'{"message":"Resource not accessible"}', retry_after="1"), True),
        (answer(403, b"Request forbidden by administrative rules."), False),
        (answer(401, b'{"message":"Bad credentials"}'), False),
        (answer(200), False),
        (answer(503, retry_after="1"), False),
        (answer(451, b'{"message":"You have exceeded a secondary rate limit."}'), False),
    ],
)
def test_a_refusal_is_told_from_a_limit(refusal: Answer, limit: bool) -> None:
    assert is_limit(refusal) is limit


def test_a_fifth_of_the_quota_is_left_to_the_owner_of_the_token(hand: Hand) -> None:
    async def scenario() -> None:
        limits = hand.limits()
        left, reset = 5_000, hand.time + 3_600
        begun = hand.time
        while left > 1_000:
            await turns(hand, limits, 1)
            left -= 1
            limits.note(answer(x_ratelimit_limit="5000", x_ratelimit_remaining=str(left), x_ratelimit_reset=str(reset)))
        assert limits.remaining == 1_000
        assert limits.held
        assert hand.time - begun > 1_800, "what is left is spread over the hour"
        assert (await turns(hand, limits, 1))[0] >= reset

    asyncio.run(scenario())


def test_without_a_token_no_hour_has_more_than_the_budget_over_restarts_too(hand: Hand) -> None:
    async def scenario() -> None:
        limits = hand.limits("")
        times = await turns(hand, limits, 70)
        assert times[19] == times[0]
        assert min(later - earlier for earlier, later in pairwise(times[20:])) > 60
        for _ in range(30):
            limits = hand.limits("", hand.saved[-1])
            times += await turns(hand, limits, 3, first=False)
        assert min(later - earlier for earlier, later in zip(times, times[55:], strict=False)) >= 3_600

    asyncio.run(scenario())


@pytest.mark.parametrize("ahead", [0, 600, -600])
@pytest.mark.parametrize("left", [0, 1_000])
def test_a_spent_share_is_waited_for_by_the_servers_clock(hand: Hand, left: int, ahead: int) -> None:
    """`ahead`: by how much our clock is ahead. A date in the future may be wrong, and shortens no wait."""

    async def scenario() -> None:
        limits = hand.limits()
        server = hand.time - ahead
        stated: Any = {
            "x_ratelimit_limit": "5000",
            "x_ratelimit_remaining": str(left),
            "x_ratelimit_reset": str(server + 300),
        }
        limits.note(answer(date=formatdate(server, usegmt=True), **stated))
        assert limits.held
        (begun,) = await turns(hand, limits, 1)
        assert 300 <= begun - 1_000_000 - max(0, -ahead) <= 301

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["ban", "quota", "spread", "budget"])
def test_a_clock_that_is_set_back_holds_up_nobody_for_longer_than_was_meant(hand: Hand, kind: str) -> None:
    async def scenario() -> None:
        limits = hand.limits("" if kind == "budget" else "t")
        match kind:
            case "ban":
                await limits.refuse(answer(429, retry_after="600"))
            case "quota" | "spread":
                left = 900 if kind == "quota" else 1_600
                stated: Any = {
                    "x_ratelimit_limit": "5000",
                    "x_ratelimit_remaining": str(left),
                    "x_ratelimit_reset": str(hand.time + 600),
                }
                limits.note(answer(**stated))
            case "budget":
                await turns(hand, limits, 55)
        hand.time -= 7_200
        before = hand.time
        (begun,) = await turns(hand, limits, 1)
        longest = {"ban": 600, "quota": 600, "spread": 1, "budget": 3_600}[kind]
        assert begun - before <= longest + 1
        if kind in ("ban", "quota"):
            assert begun - before >= 600

    asyncio.run(scenario())


def test_a_spoilt_cursor_says_what_to_do(hand: Hand) -> None:
    with pytest.raises(StreamsError, match="begin anew"):
        hand.limits(cursor=b"spoilt")


Refusal = Callable[[ScriptedGithub], web.Response]

DIALECTS: list[Any] = [
    pytest.param(lambda server: web.Response(status=403, headers={"Retry-After": "0.4"}), id="403-retry-after"),
    pytest.param(lambda server: web.Response(status=429, headers={"Retry-After": "0.4"}), id="429-retry-after"),
    pytest.param(
        lambda server: web.Response(
            status=403,
            headers={
                "X-RateLimit-Limit": "5000",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": f"{time.time() + 0.4:.6f}",
            },
        ),
        id="403-reset",
    ),
]


@pytest.mark.parametrize("refusal", DIALECTS)
def test_a_ban_holds_for_all_feeds_and_over_a_restart(refusal: Refusal) -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            banned_at: list[float] = []

            def script(server: ScriptedGithub, path: str, page: int) -> web.Response | None:
                if path == ORG and not banned_at and len(server.asked) > 20:
                    banned_at.append(time.time())
                    return refusal(server)
                return None

            server.script = script
            outlet = MemoryOutlet()
            async with polling(server, outlet, watchlist=TWO) as run:
                await until(lambda: LIMITS_FEED in outlet.cursors)
                await until(lambda: run.feeds.by_name[FEED].state.startswith("limited until"))
                assert run.feeds.by_name[FEED].polls["limited"] == 1
            new = server.happen(3)
            async with polling(server, outlet, watchlist=TWO) as run:
                await until(lambda: outlet.ids() == new)
                await until(lambda: run.feeds.by_name[FEED].state == "ok")
            during = [
                asked for asked in server.asked if banned_at[0] < asked.at < banned_at[0] + 0.39 and asked.status < 400
            ]
            assert during == []

    asyncio.run(scenario())


def test_a_refusal_of_one_feed_is_its_own() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.script = lambda server, path, page: (
                web.json_response({"message": "Resource not accessible"}, status=403) if path == ORG else None
            )
            async with polling(server, MemoryOutlet(), watchlist=TWO) as run:
                await until(lambda: run.feeds.by_name[FEED].state == "refused (403): Resource not accessible")
                polls = len(server.polls(OTHER))
                await until(lambda: len(server.polls(OTHER)) > polls + 5)
                assert run.feeds.by_name[f"github:{OTHER}"].state == "ok"
                server.script = None
                await until(lambda: run.feeds.by_name[FEED].state == "ok")

    asyncio.run(scenario())


def _cut(server: ScriptedGithub, path: str, page: int) -> web.Response:
    body, headers = server.page(path, page)
    return web.Response(body=body[: len(body) // 2], headers=headers)


FAILURES: list[Any] = [
    pytest.param(lambda *_: web.Response(status=502), "failing: 502", id="502"),
    pytest.param(
        lambda *_: web.Response(text="<html>Unicorn!</html>", content_type="text/html"),
        "failing: broken answer",
        id="html",
    ),
    pytest.param(lambda *_: web.json_response({"message": "hm"}), "failing: broken answer", id="object"),
    pytest.param(_cut, "failing: broken answer", id="truncated"),
    pytest.param(lambda *_: web.json_response({"message": "Bad credentials"}, status=401), "token refused", id="401"),
]


@pytest.mark.parametrize(("failure", "state"), FAILURES)
@pytest.mark.parametrize("bad_page", [1, 2])
def test_failures_are_waited_out_and_lose_nothing(failure: Any, state: str, bad_page: int) -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            old = server.happen(300)
            async with polling(server, MemoryOutlet(), interval_cap=300.0) as run:
                await until(lambda: len(run.outlet.ids()) == 300)
                server.script = lambda server, path, page: (
                    failure(server, path, page) if path == ORG and page == bad_page else None
                )
                new = server.happen(130)
                health = run.feeds.by_name[FEED]
                await until(lambda: health.polls["failed"] >= 2)
                assert health.state == state
                if bad_page == 1:
                    assert run.outlet.ids() == old
                else:
                    # What has come is not held back.
                    assert run.outlet.ids() == old + new[30:]
                server.script = None
                await until(lambda: health.state == "ok" and len(run.outlet.ids()) == 430)
                assert run.outlet.published().most_common(1)[0][1] == 1
                assert set(run.outlet.ids()) == {*old, *new}
                assert "overflow" not in health.gaps

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [500, 429])
def test_the_poll_interval_holds_after_failures_and_bans_too(status: int) -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=3_600) as server:
            server.headers["X-Poll-Interval"] = "0.4"
            server.script = lambda server, path, page: (
                web.Response(status=status, headers={"Retry-After": "0.01"})
                if path == ORG and len(server.polls()) % 2
                else None
            )
            async with polling(server, MemoryOutlet()):
                await until(lambda: len(server.polls()) >= 4)
            assert {asked.status for asked in server.polls()} >= {status, 200}
            assert min(later.at - earlier.at for earlier, later in pairwise(server.polls())) >= 0.39

    asyncio.run(scenario())


def test_what_the_ledger_has_already_is_not_missed_twice() -> None:
    """A feed fails for a long time and has overflowed meanwhile."""

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            server.happen(20, ago=3_600)
            async with polling(server, MemoryOutlet(), interval_cap=60.0) as run:
                await until(lambda: len(run.outlet.ids()) == 20)

                def script(server: ScriptedGithub, path: str, page: int) -> web.Response | None:
                    if path != ORG:
                        return None
                    rows = run.outlet.gaps()
                    if len(rows) < 2:
                        return web.Response(status=500)
                    # After the last gap, and long before this request: that gap ends a minute before it was written.
                    server.happen(300, at=rows[-1][2] + 2_000_000)
                    server.script = None
                    return None

                server.script = script
                await until(lambda: len(run.outlet.ids()) == 320)
                gaps = run.outlet.gaps()
                assert gaps[-1][0] == "overflow"
                assert all(before[2] == after[1] for before, after in pairwise(gaps))
                (cover,) = next(
                    result.covered for result in run.outlet.of() if result.gaps and result.gaps[-1].reason == "overflow"
                )
                assert cover.start == gaps[-1][2], "what is a gap is not covered"

    asyncio.run(scenario())


def test_what_is_not_found_is_asked_for_rarely_and_the_others_go_on() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.script = lambda server, path, page: web.json_response({}, status=404) if "allenai" in path else None
            async with polling(server, MemoryOutlet(), watchlist=TWO) as run:
                await until(lambda: len(server.polls(OTHER)) > 20)
                assert run.feeds.by_name["github:/users/allenai/events/public"].state.startswith("not found: 404; ")
                assert len(server.polls()) == len(server.polls("/users/allenai/events/public")) == 1

    asyncio.run(scenario())


def test_a_server_that_is_away_is_waited_for() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            address, server.address = server.address, "http://127.0.0.1:9"
            async with polling(server, MemoryOutlet()) as run:
                await until(lambda: run.feeds.by_name[FEED].polls["failed"] > 1)
                assert run.feeds.by_name[FEED].state == "failing: no connection (connection refused)"
            assert run.outlet.ids() == []
            server.address = address

    asyncio.run(scenario())


@pytest.mark.parametrize("reason", ["limited", "failed", "stale"])
def test_a_feed_that_does_not_get_on_opens_gaps_and_its_mark_goes_on(reason: str) -> None:
    """A quarter of an hour is 0.25 s here."""

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=3_600) as server:
            server.headers["X-Poll-Interval"] = "0.02"
            server.happen(20, ago=3_600)
            old = server.page(ORG, 1)
            async with polling(server, MemoryOutlet(), interval_cap=60.0) as run:
                await until(lambda: len(run.outlet.ids()) == 20)
                server.happen(5, ago=600)
                await until(lambda: len(run.outlet.ids()) == 25)

                def script(server: ScriptedGithub, path: str, page: int) -> web.Response | None:
                    if path != ORG:
                        return None
                    if reason == "limited":
                        return web.Response(status=429, headers={"Retry-After": "1.5"})
                    if reason == "failed":
                        return web.Response(status=500)
                    return web.Response(body=old[0], headers=old[1])

                server.script = script
                health = run.feeds.by_name[FEED]
                await until(lambda: health.gaps.get(reason, 0) >= 2)
                results = [result for result in run.outlet.of() if result.gaps]
                for before, after in pairwise(results):
                    assert before.complete_to is not None
                    assert after.complete_to is not None
                    assert after.complete_to - before.complete_to >= 13 * MINUTE
                    assert [(gap.start, gap.end) for gap in after.gaps] == [(before.complete_to, after.complete_to)]
                assert health.coverage is not None
                assert health.coverage < 1
                if reason == "stale":
                    assert health.state == "stale: shows an old page"
                server.script = None
                server.happen(1, ago=60)
                await until(lambda: len(run.outlet.ids()) == 26 and health.state == "ok")
                await until(lambda: health.coverage == 1.0)
                assert run.outlet.published().most_common(1)[0][1] == 1

    asyncio.run(scenario())


def test_without_a_token_the_budget_is_spread_and_kept() -> None:
    """An hour is half a second here."""
    names = ["allenai", *(f"org-{number}" for number in range(5))]
    watchlist = Watchlist([Project("many", github=tuple(names))])

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=7_200) as server:
            server.headers["X-Poll-Interval"] = "0.008"
            outlet = MemoryOutlet()
            requests: set[int] = set()
            for _ in range(2):
                begun = len(server.asked)
                async with polling(server, outlet, token="", watchlist=watchlist):
                    while len(server.asked) < begun + 110:
                        server.happen(20, ago=60)
                        await asyncio.sleep(0.02)
            for result in outlet.of(LIMITS_FEED):
                requests.update(msgspec.msgpack.decode(result.cursor)[3])
            times = sorted(requests)
            assert len(times) >= len(server.asked) >= 220
            assert min(later - earlier for earlier, later in zip(times, times[55:], strict=False)) >= HOUR
            polls = [len(server.polls(f"/orgs/{name}/events")) for name in names]
            assert min(polls) >= 3
            assert polls[0] > 1.5 * max(polls[1:])

    asyncio.run(scenario())


MOVED = "/repos/somebody/old/events"


@pytest.mark.parametrize("token", ["a-token", ""])
def test_a_redirect_is_followed_and_is_a_request_of_the_budget_too(token: str) -> None:
    """An hour is half a second here."""
    watchlist = Watchlist([Project("moved", github=("somebody/old",))])

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=7_200) as server:
            server.headers["X-Poll-Interval"] = "0.008"
            new = server.happen(150, "/repositories/7/events", ago=600)

            def script(server: ScriptedGithub, path: str, page: int) -> web.Response | None:
                # As a path of the same server, and as a whole address.
                place = f"{server.address if page == 2 else ''}/repositories/7/events?per_page=100&page={page}"
                return web.Response(status=301, headers={"Location": place}) if path == MOVED else None

            server.script = script
            outlet = MemoryOutlet()
            async with polling(server, outlet, token=token, watchlist=watchlist):
                await until(lambda: len(server.asked) >= 110)
            assert outlet.ids("github:" + MOVED) == new
            assert decode_github("moved", outlet.cursors["github:" + MOVED]).cost > 1.5
            statuses = {asked.status for asked in server.polls("/repositories/7/events")}
            assert statuses == {200, 304}, "the ETag goes along"
            if not token:
                requests = {
                    time for result in outlet.of(LIMITS_FEED) for time in msgspec.msgpack.decode(result.cursor)[3]
                }
                times = sorted(requests)
                assert len(times) >= len(server.asked)
                assert min(later - earlier for earlier, later in zip(times, times[55:], strict=False)) >= HOUR

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("location", "state"),
    [
        ("http://elsewhere.invalid/events", "failing: 301 to another server, which is not asked"),
        ("ftp:", "failing: 301 to another server, which is not asked"),
        (MOVED + "?per_page=100&page=1", "failing: too many redirects"),
    ],
)
def test_a_redirect_leads_nowhere_else_and_not_in_circles(location: str, state: str) -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.script = lambda server, path, page: (
                web.Response(status=301, headers={"Location": location}) if path == MOVED else None
            )
            watchlist = Watchlist([Project("moved", github=("somebody/old",))])
            async with polling(server, MemoryOutlet(), watchlist=watchlist) as run:
                health = run.feeds.by_name["github:" + MOVED]
                await until(lambda: health.polls["failed"] >= 1)
                assert health.state == state
                assert len(server.polls(MOVED)) == (4 if "circle" in state or "many" in state else 1)

    asyncio.run(scenario())


@pytest.mark.parametrize("token", ["", "t"])
def test_a_feed_is_late_by_its_own_interval_where_that_is_long(token: str) -> None:
    """A feed that is polled every 1,900 s has missed nothing after 900 s; with a token it is polled much more often."""

    async def scenario() -> None:
        wall = 1_000_000.0
        outlet, feeds = MemoryOutlet(), Feeds()
        clock = Clock(wall=lambda: wall)
        now = clock.now()
        cursor = GithubCursor(complete_at=now, mark=now - MINUTE, interval=300.0 if token else 1_900.0)

        async def save(_: bytes) -> None:
            pass

        async with open_session("tests") as session:
            limits = GithubLimits(token, clock, None, save)
            feed = GithubFeed(
                ORG,
                cursor,
                health=feeds.open(FEED, "github"),
                pages=GithubPages("http://127.0.0.1:9", token, session, limits, clock),
                events=GithubEvents(Identities(KEY, WATCHED), now),
                outlet=outlet,
                clock=clock,
                pace=PollPace(300.0, budgeted=not token),
                patience=15 * MINUTE,
                keep="raw",
            )
            rows = []
            for seconds in (600, 899, 901, 1_801, 2_849, 2_851, 3_690, 3_692):
                await feed.keep_mark(now + seconds * SECOND)
                rows.append(len(outlet.gaps()))
            # When it is late, gaps follow each other every quarter of an hour.
            assert rows == ([0, 0, 1, 2, 3, 3, 4, 4] if token else [0, 0, 0, 0, 0, 1, 1, 2])
            assert outlet.results[-1].complete_to == now + (3_690 if token else 3_692) * SECOND - MINUTE
            assert {reason for reason, _, _ in outlet.gaps()} == {"failed" if token else "quota"}

    asyncio.run(scenario())


def test_log_lines_are_few_and_name_no_token(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            server.happen(3)
            async with polling(server, MemoryOutlet()) as run:
                health = run.feeds.by_name[FEED]
                await until(lambda: health.state == "ok")
                server.script = lambda server, path, page: web.Response(status=500) if path == ORG else None
                await until(lambda: health.polls["failed"] >= 3)
                server.script = None
                await until(lambda: health.state == "ok")

    with caplog.at_level(logging.INFO, "nomadwatch.streams"):
        asyncio.run(scenario())
    lines = [record.getMessage() for record in caplog.records if record.name == "nomadwatch.streams"]
    assert lines == [f"{FEED}: failing: 500", f"{FEED}: ok"]
