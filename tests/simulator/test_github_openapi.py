"""The answers of the simulated GitHub, checked against GitHub's published description of its API, and that against
recorded events.

Where the two differ, the recorded events are right.
"""

import asyncio
import copy
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from simulator.servers.github import GithubServer
from tests.simulator.github_serving import TOKEN, Client, serving
from tests.simulator.openapi.description import Description, DescriptionUnavailable, fetch
from tests.simulator.recorded import recorded_events

ROUTES = {
    "/events": "/events",
    "/orgs/{org}/events": "/orgs/example-lab/events",
    "/repos/{owner}/{repo}/events": "/repos/sample-hub/machines/events",
    "/users/{username}/events/public": "/users/LOGIN/events/public",
}

# Where the description is wrong: recorded events have this.
WRONG = {
    'CreateEvent payload.ref: null is not of type "string"',  # of a repository; 2013, 2015, 2018
    'PullRequestReviewEvent payload.review.body: null is not of type "string"',  # without words; 2023, 2026
}
# Only today's events: those before 2025-10-07 had parts that the description no longer has.
NOT_OF_THEIR_TIME = {
    "CommitCommentEvent payload: lacks action",
    "CreateEvent payload: lacks full_ref",
    "DeleteEvent payload: lacks full_ref",
    "ForkEvent payload: lacks action",
}
REMOVED = {"PushEvent payload.commits", "PushEvent payload.distinct_size", "PushEvent payload.size"}
# What the simulated events leave out although it is described. Nothing reads it.
LEFT_OUT = {
    # For a repository; no recorded event shows what today's feed has there.
    'CreateEvent payload.full_ref: null is not of type "string"',
}


@pytest.fixture(scope="module")
def description(request: pytest.FixtureRequest) -> Description:
    cache = request.config.cache
    assert cache is not None
    try:
        return Description(fetch(Path(cache.mkdir("openapi"))))
    except DescriptionUnavailable as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(f"GitHub's description of its API is absent: {reason}")


def problems(description: Description, events: Iterable[dict[str, Any]]) -> set[str]:
    return {problem for event in events for problem in description.event_problems(event)}


def unknown(description: Description, events: Iterable[dict[str, Any]]) -> set[str]:
    return {field for event in events for field in description.unknown_fields(event)}


def place(path: str, server: GithubServer) -> str:
    """A route's feed; for users that of one who has just done something."""
    return path.replace(
        "LOGIN", next(event.happening.actor.login for event in server.events[::-1] if not event.happening.actor.bot)
    )


@pytest.mark.parametrize("era", ["2026", "2024"])
def test_every_feed_shows_events_as_they_are_described(description: Description, era: str) -> None:
    older = NOT_OF_THEIR_TIME if era == "2024" else set()

    async def scenario() -> None:
        types = set()
        async with serving(era=era, rate=40.0, history=120.0) as client:
            for route, path in ROUTES.items():
                for _ in range(3):
                    client.wall.wait(20)
                    for page in (1, 2, 3):
                        answer = await client.get(f"{place(path, client.server)}?per_page=100&page={page}")
                        assert answer.status in description.statuses(route)
                        found = description.problems(route, 200, answer.json)
                        assert found <= WRONG | LEFT_OUT | older, (route, found - WRONG - LEFT_OUT - older)
                        assert unknown(description, answer.json) <= (REMOVED if era == "2024" else set()), route
                        types |= {event["type"] for event in answer.json}
        assert len(types) == 16

    asyncio.run(scenario())


def test_pages_have_the_length_that_is_described(description: Description) -> None:
    async def scenario() -> None:
        async with serving(rate=40.0, history=600.0, people=20) as client:
            for route, path in ROUTES.items():
                assert len((await client.get(place(path, client.server))).json) == description.default_length(route), (
                    route
                )

    asyncio.run(scenario())


def test_other_answers_are_as_they_are_described(description: Description) -> None:
    async def scenario() -> None:
        async with serving(rate=40.0, history=120.0) as client:
            await judge(
                description, client, "/orgs/{org}/public_members", "/orgs/example-lab/public_members?per_page=1"
            )
            await judge(description, client, "/repos/{owner}/{repo}", "/repos/sample-hub/machines")
            await judge(description, client, "/repos/{owner}/{repo}", "/repos/nobody/nothing", 404)
            await judge(description, client, "/rate_limit", "/rate_limit")
            await judge(
                description, client, "/networks/{owner}/{repo}/events", "/networks/sample-hub/machines/events", 301
            )
            client.server.limits.refuse_everybody(60, "silent")
            client.server.limits.anonymous = 0
            await judge(description, client, "/events", "/events", 403)

    asyncio.run(scenario())


