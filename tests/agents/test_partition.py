"""Panes against brute force: every key of every pane, whatever order, duplicates, lateness and crashes do."""

from collections.abc import Iterator
from random import Random

import msgspec
import pytest

from agents.operators.columns import HASH_BITS
from agents.operators.grains import is_closed, is_kept
from agents.operators.pane import Pane, RecordKey
from agents.operators.partition import Partition
from simulator import panes as truth
from simulator.stream import five_days
from streams.activity import (
    ARCHIVE,
    DAY,
    FEATURES,
    HOUR,
    MINUTE,
    PLATFORMS,
    SECOND,
    Activity,
    Batch,
    hash_ids,
    partition_of,
)

PARTITIONS = 4


def batches(activities: list[Activity], random: Random) -> Iterator[tuple[int, Batch]]:
    """(partition, batch) in order of arrival, marked as a reader of hours would: an hour is complete six hours after it
    has ended.
    """
    buffers: list[list[Activity]] = [[] for _ in range(PARTITIONS)]
    numbers = [0] * PARTITIONS
    hour = activities[0].ingested_at // HOUR

    def send(partition: int, mark: int | None = None) -> tuple[int, Batch]:
        own, buffers[partition] = buffers[partition], []
        numbers[partition] += 1
        return partition, Batch(feed=ARCHIVE, activities=own, sequence=numbers[partition] - 1, complete_to=mark)

    for activity in activities:
        if activity.ingested_at // HOUR > hour:
            hour = activity.ingested_at // HOUR
            yield from (send(partition, hour * HOUR) for partition in range(PARTITIONS))
        partition = partition_of(activity.repo_id, PARTITIONS)
        buffers[partition].append(activity)
        if len(buffers[partition]) >= random.randrange(1, 300):
            yield send(partition)
    yield from (send(partition, hour * HOUR + HOUR) for partition in range(PARTITIONS))


class Committed:
    """What a topic would hold of one partition."""

    def __init__(self) -> None:
        self.table: dict[bytes, bytes] = {}

    def write(self, partition: Partition) -> None:
        for key, value in partition.checkpoint():
            if value is None:
                assert key in self.table, "only what was written is tombstoned"
                del self.table[key]
            else:
                assert len(value) <= 600_000
                self.table[key] = value
        partition.committed()

    def restored(self, number: int) -> Partition:
        return Partition.restore(number, self.table.items())


def aggregate(log: list[tuple[int, Batch]], random: Random, *, crashes: float = 0.0) -> list[Committed]:
    """Run the batches through partitions that checkpoint now and then, and lose everything since the last checkpoint
    now and then.
    """
    committed = [Committed() for _ in range(PARTITIONS)]
    logs = [[batch for partition, batch in log if partition == number] for number in range(PARTITIONS)]
    for number, own in enumerate(logs):
        partition = Partition(number)
        offset = 0
        while offset < len(own):
            if partition.advance(offset, own[offset]):
                for _ in partition.close():
                    pass
                partition.take(own[offset].activities)
            offset += 1
            if random.random() < 0.1:
                committed[number].write(partition)
            if random.random() < crashes:
                partition = committed[number].restored(number)
                offset = partition.progress.offset + 1
        committed[number].write(partition)
    return committed


def expected(brute: truth.Pane) -> dict[str, object]:
    """A brute-force pane as the summaries put it."""
    counts = {f"{platform}/{feature}/{actor}": n for (platform, feature, actor), n in brute.activities.items()}
    counts |= {f"{platform}/commits": n for platform, n in brute.commits.items()}
    counts |= {"project/" + "/".join(key): n for key, n in brute.projects.items()}

    def key(hashed: int, platform: str, feature: str) -> int:
        return hashed & HASH_BITS | PLATFORMS.index(platform) << 3 | FEATURES.index(feature)

    return {
        "counts": counts,
        "repositories": {key(*repository): n for repository, n in brute.repositories.items()},
        "people": {key(*person): n for person, n in brute.people.items()},
    }


