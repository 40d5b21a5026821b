"""Facts against brute force: whatever order, duplicates, lateness, checkpoints and crashes do, the rows add up to what
happened.
"""

from collections import Counter
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.count.partition import Count
from agents.facts import CREDITED, Facts, decode_facts, encode_facts
from simulator.stream import five_days
from streams.activity import DAY, HOUR, MINUTE, Activity, Batch, partition_of
from tests.count.making import (
    EVENTS,
    NOW,
    OPENER,
    PARTITIONS,
    Minutes,
    added_up,
    batches,
    compare,
    compare_names,
    pull,
    run,
    wire,
)


@pytest.mark.parametrize("crashes", [0.0, 0.02])
def test_the_rows_of_five_days_add_up_to_brute_force(crashes: float) -> None:
    stream = five_days(seed=7, n=12_000)
    log = list(batches(msgspec.convert(stream, list[Activity]), Random(1)))
    distinct = {one["id"]: one for one in reversed(stream)}
    committed = run(log, Random(2), crashes=crashes)
    compare(committed, list(distinct.values()))
    compare_names(committed, list(distinct.values()))
    progress = [decode_facts(records[-1]).progress for records in committed]
    assert sum(each.activities for each in progress) == len(distinct)
    assert sum(each.duplicates for each in progress) == len(stream) - len(distinct)
    assert not any(each.late for each in progress)


def test_a_worker_whose_topic_has_dropped_its_oldest_records_goes_on_as_one_that_has_all() -> None:
    """The topic keeps 40 days, and the input goes on for 80; both workers begin anew on day 70."""
    stream = msgspec.convert(five_days(seed=5, n=6_000, days=80, duplicates=0.1), list[Activity])
    log = [batch for number, batch in batches(stream, Random(1)) if number == 0]
    begin = stream[0].ingested_at
    count, records = Count(0), list[Facts]()
    cut = next(place for place, batch in enumerate(log) if (batch.complete_to or 0) >= begin + 70 * DAY)
    for place, batch in enumerate(log[:cut]):
        count.advance(place, batch)
        count.take(batch)
        if place % 20 == 19 or place == cut - 1:
            records.append(decode_facts(encode_facts(count.checkpoint())))
            count.tidy()
    kept = [each for each in records if (each.progress.watermark or 0) >= begin + 30 * DAY]
    assert 10 < len(kept) < len(records) - 10
    found = []
    for known in (records, kept):
        worker = Count.restore(0, known)
        for place, batch in enumerate(log[cut:], cut):
            worker.advance(place, batch)
            worker.take(batch)
        rows = worker.checkpoint().rows
        found.append((Counter(map(bytes, rows)), worker.progress.activities, worker.progress.duplicates))
    assert found[0] == found[1]
    assert found[0][2] > records[-1].progress.duplicates, "what was met before the restart came again"
    assert found[0][0].total() > 100


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.lists(EVENTS, min_size=1, max_size=14), st.randoms(use_true_random=False), st.booleans())
def test_threads_in_whatever_order_give_the_credits_of_brute_force(
    events: list[Any], random: Random, crash: bool
) -> None:
    activities = wire(events)
    arrivals = activities + random.choices(activities, k=random.randrange(4))
    random.shuffle(arrivals)
    log: list[tuple[int, Batch]] = []
    mark, numbers = NOW, Counter[int]()
    while arrivals:
        size = random.choice((1, 1, 2, 5))
        group, arrivals = arrivals[:size], arrivals[size:]
        mark += random.choice((0, 0, 11 * MINUTE, 3 * HOUR, DAY))
        for partition in {partition_of(one["repo_id"], PARTITIONS) for one in group}:
            own = msgspec.convert(
                [one for one in group if partition_of(one["repo_id"], PARTITIONS) == partition], list[Activity]
            )
            log.append((partition, Batch(feed="f", activities=own, sequence=numbers[partition], complete_to=mark)))
            numbers[partition] += 1
    committed = run(log, random, checkpoints=random.choice((0.1, 0.5, 1.0)), crashes=0.2 if crash else 0.0)
    compare(committed, activities)
    for number, records in enumerate(committed):
        progress = decode_facts(records[-1]).progress
        mine = [one for one in activities if partition_of(one["repo_id"], PARTITIONS) == number]
        met = sum(len(batch.activities) for partition, batch in log if partition == number)
        assert (progress.activities, progress.duplicates, progress.late) == (len(mine), met - len(mine), 0)


