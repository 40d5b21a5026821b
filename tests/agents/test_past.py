"""The past against the simulator's truth: at the end of every hour what would be measured if nothing later had
happened.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from agents.measurements import Measurement
from agents.operators.grains import floor
from agents.operators.past import Past
from agents.past import Keeper, PaneStore, points
from simulator.accepted import credited
from simulator.deed import Deed
from simulator.stream import START, five_days
from simulator.truth import StreamTruth
from simulator.wire import deed
from streams.activity import DAY, HOUR, MINUTE, Activity, Batch, Cover, encode_batch
from tests.agents.test_partition import PARTITIONS, activity, batches
from tests.agents.test_windows import by_series

Point = tuple[int, list[Measurement]]


def past_of(log: list[tuple[int, Batch]], store: PaneStore) -> Iterator[Point]:
    keepers = [Keeper(number, store) for number in range(PARTITIONS)]
    offsets = [0] * PARTITIONS
    for number, batch in log:
        keepers[number].take(offsets[number], encode_batch(batch))
        offsets[number] += 1
    progress = [keeper.end() for keeper in keepers]
    return points(store, Past(progress), progress, until=1 << 62)


def truth_at(
    deeds: list[Deed], covered: list[tuple[int, int]], end: int
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Up to a moment. The stream has merges that lie before their openings: these are credited by what is known in the
    end.
    """
    truth = StreamTruth()
    known = {one.id: one for one in deeds}
    for one in credited(known.values()):
        if one.occurred_at < end:
            # Credited already.
            truth.arrive(one._replace(thread=None), one.occurred_at)
    truth.mark(end)
    for begin, stop in covered:
        if begin < end:
            truth.cover("github", begin, min(stop, end))
    return {("nomadwatch_" + m.name, frozenset(m.labels.items())): m.value for m in truth.measurements()}


@pytest.mark.parametrize(("days", "late", "every", "record_bytes"), [(12, 0.05, 29, 500_000), (1, 0.0, 5, 2_000)])
def test_the_end_of_every_hour_equals_the_truth_up_to_then_however_late_its_activities_came(
    days: int, late: float, every: int, record_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.operators.pane.RECORD_BYTES", record_bytes)
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
    with PaneStore(tmp_path / "panes") as store:
        found = list(past_of(log, store))
    assert [end for end, _ in found] == [hour + HOUR for hour in hours]
    assert len(found) > 5
    for end, measured in found:
        assert by_series(measured) == pytest.approx(truth_at(deeds, covered, end), rel=1e-9, abs=1e-300), end
    assert list(tmp_path.iterdir()) == [], "nothing is left"


def test_hours_that_one_mark_outlives_are_not_lost(tmp_path: Path) -> None:
    """Files with months between them: the worker drops what nobody can ask for any more before it is ever written."""
    times = [START + 70 * MINUTE, START + 100 * DAY, START + 100 * DAY + HOUR]
    log = []
    for number, time in enumerate(times):
        made = [activity(number, time, id=f"github:PushEvent:{number}")]
        log += [
            (0, Batch(feed="github", activities=made)),
            (0, Batch(feed="github", complete_to=floor(time, "hour") + HOUR)),
        ]
    with PaneStore(tmp_path / "panes") as store:
        found = list(past_of(log, store))
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
