"""The Hub's poller and a small Hub over HTTP."""

import asyncio
import time
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from aiohttp import web

from streams.activity import feature_of, hash_name
from streams.errors import DeadLetter
from streams.identities import Identities
from streams.live.common.clock import Clock
from streams.live.common.health import FeedHealth
from streams.live.common.ledger import PATIENCE, Ledger
from streams.live.common.poll_result import PollResult
from streams.live.hub.activities import HubActivities
from streams.live.hub.dead_letters import HubLetters
from streams.live.hub.limits import LIMITS_FEED
from streams.live.hub.poller import CHANGES, REPOSITORIES
from streams.live.hub.shapes import read_listed
from streams.live.hub.watched import REFUSED_WAIT, HubWatched
from tests.streams.live.hub.small import DAY, MINUTE, WATCHLIST, Kept, Repo, SmallHub, Station, ago, now, sha, station
from tests.streams.made import KEY


def actor(login: str) -> int:
    return hash_name(f"huggingface:{login}", KEY)


def work(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_the_first_look_publishes_a_day_and_keeps_the_rest_for_its_baseline() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo", likers=["ada", "bob"])
        for number in range(8):
            repo.commit(number, 86_400 * (8 - number) - 4_000, "Ada")
        repo.open(1, 3 * 86_400, "bob")
        repo.happen(1, 3_000, "ada")
        repo.open(2, 3_600, "bob", body="ask @ada")
        repo.happen(2, 60, "ada", isOrgMember=True)
        async with station(hub) as it:
            await it.rounds(3)
            return it.kept

    kept = work(run())
    [commit] = kept.of("commit")
    assert commit.id == f"huggingface:commit:id-of-models-allenai/OLMo:{sha(7)}"
    assert (commit.actor, commit.commits, commit.project, commit.artefact) == (actor("ada"), 1, "olmo", "model")
    assert commit.repo_id == hash_name("huggingface:id-of-models-allenai/OLMo")
    [opened] = kept.of("discussion")
    assert (opened.id[-2:], opened.action, opened.thread, opened.text) == (":2", "opened", 2, "Thread 2\nask ")
    [comment] = kept.of("discussion_comment")
    assert (comment.thread, comment.actor, comment.affiliation) == (2, actor("ada"), "internal")
    assert kept.of("like") == []
    assert kept.of("repository") == []


def test_later_looks_publish_what_is_new_each_thing_once() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo", likers=["ada"])
        repo.commit(1, 9 * 86_400, "Ada")
        repo.open(1, 9 * 86_400, "bob")
        async with station(hub) as it:
            await it.rounds(2)
            for number in range(2, 9):
                repo.commit(number, 10 - number, "Ada" if number % 2 else "system")
            repo.happen(1, 1, "cy")
            repo.open(2, 1, "eve", pull=True)
            repo.happen(2, 0.5, "ada", "merged", isOwner=True)
            repo.open(3, 1, "eve")
            repo.happen(3, 0.5, "eve", "closed")
            repo.threads[1]["title"] = "Another title"
            repo.happen(1, 0.5, "bob")
            repo.threads[1]["events"][-1] |= {
                "type": "title-change",
                "data": {"from": "Thread 1", "to": "Another title"},
            }
            repo.likers += ["eve", "Bob"]
            await it.rounds(3)
            return it.kept

    kept = work(run())
    assert len({activity.id for activity in kept.activities}) == len(kept.activities)
    assert sorted(commit.id[-40:] for commit in kept.of("commit")) == [sha(number) for number in range(2, 9)]
    assert {commit.bot for commit in kept.of("commit") if commit.actor == actor("system")} == {True}
    [comment] = kept.of("discussion_comment")
    assert (comment.thread, comment.actor) == (1, actor("cy"))
    pulls = {pull.action: pull for pull in kept.of("pull_request")}
    assert {action: feature_of("pull_request", action) for action in pulls} == {
        "opened": "review",
        "merged": "upkeep",
        "accepted": "accepted",
    }
    assert pulls["merged"].actor == actor("ada")
    assert pulls["accepted"].actor == actor("eve")
    assert pulls["accepted"].id == pulls["merged"].id + ":accepted"
    assert {activity.action for activity in kept.of("discussion") if activity.thread == 3} == {"opened", "closed"}
    assert [activity.action for activity in kept.of("discussion") if activity.thread == 1] == ["renamed"]
    likes = {like.id for like in kept.of("like")}
    assert likes == {f"huggingface:like:id-of-models-allenai/OLMo:{actor(login):016x}" for login in ("eve", "bob")}


def test_nothing_is_published_twice_or_lost_over_a_restart() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo", likers=["ada"], created=ago(60), modified=ago(60))
        repo.commit(1, 60, "Ada")
        repo.open(1, 60, "bob")
        kept = Kept()
        async with station(hub, kept) as it:
            await it.rounds(2)
            repo.commit(2, 1, "Ada")
            repo.modified = ""
            repo.happen(1, 1, "cy")
            repo.likers.append("eve")
        async with station(hub, kept) as it:
            await it.rounds(2)
        return kept

    kept = work(run())
    assert sorted(activity.kind for activity in kept.activities) == [
        "commit",
        "commit",
        "discussion",
        "discussion_comment",
        "like",
        "repository",
    ]


def test_a_find_that_was_not_committed_is_found_again() -> None:
    async def run() -> tuple[Kept, Kept]:
        hub = SmallHub()
        hub.repo("allenai/OLMo").commit(1, 60, "Ada")
        lost, kept = Kept(), Kept()
        lost.open.clear()
        async with station(hub, lost) as it:
            await it.until(lambda: hub.asked("/commits/") > 0)
        async with station(hub, kept) as it:
            await it.until(lambda: bool(kept.of("commit")))
        return lost, kept

    lost, kept = work(run())
    assert lost.results == []
    assert len(kept.of("commit")) == 1


def test_a_new_model_is_a_publication_and_a_derivative_of_its_base_once() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        hub.repo("allenai/OLMo")
        tags = ["base_model:allenai/OLMo", "base_model:quantized:allenai/OLMo"]
        hub.repo("mallory/OLMo-GGUF", created=ago(5), modified=ago(4), tags=tags)
        merged = ["base_model:merge:other/thing", "base_model:merge:allenai/OLMo"]
        hub.repo("mallory/merged", created=ago(5), modified=ago(4), tags=merged)
        hub.repo("mallory/old", created="2022-03-02T23:29:04.000Z", modified=ago(4), tags=tags)
        hub.repo("mallory/data", kind="datasets", created=ago(5), modified=ago(4))
        async with station(hub) as it:
            await it.rounds(2)
            return it.kept

    kept = work(run())
    derivatives = {activity.id: activity for activity in kept.of("derivative")}
    assert sorted(derivatives) == [
        "huggingface:derivative:id-of-models-mallory/OLMo-GGUF",
        "huggingface:derivative:id-of-models-mallory/merged",
    ]
    quantized = derivatives["huggingface:derivative:id-of-models-mallory/OLMo-GGUF"]
    assert quantized.repo_id == hash_name("huggingface:id-of-models-allenai/OLMo")
    assert (quantized.repo, quantized.owner, quantized.project) == ("allenai/OLMo", "allenai", "olmo")
    assert (quantized.family, quantized.relation, quantized.actor) == ("allenai/OLMo", "quantized", actor("mallory"))
    assert derivatives["huggingface:derivative:id-of-models-mallory/merged"].repo == "allenai/OLMo"
    assert sorted((created.repo, created.artefact) for created in kept.of("repository")) == [
        ("mallory/OLMo-GGUF", "model"),
        ("mallory/data", "dataset"),
        ("mallory/merged", "model"),
    ]
    assert len(kept.of("repository")) == len({activity.id for activity in kept.of("repository")})


def test_a_model_that_gets_its_base_later_is_a_derivative_then() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        repo = hub.repo("mallory/later", created=ago(5), modified=ago(4))
        async with station(hub) as it:
            await it.until(lambda: bool(it.kept.of("repository")))
            repo.tags.append("base_model:finetune:allenai/OLMo")
            await it.until(lambda: bool(it.kept.of("derivative")))
            return it.kept

    kept = work(run())
    assert [derivative.relation for derivative in kept.of("derivative")] == ["finetune"]


def test_a_walk_reads_page_after_page_back_to_the_last_one_and_no_further() -> None:
    async def run() -> tuple[Kept, SmallHub]:
        hub = SmallHub()
        for number in range(7):
            hub.repo(f"org/new{number}", created=ago(30), modified=ago(number))
        for number in range(30):
            hub.repo(f"org/old{number}", created=ago(86_400 * 90), modified=ago(86_400 + number))
        async with station(hub) as it:
            await it.until(lambda: bool(it.kept.marks("huggingface:models")))
            return it.kept, hub

    kept, hub = work(run())
    assert len(kept.of("repository")) == 7
    walk = [path for _, path in hub.requests if path.startswith("/api/models") and "sort=lastModified" in path]
    assert sum("cursor" not in path for path in walk) == 1
    assert len(walk) == 3


def test_others_that_changed_are_looked_at_too_and_their_likers_are_not() -> None:
    async def run() -> tuple[Kept, SmallHub]:
        hub = SmallHub()
        repo = hub.repo("mallory/model", likers=["ada"])
        repo.commit(1, 5, "mallory")
        repo.open(4, 5, "ada")
        async with station(hub) as it:
            await it.until(lambda: len(it.kept.activities) >= 2)
            return it.kept, hub

    kept, hub = work(run())
    assert sorted(activity.kind for activity in kept.activities) == ["commit", "discussion"]
    assert {activity.project for activity in kept.activities} == {None}
    assert {result.feed for result in kept.results if result.activities} == {CHANGES}
    assert hub.asked("/likers") == 0


def test_deleted_authors_are_told_apart_and_no_id_holds_a_login() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo", native=None)
        repo.commit(1, 50, "zebedee")
        repo.open(1, 50, None)
        repo.happen(1, 40, None)
        repo.happen(1, 30, "deleted")
        repo.happen(1, 20, "zebedee")
        repo.likers = ["ada"]
        async with station(hub) as it:
            await it.rounds(1)
            repo.likers.append("zebedee")
            await it.until(lambda: bool(it.kept.of("like")))
            return it.kept

    kept = work(run())
    comments = kept.of("discussion_comment")
    assert len({activity.actor for activity in [*comments, *kept.of("discussion")]}) == 4
    assert kept.of("like")[0].actor == comments[2].actor == kept.of("commit")[0].actor
    assert kept.of("commit")[0].id == f"huggingface:commit:allenai/OLMo:{sha(1)}"
    assert "zebedee" not in repr(kept.activities)
    assert b"zebedee" not in b"".join(kept.cursors.values())


def test_a_repository_that_is_gone_is_dropped_and_the_others_go_on() -> None:
    def private(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=403) if "secret" in request.path else None

    async def run() -> tuple[Station, Kept]:
        hub = SmallHub(answer=private)
        hub.repo("allenai/secret").commit(1, 60, "Ada")
        hub.repo("allenai/OLMo").commit(2, 60, "Ada")
        async with station(hub) as it:
            await it.rounds(2)
            assert hub.asked("secret/commits") == 1
            return it, it.kept

    it, kept = work(run())
    assert it.poller.dropped == 1
    assert [commit.repo for commit in kept.of("commit")] == ["allenai/OLMo"]
    # The listing still shows it: whether it is private or deleted, the state says that it is not seen.
    assert it.feeds.by_name[REPOSITORIES].state == "listed, but gone or private (allenai/secret)"
    assert it.feeds.by_name[REPOSITORIES].coverage == 0.5


def test_discussions_that_are_switched_off_do_not_hide_commits() -> None:
    def closed(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=403) if request.path.endswith("/discussions") else None

    async def run() -> tuple[Station, int, int]:
        hub = SmallHub(answer=closed)
        repo = hub.repo("allenai/OLMo")
        repo.commit(1, 60, "Ada")
        async with station(hub) as it:
            await it.until(lambda: bool(it.kept.of("commit")))
            await it.rounds(2)
            found = len(it.kept.of("commit"))
            repo.commit(2, 0, "Ada")
            await it.until(lambda: len(it.kept.of("commit")) == 2)
            return it, found, hub.asked("/discussions")

    it, found, asked = work(run())
    assert found == 1
    # Only discussions were due at the readings between: their refusal does not mean that the repository is gone.
    assert it.poller.dropped == 0
    assert asked >= 3


def test_a_repository_that_changed_while_it_was_looked_at_in_vain_is_looked_at_again() -> None:
    activities = HubActivities(Identities(KEY, WATCHLIST, platform="huggingface"), KEY)
    before, after = (
        read_listed(msgspec.Raw(msgspec.json.encode(Repo("allenai/OLMo").listed() | {"sha": sha(n)}))) for n in (1, 2)
    )
    watched = HubWatched(WATCHLIST, {}, 300.0)
    watched.add(activities.target("model", before), before, 1)
    watch = watched.next()
    assert watch is not None
    watched.schedule(watch, 500)
    watched.add(activities.target("model", after), after, 100)
    watched.drop(watch, before, 100)
    assert watched.next() is watch
    assert watch.due < 100, "what has changed goes ahead of what is only due"
    watched.drop(watch, after, 150)
    assert watch.due == 150 + REFUSED_WAIT
    watched.add(activities.target("model", after), after, 200)
    assert watch.due == 150 + REFUSED_WAIT
    watched.add(activities.target("model", before), before, 300)
    assert watched.next() is watch
    assert watch.due < 300
    # Up to its last listing without a change nothing happened there; anything later is not known yet.
    assert watch.known_to == 200


@pytest.mark.parametrize("fault", ["500", "broken", "cut", "odd"])
def test_faults_are_waited_out_and_nothing_is_lost(fault: str) -> None:
    calls: dict[str, int] = {}

    def failing(request: web.Request) -> web.StreamResponse | None:
        calls[request.path] = calls.get(request.path, 0) + 1
        if calls[request.path] % 3 == 0:
            return None
        if fault == "500":
            return web.Response(status=502)
        if fault == "odd":
            return (
                web.json_response({"error": "an object, where a list is expected"})
                if "discussions" not in request.path
                else None
            )
        if fault == "cut":
            return web.Response(body=b"[{", headers={"Content-Length": "2"})
        return web.Response(body=b"<html>")

    async def run() -> Station:
        hub = SmallHub(answer=failing)
        repo = hub.repo("allenai/OLMo", created=ago(60), modified=ago(50))
        repo.commit(1, 60, "Ada")
        repo.open(1, 60, "bob")
        async with station(hub, clock=Clock(scale=100, origin=now() / 1e6)) as it:
            await it.until(lambda: len(it.kept.activities) >= 3 and it.feeds.by_name[REPOSITORIES].state == "ok")
            return it

    it = work(run())
    assert sorted(activity.kind for activity in it.kept.activities) == ["commit", "discussion", "repository"]
    assert it.feeds.by_name[REPOSITORIES].polls["failed"] > 0


def test_a_server_that_never_answers_opens_a_gap_and_the_mark_goes_on() -> None:
    async def run() -> Station:
        hub = SmallHub(answer=lambda request: web.Response(status=503))
        async with station(hub, clock=Clock(scale=6_000, origin=now() / 1e6), interval_cap=60.0) as it:
            await it.until(
                lambda: len(it.kept.marks(REPOSITORIES)) > 2 and (it.feeds.by_name[REPOSITORIES].coverage or 1) < 0.9
            )
            return it

    it = work(run())
    health = it.feeds.by_name[REPOSITORIES]
    gaps = [gap for gap in it.kept.gaps if gap.feed == REPOSITORIES]
    assert {gap.reason for gap in gaps} == {"failed"}
    assert all(before.end == after.start for before, after in pairwise(gaps))
    assert it.kept.marks(REPOSITORIES) == sorted(gap.end for gap in gaps)
    assert health.state == "failing: 503"
    assert health.gaps == {"failed": len(gaps)}
    assert health.coverage is not None
    assert health.coverage < 0.9


def test_a_refused_token_is_said_and_survived() -> None:
    async def run() -> Station:
        refusing = [True]
        hub = SmallHub(answer=lambda request: web.Response(status=401) if refusing[0] else None)
        hub.repo("allenai/OLMo").commit(1, 60, "Ada")
        async with station(hub, clock=Clock(scale=100, origin=now() / 1e6)) as it:
            health = it.feeds.by_name[REPOSITORIES]
            await it.until(lambda: health.state == "token refused")
            refusing[0] = False
            await it.until(lambda: bool(it.kept.of("commit")))
            return it

    assert work(run()).poller.dropped == 0


def test_what_cannot_be_measured_is_a_dead_letter_once() -> None:
    async def run() -> Kept:
        hub = SmallHub(page=10)
        repo = hub.repo("allenai/OLMo", native="1")
        repo.commit(1, 60, "Ada")
        repo.commits.append({"id": "zz", "date": "yesterday"})
        repo.commits.append({"id": "0f", "date": ago(-3 * 86_400), "authors": []})
        hub.repo("../whoami", native="2")
        hub.repos.append(type(repo)("allenai/odd", native="3", created="soon", modified=ago(3)))
        async with station(hub) as it:
            await it.rounds(4)
            return it.kept

    kept = work(run())
    dead_letters = [letter for result in kept.results for letter in result.dead_letters]
    assert len(dead_letters) == len(set(dead_letters)) == 4
    assert sorted(letter.decode().partition('"reason":"')[2].partition('"')[0] for letter in dead_letters) == [
        "bad-time",
        "future",
        "missing-field",
        "missing-field",
    ]
    assert len(kept.of("commit")) == 1


def test_a_mark_never_falls() -> None:
    ledger = Ledger(FeedHealth("f", "huggingface"), 50, 100, lambda mark: str(mark).encode())
    assert (ledger.poll_result(mark=40).complete_to, ledger.poll_result(mark=40).cursor) == (50, b"50")
    assert (ledger.poll_result(mark=60).complete_to, ledger.poll_result(mark=60).cursor) == (60, b"60")
    assert ledger.poll_result().complete_to is None


@pytest.mark.parametrize("behind", [70, 4 * 60, 20 * 60])
def test_a_feed_that_does_not_get_on_after_a_restart_is_told_to_the_last_minute(behind: int) -> None:
    began = 100 * 24 * 60 * MINUTE
    ledger = Ledger(FeedHealth("f", "huggingface"), began - behind * 1_000_000, began, lambda mark: str(mark).encode())
    told = []
    for minute in range(0, 24 * 60, 5):
        now = began + minute * MINUTE
        gaps = ledger.overdue(now - PATIENCE, "failed", least=PATIENCE // 3)
        if gaps:
            told += gaps
            ledger.note(ledger.poll_result(gaps=gaps, mark=gaps[-1].end), now)
    assert ledger.mark is not None
    assert now - ledger.mark < 2 * PATIENCE
    assert [gap.start for gap in told] == [began - behind * 1_000_000, *(gap.end for gap in told[:-1])], (
        "without a hole"
    )
    assert told[0].reason == ("down" if behind > 5 * 60 else "failed")


def test_a_repository_that_always_fails_does_not_hold_up_the_others_and_is_told() -> None:
    def failing(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500) if "allenai/broken" in request.path else None

    async def run() -> Station:
        hub = SmallHub(answer=failing)
        hub.repo("allenai/broken").commit(1, 60, "Ada")
        hub.repo("allenai/OLMo").commit(2, 60, "Ada")
        async with station(hub, clock=Clock(600.0, time.time()), interval_cap=60.0) as it:
            told = it.feeds.open(REPOSITORIES, "huggingface")
            # While it is being read, the state is that of the answers.
            await it.until(lambda: (told.state, told.coverage) == ("failing: 1 of 2 repositories", 0.5))
            await it.until(lambda: bool(it.kept.marks(REPOSITORIES)))
            return it

    it = work(run())
    assert [commit.repo for commit in it.kept.of("commit")] == ["allenai/OLMo"]
    assert (REPOSITORIES, "failed") in {(gap.feed, gap.reason) for gap in it.kept.gaps}


def test_a_walk_covers_no_time_twice() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        hub.repo("allenai/OLMo").commit(1, 60, "Ada")
        async with station(hub, clock=Clock(600.0, time.time()), interval_cap=60.0) as it:
            await it.until(lambda: len(it.kept.marks("huggingface:models")) > 5)
            return it.kept

    covers = [
        cover for result in work(run()).results if result.feed == "huggingface:models" for cover in result.covered
    ]
    assert len(covers) > 3
    assert all(before.end <= after.start for before, after in pairwise(covers))


def test_a_dead_letter_of_an_answer_that_was_thrown_away_is_written_with_the_next() -> None:
    dead_letters = HubLetters("raw")
    first = dead_letters.write("f", "a", 1, DeadLetter("missing-field"), b"{}")
    again = dead_letters.write("f", "b", 7, DeadLetter("missing-field"), b"{}")
    assert len(first) == len(again) == 1, "the first was never put"
    assert dead_letters.once([*first, *again]) == again
    dead_letters.note(again)
    assert dead_letters.once(first) == []
    assert dead_letters.write("f", "a", 1, DeadLetter("missing-field"), b"{}") == []


def test_a_like_is_seen_although_another_one_was_taken_back_before() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo", likers=["ada"])
        repo.commit(1, 60, "Ada")
        async with station(hub) as it:
            await it.rounds(2)
            repo.likers.clear()
            await it.rounds(3)
            repo.likers.append("bob")
            await it.until(lambda: bool(it.kept.of("like")))
            return it.kept

    assert [like.actor for like in work(run()).of("like")] == [actor("bob")]


def test_a_like_that_was_published_and_not_saved_is_published_with_the_same_time() -> None:
    class Cut(Kept):
        """Takes activities but no cursor with them: the poller dies between the two."""

        async def put(self, result: PollResult) -> None:
            if result.activities and result.activities[0].kind == "like":
                self.results.append(result)
                await asyncio.Event().wait()
            await super().put(result)

    async def run() -> tuple[Kept, Kept]:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo", likers=["ada"])
        repo.commit(1, 60, "Ada")
        dying = Cut()
        async with station(hub, dying) as it:
            await it.rounds(2)
            repo.likers.append("bob")
            await it.until(lambda: bool(it.kept.of("like")))
        again = Kept(dying.cursors)
        async with station(hub, again) as it:
            await it.until(lambda: bool(it.kept.of("like")))
        return dying, again

    dying, again = work(run())
    [before], [after] = dying.of("like"), again.of("like")
    assert (before.id, before.occurred_at) == (after.id, after.occurred_at)


def test_marks_follow_the_walks_and_the_looks() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        hub.repo("allenai/OLMo").commit(1, 60, "Ada")
        async with station(hub) as it:
            await it.until(lambda: all(len(it.kept.marks(feed)) > 1 for feed in it.feeds.by_name))
            return it.kept

    kept = work(run())
    for feed in ("huggingface:models", "huggingface:datasets", "huggingface:spaces", REPOSITORIES, CHANGES):
        marks = kept.marks(feed)
        assert marks == sorted(marks)
        assert now() - DAY < marks[-1] < now() - MINUTE + 1
    assert kept.gaps == []
    assert LIMITS_FEED not in kept.cursors


def test_a_listing_that_is_refused_drops_nothing() -> None:
    async def run() -> Station:
        refusing = [False]
        hub = SmallHub(
            answer=lambda request: web.Response(status=403) if refusing[0] and "author" in request.query else None
        )
        hub.repo("allenai/OLMo").commit(1, 60, "Ada")
        async with station(hub) as it:
            await it.until(lambda: bool(it.kept.of("commit")))
            refusing[0] = True
            await it.until(lambda: it.feeds.by_name[REPOSITORIES].state == "failing: the listing is refused")
            return it

    assert work(run()).poller.dropped == 0


def test_old_threads_of_a_large_repository_are_looked_at_by_turns() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo")
        for number in range(1, 61):
            repo.open(number, 86_400 * 90 - number, "bob")
        async with station(hub) as it:
            await it.rounds(1)
            assert hub.asked("p=19") == 1
            repo.happen(20, 1, "cy")
            before = len(hub.requests)
            await it.until(lambda: bool(it.kept.of("discussion_comment")))
            # A reading takes the first page and four others, not all twenty.
            assert 0 < sum("discussions?" in path and "p=0" in path for _, path in hub.requests[before:]) <= 8
            return it.kept

    assert [comment.thread for comment in work(run()).of("discussion_comment")] == [20]


def test_a_list_that_lags_behind_its_number_is_read_again() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo", likers=["ada"])
        lagging: list[int] = []

        def lag(request: web.Request) -> web.StreamResponse | None:
            if request.path.endswith("/likers") and len(repo.likers) == 2 and not lagging:
                lagging.append(1)
                return web.json_response([{"user": "ada"}])
            return None

        hub.answer = lag
        async with station(hub) as it:
            await it.rounds(1)
            repo.likers.append("eve")
            await it.until(lambda: bool(it.kept.of("like")))
            return it.kept

    assert [like.actor for like in work(run()).of("like")] == [actor("eve")]


def test_rewritten_history_is_not_counted_again() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo")
        for number in range(1, 6):
            repo.commit(number, 600 - number, "Ada")
        async with station(hub) as it:
            await it.until(lambda: len(it.kept.of("commit")) == 5)
            repo.commits = [{**commit, "id": commit["id"].replace("0", "f")} for commit in repo.commits]
            repo.commit(77, 1, "Ada")
            await it.until(lambda: len(it.kept.of("commit")) > 5)
            return it.kept

    commits = work(run()).of("commit")
    assert [commit.id[-40:] for commit in commits[5:]] == [sha(77)]


def test_a_renamed_repository_stays_the_same() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo", native="7")
        repo.commit(1, 60, "Ada")
        async with station(hub) as it:
            await it.until(lambda: bool(it.kept.of("commit")))
            repo.name = "allenai/OLMo-2"
            repo.commit(2, 1, "Ada")
            await it.until(lambda: len(it.kept.of("commit")) == 2)
            return it.kept

    first, second = work(run()).of("commit")
    assert (first.repo, second.repo) == ("allenai/OLMo", "allenai/OLMo-2")
    assert first.repo_id == second.repo_id


def test_what_moves_from_page_to_page_while_it_is_read_is_published_once() -> None:
    async def run() -> Kept:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo")
        for number in range(1, 8):
            repo.commit(number, 600 - number, "Ada")
            repo.open(number, 600 - number, "bob")

        def push(request: web.Request) -> web.StreamResponse | None:
            # The list grows by one before its second page is asked for.
            if len(repo.commits) == 7 and "commits" in request.path and "cursor=3" in request.path_qs:
                repo.commit(8, 1, "Ada")
            if len(repo.threads) == 7 and request.query.get("p") == "1":
                repo.open(8, 1, "bob")
            return None

        hub.answer = push
        async with station(hub) as it:
            await it.until(lambda: len(it.kept.of("commit")) >= 8 and len(it.kept.of("discussion")) >= 8)
            return it.kept

    kept = work(run())
    assert len({activity.id for activity in kept.activities}) == len(kept.activities) == 16


def test_an_old_page_of_commits_that_is_shown_again_publishes_nothing() -> None:
    async def run() -> Kept:
        hub = SmallHub(page=50)
        repo = hub.repo("allenai/OLMo")
        for number in range(1, 101):
            repo.commit(number, 6_000 - number, "Ada")
        stale: list[int] = []

        def again(request: web.Request) -> web.StreamResponse | None:
            if len(repo.commits) > 100 and "/commits/" in request.path and not stale:
                stale.append(1)
                return web.json_response(repo.commits[31:81])
            return None

        hub.answer = again
        async with station(hub) as it:
            await it.until(lambda: len(it.kept.of("commit")) == 100)
            repo.commit(101, 1, "Ada")
            await it.until(lambda: sha(101) in {commit.id[-40:] for commit in it.kept.of("commit")})
            return it.kept

    commits = work(run()).of("commit")
    assert len({commit.id for commit in commits}) == len(commits) == 101
