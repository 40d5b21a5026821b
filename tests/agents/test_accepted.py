"""Merges are credited to who opened the pull request: once, whatever comes first, is split, repeated, closed or lost in
between.
"""

from collections import Counter
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.operators.columns import HASH_BITS
from agents.operators.grains import oldest_day
from agents.operators.partition import Partition
from simulator import panes as truth
from streams.activity import DAY, FEATURES, HOUR, MINUTE, Activity, Batch, hash_ids, partition_of
from tests.agents.test_partition import NOW, PARTITIONS, Committed, activity, aggregate, compare, feed

OPENER, MERGER, OTHER = 16, 32, 48
ACCEPTED = FEATURES.index("accepted")


def pull(action: str, at: int = NOW, *, thread: int | None = 7, number: int = 0, **fields: Any) -> Activity:
    identity = f"github:PullRequestEvent:{number or {'opened': 1, 'merged': 2, 'accepted': 2}[action]}"
    actor = {"opened": OPENER, "merged": MERGER, "accepted": OTHER}[action]
    fields = {"id": identity + (":accepted" if action == "accepted" else ""), "actor": actor, **fields}
    return activity(0, at, **{"kind": "pull_request", "action": action, "thread": thread, **fields})


def credited(partition: Partition, address: tuple[str, str, int]) -> dict[int, int]:
    """{actor: accepted contributions} of a pane."""
    people = [shard.get() for shard in partition.panes[address].people.shards]
    return {key & HASH_BITS: n for own in people for key, n in own.items() if key & 7 == ACCEPTED}


def fed(*activities: Activity, at_once: bool = False, watermark: int | None = None) -> Partition:
    """A partition that took the activities, each in a batch of its own."""
    partition = Partition(0)
    groups = [list(activities)] if at_once else [[one] for one in activities]
    feed(partition, *(Batch(feed="f", activities=group) for group in groups), Batch(feed="f", complete_to=watermark))
    return partition


# A small world: few threads, so that everything meets; ids are unique, and what the source names repeats the merge.
PLACES = st.tuples(st.sampled_from([5 << 32, 6 << 32, 9 << 32]), st.integers(1, 2))
MOMENTS = st.one_of(st.integers(0, 5), st.integers(0, 3 * 60), st.integers(0, 9 * 24 * 60)).map(
    lambda minutes: NOW + minutes * MINUTE
)
PEOPLE = st.tuples(st.sampled_from([OPENER, MERGER, OTHER]), st.booleans())
EVENTS = st.tuples(
    st.sampled_from(["opened", "merged", "merged", "named only"]), PLACES, MOMENTS, PEOPLE, st.none() | PEOPLE
)


