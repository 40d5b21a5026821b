"""The Hub's quota: our share of it, evenly spread, and nothing during a backoff."""

import asyncio
import time

import msgspec
import pytest
from aiohttp import web
from multidict import CIMultiDict

from streams.live.common.backoff import SHARE
from streams.live.common.clock import Clock
from streams.live.hub.limits import LIMITS_FEED, HubLimits
from streams.live.hub.poller import CHANGES, REPOSITORIES
from tests.streams.live.hub.small import Kept, SmallHub, ago, now, station


class Wall:
    """A clock that sleeping moves, so that hours pass at once."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds + 1e-6


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr("streams.live.common.backoff.asyncio.sleep", wall.sleep)
    return wall


def spend(limits: HubLimits, wall: Wall, seconds: float, *, quota: float = 1000, window: float = 300) -> list[float]:
    """The times of the requests that are admitted in so many seconds, against a server that counts fixed windows."""
    times: list[float] = []
    end = wall.time + seconds

    async def run() -> None:
        while wall.time < end:
            async with limits.turn():
                times.append(wall.time)
                start = wall.time // window * window
                left = quota - sum(start <= moment for moment in times)
                limits.note(
                    {
                        "RateLimit": f'"api";r={left};t={start + window - wall.time:.2f}',
                        "RateLimit-Policy": f'"fixed window";"api";q={quota};w={window}',
                    }
                )

    asyncio.run(run())
    return times


def test_four_fifths_of_the_quota_are_spent_and_evenly(wall: Wall) -> None:
    times = spend(HubLimits(wall), wall, 3_000)
    for start in range(1_000_200, 1_002_900, 300):
        within = [moment for moment in times if start <= moment < start + 300]
        assert 0.98 * SHARE * 1000 <= len(within) <= SHARE * 1000
        assert all(
            abs(sum(start + half <= moment < start + half + 150 for moment in within) - 400) < 10 for half in (0, 150)
        )


def test_what_others_spend_of_the_quota_is_left_to_them(wall: Wall) -> None:
    limits = HubLimits(wall)
    limits.note({"RateLimit": '"api";r=300;t=100', "RateLimit-Policy": '"fixed window";"api";q=1000;w=300'})
    began = wall.time

    async def run() -> int:
        count = 0
        while wall.time < began + 100:
            async with limits.turn():
                count += wall.time < began + 100
        return count

    assert asyncio.run(run()) <= 101


def test_without_headers_the_quota_of_the_nameless_holds(wall: Wall) -> None:
    limits = HubLimits(wall)
    began = wall.time

    async def run() -> int:
        count = 0
        while wall.time < began + 300:
            async with limits.turn():
                count += wall.time < began + 300
        return count

    assert 390 <= asyncio.run(run()) <= 401


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit": '"api";r=0;t=55.5'}, 55.5),
        ({"RateLimit": '"api";r=0;t=5', "Retry-After": "90"}, 90),
        ({"Retry-After": "7"}, 7),
        ({}, 300),
    ],
)
def test_a_ban_lasts_as_long_as_is_stated_also_in_a_later_run(
    wall: Wall, headers: dict[str, str], seconds: float
) -> None:
    limits = HubLimits(wall)
    limits.refuse(CIMultiDict(headers))
    for banned in (limits, HubLimits(wall, limits.cursor)):
        wall.time = 1_000_000.0
        assert banned.backoff.holds

        async def run(banned: HubLimits = banned) -> None:
            async with banned.turn():
                pass

        asyncio.run(run())
        assert seconds <= wall.time - 1_000_000 <= seconds + 1
        assert not banned.backoff.holds


BACK = 7_200.0


@pytest.mark.parametrize("left", [900, 200])
def test_a_clock_that_is_set_back_does_not_hold_up_what_was_free(wall: Wall, left: int) -> None:
    """With requests left, the next one comes as soon as it would have; without any, when the quota is renewed."""

    async def run() -> float:
        limits = HubLimits(wall)
        async with limits.turn():
            limits.note({"RateLimit": f'"api";r={left};t=120', "RateLimit-Policy": '"fixed window";"api";q=1000;w=300'})
        wall.time -= BACK
        begun = wall.time
        async with limits.turn():
            return wall.time - begun

    waited = asyncio.run(run())
    assert waited < 1 if left == 900 else 120 <= waited < 121


def test_a_clock_that_is_set_back_makes_no_ban_longer(wall: Wall) -> None:
    async def run() -> tuple[float, float]:
        limits = HubLimits(wall)
        limits.refuse(CIMultiDict({"Retry-After": "600"}))
        wall.time -= BACK
        begun = wall.time
        async with limits.turn():
            waited = wall.time - begun
        async with limits.turn():
            return waited, wall.time - begun - waited

    banned, after = asyncio.run(run())
    assert 600 <= banned < 601
    assert after < 1


def test_no_ban_is_longer_than_a_day_whatever_is_stated_or_was_saved(wall: Wall) -> None:
    stated, noted = HubLimits(wall), HubLimits(wall)
    stated.refuse(CIMultiDict({"RateLimit": '"api";r=0;t=999999999'}))
    noted.note({"RateLimit": '"api";r=0;t=999999999'})
    saved = HubLimits(wall, msgspec.msgpack.encode([wall.time + 999_999_999]))

    async def run(limits: HubLimits) -> float:
        wall.time = 1_000_000.0
        async with limits.turn():
            return wall.time - 1_000_000

    for limits in (stated, noted, saved):
        assert 86_000 < asyncio.run(run(limits)) < 86_402


def test_no_request_goes_out_during_a_ban_and_none_after_a_restart() -> None:
    async def run() -> tuple[SmallHub, Kept, float]:
        refused: list[float] = []

        def banning(request: web.Request) -> web.StreamResponse | None:
            if "/commits/" in request.path and not refused:
                refused.append(time.time())
                return web.Response(status=429, headers={"RateLimit": '"api";r=0;t=1.5'})
            return None

        hub = SmallHub(answer=banning)
        hub.repo("allenai/OLMo").commit(1, 60, "Ada")
        kept = Kept()
        async with station(hub, kept) as it:
            await it.until(lambda: LIMITS_FEED in kept.cursors)
            health = it.feeds.by_name[REPOSITORIES]
            assert health.state.startswith("limited until ")
            assert health.polls["limited"] == 1
        async with station(hub, kept) as it:
            await it.until(lambda: bool(kept.of("commit")))
        return hub, kept, refused[0]

    hub, kept, refused = asyncio.run(run())
    assert [moment for moment, _ in hub.requests if refused < moment < refused + 1.5] == []
    assert [result.feed for result in kept.results if result.feed == LIMITS_FEED] == [LIMITS_FEED]
    assert len(kept.of("commit")) == 1


def test_watched_repositories_go_first_and_what_the_quota_leaves_out_is_a_gap() -> None:
    async def run() -> tuple[SmallHub, Kept]:
        # 0.8 · 400 requests in 2 s; a station 1,000 times as fast wants several times as many.
        hub = SmallHub(quota=400, window=2, page=100)
        watched = [hub.repo(f"allenai/m{number}") for number in range(3)]
        for repo in watched:
            repo.commit(1, 60, "Ada")
        others = [hub.repo(f"org/m{number}", modified=ago(5)) for number in range(60)]
        clock = Clock(scale=1_000, origin=now() / 1e6)
        async with station(hub, clock=clock, interval_cap=300.0) as it:

            def busy() -> bool:
                # All other repositories change all the time.
                for repo in others:
                    repo.modified = f"{ago(-(clock.now() - now()) / 1e6)[:19]}.000Z"
                share = it.feeds.by_name[CHANGES].coverage
                if not any(gap.feed == CHANGES for gap in it.kept.gaps):
                    return False
                return (
                    share is not None
                    and share < 1
                    and min(hub.asked(f"/{repo.name}/discussions") for repo in watched) >= 4
                )

            await it.until(busy)
            return hub, it.kept

    hub, kept = asyncio.run(run())
    assert {gap.reason for gap in kept.gaps if gap.feed == CHANGES} == {"quota"}
    assert max(hub.spent.values()) <= 400
    assert {commit.repo for commit in kept.of("commit")} == {f"allenai/m{number}" for number in range(3)}
    first = next(index for index, (_, path) in enumerate(hub.requests) if "/org/" in path)
    assert sum("/allenai/" in path for _, path in hub.requests[:first]) >= 6
