"""Windows against the simulator's truth: every measurement at the end, and the same ones whatever was refreshed on the
way.
"""

from random import Random

import msgspec
import pytest

from agents.measurements import Measurement
from agents.operators.pane import RecordKey
from agents.operators.partition import Partition
from agents.operators.progress import decode_progress
from agents.operators.tally import Tally, sum_tallies
from agents.operators.window import TOP, WINDOWS, PaneVersions, Windows, bounds
from simulator.stream import five_days
from simulator.truth import StreamTruth
from simulator.wire import deed
from streams.activity import DAY, HOUR, MINUTE, Activity, Batch, Cover, hash_name
from tests.agents.test_partition import NOW, PARTITIONS, activity, batches, feed


def take(windows: Windows, number: int, partition: Partition) -> None:
    """One checkpoint, as `measure` reads it."""
    for key, value in partition.checkpoint():
        if key.startswith(b"progress/"):
            assert value is not None
            windows.commit(number, decode_progress(value))
        elif value is not None:
            windows.put(number, RecordKey.parse(key), value)
    partition.committed()


def by_series(measurements: list[Measurement]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = {(m.name, frozenset(m.labels.items())): m.value for m in measurements}
    assert len(found) == len(measurements), "each series once"
    return found


@pytest.mark.parametrize(("refreshing", "record_bytes"), [(False, 500_000), (True, 500_000), (True, 2_000)])
def test_every_measurement_of_five_days_equals_the_truth(
    refreshing: bool, record_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.operators.pane.RECORD_BYTES", record_bytes)
    # Many in a short time, so that with small records the panes have several shards.
    wire = five_days(seed=5, n=12_000, days=5 if record_bytes > 2_000 else 0.5)
    log = list(batches(msgspec.convert(wire, list[Activity]), Random(2)))
    truth = StreamTruth()
    for one in wire:
        truth.arrive(deed(one), one["ingested_at"])
    for _, batch in log:
        if batch.complete_to is not None:
            truth.mark(batch.complete_to)
    windows = Windows(PARTITIONS)
    partitions = [Partition(number) for number in range(PARTITIONS)]
    random = Random(3)
    for number, batch in log:
        partition = partitions[number]
        assert partition.advance(partition.progress.offset + 1, batch)
        for _ in partition.close():
            pass
        partition.take(batch.activities)
        if random.random() < 0.05:
            take(windows, number, partition)
        if refreshing and random.random() < 0.02:
            windows.refresh()
            windows.evaluate()
    for number, partition in enumerate(partitions):
        take(windows, number, partition)
    windows.refresh()
    assert windows.front == truth.front
    # What was shown meanwhile has had its hysteresis; the last figures know nothing of it.
    found = by_series(windows.evaluate(final=True))
    expected = {("nomadwatch_" + m.name, frozenset(m.labels.items())): m.value for m in truth.measurements()}
    assert found.keys() == expected.keys()
    assert len(found) > 1000
    for series, value in expected.items():
        assert found[series] == pytest.approx(value, rel=1e-9, abs=1e-300), series


def test_windows_that_did_not_change_keep_their_measurements() -> None:
    windows, partition = Windows(1), Partition(0)
    partition.advance(0, Batch(feed="f", activities=[activity(1, NOW)], complete_to=NOW + MINUTE))
    partition.take([activity(1, NOW)])
    take(windows, 0, partition)
    windows.refresh()
    first = windows.evaluate()
    windows.refresh()
    assert windows.evaluate() == first
    assert any(m.name == "nomadwatch_activity" for m in first)


def test_who_is_among_the_busiest_stays_until_overtaken_clearly() -> None:
    windows, partition = Windows(1), Partition(0)
    pushes = {f"o/r{n:02}": 100 - n for n in range(TOP + 1)}

    def push(repo: str, times: int) -> None:
        names = {"repo": repo, "repo_id": hash_name(repo)}
        made = [activity(n, NOW, id=f"github:PushEvent:{repo}:{times}:{n}", **names) for n in range(times)]
        feed(partition, Batch(feed="f", activities=made, complete_to=NOW))

    def shown(*, final: bool = False) -> set[str]:
        take(windows, 0, partition)
        windows.refresh()
        top = [m for m in windows.evaluate(final=final) if m.name == "nomadwatch_top_repository_activity"]
        return {m.labels["repository"] for m in top if m.labels["window"] == "1h" and m.labels["scope"] == "all"} - {
            "_other"
        }

    for repo, times in pushes.items():
        push(repo, times)
    last, next_one = f"o/r{TOP - 1:02}", f"o/r{TOP:02}"
    assert shown() == pushes.keys() - {next_one}
    push(next_one, 3)
    assert shown() == pushes.keys() - {next_one}, "the last one has fallen by one rank only"
    assert shown(final=True) == pushes.keys() - {last}


def test_coverage_is_the_share_of_the_window_that_every_partition_knows_to_be_covered() -> None:
    windows = Windows(2)
    for number, hours in enumerate((1, 2)):
        partition = Partition(number)
        covered = [Cover("github", NOW - hours * HOUR, NOW)]
        feed(partition, Batch(feed="f", complete_to=NOW, covered=covered))
        take(windows, number, partition)
    windows.refresh()
    shares = {
        m.labels["window"]: m.value
        for m in windows.evaluate()
        if m.name == "nomadwatch_window_coverage_ratio" and m.labels["scope"] == "all"
    }
    assert shares == {
        "1h": 1.0,
        "24h": pytest.approx(1 / 24),
        "7d": pytest.approx(1 / 168),
        "30d": pytest.approx(1 / 720),
    }


def test_a_window_ends_with_the_step_of_the_front() -> None:
    assert {window: bounds(window, NOW + 5 * HOUR + 1) for window in WINDOWS} == {
        "1h": (NOW + 4 * HOUR + MINUTE, NOW + 5 * HOUR + MINUTE),
        "24h": (NOW - 18 * HOUR, NOW + 6 * HOUR),
        "7d": (NOW + 6 * HOUR - 7 * DAY, NOW + 6 * HOUR),
        "30d": (NOW - 29 * DAY, NOW + DAY),
    }


def test_without_a_watermark_nothing_is_closed_and_nothing_is_forgotten() -> None:
    windows, partition = Windows(1), Partition(0)
    for day in range(6):
        feed(partition, Batch(feed="f", activities=[activity(day, NOW + day * DAY)]))
        take(windows, 0, partition)
        windows.refresh()
        found = by_series(windows.evaluate())
        week = {"scope": "all", "platform": "github", "feature": "contribution", "window": "7d"}
        assert found["nomadwatch_activity", frozenset(week.items())] == day + 1


def test_minutes_are_dropped_as_soon_as_their_hour_counts_in_their_place_and_no_figure_changes() -> None:
    windows, partition = Windows(1), Partition(0)
    for minute in range(0, 5 * 60, 5):
        at = NOW + minute * MINUTE
        feed(partition, Batch(feed="f", activities=[activity(minute, at)], complete_to=at))
        take(windows, 0, partition)
        windows.refresh()
    kept = sorted(piece for versions in windows._panes["all"] for piece in versions.records)
    front = NOW + 295 * MINUTE
    assert partition.progress.watermark == front
    # The hour's window, and the hour before it, which is not closed yet.
    assert [start for grain, start in kept if grain == "minute"] == [
        NOW + minute * MINUTE for minute in range(240, 300, 5)
    ]
    assert [start for grain, start in kept if grain == "hour"] == [NOW + hour * HOUR for hour in range(4)]
    found = by_series(windows.evaluate())
    labels = {"scope": "all", "platform": "github", "feature": "contribution"}
    counted = {
        window: found["nomadwatch_activity", frozenset((labels | {"window": window}).items())] for window in WINDOWS
    }
    assert counted == {"1h": 12, "24h": 60, "7d": 60, "30d": 60}


def test_an_hour_that_is_not_closed_keeps_its_minutes_however_old_they_are() -> None:
    windows = Windows(2)
    ahead, behind = Partition(0), Partition(1)
    feed(behind, Batch(feed="f", activities=[activity(1, NOW)], complete_to=NOW))
    feed(ahead, Batch(feed="f", activities=[activity(2, NOW + 9 * HOUR)], complete_to=NOW + 9 * HOUR))
    for number, partition in enumerate((ahead, behind)):
        take(windows, number, partition)
    windows.refresh()
    windows.refresh()
    found = by_series(windows.evaluate())
    labels = {"scope": "all", "platform": "github", "feature": "contribution", "window": "24h"}
    assert found["nomadwatch_activity", frozenset(labels.items())] == 2


def test_one_window_can_be_brought_to_the_front_before_the_others() -> None:
    windows, partition = Windows(1), Partition(0)

    def activities(window: str) -> float | None:
        labels = {"scope": "all", "platform": "github", "feature": "contribution", "window": window}
        return by_series(windows.measure(window)).get(("nomadwatch_activity", frozenset(labels.items())))

    for number in range(2):
        feed(
            partition,
            Batch(feed="f", activities=[activity(number, NOW + number * MINUTE)], complete_to=NOW + number * MINUTE),
        )
        take(windows, 0, partition)
        windows.refresh(["1h"])
        assert (activities("1h"), activities("24h")) == (number + 1, None)
    windows.refresh(["24h"])
    assert (activities("1h"), activities("24h")) == (2, 2)


def test_records_of_fewer_shards_are_replaced_as_a_whole() -> None:
    tally = Tally()
    tally.update([0x100, 0x200, 0x300])
    versions = PaneVersions()
    versions.put(RecordKey("all", 0, "people", "hour", NOW, 0, 1), tally.snapshot())
    for shard, half in enumerate(tally.split(2)):
        versions.put(RecordKey("all", 0, "people", "hour", NOW, shard, 2), half.snapshot())
    keys, values = sum_tallies(versions.content(("hour", NOW)).people)
    assert (keys.tolist(), values.tolist()) == ([0x100, 0x200, 0x300], [1, 1, 1])
