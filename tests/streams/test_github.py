"""Events of GitHub, of both payload eras, become activities."""

import json
from typing import Any

import pytest

from streams.activity import Activity, activity_of, feature_of, hash_name
from streams.archive.timeline import read_by_hand
from streams.errors import DeadLetter
from streams.github_events import GithubEvents
from streams.github_payloads import decode_event
from streams.identities import Identities
from tests.simulator.recorded import recorded_events
from tests.streams.made import KEY, NOW, WATCHLIST, event

ELEVEN = 1_714_561_200_000_000  # 2024-05-01T11:00:00Z


def reader(**options: Any) -> GithubEvents:
    return GithubEvents(Identities(KEY, WATCHLIST, **options), NOW)


def read(value: Any, received: int | None = ELEVEN, **options: Any) -> list[Activity]:
    line = value if isinstance(value, bytes) else json.dumps(value).encode()
    return reader(**options).read(line, received)


def reason(value: Any) -> str:
    with pytest.raises(DeadLetter) as letter:
        read(value)
    return letter.value.reason


def test_a_push_of_the_old_era_is_read_whole() -> None:
    assert read(event(payload={"size": 3, "commits": [{"sha": "a"}]})) == [
        Activity(
            id="github:PushEvent:1",
            platform="github",
            kind="push",
            occurred_at=1_714_557_600_000_000,
            ingested_at=ELEVEN,
            repo_id=hash_name("github:42"),
            repo="allenai/OLMo",
            owner="allenai",
            actor=hash_name("github:7", KEY),
            project="olmo",
            commits=3,
        )
    ]


ISSUE = {"number": 5, "title": "Broken", "body": "see @ada", "pull_request": None}
PULL = {"number": 6, "merged": False}


@pytest.mark.parametrize(
    ("name", "payload", "kind", "action", "thread", "feature"),
    [
        ("PushEvent", {"push_id": 1}, "push", None, None, "contribution"),
        ("IssuesEvent", {"action": "opened", "issue": ISSUE}, "issue", "opened", 5, "exchange"),
        ("IssuesEvent", {"action": "closed", "issue": ISSUE}, "issue", "closed", 5, "upkeep"),
        ("IssueCommentEvent", {"action": "created", "issue": ISSUE}, "issue_comment", "created", 5, "exchange"),
        (
            "IssueCommentEvent",
            {"action": "created", "issue": {**ISSUE, "pull_request": {"url": "u"}}},
            "pull_request_comment",
            "created",
            5,
            "review",
        ),
        ("CommitCommentEvent", {"comment": {}}, "commit_comment", "created", None, "exchange"),
        ("DiscussionEvent", {"action": "created", "discussion": {"number": 8}}, "discussion", "created", 8, "exchange"),
        ("DiscussionEvent", {"action": "answered", "discussion": {"number": 8}}, "discussion", "answered", 8, "upkeep"),
        (
            "DiscussionCommentEvent",
            {"action": "created", "discussion": {"number": 8}},
            "discussion_comment",
            "created",
            8,
            "exchange",
        ),
        ("WatchEvent", {"action": "started"}, "star", "started", None, "preference"),
        ("PullRequestEvent", {"action": "opened", "pull_request": PULL}, "pull_request", "opened", 6, "review"),
        ("PullRequestEvent", {"action": "closed", "pull_request": PULL}, "pull_request", "closed", 6, "upkeep"),
        ("PullRequestReviewEvent", {"action": "created", "pull_request": PULL}, "review", "created", 6, "review"),
        ("PullRequestReviewEvent", {"action": "dismissed", "pull_request": PULL}, "review", "dismissed", 6, "upkeep"),
        (
            "PullRequestReviewCommentEvent",
            {"action": "created", "pull_request": PULL},
            "review_comment",
            "created",
            6,
            "review",
        ),
        (
            "PullRequestReviewThreadEvent",
            {"action": "resolved", "pull_request": PULL},
            "review_thread",
            "resolved",
            6,
            "upkeep",
        ),
        ("ForkEvent", {"forkee": {"id": 9}}, "fork", "forked", None, "adaptation"),
        ("CreateEvent", {"ref_type": "repository", "ref": None}, "repository", "created", None, "publication"),
        ("CreateEvent", {"ref_type": "branch"}, "branch", "created", None, "upkeep"),
        ("CreateEvent", {"ref_type": "tag"}, "tag", "created", None, "upkeep"),
        ("DeleteEvent", {"ref_type": "branch"}, "branch", "deleted", None, "upkeep"),
        ("ReleaseEvent", {"action": "published"}, "release", "published", None, "publication"),
        ("PublicEvent", {}, "public", None, None, "publication"),
        ("MemberEvent", {"action": "added"}, "member", "added", None, "upkeep"),
        ("GollumEvent", {"pages": []}, "wiki", None, None, "upkeep"),
    ],
)
def test_every_type_has_its_kind_action_thread_and_feature(
    name: str, payload: Any, kind: str, action: str | None, thread: int | None, feature: str
) -> None:
    [activity] = read(event(name, payload=payload))
    assert (activity.kind, activity.action, activity.thread) == (kind, action, thread)
    assert feature_of(activity.kind, activity.action) == feature
    assert activity.commits is None


