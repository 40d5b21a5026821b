"""GitHub's feeds and a server that shows them: everything once and nothing lost, whenever anything is killed."""

import asyncio
import json
from itertools import pairwise

import pytest
from aiohttp import web

from streams.activity import MINUTE, SECOND, Cover
from streams.live.github.cursor import decode_github
from streams.live.github.poller import paths
from streams.times import format_time
from streams.watchlist import Project, Watchlist
from tests.simulator.recorded import recorded_events
from tests.streams.live.github.serving import FEED, ORG, MemoryOutlet, ScriptedGithub, polling, until
from tests.streams.made import event


def test_each_organisation_and_repository_is_one_feed() -> None:
    watchlist = Watchlist(
        [
            Project("olmo", github=("allenai", "allenai/OLMo*", "allenai/olmes")),
            Project("more", github=("AllenAI/OLMES", "*/llm", "o?g", "ggml-org/llama.?pp")),
        ]
    )
    assert paths(watchlist) == ["/events", ORG, "/repos/allenai/olmes/events", "/orgs/ggml-org/events"]


def test_the_first_look_counts_everything_and_each_further_one_what_is_new() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            first = server.happen(250)
            async with polling(server, MemoryOutlet()) as run:
                await until(lambda: len(run.outlet.ids()) == 250)
                assert run.outlet.ids() == first, "the oldest first"
                second = server.happen(7)
                await until(lambda: len(run.outlet.ids()) >= 257)
                third = server.happen(130)
                await until(lambda: len(run.outlet.ids()) >= 387)
                assert run.outlet.ids() == first + second + third
                await until(lambda: run.outlet.of()[-1].covered)
            pages = [asked.page for asked in server.asked if asked.path == ORG and asked.status == 200]
            assert pages == [1, 2, 3, 1, 1, 2]
            health = run.feeds.by_name[FEED]
            assert (health.seen, health.state, health.gaps, health.coverage) == (387, "ok", {}, 1.0)
            assert health.polls["new"] == len(pages)
            assert health.polls["unchanged"] == len(server.polls()) - 3
            assert health.newest == max(
                activity.occurred_at for result in run.outlet.of() for activity in result.activities
            )

    asyncio.run(scenario())


def test_marks_and_covers_follow_the_complete_polls() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.happen(3)
            began = server.clock.now()
            async with polling(server, MemoryOutlet()) as run:
                await until(lambda: len(run.outlet.of()) > 5)
                ended = server.clock.now()
            results = run.outlet.of()
            marks = [result.complete_to for result in results if result.complete_to is not None]
            assert len(marks) == len(results)
            assert marks == sorted(marks)
            assert all(began <= mark + MINUTE <= ended for mark in marks)
            assert results[0].covered == []
            for before, result in pairwise(results):
                assert before.complete_to is not None
                assert result.complete_to is not None
                assert result.covered == [Cover("github", before.complete_to + MINUTE, result.complete_to + MINUTE)]

    asyncio.run(scenario())


def test_etags_go_back_exactly_as_they_came_and_the_token_with_them() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.happen(3)
            async with polling(server, MemoryOutlet()):
                await until(lambda: len(server.polls()) > 2)
            first, second = server.polls()[:2]
            assert "If-None-Match" not in first.headers
            assert second.headers["If-None-Match"] == server.page(ORG, 1)[1]["ETag"]
            assert second.status == 304
            assert first.headers["Authorization"] == "Bearer a-token"
            assert first.headers["Accept"] == "application/vnd.github+json"
            assert first.headers["X-GitHub-Api-Version"] == "2022-11-28"
            assert first.headers["User-Agent"].startswith("nomadwatch/")
            server.asked.clear()
            async with polling(server, MemoryOutlet(), token=""):
                await until(lambda: server.polls())
            assert "Authorization" not in server.polls()[0].headers

    asyncio.run(scenario())


