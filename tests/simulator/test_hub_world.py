"""The generated Hub as it changes with time, without HTTP: the same for a seed, true to itself, bounded."""

from collections import Counter
from dataclasses import replace
from math import sqrt

import pytest

from simulator.clock import DAY, HOUR, MINUTE, SECOND
from simulator.servers.hub_repositories import Repositories
from simulator.servers.hub_state import SENTINEL, TYPES, HubServerRepository
from simulator.servers.hub_truth import Happened
from simulator.servers.hub_walk import BadCursor, decode_cursor, walk
from simulator.servers.hub_world import HubWorld

START = 1_790_000_000 * SECOND
END = START + HOUR


def make(seed: int = 3, **settings: float) -> HubWorld:
    small: dict[str, float] = {"rate": 1.0, "repositories": 250, "people": 400, "history": 3_600.0}
    return HubWorld(seed, START, **(small | settings))  # type: ignore[arg-type]


def until(world: HubWorld, time: int) -> list[Happened]:
    world.advance(time)
    return world.truth.happened(world.began, time + 1)


@pytest.fixture(scope="module")
def world() -> HubWorld:
    made = make(rate=3.0)
    made.advance(END)
    return made


@pytest.fixture(scope="module")
def happened(world: HubWorld) -> list[Happened]:
    return world.truth.happened(world.began, END + 1)


def everything(world: HubWorld) -> list[HubServerRepository]:
    return [each for type_ in TYPES for each in world.repositories.created[type_].values()]


def test_the_same_seed_gives_the_same_world_however_it_is_asked() -> None:
    at_once, in_steps = make(), make()
    for time in range(START, END, 97 * SECOND):
        in_steps.advance(time, most=1)
        in_steps.advance(time)
    assert until(at_once, END) == until(in_steps, END)
    assert [each.commits.head for each in everything(at_once)] == [each.commits.head for each in everything(in_steps)]
    assert until(make(4), END) != until(make(), END)


def test_as_much_happens_as_was_asked_for(happened: list[Happened]) -> None:
    # What a push of several, a merge or a creation reports beside itself is not a thing of its own.
    expected = 3.0 * (END - START) / SECOND
    things = len({each.visible_at for each in happened if each.visible_at >= START})
    assert abs(things - expected) < 5 * sqrt(expected)


def test_all_kinds_and_features_happen(happened: list[Happened]) -> None:
    assert {each.feature for each in happened} == {
        *("contribution", "accepted", "exchange", "preference", "review", "adaptation", "publication", "upkeep")
    }
    assert {each.kind for each in happened} >= {
        "commit",
        "like",
        "unlike",
        "move",
        "delete",
        "config",
        "repository",
        "derivative",
    }
    assert {each.affiliation for each in happened} == {"internal", "staff", "external"}
    assert {each.type for each in happened} == set(TYPES)
    assert any(each.project for each in happened)


def test_ids_are_unique_but_for_a_like_that_is_given_twice(happened: list[Happened]) -> None:
    counts = Counter(each.id for each in happened if each.kind not in ("like", "unlike"))
    assert [id_ for id_, count in counts.items() if count > 1] == []
    assert all(each.timed == (each.kind not in ("like", "unlike", "move", "delete", "config")) for each in happened)


def test_nothing_is_seen_before_it_is_dated_and_only_pushed_commits_are_dated_much_earlier(
    happened: list[Happened],
) -> None:
    assert [each.visible_at for each in happened] == sorted(each.visible_at for each in happened)
    assert all(each.occurred_at <= each.visible_at for each in happened)
    late = {each.kind for each in happened if each.occurred_at < each.visible_at - SECOND}
    assert late == {"commit"}
    assert all(each.occurred_at % SECOND == 0 for each in happened if each.timed)


def test_the_truth_is_asked_by_the_time_that_is_stated(world: HubWorld, happened: list[Happened]) -> None:
    late = next(
        each for each in happened if each.visible_at - each.occurred_at > MINUTE and each.occurred_at > world.began
    )
    assert late in world.truth.happened(late.occurred_at, late.occurred_at + 1)
    assert late not in world.truth.happened(late.occurred_at + 1, late.visible_at + 1)


def test_what_a_deleted_repository_took_along_was_to_be_seen_only_until_then(
    world: HubWorld, happened: list[Happened]
) -> None:
    deleted = {each.repository: each.visible_at for each in happened if each.kind == "delete"}
    told = [each for each in happened if each.timed and each.action != "copied"]
    seen = world.truth.unmissable(world.began, END + 1, MINUTE)
    assert set(seen) < set(told)
    for each in set(told) - set(seen):
        place = each.mark if each.kind == "derivative" else each.repository
        turns = [
            other.visible_at for other in happened if (other.repository, other.thread) == (each.repository, each.thread)
        ]
        turned = (
            each.action in ("closed", "reopened") and sum(abs(turn - each.visible_at) < MINUTE for turn in turns) > 1
        )
        assert turned or deleted[place] < each.visible_at + MINUTE
    assert any(each.repository in deleted for each in seen)
    assert set(world.truth.unmissable(world.began, END + 1, 0)) == set(told)