@pytest.mark.parametrize(
    ("address", "kind"), [(None, "issue_comment"), ("https://github.com/o/r/pull/5", "pull_request_comment")]
)
def test_in_2013_every_issue_had_a_pull_request_but_only_a_real_one_an_address(address: str | None, kind: str) -> None:
    issue = ISSUE | {"pull_request": {"html_url": address, "diff_url": address, "patch_url": address}}
    (activity,) = read(event(type="IssueCommentEvent", payload={"action": "created", "issue": issue}))
    assert activity.kind == kind


def test_a_merge_of_the_old_era_is_credited_to_who_opened_the_pull_request() -> None:
    merged = {"number": 6, "merged": True, "user": {"id": 8, "login": "grace[bot]"}}
    merge, accepted = read(event("PullRequestEvent", payload={"action": "closed", "pull_request": merged}))
    assert (merge.action, merge.actor, merge.bot) == ("merged", hash_name("github:7", KEY), False)
    assert (accepted.id, accepted.action, accepted.thread) == ("github:PullRequestEvent:1:accepted", "accepted", 6)
    assert (accepted.actor, accepted.bot) == (hash_name("github:8", KEY), True)


def test_a_merge_of_today_is_credited_only_where_a_person_merged_their_own_branch() -> None:
    def merge_of(owner: str) -> list[Activity]:
        pull = {"number": 6, "head": {"repo": {"url": f"https://api.github.com/repos/{owner}/OLMo"}}}
        return read(event("PullRequestEvent", payload={"action": "merged", "number": 6, "pull_request": pull}))

    own, accepted = merge_of("Ada")
    assert (own.action, accepted.action, accepted.actor) == ("merged", "accepted", hash_name("github:7", KEY))
    assert [activity.action for activity in merge_of("allenai")] == ["merged"]


def test_a_merge_whose_branch_and_opener_are_gone_is_upkeep_alone() -> None:
    gone = {"number": 6, "merged": True, "user": None, "head": {"repo": None}}
    assert len(read(event("PullRequestEvent", payload={"action": "closed", "pull_request": gone}))) == 1


def test_an_opened_issue_carries_its_text_without_names_and_addresses() -> None:
    issue = {"number": 1, "title": "Hi @ada", "body": "mail ada@example.org\n" + "x" * 3000}
    [opened] = read(event("IssuesEvent", payload={"action": "opened", "issue": issue}))
    assert opened.text == "Hi \n" + ("mail \n" + "x" * 3000)[:2000]
    [closed] = read(event("IssuesEvent", payload={"action": "closed", "issue": issue}))
    assert closed.text is None
    discussion = {"number": 1, "title": "Idea", "body": None}
    [created] = read(event("DiscussionEvent", payload={"action": "created", "discussion": discussion}))
    assert created.text == "Idea\n"


def test_bots_are_told_apart_and_counted_as_people_only_when_asked() -> None:
    bot = event(actor={"id": 9, "login": "dependabot[bot]"})
    assert read(bot)[0].bot is True
    assert read(bot, include_bots=True)[0].bot is False