def test_pages_that_shift_between_two_requests_lose_and_repeat_nothing() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.happen(300)
            async with polling(server, MemoryOutlet()) as run:
                await until(lambda: len(run.outlet.ids()) == 300)
                expected = set(run.outlet.ids())

                def shift(server: ScriptedGithub, path: str, page: int) -> None:
                    if path == ORG and page > 1:
                        server.script = None
                        expected.update(server.happen(13))

                server.script = shift
                expected.update(server.happen(120))
                await until(lambda: set(run.outlet.ids()) == expected)
                assert run.outlet.published().most_common(1)[0][1] == 1
                assert run.outlet.gaps() == []

    asyncio.run(scenario())


def test_an_old_second_page_leaves_no_hole() -> None:
    """150 happen; the second page is an old one: 50 of them would be on neither page, and would never be known."""

    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.happen(300)
            async with polling(server, MemoryOutlet()) as run:
                await until(lambda: len(run.outlet.ids()) == 300)
                old = server.page(ORG, 2)
                stale = []

                def script(server: ScriptedGithub, path: str, page: int) -> web.Response | None:
                    if path != ORG or page != 2 or stale:
                        return None
                    stale.append(page)
                    return web.Response(body=old[0], headers=old[1])

                server.script = script
                server.happen(150)
                await until(lambda: len(run.outlet.ids()) == 450)
                assert stale
                assert run.outlet.published().most_common(1)[0][1] == 1

    asyncio.run(scenario())


def test_exactly_a_page_of_new_events_is_complete_in_the_end() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.happen(300)
            async with polling(server, MemoryOutlet()) as run:
                await until(lambda: len(run.outlet.ids()) == 300)
                server.happen(100)
                await until(lambda: len(run.outlet.ids()) == 400)
                published = len(run.outlet.of())
                await until(lambda: any(result.complete_to for result in run.outlet.of()[published:]))
                assert run.outlet.gaps() == []

    asyncio.run(scenario())


def test_what_is_late_is_published_when_it_shows() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.happen(50)
            async with polling(server, MemoryOutlet()) as run:
                await until(lambda: len(run.outlet.ids()) == 50)
                late = server.happen(2, ago=5 * 3600)
                feed = server.feeds[ORG]
                feed[:] = feed[2:20] + feed[:2] + feed[20:]
                await until(lambda: len(run.outlet.ids()) == 52)
                assert run.outlet.ids()[-2:] == late

    asyncio.run(scenario())


def test_a_feed_that_overflows_says_from_when_to_when() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            before = server.clock.now() - 10 * MINUTE
            server.happen(20, at=before)
            async with polling(server, MemoryOutlet()) as run:
                await until(lambda: len(run.outlet.ids()) == 20)
                lost = before + 4 * MINUTE
                server.happen(50, at=lost)
                after = before + 8 * MINUTE
                server.happen(300, at=after)
                await until(lambda: len(run.outlet.ids()) == 320)
                ((reason, start, end),) = run.outlet.gaps()
                assert reason == "overflow"
                assert start == before // 1_000_000 * 1_000_000
                assert end == after // 1_000_000 * 1_000_000
                assert run.outlet.of()[-1].complete_to is not None
                health = run.feeds.by_name[FEED]
                assert health.gaps == {"overflow": 1}
                assert health.gap_seconds == {"overflow": 480.0}
                # The time of a gap is not covered.
                assert all(cover.start >= end for result in run.outlet.of() if result.gaps for cover in result.covered)

    asyncio.run(scenario())


def test_what_happened_while_the_station_was_down_is_bridged_or_a_gap() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            outlet = MemoryOutlet()
            server.happen(20, at=server.clock.now() - 30 * MINUTE)
            async with polling(server, outlet):
                await until(lambda: len(outlet.ids()) == 20)
            server.happen(200, at=server.clock.now() - 20 * MINUTE)
            async with polling(server, outlet):
                await until(lambda: len(outlet.ids()) == 220)
            assert outlet.gaps() == []
            server.happen(310, at=server.clock.now() - 10 * MINUTE)
            async with polling(server, outlet):
                await until(lambda: len(outlet.ids()) == 520)
            assert [reason for reason, _, _ in outlet.gaps()] == ["down"]
            assert outlet.published().most_common(1)[0][1] == 1

    asyncio.run(scenario())