def test_each_kind_has_its_feature(happened: list[Happened]) -> None:
    meaning = {
        ("commit", None): "contribution",
        ("discussion", "opened"): "exchange",
        ("discussion_comment", "created"): "exchange",
        ("like", None): "preference",
        ("pull_request", "opened"): "review",
        ("pull_request_comment", "created"): "review",
        ("pull_request", "accepted"): "accepted",
        ("derivative", "created"): "adaptation",
        ("repository", "created"): "publication",
    }
    assert meaning.keys() <= {(each.kind, each.action) for each in happened}
    assert all(each.feature == meaning.get((each.kind, each.action), "upkeep") for each in happened)


def test_what_stands_there_is_what_happened(world: HubWorld, happened: list[Happened]) -> None:
    shas = {each.id for each in happened if each.kind == "commit"}
    living = {each.key: each for each in everything(world)}
    shown = {
        f"huggingface:commit:{each.key}:{each.commits.sha(index)}"
        for each in living.values()
        for index, time in enumerate(each.commits.times, each.commits.forgotten)
        if time >= world.began
    }
    gone = {each.repository for each in happened if each.kind == "delete"}
    assert gone
    assert not gone & living.keys()
    assert shown == {id_ for id_ in shas if id_.split(":")[2] in living and id_.split(":")[2] not in gone} - _older(
        happened, world.began
    )

    opened = Counter(each.repository for each in happened if each.action == "opened")
    comments = Counter((each.repository, each.thread) for each in happened if each.kind.endswith("_comment"))
    for each in living.values():
        assert sum(thread.created >= world.began for thread in each.threads) == opened[each.key]
        for thread in each.threads:
            if thread.created >= world.began:
                assert thread.comments == 1 + comments[each.key, thread.number]


def _older(happened: list[Happened], began: int) -> set[str]:
    return {each.id for each in happened if each.occurred_at < began}


def test_copies_repeat_the_shas_of_what_they_were_copied_from(world: HubWorld, happened: list[Happened]) -> None:
    firsts = Counter(each.commits.sha(0) for each in everything(world))
    assert max(firsts.values()) > 1
    own = Counter(each.mark for each in happened if each.kind == "commit" and each.action is None)
    assert max(own.values()) == 1
    assert {each.feature for each in happened if each.action == "copied"} <= {"upkeep"}


def test_a_new_repository_begins_with_a_commit_by_system(world: HubWorld, happened: list[Happened]) -> None:
    accounts = world.people.accounts
    assert {accounts[each.commits.authors[0]].login for each in everything(world) if not each.commits.forgotten} == {
        "system"
    }
    created = {each.repository for each in happened if each.kind == "repository"}
    commits = {each.id: each for each in happened if each.kind == "commit"}
    firsts = [
        commits.get(f"huggingface:commit:{each.key}:{each.commits.sha(0)}")
        for each in everything(world)
        if each.key in created
    ]
    own = [each for each in firsts if each is not None and each.action is None]
    assert len(own) > 50
    assert all(each.actor == "system" and each.bot for each in own)


def test_old_repositories_were_created_at_the_sentinel_or_later(world: HubWorld) -> None:
    created = [each.created for each in everything(world)]
    assert min(created) == SENTINEL
    assert created.count(SENTINEL) > 10


def test_a_derivative_belongs_to_its_base(world: HubWorld, happened: list[Happened]) -> None:
    derived = [each for each in happened if each.kind == "derivative"]
    living = {each.key: each for each in everything(world)}
    checked = 0
    for each in derived:
        model = living.get(each.mark)
        if model is not None:
            families = {base.repository.key: base.name for base in model.bases}
            assert families[each.repository] == each.family == each.name
            assert model.relation == each.relation
            checked += 1
    assert checked > 10
    for base in living.values():
        children = Counter(
            each.relation for each in living.values() for parent in each.bases if parent.repository is base
        )
        assert +base.children == children


def test_a_merge_is_upkeep_of_one_a_commit_of_the_same_and_accepted_from_another(happened: list[Happened]) -> None:
    merged = [each for each in happened if each.action == "merged"]
    assert merged
    for each in merged:
        same = [
            other for other in happened if other.visible_at == each.visible_at and other.repository == each.repository
        ]
        assert [other.feature for other in same] == ["upkeep", "accepted", "contribution"]
        assert same[0].actor == same[2].actor
        assert same[1].id == f"{same[0].id}:accepted"