def test_identities_follow_ids_not_names() -> None:
    events = reader()
    lines = [
        json.dumps(event(repo={"id": 42, "name": name})).encode()
        for name in ("allenai/OLMo", "someone/renamed", "allenai/OLMo")
    ]
    found = [events.read(line)[0] for line in lines]
    assert len({activity.repo_id for activity in found}) == 1
    assert [activity.project for activity in found] == ["olmo", "olmo", "olmo"], (
        "a watched one that is renamed stays watched"
    )
    moved = events.read(json.dumps(event(repo={"id": 43, "name": "allenai/OLMo"})).encode())[0]
    assert moved.repo_id == hash_name("github:43")


def test_a_login_that_became_a_bots_is_a_bot_from_then_on_and_the_same_actor() -> None:
    events = reader()
    lines = [json.dumps(event(actor={"id": 7, "login": login})).encode() for login in ("ada", "ada[bot]", "ada")]
    found = [events.read(line)[0] for line in lines]
    assert [activity.bot for activity in found] == [False, True, False]
    assert len({activity.actor for activity in found}) == 1


def test_what_comes_of_a_simulated_event_is_simulated_and_of_no_other() -> None:
    assert [activity.simulated for activity in read(event(simulated=True))] == [True]
    assert [activity.simulated for activity in read(event())] == [False]
    for word in (False, "yes", 1, None, {}):
        assert [activity.simulated for activity in read(event(simulated=word))] == [False], (
            "another field of that name says nothing"
        )


def test_string_and_integer_ids_mean_the_same() -> None:
    assert read(event(number=1)) == read(
        {**event(), "id": 1, "repo": {"id": "42", "name": "allenai/OLMo"}, "actor": {"id": "7", "login": "ada"}}
    )


@pytest.mark.parametrize("stamp", ["2024-05-01T10:00:00Z", "2024-05-01T10:00:00+00:00", "2024-05-01T02:00:00-08:00"])
def test_offsets_of_times_are_understood(stamp: str) -> None:
    assert read(event(created_at=stamp))[0].occurred_at == 1_714_557_600_000_000


def test_fractions_of_seconds_are_kept() -> None:
    assert read(event(created_at="2024-05-01T10:00:00.00001Z"))[0].occurred_at == 1_714_557_600_000_010


def test_a_null_or_absent_payload_is_enough_where_nothing_is_needed_of_it() -> None:
    assert read({**event(), "payload": None})[0].kind == "push"
    absent = event("ForkEvent")
    del absent["payload"]
    assert read(absent)[0].kind == "fork"
    assert reason({**event("WatchEvent"), "payload": None}) == "missing-field"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\x00\x01garbage", "json"),
        (b'{"id":"1"', "json"),
        (b'{"id":"\xff"}', "not-an-event"),
        (b"[" * 100_000, "json"),
        (None, "not-an-event"),
        ([], "not-an-event"),
        ("text", "not-an-event"),
        (17, "not-an-event"),
        ({}, "not-an-event"),
        (event(number=""), "not-an-event"),
        (event(number="9" * 200), "not-an-event"),
        ({**event(), "id": True}, "not-an-event"),
        (event("StrikeEvent"), "unknown-type"),
        ({"id": "1", "type": "TeamAddEvent"}, "unknown-type"),
        ({"id": "1", "type": "PushEvent"}, "missing-field"),
        (event(repo={"id": 1, "name": ""}), "missing-field"),
        (event(repo={"id": 1, "name": "/"}), "missing-field"),
        (event(created_at=1_714_557_600), "missing-field"),
        (event("IssuesEvent", payload={"issue": ISSUE}), "missing-field"),
        (event("IssueCommentEvent", payload={"action": "created"}), "missing-field"),
        (event("CreateEvent", payload={"ref_type": "moon"}), "missing-field"),
        (event(created_at="yesterday"), "bad-time"),
        (event(created_at="2024-05-01T10:00:00"), "bad-time"),
        (event(created_at="0001-01-01T00:00:00Z"), "bad-time"),
        (event(created_at="2024-05-02T11:00:01Z"), "future"),
        ({"id": "1", "dt": "2024-05-01T10:00:00Z", "repo": "a/b", "type": "push", "actor": "ada"}, "mixed-identity"),
    ],
)
def test_what_cannot_be_measured_says_why(value: Any, expected: str) -> None:
    assert reason(value) == expected


