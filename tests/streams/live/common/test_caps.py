"""Numbers in headers are capped at plausible values and reported; a feed that is not polled is neither ok nor
covered.
"""

import asyncio
import logging
import time

import msgspec
import pytest
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from streams.activity import MINUTE
from streams.live.common.backoff import LONGEST_BACKOFF, LONGEST_INTERVAL, Backoff, Caps, number
from streams.live.common.clock import Clock
from streams.live.common.http import Answer, open_session
from streams.live.github.cursor import GithubCursor, decode_github, encode_github
from streams.live.github.limits import GithubLimits
from streams.live.github.pace import Due
from streams.live.hub.limits import LIMITS_FEED as HUB_LIMITS
from streams.live.hub.limits import HubLimits
from streams.live.hub.poller import PLATFORM, REPOSITORIES
from tests.streams.live.common.raw_serving import RawServer, raw
from tests.streams.live.github.serving import FEED, ORG, MemoryOutlet, ScriptedGithub, polling, until
from tests.streams.live.hub.small import Kept, SmallHub, Station, station

HUGE = "999999999"
EVERYTHING = "github:/events"


@pytest.mark.parametrize("value", ["-5", "nan", "NaN", "inf", "1e9", "0x10", "1_000", "٣", "", " ", "5 s", "9" * 400])
def test_what_is_no_plain_number_states_nothing(value: str) -> None:
    assert number(value) is None


@pytest.mark.parametrize("stated", [HUGE, "9" * 40, "3601"])
def test_a_poll_interval_is_an_hour_at_most_and_the_feed_is_neither_ok_nor_covered(stated: str) -> None:
    """A feed is late after a quarter of an hour, which is 1.5 s here."""

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            server.happen(3, ago=3_600)
            honest = dict(server.headers)
            server.script = lambda server, path, page: server.headers.update(
                honest | ({"X-Poll-Interval": stated} if path == ORG else {})
            )
            outlet = MemoryOutlet()
            async with polling(server, outlet, interval_cap=60.0) as run:
                health = run.feeds.by_name[FEED]
                await until(lambda: health.state.startswith("slowed down: asked every 3600 s"))
                assert "which cannot be true" in health.state
                await until(lambda: health.gaps.get("limited", 0) >= 3)
                assert health.coverage is not None
                assert health.coverage < 0.5
                assert run.feeds.by_name[EVERYTHING].state == "ok"
                assert len(server.polls()) == 1
            cursor = decode_github(FEED, outlet.cursors[FEED])
            assert cursor.poll_interval == LONGEST_INTERVAL
            assert cursor.due_at <= time.time() + LONGEST_INTERVAL + 1
            async with polling(server, outlet, interval_cap=60.0) as run:
                assert run.feeds.by_name[FEED].state.startswith("slowed down")
                await until(lambda: "limited" in run.feeds.by_name[FEED].gaps)

    asyncio.run(scenario())


@pytest.mark.parametrize("interval", [999_999_999.0, 1e300, -1.0])
def test_a_feed_whose_saved_interval_cannot_be_true_is_asked_at_once(interval: float) -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            made = server.happen(3)
            moment = server.clock.now()
            poisoned = GithubCursor(
                complete_at=moment,
                mark=moment - MINUTE,
                interval=interval,
                poll_interval=interval,
                due_at=time.time() + 999_999_999,
            )
            outlet = MemoryOutlet()
            outlet.cursors[FEED] = encode_github(poisoned)
            async with polling(server, outlet) as run:
                await until(lambda: outlet.ids() == made)
                await until(lambda: run.feeds.by_name[FEED].state == "ok")
            again = decode_github(FEED, outlet.cursors[FEED])
            assert again.poll_interval is not None
            assert again.poll_interval < 1

    asyncio.run(scenario())


def test_a_saved_moment_to_ask_again_is_no_further_than_the_interval() -> None:
    clock = Clock(wall=lambda: 1_000.0)
    due = Due(clock, GithubCursor(poll_interval=60.0, interval=300.0, due_at=1e15), 0.0, 900.0)
    assert due.at == 1_300.0


