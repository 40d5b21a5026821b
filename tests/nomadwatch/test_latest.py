"""The report of a live station: its pollers know of their samples what no mark tells."""

import asyncio
import json
from pathlib import Path

import pytest

from nomadwatch.cli import run
from nomadwatch.state import Kept, State
from streams.kafka.topics import Topics
from tests.sinks.made import NOON, evaluation_record, measurement, record
from tests.sinks.publishing import health_record, publish
from tests.streams.brokers import broker

HOUR = {"scope": "watched", "platform": "github", "window": "1h"}
STARS = {"project": "olmo", "platform": "github", "artefact": "software", "kind": "stars"}


def test_the_pollers_coverage_and_the_popularity_stand_in_the_report(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "state"
    measured = [measurement("window_coverage_ratio", 0.2, **HOUR), measurement("commits", 5.0, **HOUR)]
    said = [measurement("window_coverage_ratio", 0.9, **HOUR), measurement("repository_popularity", 7.0, **STARS)]
    said.append(measurement("feed_lag_seconds", 3.0, feed="github:/events"))
    said.append(measurement("dead_letters_total", 41.0, reason="unknown-type"))
    with broker(tmp_path, topics=Topics(partitions=4)) as process, State(str(folder)) as state:
        records = [*map(record, measured), evaluation_record(), health_record(NOON, rows=said)]
        asyncio.run(publish(process.bootstrap, Topics(partitions=4), records))
        state.keep(Kept(partitions=4, port=process.port))
        assert run(["report", "--data-dir", str(folder), "--format", "json"]) == 0
    report = json.loads(capfd.readouterr().out)
    # The worker's own dead letters stand in the evaluation.
    assert report["input"]["dead_letters"]["unknown-type"] >= 41
    assert [(row["name"], row["value"]) for row in report["measurements"]] == [
        ("nomadwatch_commits", 5.0),
        ("nomadwatch_repository_popularity", 7.0),
        ("nomadwatch_window_coverage_ratio", 0.9),
    ]