def test_a_deleted_account_does_nothing_more_and_likes_nothing() -> None:
    world = make(rate=6.0)
    until(world, START)
    account = world.people.leaver()
    assert account is not None
    world.people.leaver = lambda: account  # type: ignore[method-assign]
    world.acts.leave(everything(world)[0], START)
    after = [each for each in until(world, START + HOUR // 4) if each.visible_at > START]
    assert len(after) > 500
    assert account.login not in {each.actor for each in after if each.kind not in ("unlike",)}
    assert all(account.number not in each.likers for each in everything(world))


def test_a_release_rises_by_its_factor_and_fades_by_its_half_life() -> None:
    world = make(rate=2.0, release_in=600.0, release_factor=60.0, release_half_life=2_400.0)
    release = world.release
    assert release is not None
    assert release.at == START + 10 * MINUTE
    watched = len(world.repositories.watched)
    happened = until(world, START + 3 * HOUR)
    of = [each for each in happened if each.repository == release.repository]
    assert [each.kind for each in of[:3]] == ["repository", "commit", "commit"]
    assert of[0].visible_at == release.at
    engaged = [each for each in of if each.feature in ("preference", "exchange", "review", "adaptation")]
    for since in range(release.at, release.at + 2 * HOUR, 40 * MINUTE):
        expected = release.expected(since, since + 40 * MINUTE)
        seen = sum(since <= each.visible_at < since + 40 * MINUTE for each in engaged)
        assert abs(seen - expected) < 5 * sqrt(expected) + 3
    assert release.expected(release.at, release.at + release.half_life) > 100

    other = [
        each for each in happened if each.project and each.visible_at >= START and each.repository != release.repository
    ]
    stirring = sum(each.feature in ("preference", "exchange", "review", "adaptation") for each in other)
    assert stirring / watched / (3 * HOUR / DAY) == pytest.approx(release.baseline, rel=0.15)


def test_a_release_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="watched"):
        HubWorld(1, START, rate=1.0, repositories=20, people=50, release_in=60.0, release_of="nobody")
    with pytest.raises(ValueError, match="2022"):
        HubWorld(1, SENTINEL, rate=1.0)


def test_the_truth_is_bounded_and_says_what_it_has_forgotten() -> None:
    world = make(remembered=500, rate=2.0)
    world.advance(END)
    assert len(world.truth) == 500
    with pytest.raises(ValueError, match="is unknown or forgotten"):
        world.truth.happened(world.began, END)
    recent = world.truth.happened(END - MINUTE, END)
    whole = make(rate=2.0)
    whole.advance(END)
    assert recent == whole.truth.happened(END - MINUTE, END)
    with pytest.raises(ValueError, match="is unknown or forgotten"):
        whole.truth.happened(whole.began - 1, END)


def test_there_are_never_more_repositories_than_were_allowed() -> None:
    world = make(rate=10.0, largest=300)
    world.advance(START + HOUR // 2)
    assert 290 <= len(world.repositories) <= 300
    assert len(world.repositories.watched) >= 28
    assert all(each.crowd[each.place] is each for each in everything(world) if each.crowd is not None)


def _walked(repositories: Repositories, sort: str, limit: int) -> list[HubServerRepository]:
    after, found = None, []
    while True:
        page, cursor = walk(repositories, "model", sort, after, END, limit, lambda each: True)
        found += page
        if cursor is None:
            return found
        after = decode_cursor(cursor)


@pytest.mark.parametrize("sort", ["lastModified", "createdAt", "likes", "trendingScore", "downloads"])
def test_a_walk_meets_each_repository_once_in_order(world: HubWorld, sort: str) -> None:
    models = world.repositories.created["model"]
    assert walk(world.repositories, "model", sort, None, END, len(models), lambda each: True)[1] is None
    for limit in (17, 1_000):
        found = _walked(world.repositories, sort, limit)
        assert len(found) == len(models) == len({each.key for each in found})
    keys = {
        "lastModified": lambda each: each.modified,
        "createdAt": lambda each: each.created,
        "likes": lambda each: len(each.likers),
        "trendingScore": lambda each: int(each.heat(END)),
        "downloads": lambda each: each.downloads(END),
    }
    numbers = [keys[sort](each) for each in found]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) < len(numbers)


def test_what_changes_during_a_walk_is_missed_by_it_and_stands_at_the_head_of_the_next() -> None:
    world = make()
    world.advance(START)
    first, cursor = walk(world.repositories, "model", "lastModified", None, START, 5, lambda each: True)
    assert cursor is not None
    later = _walked(world.repositories, "lastModified", 5)[7]
    world.acts.push(later, START + MINUTE)
    rest, _ = walk(
        world.repositories, "model", "lastModified", decode_cursor(cursor), START + MINUTE, 1_000, lambda each: True
    )
    assert later not in first + rest
    assert _walked(world.repositories, "lastModified", 5)[0] is later


@pytest.mark.parametrize("cursor", ["", "x", "bm90IGpzb24=", "WzEsIDJd", "e30=", "🤗"])
def test_a_cursor_of_somebody_else_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(cursor)


def test_downloads_only_grow_and_the_rolling_sum_is_of_thirty_days(world: HubWorld) -> None:
    one = next(each for each in everything(world) if each.slope > 50 and each.created < START - 90 * DAY)
    assert one.downloads_all(END + DAY) > one.downloads_all(END)
    assert one.downloads(END) == pytest.approx(30 * one.slope, abs=1.01)
    assert one.downloads(END) == pytest.approx(one.downloads_all(END) - one.downloads_all(END - 30 * DAY), abs=1.01)


def test_expectations_of_a_release_follow_its_numbers() -> None:
    release = make(release_in=0.0).release
    assert release is not None
    assert replace(release, factor=2 * release.factor).expected(START, END) == pytest.approx(
        2 * release.expected(START, END)
    )