@pytest.mark.parametrize(
    "header", [{"retry-after": HUGE}, {"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, {"retry-after": "9" * 100}]
)
def test_a_ban_of_github_is_a_day_at_most_shows_its_date_and_is_told(header: dict[str, str]) -> None:
    async def scenario() -> None:
        saved: list[bytes] = []
        wall = [1_000_000.0]

        async def save(cursor: bytes) -> None:
            saved.append(cursor)

        def limits(cursor: bytes | None = None) -> GithubLimits:
            return GithubLimits("t", Clock(wall=lambda: wall[0]), cursor, save)

        banned = limits()
        await banned.refuse(Answer(429, CIMultiDictProxy(CIMultiDict(header)), b""))
        assert banned.backoff.until == wall[0] + LONGEST_BACKOFF
        assert banned.state is not None
        assert banned.state.startswith("limited until 1970-01-13 13:46:40, not for the ")
        # One that was saved before numbers were capped ends a day after it was first read, whatever restarts there are.
        holder = msgspec.msgpack.decode(saved[-1])[0]
        poisoned = limits(msgspec.msgpack.encode([holder, 1e15]))
        await poisoned.correct()
        wall[0] += 80_000
        again = limits(saved[-1])
        assert not again.backoff.shortened
        assert again.backoff.until == 1_000_000.0 + LONGEST_BACKOFF
        assert not limits(msgspec.msgpack.encode([holder, -1.0])).backoff.holds

    asyncio.run(scenario())


def test_a_ban_of_today_shows_the_time_alone() -> None:
    backoff = Backoff(lambda: 1_000_000.0)
    backoff.extend(60.0)
    assert backoff.state == "limited until 13:47:40"


def test_a_spent_quota_of_github_is_waited_for_an_hour_at_most_and_said() -> None:
    """`remaining: 0` and a reset in three million years, beside a whole answer."""

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            server.happen(3, ago=3_600)
            server.headers |= {
                "X-RateLimit-Limit": "5000",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "99999999999999",
            }
            async with polling(server, MemoryOutlet(), interval_cap=60.0) as run:
                await until(lambda: any("limited" in health.gaps for health in run.feeds.by_name.values()))
                await until(
                    lambda: all(
                        health.state.startswith("quota used up, waits until ") for health in run.feeds.by_name.values()
                    )
                )
                assert len(server.asked) == 1

    asyncio.run(scenario())


def test_the_hubs_window_is_an_hour_at_most_and_one_request_of_any_quota_is_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall = [1_000_000.0]

    async def sleep(seconds: float) -> None:
        wall[0] += seconds + 1e-6

    monkeypatch.setattr("streams.live.common.backoff.asyncio.sleep", sleep)

    async def asked(policy: str, state: str, count: int = 3) -> float:
        limits, began = HubLimits(lambda: wall[0]), wall[0]
        for _ in range(count):
            async with limits.turn():
                limits.note({"RateLimit-Policy": policy, "RateLimit": state})
        return wall[0] - began

    assert asyncio.run(asked('"api";q=1000;w=999999999999999', '"api";r=999;t=1')) < 60
    for quota in ("1", "2", "0.5", "4"):
        assert asyncio.run(asked(f'"api";q={quota};w=10', "")) <= 60
    assert asyncio.run(asked(f'"api";q=1;w={HUGE}', "")) <= 3 * LONGEST_INTERVAL + 1
    assert asyncio.run(asked('"api";q=-1;w=nan', '"api";r=-1;t=nan')) < 60


def test_a_hub_that_refuses_and_says_to_come_back_at_once_is_asked_ever_more_rarely() -> None:
    wall = [1_000_000.0]
    limits = HubLimits(lambda: wall[0])
    waits = []
    for _ in range(12):
        limits.refuse({"retry-after": "0"})
        waits.append(limits.backoff.until - wall[0])
        wall[0] = limits.backoff.until
    assert waits[0] < 1
    assert waits == sorted(waits)
    assert 300 <= waits[-1] <= 301
    limits.allow()
    limits.refuse({"retry-after": "0"})
    assert limits.backoff.until - wall[0] < 1


@pytest.mark.parametrize("stated", ["0", "0.000001"])
def test_a_server_that_wants_to_be_asked_all_the_time_is_asked_each_second(stated: str) -> None:
    due = Due(Clock(wall=lambda: 1_000.0), GithubCursor(poll_interval=0.0), 0.0, 900.0)
    assert due.poll_interval == 1.0
    due.asked(float(stated))
    due.wait(0.0)
    assert due.at == 1_001.0


def test_feeds_of_the_hub_that_wait_for_hours_say_so_and_are_not_covered() -> None:
    async def run() -> None:
        hub = SmallHub()
        hub.repo("allenai/OLMo").commit(1, 60, "Ada")
        clock = Clock(scale=3_600, origin=time.time())
        async with station(hub, clock=clock, interval_cap=60.0) as it:
            await it.until(lambda: len(it.kept.marks(REPOSITORIES)) > 1)
            hub.answer = lambda request: web.json_response(
                [], headers={"RateLimit": f'"api";r=0;t={HUGE}', "RateLimit-Policy": '"api";q=500;w=300'}
            )
            of_hub = [
                it.feeds.by_name[f"{PLATFORM}:{name}"]
                for name in ("models", "datasets", "spaces", "repositories", "changes")
            ]
            await it.until(lambda: all(health.state.startswith("quota used up, waits until 20") for health in of_hub))
            await it.until(lambda: all("quota" in health.gaps for health in of_hub))

    asyncio.run(run())


def test_a_ban_of_the_hub_that_was_saved_and_cannot_be_true_is_saved_anew() -> None:
    async def run() -> None:
        kept = Kept({HUB_LIMITS: msgspec.msgpack.encode([1e15])})
        async with station(SmallHub(), kept) as it:
            await it.until(lambda: any(result.feed == HUB_LIMITS for result in kept.results))
        (until_,) = msgspec.msgpack.decode(kept.cursors[HUB_LIMITS])
        assert time.time() + LONGEST_BACKOFF - 60 < until_ <= time.time() + LONGEST_BACKOFF

    asyncio.run(run())


def test_what_is_capped_is_logged_once_for_as_long_as_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    caps = Caps("github")
    with caplog.at_level(logging.WARNING, "nomadwatch.streams"):
        taken = [caps.take("w", value, 60.0, slack=10.0) for value in (5.0, 1e15, 1e15, None, 65.0, 1e15)]
    assert taken == [5.0, 60.0, 60.0, None, 60.0, 60.0]
    assert [record.getMessage() for record in caplog.records] == [
        "github: w says 1,000,000,000,000,000, which cannot be true; 60 is taken"
    ] * 2


ODD = [
    b'ETag: "\xff\xfe"',
    b'ETag: "caf\xe9"',
    b'ETag: "' + b"e" * 8_000 + b'"',
    "ETag: \"\u202e\"".encode(),
    b"X-RateLimit-Remaining: \xb2",
    b"X-Poll-Interval: \xff",
    b"Date: \xff",
    b"Retry-After: \xff",
    b'Link: <http://\xff/>; rel="next"',
    b"Date: Fri, 31 Dec 9999 23:59:59 GMT",
    b"Date: Mon, 01 Jan 0001 00:00:00 -0000",
    *[b"X-%d: %s" % (i, b"a" * 100) for i in range(100)],
]  # fmt: skip


@pytest.mark.parametrize("headers", [[header] for header in ODD[:11]] + [ODD[11:]], ids=range(12))
def test_an_odd_header_ends_no_poller_of_either_platform(headers: list[bytes]) -> None:
    star = {"id": "1", "type": "WatchEvent", "actor": {"id": 1, "login": "ada"}, "payload": {"action": "started"}}
    body = msgspec.json.encode(
        [{**star, "repo": {"id": 7, "name": "allenai/OLMo"}, "created_at": "2024-05-01T10:00:00Z"}]
    )

    async def scenario() -> None:
        clock = Clock(600, origin=time.time())
        interval = b"X-Poll-Interval: 0.02"
        async with RawServer.open(
            lambda path: raw(body if "events" in path else b"[]", interval, *headers), clock
        ) as server:
            outlet = MemoryOutlet()
            async with polling(server, outlet) as run:
                await until(lambda: run.feeds.by_name[FEED].polls["new"] >= 3 and outlet.ids() == ["1"])
                assert run.feeds.by_name[FEED].state == "ok"
            hub = SmallHub(endpoint=server.address)
            async with open_session("tests") as session:
                it = Station(hub, Kept(), session, clock=clock)
                await it.until(lambda: it.feeds.by_name[f"{PLATFORM}:models"].state == "ok")

    asyncio.run(scenario())
