"""The answers of GitHub's simulated feeds, with each difficulty that a naive poller would get wrong."""

import asyncio
import json
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from simulator.clock import DAY, SECOND
from simulator.servers.github_feeds import EVERYTHING, LATEST, SOONEST
from tests.simulator.github_serving import TOKEN, Client, links, serving
from tests.simulator.recorded import recorded_events


def kinds(value: object) -> str:
    return "null" if value is None else type(value).__name__


def shape(event: dict[str, Any]) -> dict[str, str]:
    """{path: type} of an event and of the objects in it, one level deep; not every repository has an organisation."""
    levels = {"": event, **{key: event[key] for key in ("actor", "repo", "payload")}}
    return {
        f"{level}.{key}": kinds(value)
        for level, inner in levels.items()
        for key, value in inner.items()
        if key != "org"
    }


@pytest.mark.parametrize(
    ("era", "source"),
    [
        ("2026", "gharchive-2026-hour-profile/raw_examples_2026-08-12-14.ndjson"),
        ("2024", "dlt-github-2023/github.events.load_page_1_duck.json.gz"),
    ],
)
def test_answers_have_the_names_and_types_of_recorded_ones(era: str, source: str) -> None:
    recorded = recorded_events(source)
    common = set.intersection(*(set(event) for event in recorded)) - {"org"}
    organisation = next(event["org"].keys() for event in recorded if "org" in event)
    known: dict[tuple[str, str], dict[str, set[str]]] = {}
    for event in recorded:
        paths = known.setdefault((event["type"], event["payload"].get("action", "")), {})
        for path, kind in shape(event).items():
            paths.setdefault(path, set()).add(kind)

    async def run() -> None:
        async with serving(era=era, rate=50.0, history=60.0) as client:
            compared = 0
            for _ in range(8):
                client.wall.wait(20)
                for page in (1, 2, 3):
                    for event in (await client.get(f"/events?per_page=100&page={page}")).json:
                        assert common <= event.keys() <= common | {"org"}
                        paths = known.get((event["type"], event["payload"].get("action", "")))
                        if paths is None:
                            continue
                        compared += 1
                        for path, kind in shape(event).items():
                            assert kind in paths[path] or "null" in (kind, *paths[path]), (event["type"], path)
                        if "org" in event:
                            assert event["org"].keys() == organisation
            assert compared > 100

    asyncio.run(run())


def test_pages_are_short_unless_asked_and_never_longer_than_100() -> None:
    async def run() -> None:
        async with serving(history=300.0, rate=20.0) as client:
            assert len((await client.get("/events")).json) == 15
            assert len((await client.get("/orgs/example-lab/events")).json) == 30
            assert len((await client.get("/events?per_page=1000")).json) == 100
            assert links(await client.get("/events"))["last"].endswith("page=20")

    asyncio.run(run())


def test_a_feed_holds_300_events_and_says_so_beyond() -> None:
    async def run() -> None:
        async with serving(history=300.0, rate=20.0) as client:
            first = await client.get("/events?per_page=100")
            assert links(first).keys() == {"next", "last"}
            assert links(first)["last"].endswith("per_page=100&page=3")
            last = await client.get(links(first)["last"])
            assert len(last.json) == 100
            assert links(last).keys() == {"prev", "first"}
            beyond = await client.get("/events?per_page=100&page=4")
            assert (beyond.status, "pagination is limited" in beyond.json["message"]) == (422, True)
            quiet = await client.get("/orgs/ImaginaryAI/events?per_page=100&page=3")
            assert (quiet.status, quiet.json) == (200, [])

    asyncio.run(run())


def test_links_name_an_organisation_and_a_repository_by_id_and_lead_to_the_same_feed() -> None:
    async def run() -> None:
        async with serving(history=300.0, rate=20.0) as client:
            feed = "/repos/sample-hub/machines/events"
            first = await client.get(f"{feed}?per_page=2")
            assert "/repositories/" in links(first)["next"]
            second = await client.get(links(first)["next"])
            assert not set(first.ids) & set(second.ids)
            assert set(first.ids) | set(second.ids) == set(client.server.shown(feed))

    asyncio.run(run())


def test_pages_shift_between_two_requests() -> None:
    async def run() -> None:
        async with serving(history=300.0, rate=20.0) as client:
            first = await client.get("/events?per_page=100")
            client.wall.wait(2)
            second = await client.get("/events?per_page=100&page=2")
            assert set(first.ids) & set(second.ids), "what was on page 1 is on page 2 by now"

    asyncio.run(run())