@pytest.mark.parametrize(
    "odd",
    [
        {"payload": {"size": "three"}},
        {"payload": {"size": -1}},
        {"payload": [1, 2]},
        {"payload": {"issue": "none", "pull_request": 7, "ref_type": {}}},
        {"public": "yes", "org": [], "extra": {"deep": [None]}},
        {"actor": {"id": 7, "login": None}},
        {"actor": {"id": 7}},
        {"actor": {"id": 7, "login": ["ada"]}},
    ],
)
def test_a_field_that_does_not_say_what_was_done_may_be_anything(odd: dict[str, Any]) -> None:
    assert read({**event(), **odd}) == read(event())


@pytest.mark.parametrize(
    "text",
    [
        '"\\ud83d alone"',
        '"the low half \\ude00"',
        '"\\\\ud83d \\ud83d\\ude00 \\ud83d\\ud83d"',
        '"not UTF-8 \udcff\udc80"',
        '"a zero \0 and a bell \a"',
        '"a tab \t"',
    ],
)
@pytest.mark.parametrize("place", ["comment", "title", "login"])
def test_a_character_that_is_none_costs_itself(text: str, place: str) -> None:
    def line(odd: str) -> bytes:
        issue = f'{{"number":5,"title":{odd if place == "title" else chr(34) * 2},"body":""}}'
        payload = f'{{"action":"opened","issue":{issue},"comment":{{"body":{odd if place == "comment" else 0}}}}}'
        whole = json.dumps(event("IssuesEvent", payload="?", actor={"id": 7, "login": "!"})).replace('"?"', payload)
        return whole.replace('"!"', odd if place == "login" else '"ada"').encode(errors="surrogateescape")

    [odd], [plain] = read(line(text)), read(line('""'))
    odd.text = plain.text = None
    assert odd == plain


@pytest.mark.parametrize("actor", [None, ..., {}, {"id": None, "login": None}, {"login": ""}, [], 3])
def test_without_an_actor_it_was_done_by_a_person_nobody_knows(actor: Any) -> None:
    def without(number: int) -> dict[str, Any]:
        return {name: value for name, value in event(number=number, actor=actor).items() if value is not ...}

    [one], [other] = read(without(1)), read(without(2))
    assert one.actor == hash_name("github:deleted:github:PushEvent:1", KEY)
    assert (one.bot, one.repo, one.kind) == (False, "allenai/OLMo", "push")
    assert other.actor not in (one.actor, read(event())[0].actor)


def test_who_has_no_id_is_known_by_login_whatever_its_letter_case() -> None:
    [one], [same] = (
        read(event(actor={"login": "Ada"})),
        read(event(actor="ada", actor_attributes={"login": "ada", "type": "User"})),
    )
    assert one.actor == same.actor == hash_name("github:@ada", KEY)
    [robot] = read(event(actor={"login": "dependabot[bot]"}))
    assert robot.bot is True


def test_a_merge_by_nobody_is_a_merge() -> None:
    fork = {"repo": {"url": "https://api.github.com/repos/ada/OLMo"}}
    merge = event(
        "PullRequestEvent", payload={"action": "merged", "pull_request": {"number": 6, "head": fork}}, actor=None
    )
    assert [activity.action for activity in read(merge)] == ["merged"]


@pytest.mark.parametrize(
    "place",
    [
        {"repo": {"id": 42, "name": "/"}, "payload": {"repo": "allenai/OLMo"}},
        {"repo": {"id": 42, "name": "", "url": "https://api.github.com/repos/allenai/OLMo"}},
        {"repo": None, "repository": {"id": 42, "name": "OLMo", "owner": "allenai", "organization": "allenai"}},
        {"repo": ..., "repository": {"id": 42, "name": "OLMo", "owner": {"login": "allenai"}}},
        {"repo": ..., "repository": {"id": 42, "url": "https://github.com/allenai/OLMo"}},
        {"repo": ..., "repository": {"id": 42}, "url": "https://github.com/allenai/OLMo/compare/a...b"},
    ],
)
def test_a_repository_is_found_wherever_its_name_stands(place: dict[str, Any]) -> None:
    plain = {name: value for name, value in {**event(), **place}.items() if value is not ...}
    assert read(plain) == read(event())