def wire(events: list[Any]) -> list[dict[str, Any]]:
    found = []
    for number, (action, (repo_id, thread), at, (actor, bot), named) in enumerate(events):
        project = {"project": "olmo"} if repo_id == 5 << 32 else {}
        one = {
            "id": f"github:PullRequestEvent:{number}",
            "platform": "github",
            "kind": "pull_request",
            "occurred_at": at,
            "ingested_at": at,
        }
        one |= {
            "repo_id": repo_id,
            "repo": f"o/{repo_id >> 32}",
            "owner": "o",
            "actor": actor,
            "bot": bot,
            "thread": thread,
            **project,
        }
        if action != "named only":
            found.append({**one, "action": action})
        if action == "named only" or (action == "merged" and named):
            actor, bot = named or (actor, bot)
            found.append({**one, "id": one["id"] + ":accepted", "action": "accepted", "actor": actor, "bot": bot})
    return found


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.lists(EVENTS, min_size=1, max_size=14), st.randoms(use_true_random=False), st.booleans())
def test_the_same_activities_give_the_panes_of_brute_force_in_whatever_order_they_come(
    events: list[Any], random: Random, crash: bool
) -> None:
    activities = wire(events)
    arrivals = activities + random.choices(activities, k=random.randrange(4))
    random.shuffle(arrivals)
    log: list[tuple[int, Batch]] = []
    mark = NOW
    numbers = Counter[int]()

    def send(partition: int, own: list[dict[str, Any]]) -> None:
        batch = Batch(
            feed="f", activities=msgspec.convert(own, list[Activity]), sequence=numbers[partition], complete_to=mark
        )
        log.append((partition, batch))
        numbers[partition] += 1

    while arrivals:
        size = random.choice((1, 1, 2, 5))
        group, arrivals = arrivals[:size], arrivals[size:]
        # Panes close in between, and what comes is late, but never too late.
        mark += random.choice((0, 0, 11 * MINUTE, 3 * HOUR, DAY))
        for partition in {partition_of(one["repo_id"], PARTITIONS) for one in group}:
            send(partition, [one for one in group if partition_of(one["repo_id"], PARTITIONS) == partition])
    for later in (DAY, 11 * DAY):
        mark += later
        for partition in range(PARTITIONS):
            send(partition, [])
    committed = aggregate(log, random, crashes=0.2 if crash else 0.0)
    assert compare(committed, activities) > 0
    brute = truth.panes(activities, PARTITIONS)
    for number, own in enumerate(committed):
        progress = own.restored(number).progress
        mine = [one for one in activities if partition_of(one["repo_id"], PARTITIONS) == number]
        assert (progress.activities, progress.late) == (len(mine), 0)
        for scope in ("all", "watched"):
            days = [
                pane
                for place, pane in brute.items()
                if (place.scope, place.partition, place.grain) == (scope, number, "day")
            ]
            total = sum((pane.activities for pane in days), Counter[tuple[str, str, str]]())
            assert progress.totals[scope] == {"/".join(key): n for key, n in total.items()}
    duplicates = sum(own.restored(number).progress.duplicates for number, own in enumerate(committed))
    assert duplicates == sum(len(batch.activities) for _, batch in log) - len(activities)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_merge_is_credited_to_the_opener_in_its_own_minute_whichever_comes_first(
    order: tuple[int, int], at_once: bool
) -> None:
    both = pull("opened", NOW - HOUR), pull("merged", NOW, project="olmo")
    partition = fed(*(both[number] for number in order), at_once=at_once)
    assert credited(partition, ("all", "minute", NOW)) == {OPENER: 1}
    assert credited(partition, ("all", "minute", NOW - HOUR)) == {}
    watched = partition.panes["watched", "minute", NOW].counts.get()
    assert watched["project/olmo/github/software/accepted"] == 1, "of the merge's project"
    assert partition.progress.totals["all"] == {
        "github/review/human": 1,
        "github/upkeep/human": 1,
        "github/accepted/human": 1,
    }
    assert (partition.progress.activities, partition.progress.duplicates) == (2, 0)
    ids = partition.panes["all", "minute", NOW].ids
    assert ids is not None
    assert set(hash_ids([pull("accepted")])) <= ids.shards[0].get()


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_the_opening_is_believed_more_than_what_the_source_names_and_counts_once(order: tuple[int, ...]) -> None:
    three = pull("opened", NOW - DAY, bot=True), pull("merged"), pull("accepted")
    partition = fed(*(three[number] for number in order))
    assert credited(partition, ("all", "minute", NOW)) == {}, "the opener is a bot"
    assert partition.progress.totals["all"] == {
        "github/review/bot": 1,
        "github/upkeep/human": 1,
        "github/accepted/bot": 1,
    }
    pane = partition.panes["all", "minute", NOW]
    assert pane.counts.get() == {"github/upkeep/human": 1, "github/accepted/bot": 1}
    assert (partition.progress.activities, partition.progress.duplicates) == (3, 0)
    feed(partition, Batch(feed="f", activities=list(three)))
    assert (partition.progress.activities, partition.progress.duplicates) == (3, 3)


def test_of_whom_nobody_saw_the_opening_the_source_is_believed_or_nobody_is_credited() -> None:
    assert credited(fed(pull("merged")), ("all", "minute", NOW)) == {}
    assert credited(fed(pull("merged"), pull("accepted")), ("all", "minute", NOW)) == {OTHER: 1}
    elsewhere = (
        pull("opened", thread=8, number=3),
        pull("opened", repo_id=6, number=4),
        pull("opened", kind="issue", number=5),
    )
    assert credited(fed(*elsewhere, pull("merged")), ("all", "minute", NOW)) == {}
    without_thread = pull("opened", thread=None), pull("merged", thread=None)
    assert credited(fed(*without_thread), ("all", "minute", NOW)) == {}


@pytest.mark.parametrize(("age", "known"), [(31 * DAY, True), (31 * DAY + 1, False)])
@pytest.mark.parametrize("opening_first", [True, False])
def test_an_opening_is_known_for_31_days(age: int, known: bool, opening_first: bool) -> None:
    both = [pull("opened", NOW - age), pull("merged")]
    partition = fed(*(both if opening_first else both[::-1]))
    assert credited(partition, ("all", "minute", NOW)) == ({OPENER: 1} if known else {})