def test_events_are_late_disordered_and_numbered_neither_in_order_nor_densely() -> None:
    async def run() -> None:
        async with serving(history=1_000.0, rate=20.0) as client:
            events = client.server.events
            delays = [event.visible_at - event.happening.occurred_at for event in events]
            assert min(delays) >= SOONEST * SECOND
            assert max(delays) <= (LATEST + 1) * SECOND
            assert sum(delay <= 61 * SECOND for delay in delays) > 0.7 * len(delays)
            assert max(delays) > 300 * SECOND
            held = client.server.feeds.held(EVERYTHING, client.server.clock.now())
            feed = [json.loads(entry.line) for entry in held]
            times = [event["created_at"] for event in feed]
            ids = [int(event["id"]) for event in feed]
            disordered = sum(upper < lower for upper, lower in pairwise(times)) / len(times)
            assert 0.1 < disordered < 0.4
            assert ids != sorted(ids, reverse=True)
            assert len({number // 10**9 for number in ids}) == 2
            assert max(ids) - min(ids) > 10 * len(ids)

    asyncio.run(run())


def test_nothing_older_than_30_days_stands_in_a_feed() -> None:
    async def run() -> None:
        async with serving(rate=4e-5, history=60 * DAY / SECOND) as client:
            held = (await client.get("/events?per_page=100")).ids
            horizon = client.server.clock.now() - 30 * DAY
            listed = [event for event in client.server.events if event.listed]
            assert 0 < len(held) < len(listed) < 300
            assert set(held) == {event.id for event in listed if event.happening.occurred_at > horizon}

    asyncio.run(run())


def test_an_etag_is_of_one_page_for_one_token_and_must_come_back_exactly() -> None:
    async def run() -> None:
        async with serving(token=[TOKEN, "another"]) as client:
            path = "/events?per_page=100"
            first = await client.get(path)
            tag = first.headers["ETag"]
            assert tag.startswith('W/"')
            same = await client.get(path, If_None_Match=tag)
            assert (same.status, same.body, same.headers["ETag"]) == (304, "", tag)
            assert same.headers["X-Poll-Interval"] == "60"
            for inexact in (tag.removeprefix("W/"), tag.removeprefix("W/").strip('"'), tag.replace('"', "")):
                assert (await client.get(path, If_None_Match=inexact)).status == 200
            assert (await client.get(path + "&page=2", If_None_Match=tag)).status == 200
            assert (await client.get(path, "another", If_None_Match=tag)).status == 200
            client.wall.wait(60)
            assert (await client.get(path, If_None_Match=tag)).status == 200

    asyncio.run(run())


def test_what_has_not_changed_is_free_with_a_token_only() -> None:
    async def remaining(client: Client, token: str | None) -> list[int]:
        first = await client.get("/events", token)
        again = await client.get("/events", token, If_None_Match=first.headers["ETag"])
        assert again.status == 304
        return [
            int(answer.headers["X-RateLimit-Remaining"])
            for answer in (first, again, await client.get("/events", token))
        ]

    async def run() -> None:
        async with serving() as client:
            assert await remaining(client, TOKEN) == [4_999, 4_999, 4_998]
            assert await remaining(client, None) == [59, 58, 57]
            assert (await client.get("/rate_limit", None)).json["rate"]["remaining"] == 57
            assert (await client.get("/rate_limit", None)).json["rate"]["remaining"] == 57

    asyncio.run(run())


@pytest.mark.parametrize(("scale", "interval"), [(1.0, "60"), (60.0, "1"), (1200.0, "0.05")])
def test_whoever_asks_again_before_the_stated_interval_is_written_down(scale: float, interval: str) -> None:
    async def run() -> None:
        async with serving(scale=scale, rate=1.0) as client:
            feed = "/orgs/example-lab/events"
            answer = await client.get(feed)
            assert answer.headers["X-Poll-Interval"] == interval
            client.wall.wait(float(interval) * 0.7)
            await client.get(f"{feed}?page=2")
            client.wall.wait(float(interval) * 0.3)
            await client.get(feed, If_None_Match=answer.headers["ETag"])
            await client.get("/orgs/sampleai/events")
            assert client.server.offences == []
            client.wall.wait(float(interval) * 0.8)
            await client.get(feed)
            assert [(offence.feed, offence.at) for offence in client.server.offences] == [(feed, client.wall())]

    asyncio.run(run())


def test_a_failure_may_be_asked_again_at_once() -> None:
    async def run() -> None:
        async with serving() as client:
            client.server.faults.set(error=1.0)
            assert (await client.get("/events")).status >= 500
            client.server.faults.clear()
            assert (await client.get("/events")).status == 200
            assert client.server.offences == []

    asyncio.run(run())


def test_what_is_wrong_with_a_request_is_said_by_its_status() -> None:
    async def run() -> None:
        async with serving() as client:
            assert (await client.get("/events", "wrong")).status == 401
            assert (await client.get("/orgs/nobody-at-all/events")).status == 404
            assert (await client.get("/repos/nobody/nothing/events")).status == 404
            assert (await client.get("/nothing")).status == 404
            assert (await client.get("/events", User_Agent="")).status == 403

    asyncio.run(run())


def test_answers_are_compressed_json_with_githubs_headers() -> None:
    async def run() -> None:
        async with serving() as client:
            answer = await client.get("/events")
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
            assert answer.headers["Content-Encoding"] == "gzip"
            wanted = {
                "Server",
                "Date",
                "ETag",
                "Link",
                "Vary",
                "X-Poll-Interval",
                "X-GitHub-Media-Type",
                "X-GitHub-Request-Id",
            }
            wanted |= {f"X-RateLimit-{name}" for name in ("Limit", "Remaining", "Reset", "Used", "Resource")}
            assert {name.casefold() for name in wanted} <= {name.casefold() for name in answer.headers}
            assert "Content-Encoding" not in (await client.get("/events", Accept_Encoding="identity")).headers

    asyncio.run(run())


def test_stars_are_mostly_missing_from_the_feed_of_everything_and_all_in_the_count() -> None:
    async def run() -> None:
        async with serving(rate=50.0, history=100.0) as client:
            repository = client.server.course.population.watched[0].name
            before = (await client.get(f"/repos/{repository}")).json
            given = client.server.stars(repository)
            client.wall.wait(120)
            after = (await client.get(f"/repos/{repository.upper()}")).json
            assert after["id"] == before["id"]
            assert after["full_name"] == repository
            assert after["stargazers_count"] - before["stargazers_count"] == client.server.stars(repository) - given > 0
            assert {"forks_count", "subscribers_count", "watchers_count", "owner"} <= after.keys()
            stars = Counter(event.listed for event in client.server.events if event.type == "WatchEvent")
            assert 0.1 < stars[True] / stars.total() < 0.25
            assert all(event.listed for event in client.server.events if event.type != "WatchEvent")

    asyncio.run(run())


def test_a_network_and_a_renamed_repository_are_elsewhere_and_keep_their_id() -> None:
    async def run() -> None:
        async with serving(rate=50.0, history=100.0) as client:
            moved = await client.get("/networks/sample-hub/machines/events?per_page=5")
            assert moved.status == 301
            assert len((await client.get(moved.headers["Location"])).json) == 5
            old = (await client.get("/repos/sample-hub/machines")).json
            client.server.rename("sample-hub/machines", "sample-hub/Mechanised")
            assert (await client.get("/repos/sample-hub/machines/events")).status == 301
            new = (await client.get("/repos/sample-hub/mechanised")).json
            assert (new["id"], new["full_name"]) == (old["id"], "sample-hub/Mechanised")
            client.wall.wait(120)
            events = (await client.get("/repos/sample-hub/mechanised/events?per_page=100")).json
            assert {event["repo"]["id"] for event in events} == {old["id"]}
            assert {event["repo"]["name"] for event in events} == {"sample-hub/machines", "sample-hub/Mechanised"}

    asyncio.run(run())


def test_public_members_do_what_members_do() -> None:
    async def run() -> None:
        async with serving(rate=50.0, history=100.0) as client:
            members = (await client.get("/orgs/example-lab/public_members?per_page=100")).json
            assert members
            assert {"login", "id", "type"} <= members[0].keys()
            own = [
                event.happening
                for event in client.server.events
                if event.happening.repository.owner.login == "example-lab"
            ]
            pushers = {
                happening.actor.id for happening in own if happening.type == "PushEvent" and not happening.actor.bot
            }
            assert {member["id"] for member in members} & pushers

    asyncio.run(run())


def test_a_user_has_a_feed() -> None:
    async def run() -> None:
        async with serving(rate=50.0) as client:
            actor = client.server.events[-1].happening.actor
            events = (await client.get(f"/users/{actor.login}/events/public")).json
            assert {event["actor"]["id"] for event in events} == {actor.id}
            assert {actor.login} <= client.server.logins()
            assert len({event["repo"]["id"] for event in events}) > 1, "wherever it did something"
            assert (await client.get(f"/orgs/{actor.login}/events")).status == 404
            assert (await client.get("/users/example-lab/events/public")).status == 404
            assert (await client.get("/users/nobody-at-all/events/public")).status == 404

    asyncio.run(run())


def test_a_users_feed_keeps_the_rules_of_the_others() -> None:
    async def run() -> None:
        async with serving(rate=60.0, history=300.0, people=20) as client:
            login = client.server.events[-1].happening.actor.login
            path = f"/users/{login}/events/public"
            first = await client.get(f"{path}?per_page=100")
            assert (len(first.json), len((await client.get(path)).json)) == (100, 30)
            assert (first.headers["X-Poll-Interval"], links(first)["last"][-7:]) == ("60", "&page=3")
            assert "/user/" in links(first)["next"], "links name it by id"
            assert len(set(await client.whole(path))) == 300
            assert (await client.get(f"{path}?per_page=100&page=4")).status == 422
            same = await client.get(f"{path}?per_page=100", If_None_Match=first.headers["ETag"])
            assert (same.status, same.headers["X-Poll-Interval"]) == (304, "60")
            assert (
                await client.get(f"{path}?per_page=100", If_None_Match=first.headers["ETag"].strip('W/"'))
            ).status == 200
            assert {offence.feed for offence in client.server.offences} == {path}, "page 1 was asked for again at once"

    asyncio.run(run())