def test_a_feed_that_was_empty_can_overflow_too() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server, polling(server, MemoryOutlet()) as run:
            await until(lambda: run.outlet.of())
            server.happen(400, ago=0)
            await until(lambda: len(run.outlet.ids()) == 300)
            ((reason, start, end),) = run.outlet.gaps()
            assert reason == "overflow"
            assert start < end

    asyncio.run(scenario())


def test_nothing_is_lost_behind_an_etag_when_a_run_dies_before_the_broker_has_it() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            outlet = MemoryOutlet()
            server.headers["X-Poll-Interval"] = "0.3"
            server.happen(5)
            async with polling(server, outlet):
                await until(lambda: len(outlet.ids()) == 5)
                await until(lambda: not outlet.waiting)
                outlet.hold.clear()
                server.happen(6)
                await until(lambda: any(result.activities for result in outlet.waiting))
                # It has the poll result in hand: nothing of it may be forgotten yet, whoever asks meanwhile.
                known = dict(outlet.cursors)
            outlet.waiting.clear()
            outlet.hold.set()
            assert outlet.cursors == known
            async with polling(server, outlet):
                await until(lambda: len(outlet.ids()) == 11)
            assert outlet.published().most_common(1)[0][1] == 1
            # The poll that was not saved counts too.
            assert min(later.at - earlier.at for earlier, later in pairwise(server.polls())) >= 0.29

    asyncio.run(scenario())


def test_an_outlet_that_fails_ends_the_poller() -> None:
    class Failing(MemoryOutlet):
        async def put(self, result: object) -> None:
            raise RuntimeError("refused for good")

    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            with pytest.raises(ExceptionGroup):
                async with polling(server, Failing()) as run:
                    await until(lambda: run.task.done())

    asyncio.run(scenario())


def test_the_poll_interval_is_kept_by_the_wall_and_over_restarts() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=3600) as server:
            server.headers["X-Poll-Interval"] = "0.25"
            outlet = MemoryOutlet()
            for _ in range(4):
                server.happen(1)
                polls, results = len(server.polls()), len(outlet.of())
                async with polling(server, outlet):
                    await until(lambda polls=polls: len(server.polls()) > polls)  # type: ignore[misc]
                    await until(lambda results=results: len(outlet.of()) > results)  # type: ignore[misc]
            times = [asked.at for asked in server.polls()]
            assert min(later - earlier for earlier, later in pairwise(times)) >= 0.24

    asyncio.run(scenario())


def test_quiet_feeds_go_slower_than_busy_ones() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=60) as server:
            watchlist = Watchlist([Project("a", github=("allenai", "quiet-org"))])
            async with polling(server, MemoryOutlet(), watchlist=watchlist, interval_cap=12.0) as run:
                for _ in range(12):
                    polls = len(server.polls())
                    server.happen(40, ago=30)
                    await until(lambda polls=polls: len(server.polls()) > polls)  # type: ignore[misc]
                busy, quiet = len(server.polls()), len(server.polls("/orgs/quiet-org/events"))
                assert quiet < busy
                assert run.feeds.by_name[FEED].gaps == {}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "name",
    [
        "gharchive-2026-hour-profile/raw_examples_2026-08-12-14.ndjson",
        "dlt-github-2023/github.events.load_page_1_duck.json.gz",
        "simdjson-github-events/github_events.json",
        "quickwit-gharchive-2015/gharchive-bulk.json.gz",
        "gharchive-2018-tiny/2018-01-01-0.json",
    ],
)
def test_recorded_feeds_are_read_whole(name: str) -> None:
    async def scenario() -> None:
        events = {str(row["id"]): row for row in recorded_events(name)}
        async with ScriptedGithub.open() as server:
            server.feeds[ORG] = list(events.values())
            async with polling(server, MemoryOutlet()) as run:
                await until(lambda: set(run.outlet.ids()) == events.keys())
                assert [letter for result in run.outlet.results for letter in result.dead_letters] == []
                assert run.outlet.gaps() == []

    asyncio.run(scenario())


