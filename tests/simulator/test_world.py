import json
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from simulator.clock import MINUTE
from simulator.deed import FEATURES
from simulator.events import EventWriter
from simulator.hub import HubActs
from simulator.population import WATCHED, Population
from simulator.stream import START
from simulator.wire import meaning
from simulator.world import Happening, World, deeds
from streams.watchlist import Watchlist
from tests.simulator.recorded import recorded_events


def happenings(n: int = 4_000, seed: int = 5, era: str = "2024") -> list[Happening]:
    world = World(seed, repositories=n // 3, people=n // 4, era=era)
    return [world.happen(START + number * MINUTE) for number in range(n)]


def lines(n: int, seed: int, era: str) -> list[bytes]:
    writer = EventWriter(seed, era)
    return [writer.line(happening) for happening in happenings(n, seed, era)]


def places(value: object, path: str = "") -> Iterator[str]:
    """The path of every key in a JSON value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}.{key}"
            yield from places(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from places(inner, f"{path}[]")


def test_the_same_seed_gives_the_same_lines_and_another_seed_others() -> None:
    assert lines(300, 1, "2024") == lines(300, 1, "2024")
    assert lines(300, 1, "2024") != lines(300, 2, "2024")


@pytest.mark.parametrize("era", ["2024", "2026"])
def test_every_line_is_one_event_in_json_that_says_what_was_meant(era: str) -> None:
    writer = EventWriter(1, era)
    for happening in happenings(2_000, era=era):
        line = writer.line(happening)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        event = json.loads(line)
        assert event["id"] == str(happening.serial)
        assert event["type"] == happening.type
        assert event["actor"]["login"] == happening.actor.login
        assert event["repo"]["id"] == happening.repository.id
        assert ("org" in event) == happening.repository.organisation


def test_full_payloads_are_as_large_as_recorded_ones() -> None:
    written = lines(10_000, 3, "2024")
    assert 2_300 <= sum(map(len, written)) / len(written) <= 3_000


def test_ids_are_unique_and_in_todays_feed_of_two_families() -> None:
    for era, families in (("2024", 1), ("2026", 2)):
        serials = [happening.serial for happening in happenings(era=era)]
        assert len(set(serials)) == len(serials)
        assert len({serial // 10**9 for serial in serials}) == families


def test_todays_payloads_lack_what_was_taken_away() -> None:
    for event in map(json.loads, lines(4_000, 4, "2026")):
        payload = event["payload"]
        assert "author_association" not in json.dumps(payload)
        if event["type"] == "PushEvent":
            assert set(payload) == {"repository_id", "push_id", "ref", "head", "before"}
        if "pull_request" in payload:
            assert set(payload["pull_request"]) == {"id", "number", "url", "head", "base"}


@pytest.mark.parametrize("era", ["2024", "2026"])
def test_only_comments_on_pull_requests_state_one(era: str) -> None:
    writer = EventWriter(1, era)
    seen = Counter[str]()
    for happening in happenings(era=era):
        if happening.type == "IssueCommentEvent":
            seen[happening.feature] += 1
            issue = json.loads(writer.line(happening))["payload"]["issue"]
            assert ("pull_request" in issue) == (happening.feature == "review")
    assert seen["review"]
    assert seen["exchange"]


def test_a_merge_was_a_closing_that_says_so_and_is_an_action_today() -> None:
    for era, action in (("2024", "closed"), ("2026", "merged")):
        writer = EventWriter(1, era)
        merges = [happening for happening in happenings(era=era) if happening.merges]
        payloads = [json.loads(writer.line(happening))["payload"] for happening in merges]
        assert {payload["action"] for payload in payloads} == {action}
        assert {payload["pull_request"].get("merged") for payload in payloads} == {True if era == "2024" else None}


def test_a_merge_credits_the_opener_where_the_payload_lets_it_be_known() -> None:
    merges = [happening for happening in happenings(8_000) if happening.merges and happening.thread]
    for happening in merges:
        own, accepted = deeds(happening, "2024")
        assert (own.feature, own.actor) == ("upkeep", happening.actor.id)
        assert happening.thread
        assert (accepted.feature, accepted.actor) == ("accepted", happening.thread.opener.id)
        assert accepted.id == f"{own.id}:accepted"
    known_today = [happening for happening in merges if len(deeds(happening, "2026")) == 2]
    assert 0 < len(known_today) < len(merges)
    assert all(happening.head_owner == happening.actor for happening in known_today)


def test_pushes_state_their_commits_in_full_payloads_only() -> None:
    push = next(happening for happening in happenings() if happening.type == "PushEvent")
    assert deeds(push, "2024")[0].commits == push.commits
    assert deeds(push, "2026")[0].commits is None


def test_every_feature_happens_on_both_platforms() -> None:
    assert {deed.feature for happening in happenings() for deed in deeds(happening, "2024")} == set(FEATURES)
    assert {meaning(activity["kind"], activity.get("action")) for activity in hub_activities()} == set(FEATURES)


def test_repositories_and_people_are_heavy_tailed() -> None:
    seen = happenings(10_000)
    for counts in (
        Counter(happening.repository.id for happening in seen),
        Counter(happening.actor.id for happening in seen),
    ):
        ordered = sorted(counts.values(), reverse=True)
        assert sum(ordered[: len(ordered) // 100]) > 0.15 * len(seen)
        assert ordered[len(ordered) // 2] <= 2


def test_bots_do_their_share_and_are_of_every_kind() -> None:
    bots = Counter(happening.actor.login for happening in happenings(10_000) if happening.actor.bot)
    assert 0.05 < bots.total() / 10_000 < 0.2
    assert any(login.endswith("[bot]") for login in bots)
    assert any("[" not in login for login in bots)


def test_watched_projects_occur_on_their_platforms_and_their_neighbours_are_not_watched() -> None:
    for platform, column in (("github", 0), ("huggingface", 1)):
        population = Population(platform, 1, 400, 400)
        projects = {repository.project for repository in population.watched}
        assert projects == {project for project, places in WATCHED.items() if places[column]}
        assert all(repository.project is None for repository in population.repositories)
        assert any(repository.owner.login == "sample-hub" for repository in population.repositories)


def test_no_organisation_of_the_simulated_world_is_a_real_one() -> None:
    real = {project.project: project for project in Watchlist.load().projects}
    places = {
        place.casefold() for each in real.values() for place in (*each.places["github"], *each.places["huggingface"])
    }
    owners = {place.partition("/")[0] for place in places} | {"huggingface"}
    assert not real.keys() & WATCHED.keys()
    for platform in ("github", "huggingface"):
        population = Population(platform, 1, 400, 400)
        repositories = [*population.repositories, *population.watched]
        assert not owners & {repository.owner.login.casefold() for repository in repositories}
        assert not owners & {person.login.casefold() for person in population.people}


def test_accounts_and_repositories_have_numbers_of_their_own() -> None:
    for platform in ("github", "huggingface"):
        population = Population(platform, 1, 3_000, 2_000)
        repositories = [*population.repositories, *population.watched]
        assert len({repository.id for repository in repositories}) == len(repositories)
        assert len({repository.name.casefold() for repository in repositories}) == len(repositories)
        people = [*population.people, *population.bots]
        assert len({person.id for person in people}) == len(people)


def test_members_do_most_of_what_happens_in_a_repository() -> None:
    population, random = Population("github", 1, 100, 5_000), Random(1)
    repository = population.repositories[0]
    actors = Counter(population.actor(repository, random, bots=False) for _ in range(500))
    assert sum(n for _, n in actors.most_common(40)) > 250


def hub_activities() -> list[dict[str, Any]]:
    hub = HubActs(1, repositories=200, people=300)
    return [activity for number in range(3_000) for activity in hub.happen(START + number, START + number)]


def test_a_hub_activity_has_what_the_wire_wants_and_leaves_out_what_is_unknown() -> None:
    required = {
        "id",
        "platform",
        "kind",
        "occurred_at",
        "ingested_at",
        "repo_id",
        "repo",
        "owner",
        "actor",
        "artefact",
        "simulated",
    }
    optional = {"action", "bot", "thread", "project", "commits", "family", "relation", "text"}
    for activity in hub_activities():
        assert required <= set(activity) <= required | optional
        assert None not in activity.values()
        assert activity["platform"] == "huggingface"
        assert activity["artefact"] in ("model", "dataset", "space")
        assert activity.get("commits") == (1 if activity["kind"] == "commit" else None)
        assert activity["repo"].startswith(f"{activity['owner']}/")
        assert 0 <= activity["repo_id"] < 2**64
        assert 0 <= activity["actor"] < 2**64


def test_a_merge_on_the_hub_credits_somebody_else_mostly() -> None:
    activities = {activity["id"]: activity for activity in hub_activities()}
    accepted = {
        activity["id"].removesuffix(":accepted"): activity
        for activity in activities.values()
        if activity.get("action") == "accepted"
    }
    assert len(accepted) > 20
    assert all(activities[identity]["action"] == "merged" for identity in accepted)
    others = [activity for identity, activity in accepted.items() if activity["actor"] != activities[identity]["actor"]]
    assert len(others) > len(accepted) / 2
    bots = {activity["actor"] for activity in activities.values() if activity.get("bot")}
    assert all(activity.get("bot", False) == (activity["actor"] in bots) for activity in accepted.values())


RECORDED = {
    "2024": (
        "dlt-github-2023/github.events.load_page_1_duck.json.gz",
        "quickwit-gharchive-2015/gharchive-bulk.json.gz",
        "gharchive-2018-tiny/2018-01-01-0.json",
    ),
    "2026": ("gharchive-2026-hour-profile/raw_examples_2026-08-12-14.ndjson",),
}
# Types of which enough was recorded to know their keys.
WELL_KNOWN = {
    "2024": {
        "PushEvent",
        "CreateEvent",
        "WatchEvent",
        "IssuesEvent",
        "IssueCommentEvent",
        "PullRequestEvent",
        "PullRequestReviewEvent",
        "PullRequestReviewCommentEvent",
    },
    "2026": {"PushEvent", "IssuesEvent", "PullRequestEvent", "PullRequestReviewEvent"},
}


@pytest.mark.parametrize("era", ["2024", "2026"])
def test_generated_payloads_have_no_key_that_recorded_ones_lack(era: str) -> None:
    known: dict[str, set[str]] = {}
    for file in RECORDED[era]:
        for event in recorded_events(file):
            known.setdefault(event["type"], set()).update(places(event["payload"]))
    for event in map(json.loads, lines(3_000, 1, era)):
        # Only a labelling states a label, and no issue was recorded at one.
        payload = {key: value for key, value in event["payload"].items() if key != "label"}
        if event["type"] in WELL_KNOWN[era]:
            assert set(places(payload)) <= known[event["type"]], event["type"]