def found(pane: Pane) -> dict[str, object]:
    counts = {key: n for key, n in pane.counts.get().items() if not key.endswith("commits_stated")}
    return {
        "counts": counts,
        "repositories": {k: n for shard in pane.repositories.shards for k, n in shard.get().items()},
        "people": {k: n for shard in pane.people.shards for k, n in shard.get().items()},
    }


def compare(committed: list[Committed], activities: list[dict[str, object]]) -> int:
    """Assert that the committed panes are those of brute force, exactly the ones that must be kept; returns how many."""
    brute = truth.panes(activities, PARTITIONS)
    compared = 0
    for number, own in enumerate(committed):
        partition = own.restored(number)
        watermark = partition.progress.watermark
        wanted = {
            (place.scope, place.grain, place.start)
            for place in brute
            if place.partition == number
            and is_kept(place.scope, place.grain, place.start, watermark)
            and (place.grain == "minute" or is_closed(place.grain, place.start, watermark))
        }
        assert {address for address in partition.panes if is_kept(*address, watermark)} == wanted
        for address in wanted:
            pane, true = partition.panes[address], brute[truth.Place(address[0], number, address[1], address[2])]
            assert found(pane) == expected(true), address
            if pane.ids is not None:
                ids = set().union(*(shard.get() for shard in pane.ids.shards))
                assert ids == set(hash_ids([Activity(id=i, **BLANK) for i in true.ids])), address  # type: ignore[arg-type]
            compared += 1
    return compared


BLANK = {
    "platform": "",
    "kind": "",
    "occurred_at": 0,
    "ingested_at": 0,
    "repo_id": 0,
    "repo": "",
    "owner": "",
    "actor": 0,
}


@pytest.mark.parametrize("crashes", [0.0, 0.02])
def test_every_pane_of_five_days_equals_brute_force(crashes: float) -> None:
    wire = five_days(seed=7, n=30_000)
    activities = msgspec.convert(wire, list[Activity])
    random = Random(11)
    committed = aggregate(list(batches(activities, random)), random, crashes=crashes)
    assert compare(committed, wire) > 300
    progress = [own.restored(number).progress for number, own in enumerate(committed)]
    assert sum(p.activities for p in progress) == len({activity["id"] for activity in wire})
    assert sum(p.activities + p.duplicates for p in progress) == len(wire)
    assert sum(p.late + p.missing for p in progress) == 0


def test_a_pane_that_outgrows_a_record_is_sharded_and_its_old_records_are_tombstoned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.operators.pane.RECORD_BYTES", 2_000)
    wire = five_days(seed=3, n=6_000, days=1.2)
    random = Random(5)
    committed = aggregate(list(batches(msgspec.convert(wire, list[Activity]), random)), random, crashes=0.02)
    assert compare(committed, wire) > 100
    shards = {RecordKey.parse(key).shards for own in committed for key in own.table if not key.startswith(b"progress")}
    assert max(shards) >= 8
    for own in committed:
        kept: dict[tuple[str, str, str, int], set[int]] = {}
        for key in map(RecordKey.parse, (key for key in own.table if not key.startswith(b"progress"))):
            kept.setdefault((key.scope, key.summary, key.grain, key.start), set()).add(key.shards)
        assert all(len(counts) == 1 for counts in kept.values()), "records of the smaller number are gone"


def activity(number: int, at: int, **fields: object) -> Activity:
    base = {
        "id": f"github:PushEvent:{number}",
        "platform": "github",
        "kind": "push",
        "occurred_at": at,
        "ingested_at": at,
    }
    return Activity(**{**base, "repo_id": 5, "repo": "o/r", "owner": "o", "actor": 7, **fields})  # type: ignore[arg-type]


def feed(partition: Partition, *batches_: Batch) -> None:
    for batch in batches_:
        if partition.advance(partition.progress.offset + 1, batch):
            for _ in partition.close():
                pass
            partition.take(batch.activities)


NOW = 20_000 * DAY