def test_what_cannot_be_measured_is_a_letter_once() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.happen(3)
            future = event(number="f", created_at="2999-01-01T00:00:00Z")
            server.feeds[ORG][1:1] = [event("StrikeEvent", "s"), 17, {"id": "x"}, future]
            async with polling(server, MemoryOutlet(), keep_dead_letters="digest") as run:
                await until(lambda: len(run.outlet.ids()) == 3)
                server.happen(1)
                await until(lambda: len(run.outlet.ids()) == 4)
                dead_letters = [json.loads(letter) for result in run.outlet.results for letter in result.dead_letters]
                assert {(letter["reason"], letter["line"]) for letter in dead_letters} == {
                    ("unknown-type", 2),
                    ("not-an-event", 3),
                    ("not-an-event", 4),
                    ("future", 5),
                }
                assert len(dead_letters) == 4
                assert all(letter["source"] == FEED and "raw" not in letter for letter in dead_letters)
                newest = run.feeds.by_name[FEED].newest
                assert newest is not None
                assert newest < server.clock.now()

    asyncio.run(scenario())


def test_the_feed_of_everything_is_a_sample_and_says_how_large() -> None:
    """100 events a second, of which 300 are held: less than half of what happens between two polls is seen."""
    rate = 100

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=60) as server:
            server.headers["X-Poll-Interval"] = "0.12"
            begin = server.clock.now() // SECOND
            shown: set[str] = set()

            def script(server: ScriptedGithub, path: str, page: int) -> None:
                if path == "/events" and page == 1:
                    newest = (server.clock.now() * rate // SECOND) - begin * rate
                    numbers = range(newest, newest - 300, -1)
                    feed = [
                        event(number=number, created_at=format_time((begin + number // rate) * SECOND))
                        for number in numbers
                    ]
                    server.feeds[path] = feed
                    shown.update(each["id"] for each in feed)

            server.script = script
            async with polling(server, MemoryOutlet()) as run:
                health = run.feeds.by_name["github:/events"]
                await until(lambda: health.polls["new"] >= 180, timeout=60)
                await until(lambda: set(run.outlet.ids("github:/events")) == shown)
                span = server.clock.now() / SECOND - begin
                # Times are cut to whole seconds: from sixty polls the rate is known to about a tenth.
                assert health.coverage == pytest.approx(len(shown) / (span * rate), rel=0.3)
                assert health.gaps == {}
                assert all(result.complete_to and not result.covered for result in run.outlet.of("github:/events"))

    asyncio.run(scenario())


def test_what_an_incomplete_poll_of_a_sample_met_was_seen_too() -> None:
    """Every other time the last page fails: what the first ones showed is published, and is part of the estimate."""
    rate = 10

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            server.headers["X-Poll-Interval"] = "0.1"
            begin = server.clock.now() // SECOND
            polls = 0

            def script(server: ScriptedGithub, path: str, page: int) -> web.Response | None:
                nonlocal polls
                if path != "/events":
                    return None
                if page == 1:
                    polls += 1
                    newest = (server.clock.now() * rate // SECOND) - begin * rate
                    numbers = range(newest, newest - 300, -1)
                    server.feeds[path] = [
                        event(number=number, created_at=format_time((begin + number // rate) * SECOND))
                        for number in numbers
                    ]
                return web.Response(status=502) if page == 3 and polls % 2 else None

            server.script = script
            async with polling(server, MemoryOutlet()) as run:
                health = run.feeds.by_name["github:/events"]
                await until(lambda: health.polls["new"] >= 90)
                published = run.outlet.ids("github:/events")
                numbers = sorted(int(each) for each in published)
                true = len(numbers) / (numbers[-1] - numbers[0] + 1)
                assert health.coverage == pytest.approx(true, rel=0.1)

    asyncio.run(scenario())


def test_the_sample_is_told_right_where_the_feed_moves_between_two_pages() -> None:
    """132 events a second, and each page a second later than the one before; a minute is a tenth of a second here."""
    rate, feed = 132, "github:/events"

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            server.headers["X-Poll-Interval"] = "0.1"
            begin = server.clock.now() // SECOND - 60
            shown: set[str] = set()
            heads: list[int] = []

            def script(server: ScriptedGithub, path: str, page: int) -> web.Response | None:
                if path != "/events":
                    return None
                # Like the real one, it shows nothing of the last half minute.
                head = (
                    (server.clock.now() - 30 * SECOND) * rate // SECOND - begin * rate
                    if page == 1
                    else heads[-1] + rate
                )
                heads.append(head)
                numbers = range(head, head - 300, -1)
                events = [
                    event(number=number, created_at=format_time((begin + number // rate) * SECOND))
                    for number in numbers
                ]
                shown.update(each["id"] for each in events[100 * page - 100 : 100 * page])
                body, headers = server.page(path, page, events)
                return web.Response(body=body, headers=headers)

            server.script = script
            async with polling(server, MemoryOutlet()) as run:
                health = run.feeds.by_name[feed]
                rates = set[float]()

                def done() -> bool:
                    rates.update(decode_github(feed, result.cursor).rate for result in run.outlet.of(feed))
                    return health.polls["new"] >= 60 and set(run.outlet.ids(feed)) == shown

                await until(done)
                assert health.coverage == pytest.approx(len(shown) / (heads[-1] - heads[0]), abs=0.02)
                assert min(rates) > 0

    asyncio.run(scenario())


def test_a_feed_in_no_order_of_time_has_no_negative_rate() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.happen(150, "/events", ago=10)
            server.happen(150, "/events", ago=600)
            server.feeds["/events"].sort(key=lambda each: str(each["created_at"]))
            async with polling(server, MemoryOutlet()) as run:
                await until(lambda: run.outlet.ids("github:/events"))
            rates = [decode_github("f", result.cursor).rate for result in run.outlet.of("github:/events")]
            assert min(rates) >= 0

    asyncio.run(scenario())


def test_nobody_else_is_asked_between_two_pages_of_a_poll() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            names = [f"org-{number}" for number in range(6)]
            for name in names:
                server.happen(300, f"/orgs/{name}/events")
            async with polling(
                server, MemoryOutlet(), watchlist=Watchlist([Project("many", github=tuple(names))])
            ) as run:
                await until(lambda: all(len(run.outlet.ids(f"github:/orgs/{name}/events")) == 300 for name in names))
            for name in names:
                begun = next(number for number, asked in enumerate(server.asked) if name in asked.path)
                assert [(asked.path, asked.page) for asked in server.asked[begun : begun + 3]] == [
                    (f"/orgs/{name}/events", page) for page in (1, 2, 3)
                ]

    asyncio.run(scenario())


def test_an_old_page_that_stays_is_believed_in_the_end() -> None:
    """The newest events were removed, so it looks old. Six hours are 0.6 s here."""

    async def scenario() -> None:
        async with ScriptedGithub.open(scale=36_000) as server:
            server.headers["X-Poll-Interval"] = "0.01"
            server.happen(20, ago=7_200)
            removed = server.happen(2, ago=3_600)
            async with polling(server, MemoryOutlet(), interval_cap=300.0) as run:
                await until(lambda: len(run.outlet.ids()) == 22)
                health = run.feeds.by_name[FEED]
                server.feeds[ORG] = [each for each in server.feeds[ORG] if each["id"] not in removed]
                await until(lambda: health.state == "stale: shows an old page")
                await until(lambda: health.state == "ok")
                assert run.outlet.ids()[-2:] == removed
                assert len(run.outlet.ids()) == 22
                assert health.newest == min(
                    activity.occurred_at for result in run.outlet.of() for activity in result.activities
                )

    asyncio.run(scenario())
