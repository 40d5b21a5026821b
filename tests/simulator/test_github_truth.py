"""What the simulated GitHub knows about itself: what it showed, what could have been seen, what was meant, and its
release.
"""

import asyncio
from collections import Counter

import pytest

from simulator.clock import HOUR, SECOND
from simulator.servers.course import STIRRED, Course, Release
from simulator.servers.faults import KINDS
from simulator.servers.github_feeds import EVERYTHING
from tests.simulator.github_serving import Client, serving

# With these faults no answer is complete.
_BROKEN = [kind for kind in KINDS if kind != "stale"]


def lines(client: Client) -> list[bytes]:
    return [entry.line for entry in client.server.feeds.held(EVERYTHING, client.server.clock.now())]


def test_the_seed_decides_what_happens() -> None:
    async def run(seed: int) -> list[bytes]:
        async with serving(seed, rate=20.0) as client:
            client.wall.wait(300)
            await client.get("/events")
            return lines(client)

    assert asyncio.run(run(1)) == asyncio.run(run(1)) != asyncio.run(run(2))


def test_what_is_asked_does_not_change_what_happens() -> None:
    async def run(*asked: str) -> list[bytes]:
        async with serving(rate=20.0, release_in=60.0) as client:
            for _ in range(10):
                client.wall.wait(20)
                for path in asked:
                    await client.get(path)
            await client.get("/events")
            return lines(client)

    assert asyncio.run(run()) == asyncio.run(
        run("/orgs/sampleai/public_members", "/repos/sample-hub/tinysample/events", "/events")
    )


def test_shown_is_what_answers_held_since_they_first_did() -> None:
    async def run() -> None:
        async with serving() as client:
            first, at = await client.get("/events"), client.wall()
            client.wall.wait(2)
            second = await client.get("/events?per_page=100")
            assert set(first.ids) < set(second.ids)
            expected = dict.fromkeys(second.ids, client.wall()) | dict.fromkeys(first.ids, at)
            assert client.server.shown("/events") == expected
            assert client.server.shown("/orgs/sampleai/events") == {}
            with pytest.raises(KeyError):
                client.server.shown("/orgs/nobody-at-all/events")

    asyncio.run(run())


@pytest.mark.parametrize("kind", _BROKEN)
def test_what_a_fault_swallowed_was_not_shown(kind: str) -> None:
    async def run() -> None:
        async with serving() as client:
            client.server.faults.set(**{kind: 1.0})
            await asyncio.gather(client.get("/events"), return_exceptions=True)
            assert client.server.faults.counts[kind]
            assert client.server.shown("/events") == {}
            client.server.faults.clear()
            assert (await client.get("/events")).ids == list(client.server.shown("/events"))

    asyncio.run(run())


@pytest.mark.parametrize("feed", ["/events", "/orgs/example-lab/events"])
def test_visible_is_what_a_perfect_poller_saw_and_unmissable_what_any_saw(feed: str) -> None:
    async def run() -> None:
        async with serving(rate=8.0, history=200.0) as client:
            since = client.server.clock.now()
            seen: set[str] = set()
            late: set[str] = set()
            for _ in range(6):
                seen |= set(await client.whole(feed))
                client.wall.wait(23)
                late |= set(await client.whole(feed))
                client.wall.wait(37)
            until = client.server.clock.now()
            visible = client.server.visible(feed, since, until - 1)
            assert visible == seen
            unmissable = client.server.unmissable(feed, since, until)
            assert unmissable <= seen
            assert unmissable <= late
            last = until - 60 * SECOND
            held = [event for event in client.server.events if client.server.api.feed(feed).holds(event)]
            everything = {event.id for event in held if event.visible_at <= last}
            if feed == "/events":
                assert len(unmissable) < len(visible) < len(everything), "so much rolls out of the feed unseen"
            else:
                assert visible == everything, "a quiet feed is complete"

    asyncio.run(run())