def closed_and_restored(partition: Partition, committed: Committed, time: int) -> Partition:
    """The partition after a mark, as its checkpoint restores it, twice, so that what is past its keep is gone."""
    feed(partition, Batch(feed="f", complete_to=time))
    committed.write(partition)
    committed.write(partition)
    return committed.restored(0)


@pytest.mark.parametrize("waiting", [0, 4096])
def test_openings_move_up_into_days_and_are_found_there_after_a_recovery(
    waiting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.operators.accepted._WAITING", waiting)
    committed = Committed()
    partition = fed(pull("opened", NOW - 31 * DAY))
    for days in (31, 30, 20, 9, 0):
        partition = closed_and_restored(partition, committed, NOW - days * DAY)
    grains = {address[1] for address in partition.panes}
    assert grains == {"day"}
    feed(partition, Batch(feed="f", activities=[pull("merged")]))
    assert credited(partition, ("all", "minute", NOW)) == {OPENER: 1}
    partition = closed_and_restored(partition, committed, NOW + 2 * DAY)
    # The merge waits for a second opening's sake in its hour and day: both are corrected.
    feed(partition, Batch(feed="f", activities=[pull("opened", NOW - 31 * DAY + 1, number=9, actor=OTHER)]))
    assert credited(partition, ("all", "hour", NOW)) == credited(partition, ("all", "day", NOW)) == {OPENER: 1}


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("waiting", [0, 4096])
def test_an_opening_is_forgotten_at_the_same_watermark_by_who_met_it_and_by_who_read_it_back(
    waiting: int, restored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.operators.accepted._WAITING", waiting)
    merge = NOW + 30 * DAY
    for days, known in ((35, True), (36, False)):
        committed = Committed()
        partition = fed(pull("opened", NOW))
        again = closed_and_restored(partition, committed, NOW + days * DAY)
        partition = again if restored else partition
        # What else happens makes it tidy up.
        feed(partition, *(Batch(feed="f", activities=[pull("opened", merge, thread=n, number=n)]) for n in (20, 21)))
        feed(partition, Batch(feed="f", activities=[pull("merged", merge)]))
        assert credited(partition, ("all", "day", merge)) == ({OPENER: 1} if known else {})


def test_a_late_opening_is_counted_into_every_pane_that_holds_the_merge() -> None:
    committed = Committed()
    partition = closed_and_restored(fed(pull("merged"), pull("accepted")), committed, NOW + 2 * DAY)
    assert credited(partition, ("all", "day", NOW)) == {OTHER: 1}
    feed(partition, Batch(feed="f", activities=[pull("opened", NOW - 3 * DAY)]))
    assert credited(partition, ("all", "hour", NOW)) == credited(partition, ("all", "day", NOW)) == {OPENER: 1}
    again = closed_and_restored(partition, committed, NOW + 2 * DAY + 1)
    assert credited(again, ("all", "day", NOW)) == {OPENER: 1}


def test_a_credit_outlives_the_opening_that_it_was_given_for() -> None:
    committed = Committed()
    merge = NOW + 30 * DAY
    partition = fed(pull("opened", NOW), pull("merged", merge))
    partition = closed_and_restored(partition, committed, NOW + 37 * DAY)
    assert oldest_day("all", partition.progress.watermark) == NOW + 2 * DAY
    for repeated in (0, 1):
        feed(partition, Batch(feed="f", activities=[pull("accepted", merge)]))
        assert credited(partition, ("all", "day", merge)) == {OPENER: 1}
        assert (partition.progress.activities, partition.progress.duplicates) == (3, repeated)


def test_input_that_contradicts_itself_stops_nobody_and_counts_once() -> None:
    merge = pull("merged", project="olmo")
    named = pull("accepted", NOW + 3 * HOUR, project="pythia", artefact="model")
    for one, other in ((merge, named), (named, merge)):
        partition = fed(
            one,
            other,
            pull("opened", NOW - HOUR),
            pull("opened", NOW - 2 * HOUR, number=9, actor=OTHER),
            watermark=NOW + 9 * DAY,
        )
        assert partition.progress.totals["all"]["github/accepted/human"] == 1
        assert credited(partition, ("all", "day", NOW)) == {OTHER: 1}


def test_a_minute_without_pull_requests_has_no_record_of_threads() -> None:
    committed = Committed()
    closed_and_restored(fed(activity(1, NOW)), committed, NOW + 2 * HOUR)
    assert not any(b"/threads/" in key for key in committed.table)
    closed_and_restored(fed(pull("opened")), committed, NOW + 2 * HOUR)
    assert any(b"all/0/threads/hour/" in key for key in committed.table)
    assert not any(b"watched/0/threads" in key for key in committed.table)