def test_a_repository_without_an_id_is_known_by_its_name_whatever_its_letter_case() -> None:
    [one], [same] = read(event(repo={"name": "allenai/OLMo"})), read(event(repo={"name": "AllenAI/olmo"}))
    assert one.repo_id == same.repo_id == hash_name("github:allenai/olmo")
    assert (one.repo, one.project) == ("allenai/OLMo", "olmo")


def test_an_event_without_an_id_is_the_same_as_itself_and_as_no_other() -> None:
    def ids(**changes: Any) -> str:
        fields = event(**changes)
        del fields["id"]
        return read(dict(reversed(fields.items())))[0].id

    assert ids() == ids()
    assert (
        len(
            {
                ids(),
                ids(payload={"size": 1}),
                ids(created_at="2024-05-01T10:00:01Z"),
                ids(actor={"id": 8, "login": "b"}),
            }
        )
        == 4
    )


@pytest.mark.parametrize(
    ("name", "payload", "more", "kind", "action", "thread"),
    [
        ("IssuesEvent", {"number": 12, "issue": 959, "action": "opened"}, {}, "issue", "opened", 12),
        (
            "IssuesEvent",
            {"issue": 959, "action": "closed"},
            {"url": "https://github.com/o/r/issues/12"},
            "issue",
            "closed",
            12,
        ),
        ("IssueCommentEvent", {"issue_id": 959, "comment_id": 77}, {}, "issue_comment", "created", None),
        (
            "IssueCommentEvent",
            {"issue": 959},
            {"url": "https://github.com/o/r/issues/12#issuecomment-77"},
            "issue_comment",
            "created",
            12,
        ),
        (
            "IssueCommentEvent",
            {"comment_id": 7},
            {"url": "https://github.com/o/r/pull/6#c7"},
            "pull_request_comment",
            "created",
            6,
        ),
        ("CommitCommentEvent", {"comment_id": 5}, {}, "commit_comment", "created", None),
        ("PullRequestReviewCommentEvent", {"comment": {"id": 5}}, {}, "review_comment", "created", None),
        ("PullRequestEvent", {"number": 1, "action": "opened", "pull_request": 2}, {}, "pull_request", "opened", 1),
        (
            "PullRequestEvent",
            {"number": 1, "action": "closed", "pull_request": {"merged": True}},
            {},
            "pull_request",
            "merged",
            1,
        ),
        ("CreateEvent", {"name": "r", "object": "branch", "object_name": "master"}, {}, "branch", "created", None),
        ("CreateEvent", {"name": "r", "object": "repository", "object_name": None}, {}, "repository", "created", None),
        ("DeleteEvent", {"object": "tag"}, {}, "tag", "deleted", None),
        ("WatchEvent", {"action": "started"}, {}, "star", "started", None),
        ("ForkEvent", {"fork": "ada/r", "forkee": 55}, {}, "fork", "forked", None),
        ("GollumEvent", {"title": "Home", "action": "created"}, {}, "wiki", None, None),
        ("PushEvent", {"shas": [["a" * 40, "m@example.org", "text", "name"]], "size": 1}, {}, "push", None, None),
    ],
)
def test_payloads_of_the_timeline_mean_what_they_mean_today(
    name: str, payload: Any, more: dict[str, Any], kind: str, action: str | None, thread: int | None
) -> None:
    shape = {
        "repository": {"id": 42, "name": "OLMo", "owner": "allenai"},
        "actor": "ada",
        "actor_attributes": {"login": "ada"},
        **more,
    }
    line = {"type": name, "payload": payload, "public": True, "created_at": "2013-08-05T20:02:01-07:00", **shape}
    [activity] = read(line)
    assert (activity.kind, activity.action, activity.thread) == (kind, action, thread)
    assert (activity.repo, activity.occurred_at) == ("allenai/OLMo", 1_375_758_121_000_000)


def test_the_first_years_write_times_with_slashes() -> None:
    assert read(event(created_at="2012/03/10 22:00:00 -0800"))[0].occurred_at == 1_331_445_600_000_000
    assert reason(event(created_at="2012/03/10 22:00:00")) == "bad-time"


def test_ancient_stamps_are_measured_and_the_last_moment_of_tomorrow_too() -> None:
    assert read(event(created_at="1999-01-01T00:00:00Z"))[0].occurred_at == 915_148_800_000_000
    assert read(event(created_at="2024-05-02T11:00:00Z"))[0].occurred_at == ELEVEN + 86_400_000_000