def test_one_page_and_a_stop_at_the_first_known_id_both_lose_events() -> None:
    async def run() -> None:
        async with serving(rate=4.0, history=200.0) as client:
            since = client.server.clock.now()
            first_page: set[str] = set()
            stopping: set[str] = set()
            cursor: set[str] = set()
            for _ in range(10):
                ids = await client.whole("/events")
                first_page |= set(ids[:100])
                fresh = next((place for place, each in enumerate(ids) if each in stopping), len(ids))
                stopping |= set(ids[:fresh])
                newest = max(map(int, cursor), default=0)
                cursor |= {each for each in ids if int(each) > newest}
                client.wall.wait(60)
            visible = client.server.visible("/events", since, client.server.clock.now() - 1)
            assert len(first_page) < 0.7 * len(visible)
            assert len(cursor) < 0.7 * len(visible)
            assert stopping <= visible

    asyncio.run(run())


def test_deeds_tell_what_the_shown_events_meant() -> None:
    async def run() -> None:
        async with serving(era="mixed", rate=50.0, unknown=0.05) as client:
            client.wall.wait(60)
            events = {
                event["id"]: event
                for page in (1, 2, 3)
                for event in (await client.get(f"/events?per_page=100&page={page}")).json
            }
            own = [deed for deed in client.server.deeds(events) if not deed.id.endswith(":accepted")]
            unknown = {each for each, event in events.items() if event["type"] == "SponsorshipEvent"}
            assert unknown
            assert {deed.id.rpartition(":")[2] for deed in own} == events.keys() - unknown
            for deed in own:
                event = events[deed.id.rpartition(":")[2]]
                assert deed.id == f"github:{event['type']}:{event['id']}"
                assert (deed.actor, deed.repository, deed.name) == (
                    event["actor"]["id"],
                    event["repo"]["id"],
                    event["repo"]["name"],
                )
            pushes = [event["payload"] for event in events.values() if event["type"] == "PushEvent"]
            assert {"commits" in payload for payload in pushes} == {True, False}, "both shapes"
            assert {event["actor"]["login"] for event in events.values()} <= client.server.logins()

    asyncio.run(run())


def test_a_release_multiplies_what_it_stirs_and_fades() -> None:
    release = Release("", at=10 * HOUR, factor=30.0, half_life=3_600.0)
    counts: Counter[int] = Counter()
    course = Course(5, begin=0, rate=1.5, repositories=50, people=60)
    watched = course.population.watched[0]
    course.publish(release._replace(repository=watched.name))
    published = []
    for at, happening in course.until(20 * HOUR):
        if happening.repository.id != watched.id:
            continue
        if (happening.type, happening.what) in STIRRED:
            counts[at // HOUR] += 1
        if happening.type == "ReleaseEvent" and happening.occurred_at == release.at:
            published.append(happening)
    assert len(published) == 1
    base = sum(counts[hour] for hour in range(10)) / 10
    assert base == pytest.approx(course.base_rate(watched) * 3_600, rel=0.25)
    for hour, rise in ((10, 1 + 29 * 0.7213), (11, 1 + 29 * 0.3607), (12, 1 + 29 * 0.1803)):
        assert counts[hour] == pytest.approx(rise * course.base_rate(watched) * 3_600, rel=0.25), hour
    assert counts[19] < 3 * base


def test_a_server_states_its_release_and_shows_it() -> None:
    async def run() -> None:
        async with serving(release_in=30.0, release_factor=50.0, rate=20.0) as client:
            release = client.server.release
            assert release is not None
            feed = f"/repos/{release.repository}/events"
            before = (await client.get(f"{feed}?per_page=100")).json
            client.wall.wait(600)
            after = (await client.get(f"{feed}?per_page=100")).json
            stirred = [event for event in after if event["type"] in {kind for kind, _ in STIRRED}]
            assert len(stirred) > 0.8 * len(after)
            assert len(stirred) > 2 * len(before)
            published = [event for event in client.server.events if event.type == "ReleaseEvent"]
            assert release.at // SECOND * SECOND in {
                event.happening.occurred_at
                for event in published
                if event.happening.repository.name == release.repository
            }

    asyncio.run(run())


def test_a_feed_that_nobody_asked_for_before_is_kept_whole_from_then_on() -> None:
    async def run() -> None:
        async with serving(rate=60.0, history=100.0) as client:
            feed = "/repos/sample-hub/machines/events"
            since = client.server.clock.now()
            seen: set[str] = set()
            for _ in range(6):
                seen |= set(await client.whole(feed))
                client.wall.wait(60)
            assert len(client.server.events) > 20_000
            assert seen == client.server.visible(feed, since, client.server.clock.now() - 1)

    asyncio.run(run())
