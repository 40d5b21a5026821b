"""Five days of activities while everything is killed at random: every row and every measurement equals the truth."""

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from agents.config import Config
from agents.measurements import EVALUATION, Measurement, decode_evaluation, decode_measurement
from simulator.stream import five_days
from simulator.truth import StreamTruth
from simulator.wire import deed
from streams.activity import HOUR
from streams.kafka import admin
from streams.kafka.topics import Topics
from tests.chaos.crashing import Reading
from tests.chaos.fleet import Fleet
from tests.chaos.reading import end_offsets, read_topic
from tests.count.making import PARTITIONS, compare

START = 20_000 * 24 * HOUR
CHANCES = {
    "sending": 0.004,
    "committing": 0.004,
    "committed": 0.004,
    "caching": 0.02,
    "recovering": 0.15,
    "stopping": 0.002,
    "reading": 0.02,
}
LEAST_KILLS = 20
# Kills go on in turns of this many seconds: one before a third worker joins, one after it, and more, with longer
# pauses, as long as a point or a death is missing (slow machines).
TURN = 15
MOST_TURNS = 16


def write_hours(folder: Path, wire: list[dict[str, Any]]) -> StreamTruth:
    """Write the activities, one file for each hour of receipt. Returns the truth."""
    truth = StreamTruth()
    hours: dict[int, list[dict[str, Any]]] = {}
    for activity in wire:
        hours.setdefault(activity["ingested_at"] // HOUR, []).append(activity)
    for hour, activities in sorted(hours.items()):
        path = folder / f"{_name(hour)}.activities.ndjson"
        path.write_text("".join(json.dumps(activity) + "\n" for activity in activities))
        truth.mark(hour * HOUR)
        for activity in activities:
            truth.arrive(deed(activity), activity["ingested_at"])
        truth.mark((hour + 1) * HOUR)
        for platform in {activity["platform"] for activity in activities}:
            truth.cover(platform, hour * HOUR, (hour + 1) * HOUR)
    return truth


def _name(hour: int) -> str:
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
    return f"{moment:%Y-%m-%d}-{moment.hour}"


def latest_evaluation(bootstrap: str, topic: str) -> tuple[Any, dict[bytes, Measurement]]:
    table: dict[bytes, bytes] = {}
    for _, key, value in read_topic(bootstrap, topic, 1):
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
    evaluation = table.pop(EVALUATION, None)
    return evaluation and decode_evaluation(evaluation), {
        key: decode_measurement(value) for key, value in table.items()
    }


def check_measurements(found: list[Measurement], truth: StreamTruth) -> None:
    values = {(m.name, frozenset(m.labels.items())): m.value for m in found}
    expected = {("nomadwatch_" + m.name, frozenset(m.labels.items())): m.value for m in truth.measurements()}
    assert values.keys() == expected.keys()
    for series, value in expected.items():
        assert values[series] == pytest.approx(value, rel=1e-9, abs=1e-300), series


async def chaos(fleet: Fleet, bootstrap: str, topics: Topics) -> Any:
    """Kill at random, then let the fleet finish. Returns the last evaluation and its measurements."""
    watcher = asyncio.ensure_future(fleet.watch())
    try:
        for turn in range(MOST_TURNS):
            if turn >= 2 and not fleet.missing and fleet.woken and fleet.deaths >= LEAST_KILLS:
                break
            if turn == 1:
                fleet.add_worker("count-3")
            await fleet.harass(TURN, pause=1.2 * max(1, turn))
        fleet.calm_down()
        reader = next(process for process in fleet.processes if process.name == "reader")
        async with asyncio.timeout(240):
            while not reader.finished:
                await asyncio.sleep(0.2)
            ends = await asyncio.to_thread(end_offsets, bootstrap, topics)
            while True:
                evaluation, measurements = await asyncio.to_thread(latest_evaluation, bootstrap, topics.measurements)
                if (
                    evaluation is not None
                    and evaluation.closed
                    and all(evaluation.offsets.get(n, 0) >= end for n, end in ends.items())
                ):
                    return evaluation, list(measurements.values())
                await asyncio.sleep(0.5)
    finally:
        watcher.cancel()


def test_nothing_is_lost_or_doubled_whatever_dies(broker: Any, tmp_path: Path) -> None:
    wire = five_days(seed=21, n=25_000, start=START)
    hours = tmp_path / "hours"
    hours.mkdir()
    truth = write_hours(hours, wire)
    topics = Topics(prefix="chaos-", partitions=PARTITIONS)
    admin.create(broker.bootstrap, topics)
    config = Config(
        bootstrap=broker.bootstrap,
        prefix="chaos-",
        partitions=PARTITIONS,
        data_dir=str(tmp_path),
        checkpoint_interval=0.2,
        refresh_interval=0.3,
    )
    # The reader must not finish before all points have been reached.
    reading = Reading(str(hours), broker.bootstrap, "chaos-", PARTITIONS, rest=0.2, enough=str(tmp_path / "enough"))
    fleet = Fleet(tmp_path, config, reading, CHANCES, Random(4))
    broker.join(fleet)
    try:
        evaluation, measurements = asyncio.run(chaos(fleet, broker.bootstrap, topics))
    finally:
        fleet.end()
        print({process.name: process.starts for process in fleet.processes}, fleet.kills, fleet.struck())
    assert evaluation.activities == len(truth.deeds)
    assert evaluation.activities + evaluation.duplicates == len(wire)
    assert (evaluation.late, evaluation.dead_letters) == (0, {})
    check_measurements(measurements, truth)
    broker.revive()
    committed: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    for partition, _, value in read_topic(broker.bootstrap, topics.facts, PARTITIONS):
        assert value is not None
        committed[partition].append(value)
    compare(committed, wire)
    assert fleet.deaths >= LEAST_KILLS, fleet.kills
    assert not fleet.missing
    assert fleet.woken, "a zombie"