def test_a_batch_that_is_met_again_changes_nothing_but_the_offset() -> None:
    partition = Partition(0)
    batch = Batch(feed="f", activities=[activity(1, NOW)], sequence=0)
    feed(partition, batch, batch)
    assert (partition.progress.offset, partition.progress.activities, partition.progress.duplicates) == (1, 1, 0)


def test_what_is_older_than_the_ids_that_are_kept_is_late() -> None:
    partition = Partition(0)
    feed(
        partition,
        Batch(feed="f", activities=[activity(1, NOW - 31 * DAY - 1), activity(2, NOW - 30 * DAY)], complete_to=NOW),
    )
    assert (partition.progress.late, partition.progress.activities) == (1, 1)


def test_the_watermark_is_the_least_mark_of_the_open_feeds_and_never_falls() -> None:
    partition = Partition(0)
    feed(partition, Batch(feed="a", complete_to=NOW))
    assert partition.progress.watermark == NOW
    feed(partition, Batch(feed="b", complete_to=NOW - HOUR), Batch(feed="a", complete_to=NOW + HOUR))
    assert partition.progress.watermark == NOW
    feed(partition, Batch(feed="b", closed=True))
    assert partition.progress.watermark == NOW + HOUR


def test_the_front_is_the_newest_event_but_a_future_stamp_carries_it_a_minute_at_most() -> None:
    partition = Partition(0)
    feed(partition, Batch(feed="f", activities=[activity(1, NOW + 5 * HOUR, ingested_at=NOW)], complete_to=NOW))
    assert partition.progress.front == NOW + MINUTE
    feed(
        partition,
        Batch(feed="f", activities=[activity(2, NOW + 30 * SECOND, ingested_at=NOW)], complete_to=NOW + 2 * MINUTE),
    )
    assert partition.progress.front == NOW + 2 * MINUTE - 1


def test_a_renamed_repository_keeps_its_newest_name() -> None:
    partition = Partition(0)
    old, new = activity(1, NOW, repo="o/old"), activity(2, NOW + HOUR, repo="o/new")
    feed(partition, Batch(feed="f", activities=[new, old]), Batch(feed="f", complete_to=NOW + 2 * DAY))
    day = partition.panes["all", "day", NOW]
    assert day.names.shards[0].get(5 & HASH_BITS) == ((NOW + HOUR) // MINUTE, "o/new")


def test_panes_past_their_keep_are_tombstoned_in_a_later_checkpoint_than_the_one_that_closed_them() -> None:
    partition, committed = Partition(0), Committed()
    feed(partition, Batch(feed="f", activities=[activity(1, NOW)]))
    committed.write(partition)
    feed(partition, Batch(feed="f", complete_to=NOW + 3 * HOUR))
    committed.write(partition)
    grains = {RecordKey.parse(key).grain for key in committed.table if not key.startswith(b"progress")}
    assert grains == {"minute", "hour"}
    committed.write(partition)
    grains = {RecordKey.parse(key).grain for key in committed.table if not key.startswith(b"progress")}
    assert grains == {"hour"}


def test_a_state_between_advance_and_take_cannot_be_written() -> None:
    partition = Partition(0)
    batch = Batch(feed="f", activities=[activity(1, NOW)], complete_to=NOW)
    assert partition.advance(0, batch)
    with pytest.raises(RuntimeError, match="in the middle of a batch"):
        partition.checkpoint()
    partition.take(batch.activities)
    assert partition.checkpoint()


def test_one_simulated_activity_makes_a_partition_simulated_and_a_restart_keeps_that() -> None:
    partition = Partition(0)
    feed(partition, Batch(feed="f", activities=[activity(1, NOW)]))
    assert not partition.progress.simulated
    feed(partition, Batch(feed="f", activities=[activity(2, NOW, simulated=True), activity(3, NOW)]))
    feed(partition, Batch(feed="f", activities=[activity(4, NOW)]))
    assert partition.progress.simulated
    records = {key: value for key, value in partition.checkpoint() if value is not None}
    assert Partition.restore(0, records.items()).progress.simulated