def test_without_an_hour_an_event_is_received_when_it_happened_but_never_after_now() -> None:
    assert read(event(), received=None)[0].ingested_at == 1_714_557_600_000_000
    events = GithubEvents(Identities(KEY, WATCHLIST), now=1_714_557_500_000_000)
    assert events.read(json.dumps(event()).encode())[0].ingested_at == 1_714_557_500_000_000


def test_memories_stay_bounded_and_forgetting_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Identities, "LIMIT", 10)
    identities = Identities(KEY, WATCHLIST)
    events = GithubEvents(identities, NOW)
    for number in range(35):
        line = json.dumps(
            event(repo={"id": number, "name": f"org/{number}"}, actor={"id": number, "login": f"dev{number}"})
        ).encode()
        [activity] = events.read(line)
        assert (activity.repo_id, activity.actor) == (hash_name(f"github:{number}"), hash_name(f"github:{number}", KEY))
        assert len(identities.repositories) <= 10
        assert len(identities.accounts) <= 10


RECORDED = {
    "simdjson-github-events/github_events.json": (30, 0),
    "dlt-github-2023/github.events.load_page_1_duck.json.gz": (100, 8),
    "gharchive-2018-tiny/2018-01-01-0.json": (10, 0),
    "quickwit-gharchive-2015/gharchive-bulk.json.gz": (100, 1),
    "gharchive-2026-hour-profile/raw_examples_2026-08-12-14.ndjson": (4, 0),
}


@pytest.mark.parametrize("name", RECORDED)
def test_what_is_read_by_hand_is_what_the_typed_decoder_reads(name: str) -> None:
    for row in recorded_events(name):
        text = json.dumps(row).encode()
        by_hand, decoded = (reader()._rows(event, text, None) for event in (read_by_hand(text), decode_event(text)))
        assert list(map(activity_of, by_hand)) == list(map(activity_of, decoded))


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_event_of_every_era_is_measured(name: str) -> None:
    rows = recorded_events(name)
    found = [activity for row in rows for activity in read(row, received=None)]
    merges = sum(activity.action == "accepted" for activity in found)
    assert (len(rows), merges) == RECORDED[name]
    assert len(found) == len(rows) + merges


def test_a_recorded_merge_and_a_recorded_comment_read_as_they_should() -> None:
    rows = {row["id"]: row for row in recorded_events("dlt-github-2023/github.events.load_page_1_duck.json.gz")}
    merged = next(
        row for row in rows.values() if row["type"] == "PullRequestEvent" and row["payload"]["pull_request"]["merged"]
    )
    merge, accepted = read(merged, received=None)
    assert merge.actor == hash_name(f"github:{merged['actor']['id']}", KEY)
    assert accepted.actor == hash_name(f"github:{merged['payload']['pull_request']['user']['id']}", KEY)
    comment = next(
        row for row in rows.values() if row["type"] == "IssueCommentEvent" and "pull_request" in row["payload"]["issue"]
    )
    [activity] = read(comment, received=None)
    assert (activity.kind, activity.thread) == ("pull_request_comment", comment["payload"]["issue"]["number"])


def test_todays_recorded_events_read_as_they_should() -> None:
    rows = recorded_events("gharchive-2026-hour-profile/raw_examples_2026-08-12-14.ndjson")
    found = {row["type"]: read(row, received=None)[0] for row in rows}
    push, label, review = found["PushEvent"], found["PullRequestEvent"], found["PullRequestReviewEvent"]
    assert (push.commits, push.repo, push.occurred_at) == (None, "gardnerrandall510/ruu", 1_786_543_203_000_000)
    assert (label.action, label.bot, label.thread) == ("labeled", True, 1437)
    assert (review.kind, review.action, review.thread) == ("review", "created", 696)
    assert found["IssuesEvent"].text is not None
    assert found["IssuesEvent"].text.startswith("Add Docker support\nCreate a Dockerfile")


def test_recorded_pages_of_issues_are_no_events() -> None:
    assert reason(b'{"id": 388089021, "number": 71, "title": "Timestamp"}') == "not-an-event"
