"""What a partition makes of marks, times and repeated batches."""

from agents.count.partition import Count
from agents.facts import decode_facts, encode_facts
from streams.activity import DAY, HOUR, MINUTE, SECOND, Batch, Cover
from tests.count.making import NOW, activity, feed


def test_a_batch_that_is_met_again_changes_nothing_but_the_offset() -> None:
    count = Count(0)
    batch = Batch(feed="f", activities=[activity(1, NOW)], sequence=0)
    feed(count, batch, batch)
    progress = count.checkpoint().progress
    assert progress is not None
    assert (progress.offset, progress.activities, progress.duplicates) == (1, 1, 0)


def test_what_is_older_than_the_ids_that_are_kept_is_late() -> None:
    count = Count(0)
    old, young = activity(1, NOW - 31 * DAY - 1), activity(2, NOW - 30 * DAY)
    feed(count, Batch(feed="f", activities=[old, young], complete_to=NOW))
    facts = count.checkpoint()
    assert facts.rows["time"].tolist() == [NOW - 30 * DAY]
    assert (count.progress.late, count.progress.activities, count.progress.duplicates) == (1, 1, 0)


def test_an_id_counts_once_for_31_days() -> None:
    count = Count(0)
    first = activity(1, NOW)
    for days in range(32):
        feed(count, Batch(feed="f", activities=[first], complete_to=NOW + days * DAY))
        count.checkpoint()
        count.tidy()
    assert (count.progress.activities, count.progress.duplicates, count.progress.late) == (1, 31, 0)
    feed(count, Batch(feed="f", activities=[first], complete_to=NOW + 31 * DAY + MINUTE))
    count.checkpoint()
    assert (count.progress.activities, count.progress.duplicates, count.progress.late) == (1, 31, 1)


def test_the_watermark_is_the_least_mark_of_the_open_feeds_and_never_falls() -> None:
    count = Count(0)
    feed(count, Batch(feed="a", complete_to=NOW))
    assert count.progress.watermark == NOW
    feed(count, Batch(feed="b", complete_to=NOW - HOUR), Batch(feed="a", complete_to=NOW + HOUR))
    assert count.progress.watermark == NOW
    feed(count, Batch(feed="b", closed=True))
    assert count.progress.watermark == NOW + HOUR


def test_the_front_is_the_newest_event_but_a_future_stamp_carries_it_a_minute_at_most() -> None:
    count = Count(0)
    feed(count, Batch(feed="f", activities=[activity(1, NOW + 5 * HOUR, ingested_at=NOW)], complete_to=NOW))
    assert count.progress.front == NOW + MINUTE
    later = activity(2, NOW + 30 * SECOND, ingested_at=NOW)
    feed(count, Batch(feed="f", activities=[later], complete_to=NOW + 2 * MINUTE))
    assert count.progress.front == NOW + 2 * MINUTE - 1


def test_one_simulated_activity_makes_a_partition_simulated_and_a_restart_keeps_that() -> None:
    count = Count(0)
    feed(count, Batch(feed="f", activities=[activity(1, NOW)]))
    assert not count.progress.simulated
    feed(count, Batch(feed="f", activities=[activity(2, NOW, simulated=True), activity(3, NOW)]))
    feed(count, Batch(feed="f", activities=[activity(4, NOW)]))
    records = [encode_facts(count.checkpoint())]
    assert count.progress.simulated
    assert Count.restore(0, map(decode_facts, records)).progress.simulated


def test_what_was_covered_is_said_once_and_adds_up() -> None:
    count, known = Count(0), None
    for hour in range(3):
        covered = [Cover("github", NOW + hour * HOUR, NOW + (hour + 1) * HOUR)]
        feed(count, Batch(feed="archive", sequence=hour, covered=covered))
        progress = decode_facts(encode_facts(count.checkpoint())).progress
        assert progress is not None
        assert progress.feeds["archive"].covered == {"github": [(NOW + hour * HOUR, NOW + (hour + 1) * HOUR)]}
        known = progress.follow(known)
    assert known is not None
    assert known.feeds["archive"].covered == {"github": [(NOW, NOW + 3 * HOUR)]}