async def judge(description: Description, client: Client, route: str, path: str, status: int = 200) -> None:
    """Check an answer against the description of its route."""
    # A refusal has one of two statuses at random; 429 is not described.
    answers = [await client.get(path, TOKEN) for _ in range(30 if status == 403 else 1)]
    answer = next(answer for answer in answers if answer.status == status)
    assert description.problems(route, status, answer.json) == set()
    if status == 200:
        assert {name.casefold() for name in description.headers(route)} <= {name.casefold() for name in answer.headers}


@pytest.mark.parametrize(
    ("source", "wrong", "removed"),
    [
        (
            "gharchive-2026-hour-profile/raw_examples_2026-08-12-14.ndjson",
            {"PullRequestReviewEvent payload.review.body"},
            set[str](),
        ),
        (
            "dlt-github-2023/github.events.load_page_1_duck.json.gz",
            {"PullRequestReviewEvent payload.review.body", "ForkEvent payload: lacks action"},
            REMOVED,
        ),
    ],
)
def test_recorded_events_are_as_they_are_described_but_for_known_places(
    description: Description, source: str, wrong: set[str], removed: set[str]
) -> None:
    events = recorded_events(source)
    found = problems(description, events)
    assert found <= WRONG | NOT_OF_THEIR_TIME
    assert {place for place in wrong if any(problem.startswith(place) for problem in found)} == wrong
    assert len(found) == len(wrong)
    assert unknown(description, events) == removed


@pytest.mark.parametrize(
    "source",
    [
        "gharchive-2018-tiny/2018-01-01-0.json",
        "quickwit-gharchive-2015/gharchive-bulk.json.gz",
        "simdjson-github-events/github_events.json",
    ],
)
def test_a_new_repository_has_always_had_no_ref(description: Description, source: str) -> None:
    events = [event for event in recorded_events(source) if event["payload"].get("ref_type") == "repository"]
    assert 'CreateEvent payload.ref: null is not of type "string"' in problems(description, events)


def test_each_kind_of_fault_is_found(description: Description) -> None:
    actor = {
        "id": 1,
        "login": "a",
        "gravatar_id": None,
        "url": "https://api.github.com/users/a",
        "avatar_url": "https://a.example/1",
    }
    payload = {"repository_id": 2, "push_id": 3, "ref": "refs/heads/main", "head": "1f", "before": "2e"}
    sound: dict[str, Any] = {
        "id": "1",
        "type": "PushEvent",
        "actor": actor,
        "repo": {"id": 2, "name": "o/r", "url": "https://api.github.com/repos/o/r"},
        "payload": payload,
        "public": True,
        "created_at": "2026-08-12T14:00:08Z",
    }
    assert problems(description, [sound]) == unknown(description, [sound]) == set()
    assert problems(description, [sound | {"id": 1}]) == {'PushEvent id: int is not of type "string"'}
    assert problems(description, [sound | {"created_at": "yesterday"}]) == {
        'PushEvent created_at: str is not of format "date-time"'
    }
    assert problems(description, [sound | {"actor": actor | {"url": "here"}}]) == {
        'PushEvent actor.url: str is not of format "uri"'
    }
    assert problems(description, [sound | {"payload": payload | {"head": None}}]) == {
        'PushEvent payload.head: null is not of type "string"'
    }
    assert problems(description, [sound | {"type": "SponsorshipEvent"}]) == {"SponsorshipEvent: no such type"}
    lacking = copy.deepcopy(sound)
    del lacking["repo"]["url"]
    assert problems(description, [lacking]) == {"PushEvent repo: lacks url"}
    more = sound | {"payload": payload | {"size": 1}, "extra": None}
    assert unknown(description, [more]) == {"PushEvent extra", "PushEvent payload.size"}
    assert description.problems("/events", 200, {"message": "no list"}) == {"a feed is a list"}
