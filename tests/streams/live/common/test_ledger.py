"""What a feed missed and what it saw completely: one ledger for all platforms. A later poll closes the gaps that it
reaches over, and no more.
"""

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web

from streams.activity import HOUR, MINUTE, SECOND, Cover
from streams.live.common.clock import Clock
from streams.live.common.health import FeedHealth
from streams.live.common.ledger import GapCoverage, Ledger
from streams.live.common.poll_result import Gap
from streams.live.github.cursor import decode_github
from streams.live.hub.poller import CHANGES, REPOSITORIES
from streams.watchlist import Project, Watchlist
from tests.streams.live.github.serving import FEED, ORG, MemoryOutlet, ScriptedGithub, polling, until
from tests.streams.live.hub.small import SmallHub, Station, station

USER = "/users/allenai/events/public"


def row(start: int, end: int) -> Gap:
    return Gap(feed=FEED, start=start * MINUTE, end=end * MINUTE, reason="failed")


@pytest.mark.parametrize(
    ("covered", "missed"),
    [
        ((0, 60), 0),
        ((40, 60), 30),
        ((15, 60), 5),
        ((15, 30), 15),
        ((50, 60), 30),
        ((0, 15), 25),
        ((40, 50), 30),
        ((12, 14), 28),
    ],
)
def test_a_look_heals_exactly_what_it_saw(covered: tuple[int, int], missed: int) -> None:
    coverage = GapCoverage(0)
    coverage.add([row(10, 25), row(25, 40)], [])
    coverage.add([], [Cover("github", covered[0] * MINUTE, covered[1] * MINUTE)])
    assert coverage.get(HOUR) == pytest.approx(1 - missed / 60)


def made(mark: int | None, **options: Any) -> Ledger:
    return Ledger(FeedHealth(FEED, "github"), mark, 100 * MINUTE, lambda mark: str(mark).encode(), **options)


@pytest.mark.parametrize(
    ("mark", "end", "rows"),
    [
        (None, 120, [(100, 120, "failed")]),
        (60, 120, [(60, 100, "down"), (100, 120, "failed")]),
        (98, 120, [(98, 120, "failed")]),
        (60, 102, [(60, 100, "down")]),
        (60, 80, [(60, 80, "down")]),
        (60, 63, []),
        (110, 113, []),
    ],
)
def test_what_lies_before_a_run_has_a_row_of_its_own_and_there_is_no_hole(
    mark: int | None, end: int, rows: list[tuple[int, int, str]]
) -> None:
    gaps = made(None if mark is None else mark * MINUTE).overdue(end * MINUTE, "failed", least=5 * MINUTE)
    assert [(gap.start // MINUTE, gap.end // MINUTE, gap.reason) for gap in gaps] == rows


def test_a_feed_of_the_hub_heals_too_and_what_it_cannot_reach_does_not() -> None:
    ledger = made(100 * MINUTE, reached=lambda: 0.5)
    ledger.note(ledger.poll_result(gaps=[row(100, 115)], mark=115 * MINUTE), 130 * MINUTE)
    assert ledger.health.coverage == pytest.approx(0.25)
    ledger.note(ledger.poll_result(gaps=[row(110, 130)]), 130 * MINUTE)
    assert ledger.health.coverage == pytest.approx(0.25), "the row of one repository of many"
    ledger.note(ledger.poll_result(covered=ledger.cover(100 * MINUTE, 130 * MINUTE), mark=130 * MINUTE), 130 * MINUTE)
    assert ledger.health.coverage == 0.5
    assert ledger.health.gaps == {"failed": 2}
    assert made(None, share=lambda now: 0.125).poll_result(mark=1).share == 1.0


def test_rows_are_not_kept_where_they_do_not_tell_the_coverage() -> None:
    told, asked = made(None), made(None, share=lambda now: 0.125)
    for ledger in told, asked:
        ledger.note(ledger.poll_result(gaps=[row(100, 115)], mark=115 * MINUTE), 120 * MINUTE)
    assert (len(told._gaps._gaps), len(asked._gaps._gaps)) == (1, 0)
    assert asked.health.coverage == 0.125


def test_an_outage_that_ends_in_an_overflow_is_not_seen_whole() -> None:
    """It fails for long; then the feed shows no more than what came since the middle of the outage."""

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=1_200) as server:
            server.happen(20, ago=3_600)
            async with polling(server, MemoryOutlet(), interval_cap=60.0) as run:
                await until(lambda: len(run.outlet.ids()) == 20)
                server.script = lambda server, path, page: web.Response(status=500) if path == ORG else None
                # A slow machine may have had a row before.
                before = len(run.outlet.gaps())
                await until(lambda: len(run.outlet.gaps()) >= before + 2)
                _, start, end = run.outlet.gaps()[-2]
                middle = (start + end) // 2 // SECOND * SECOND
                server.happen(300, at=middle)
                server.script = None
                await until(lambda: len(run.outlet.ids()) == 320)
                found = next(result for result in run.outlet.of() if len(result.activities) == 300)
                assert {reason for reason, _, _ in run.outlet.gaps()} == {"failed"}, "the ledger has all of it already"
                assert [cover.start for cover in found.covered] == [middle]

    asyncio.run(scenario())


def refusals(server: ScriptedGithub) -> list[float]:
    """When the organisation was not found."""
    return [asked.at for asked in server.polls() if asked.status == 404]


def test_a_feed_that_has_worked_is_not_given_up_for_some_404s() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            server.happen(3)
            async with polling(server, MemoryOutlet(), interval_cap=300.0) as run:
                await until(lambda: len(run.outlet.ids()) == 3)
                for most, published in ((1, 6), (5, 9), (9, 12)):
                    server.script = lambda server, path, page, most=most: (
                        web.json_response({}, status=404) if path == ORG and len(refusals(server)) < most else None
                    )
                    server.happen(3)
                    await until(lambda published=published: len(run.outlet.ids()) == published)
                    assert len(refusals(server)) == most
                assert server.polls(USER) == []

    asyncio.run(scenario())


def test_404s_between_other_failures_are_not_in_a_row() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=6_000) as server:
            server.happen(3)
            async with polling(server, MemoryOutlet(), interval_cap=300.0) as run:
                await until(lambda: len(run.outlet.ids()) == 3)
                server.script = lambda server, path, page: (
                    web.json_response({}, status=404 if len(server.polls()) % 2 else 500) if path == ORG else None
                )
                await until(lambda: len(refusals(server)) >= 10)
                assert server.polls(USER) == []

    asyncio.run(scenario())


