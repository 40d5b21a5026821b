"""The past against the simulator's truth: at the end of every hour what would be measured if nothing later had
happened.
"""

from pathlib import Path
from random import Random

import msgspec
import pytest

from agents.measure.history import RecordsLost, points, progress_of
from agents.measurements import Measurement
from simulator.accepted import credited
from simulator.deed import Deed
from simulator.stream import START, five_days
from simulator.truth import StreamTruth
from simulator.wire import deed
from streams.activity import DAY, HOUR, MINUTE, Activity, Batch, Cover
from tests.count.making import batches
from tests.measure.making import PARTITIONS, Measured, activity, by_series, one

Point = tuple[int, list[Measurement]]


def past_of(log: list[tuple[int, Batch]], path: Path, checkpoints: float = 0.1) -> list[Point]:
    """The points of a history after everything was measured."""
    chain, random = Measured(path), Random(4)
    for number, batch in log:
        chain.take(number, batch)
        if random.random() < checkpoints:
            chain.checkpoint(number)
            chain.measured()
    for number in range(PARTITIONS):
        chain.checkpoint(number)
    chain.restart()
    progress = progress_of(chain.windows.store, dict.fromkeys(range(PARTITIONS), 0))
    found = list(points(chain.windows.store, progress, until=1 << 62))
    assert [share for _, share, _ in found] == [(n + 1) / len(found) for n in range(len(found))]
    return [(end, measured) for end, _, measured in found]


def truth_at(
    deeds: list[Deed], covered: list[tuple[int, int]], end: int
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Up to a moment. The stream has merges that lie before their openings: these are credited by what is known in the
    end.
    """
    truth = StreamTruth()
    known = {own.id: own for own in deeds}
    for each in credited(known.values()):
        if each.occurred_at < end:
            # Credited already.
            truth.arrive(each._replace(thread=None), each.occurred_at)
    truth.mark(end)
    for begin, stop in covered:
        if begin < end:
            truth.cover("github", begin, min(stop, end))
    return {("nomadwatch_" + m.name, frozenset(m.labels.items())): m.value for m in truth.measurements()}


@pytest.mark.parametrize(("days", "late", "every"), [(12, 0.05, 29), (1, 0.0, 5)])
def test_the_end_of_every_hour_equals_the_truth_up_to_then_however_late_its_activities_came(
    days: int, late: float, every: int, tmp_path: Path
) -> None:
    wire = five_days(seed=8, n=2500, days=days, late=late)
    arrived = [one for one in wire if one["occurred_at"] <= one["ingested_at"] + DAY]
    very_late = sum(one["occurred_at"] < one["ingested_at"] - 9 * DAY for one in arrived)
    assert very_late > 50 if late else not very_late
    log = list(batches(msgspec.convert(wire, list[Activity]), Random(2)))
    # Seen whole: some hours, the two before the last midnight among them; and half of another one.
    midnight = START + (days - 1) * DAY
    hours = sorted({*range(START, START + days * DAY, every * HOUR), midnight - 2 * HOUR, midnight - HOUR})
    covered = [*((hour, hour + HOUR) for hour in hours), (midnight + 4 * HOUR, midnight + 4 * HOUR + HOUR // 2)]
    for number in range(PARTITIONS):
        log.append((number, Batch(feed="github", covered=[Cover("github", *cover) for cover in covered])))
    deeds = [deed(one) for one in arrived]
    found = past_of(log, tmp_path / "s")
    assert [end for end, _ in found] == [hour + HOUR for hour in hours]
    assert len(found) > 5
    for end, measured in found:
        assert by_series(measured) == pytest.approx(truth_at(deeds, covered, end), rel=1e-9, abs=1e-300), end


def test_hours_that_one_mark_outlives_are_not_lost(tmp_path: Path) -> None:
    """Files with months between them: the worker drops what nobody can ask for any more before it is ever written."""
    times = [START + 70 * MINUTE, START + 100 * DAY, START + 100 * DAY + HOUR]
    log = []
    for number, time in enumerate(times):
        made = [activity(number, time, id=f"github:PushEvent:{number}")]
        log += [
            (0, Batch(feed="github", activities=made)),
            (0, Batch(feed="github", complete_to=time - time % HOUR + HOUR)),
        ]
    found = past_of(log, tmp_path / "s")
    assert [end for end, _ in found] == [START + 2 * HOUR, START + 100 * DAY + HOUR, START + 100 * DAY + 2 * HOUR]
    in_30d = {"window": "30d", "scope": "all", "platform": "github", "feature": "contribution"}
    assert [
        [m.value for m in measured if m.name == "nomadwatch_activity" and m.labels == in_30d] for _, measured in found
    ] == [
        [1],
        [1],
        [2],
    ]
    ever = {"scope": "all", "platform": "github", "feature": "contribution", "actor": "human"}
    assert [[m.value for m in measured if m.labels == ever] for _, measured in found] == [[1], [2], [3]]


def test_a_store_that_lacks_activities_makes_no_history(tmp_path: Path) -> None:
    chain = Measured(tmp_path / "s", 2)
    chain.feed(0, Batch(feed="github", activities=[activity(1, START)]))
    assert [each.offset for each in progress_of(chain.windows.store, {0: 1, 1: 0})] == [0, -1]
    with pytest.raises(RecordsLost, match="of partition 1 there are 0 records, not 2"):
        progress_of(chain.windows.store, {0: 1, 1: 2})


def test_a_repository_has_the_name_of_its_time(tmp_path: Path) -> None:
    names = ["o/first", "o/second", "o/first"]
    own = [activity(n, START + n * HOUR, repo=name) for n, name in enumerate(names)]
    log = [(0, Batch(feed="github", activities=[each], complete_to=each.occurred_at)) for each in own]
    labels = {"scope": "all", "platform": "github", "feature": "contribution", "window": "24h"}
    found = past_of(log, tmp_path / "s", checkpoints=1)
    assert [
        [one(measured, "top_repository_activity", **labels, repository=name) for name in ("o/first", "o/second")]
        for _, measured in found
    ] == [[1, None], [None, 2], [3, None]]