# A hostile world: the same merge at several times, of several projects, by whoever; ages beyond every keep.
HOSTILE = st.tuples(
    st.sampled_from(["opened", "merged", "accepted"]),
    st.integers(0, 3),
    st.integers(1, 2),
    st.integers(-80, 5),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from([None, "olmo", "pythia"]),
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(HOSTILE, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_input_that_contradicts_itself_never_withdraws_what_was_not_sent_and_crashes_change_nothing(
    events: list[Any], random: Random
) -> None:
    log: list[tuple[int, Batch]] = []
    mark = NOW - 10 * DAY
    for number, (action, identity, thread, days, actor, bot, project) in enumerate(events):
        name = f"github:PullRequestEvent:{identity}" + {"opened": ":o", "merged": "", "accepted": ":accepted"}[action]
        one = Activity(
            id=name,
            platform="github",
            kind="pull_request",
            action=action,
            occurred_at=NOW + days * DAY + random.randrange(3) * HOUR,
            ingested_at=NOW,
            repo_id=5 << 32,
            repo="o/r",
            owner="o",
            actor=16 * actor,
            bot=bot,
            thread=thread,
            project=project,
        )
        mark += random.choice((0, HOUR, 5 * DAY))
        log.append((1, Batch(feed="f", activities=[one], sequence=number, complete_to=mark)))
    once = run(log, random, checkpoints=0.3)
    again = run(log, random, checkpoints=0.5, crashes=0.2)
    for records, others in zip(once, again, strict=True):
        assert _nonzero(added_up(records)) == _nonzero(added_up(others))
        totals = decode_facts(records[-1]).progress, decode_facts(others[-1]).progress
        assert msgspec.structs.replace(totals[0], offset=0) == msgspec.structs.replace(totals[1], offset=0)


def _nonzero(sums: Minutes) -> dict[Any, Any]:
    found = {place: {name: {k: n for k, n in c.items() if n} for name, c in own.items()} for place, own in sums.items()}
    return {place: own for place, own in found.items() if any(own.values())}


def _credits(*arrivals: tuple[Activity, int], restored: bool = False) -> dict[tuple[int, int], int]:
    """{(time, actor): accepted contributions} of activities that come one by one, each at its watermark."""
    count, records = Count(0), list[bytes]()
    for number, (one, watermark) in enumerate(arrivals):
        batch = Batch(feed="f", activities=[one], complete_to=watermark)
        count.advance(number, batch)
        count.take(batch)
        records.append(encode_facts(count.checkpoint()))
        count.tidy()
        if restored:
            count = Count.restore(0, map(decode_facts, records))
    found = Counter[tuple[int, int]]()
    for facts in map(decode_facts, records):
        for row in facts.rows[facts.rows["flags"] & CREDITED > 0]:
            found[int(row["time"]), int(row["actor"])] += int(row["n"])
    return {key: n for key, n in found.items() if n}


@pytest.mark.parametrize("restored", [False, True])
def test_a_credit_outlives_the_opening_that_it_was_given_for(restored: bool) -> None:
    merge = NOW + 30 * DAY
    arrivals = (pull("opened", NOW), NOW), (pull("merged", merge), merge), (pull("accepted", merge), NOW + 37 * DAY)
    assert _credits(*arrivals, restored=restored) == {(merge, OPENER): 1}


def test_an_opening_that_comes_when_its_merge_is_too_old_to_be_counted_changes_nothing() -> None:
    late = (pull("merged", NOW), NOW), (pull("opened", NOW + 2 * DAY), NOW + 32 * DAY)
    assert _credits(*late) == {}
    in_time = (pull("merged", NOW), NOW), (pull("opened", NOW + 2 * DAY), NOW + 31 * DAY)
    assert _credits(*in_time) == {(NOW, OPENER): 1}


def test_names_are_published_when_they_are_new_and_the_newest_wins() -> None:
    def one(number: int, minute: int, name: str) -> Activity:
        return Activity(
            id=f"github:PushEvent:{number}",
            platform="github",
            kind="push",
            occurred_at=NOW + minute * MINUTE,
            ingested_at=NOW,
            repo_id=7 << 32,
            repo=name,
            owner="o",
            actor=16,
        )

    count = Count(0)
    published: list[tuple[int, int, str]] = []
    arrivals = [(0, "o/a"), (5, "o/b"), (3, "o/zzz"), (9, "o/b"), (9, "o/c"), (10, "o/b"), (10 + 7 * 24 * 60, "o/b")]
    for number, (minute, name) in enumerate(arrivals):
        batch = Batch(feed="f", activities=[one(number, minute, name)])
        count.advance(number, batch)
        count.take(batch)
        record = encode_facts(count.checkpoint())
        published += decode_facts(record).names.get_all()
    minutes = [(minute - NOW // MINUTE, name) for _, minute, name in published]
    assert minutes == [(0, "o/a"), (5, "o/b"), (9, "o/c"), (10, "o/b"), (10 + 7 * 24 * 60, "o/b")]


def test_a_row_takes_few_bytes() -> None:
    stream = five_days(seed=3, n=20_000, days=0.1, disorder_hours=1, late=0)
    log = list(batches(msgspec.convert(stream, list[Activity]), Random(1)))
    committed = run(log, Random(2), checkpoints=0.02)
    size = sum(len(record) for records in committed for record in records)
    rows = sum(len(decode_facts(record).rows) for records in committed for record in records)
    assert size / rows < 75
    kinds = np.concatenate([decode_facts(record).rows["flags"] for records in committed for record in records])
    assert (kinds & CREDITED).any()


def test_facts_that_were_packed_are_the_facts() -> None:
    count = Count(0)
    stream = msgspec.convert(five_days(seed=4, n=500, days=1), list[Activity])
    batch = Batch(feed="f", activities=stream, complete_to=NOW)
    count.advance(0, batch)
    count.take(batch)
    facts: Facts = count.checkpoint()
    again = decode_facts(encode_facts(facts))
    assert (again.rows == facts.rows).all()
    assert again.projects == facts.projects
    assert again.threads.get() == facts.threads.get()
    assert again.names.get_all() == facts.names.get_all()
    assert again.progress == facts.progress