def test_what_has_gone_for_good_is_asked_for_ever_more_rarely() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=36_000) as server:
            server.happen(3, ago=3_600)
            async with polling(server, MemoryOutlet(), interval_cap=3_600.0) as run:
                await until(lambda: len(run.outlet.ids()) == 3)
                server.script = lambda server, path, page: web.json_response({}, status=404) if path == ORG else None
                await until(lambda: server.polls(USER))
                user = server.polls(USER)[0].at
                # Ten to fifteen minutes; then at most once in half an hour, but for the first two.
                assert 6 <= sum(at <= user for at in refusals(server)) <= 7
                await until(lambda: len(refusals(server)) >= 40)
                times = refusals(server)
                hours = (times[-1] - user) * server.clock.scale / 3_600
                assert sum(at > user for at in times) <= 2 * hours + 4

    asyncio.run(scenario())


@pytest.mark.parametrize("token", ["", "a-token"])
def test_a_feed_is_late_after_one_and_a_half_of_its_intervals(token: str) -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=3_600) as server:
            names = tuple(f"org-{number}" for number in range(9))
            watchlist = Watchlist([Project("many", github=("allenai", *names))])
            async with polling(server, MemoryOutlet(), token=token, watchlist=watchlist, interval_cap=300.0) as run:
                health = run.feeds.by_name[FEED]
                await until(lambda: FEED in run.outlet.cursors)

                def interval() -> float:
                    return decode_github(FEED, run.outlet.cursors[FEED]).interval

                await until(
                    lambda: (
                        interval() >= (300 if token else 600)
                        and 1.49 <= health.late_after / SECOND / interval() <= 1.51
                    )
                )
                if token:
                    assert health.late_after == 450 * SECOND

    asyncio.run(scenario())


def test_where_there_are_many_repositories_a_feed_is_late_after_two_rounds() -> None:
    async def run() -> Station:
        hub = SmallHub()
        for number in range(3):
            hub.repo(f"allenai/model-{number}").commit(1 + number, 60, "Ada")
        async with station(hub, clock=Clock(600.0, time.time()), interval_cap=60.0) as it:
            watched, health = it.poller._watched, it.feeds.open(REPOSITORIES, "huggingface")
            await it.until(lambda: 0 < health.late_after == round(2 * watched.round) < 6 * HOUR)
            watched._took = 1_000.0 * HOUR
            await it.until(lambda: health.late_after == 6 * HOUR)
            return it

    it = asyncio.run(run())
    # What is looked at by the others' leave waits as long as the ledger lets it.
    assert it.feeds.by_name[CHANGES].late_after == 15 * MINUTE
    assert it.feeds.by_name["huggingface:models"].late_after == 0


def test_repositories_that_always_fail_lower_the_share_of_what_was_seen() -> None:
    def failing(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500) if "/broken-" in request.path else None

    async def run() -> Station:
        hub = SmallHub(answer=failing)
        hub.repo("allenai/OLMo").commit(1, 60, "Ada")
        for number in range(3):
            hub.repo(f"allenai/broken-{number}").commit(2 + number, 60, "Ada")
        async with station(hub, clock=Clock(60.0, time.time()), interval_cap=60.0) as it:
            await it.until(
                lambda: (
                    any(
                        result.covered and result.share == 0.25
                        for result in it.kept.results
                        if result.feed == REPOSITORIES
                    )
                    and any(result.covered for result in it.kept.results if result.feed == CHANGES)
                )
            )
            return it

    it = asyncio.run(run())
    assert it.feeds.by_name[REPOSITORIES].coverage == pytest.approx(0.25)
    assert {result.share for result in it.kept.results if result.feed != REPOSITORIES} == {1.0}
