"""The past in Prometheus, for real: a replay writes it, promtool makes blocks of it as the replay tells, Prometheus
answers.

What it answers is compared with reports, and with a recount that shares no code with them.
"""

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from simulator.archive import ArchivePlan, write
from simulator.clock import DAY, HOUR, rfc3339
from simulator.stream import START
from tests.nomadwatch.commands import command
from tests.prometheus.programs import program, running
from tests.recount import compare, recount
from tests.replay.running import BOTS
from tests.simulator.recorded import recorded

Rows = list[dict[str, Any]]
EVERYTHING = '{__name__=~".+"}'
TOLD = "this makes blocks for Prometheus of it:\n"


class Server:
    """A Prometheus."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, path: str, **options: object) -> Rows:
        with urlopen(f"http://{self._address}/api/v1/{path}?{urlencode(options)}", timeout=60) as answer:
            rows: Rows = json.load(answer)["data"]["result"]
        return rows

    def at(self, time: float, query: str = EVERYTHING) -> Rows:
        """What it knows at a time (s UTC), as measurements of a report, sorted as there."""
        found = []
        for row in self.ask("query", query=query, time=time):
            labels = dict(sorted(row["metric"].items()))
            found.append({"name": labels.pop("__name__", ""), "labels": labels, "value": float(row["value"][1])})
        return sorted(found, key=lambda each: (each["name"], list(each["labels"].items())))


@contextmanager
def prometheus(folder: Path, told: str) -> Iterator[Server]:
    """A Prometheus on the blocks that a replay's last words make."""
    program("promtool")
    words = told.partition(TOLD)[2]
    assert words.startswith(("for day in ", "promtool tsdb create-blocks-from openmetrics "))
    subprocess.run(["bash", "-c", words], cwd=folder, check=True, capture_output=True, timeout=120)
    (folder / "prometheus.yml").write_text("global: {}\n")
    server = folder / "server"
    server.mkdir()
    places = f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'prometheus-data'}"
    with running(
        [program("prometheus"), *places, "--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0"],
        server,
    ) as address:
        yield Server(address)


def shown_at(report: dict[str, Any]) -> float:
    """Where a report of whole hours stands in its history: at their end, a microsecond behind its front."""
    return (datetime.fromisoformat(report["as_of"]) + timedelta(microseconds=1)).timestamp()


def test_real_hours_stand_in_prometheus_as_reported_and_as_recounted(tmp_path: Path) -> None:
    program("prometheus")
    hours = sorted(recorded("gharchive-min-2015").glob("*.json.gz"))
    done = command("replay", *hours, "--report", tmp_path / "report.json", "--history", tmp_path / "past")
    assert (done.code, done.output) == (0, "")
    report = json.loads((tmp_path / "report.json").read_text())
    assert os.listdir(tmp_path / "past") == ["2015-02-22.openmetrics"]
    # What had happened when the first hour ended.
    happened = [
        line
        for path in hours
        for line in gzip.decompress(path.read_bytes()).splitlines()
        if json.loads(line)["dt"] < "2015-02-22T23"
    ]
    assert len(happened) > 20_000
    (tmp_path / "2015-02-22-22.json").write_bytes(b"\n".join(happened))
    end = shown_at(report)
    with prometheus(tmp_path, done.complaint) as server:
        assert server.at(end) == report["measurements"]
        assert compare(server.at(end - 3600), recount([tmp_path / "2015-02-22-22.json"], bots=BOTS)) == []
        # An hour apart: between them nothing is made up, and who asks for the last one gets it.
        assert server.at(end - 1) == server.at(end - 1800) == []
        coverage = 'nomadwatch_window_coverage_ratio{scope="all",platform="github",window="24h"}'
        assert [row["value"] for row in server.at(end - 1800, f"last_over_time({coverage}[59m])")] == [1 / 24]


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten hours of both platforms, six of them of the next day, with late, repeated and unreadable lines."""
    folder = tmp_path_factory.mktemp("days")
    write(
        folder,
        ArchivePlan(
            start=START + 20 * HOUR, hours=10, events=250, hub_events=80, seed=4, late=0.02, future=0.0, garbage=20
        ),
    )
    return folder


def test_past_days_are_a_line_whose_points_are_what_a_replay_as_of_then_reports(days: Path, tmp_path: Path) -> None:
    program("prometheus")
    done = command("replay", days, "--report", tmp_path / "report.json", "--history", tmp_path / "past days")
    assert (done.code, done.output) == (0, "")
    report = json.loads((tmp_path / "report.json").read_text())
    first, last = (START + 21 * HOUR) / 1e6, (START + 30 * HOUR) / 1e6
    moment = START + DAY + 2 * HOUR
    as_of = command("replay", days, "--as-of", rfc3339(moment - 1, fraction=True), "--report", "-")
    with prometheus(tmp_path, done.complaint) as server:
        for time, measurements in (
            (shown_at(report), report["measurements"]),
            (moment / 1e6, json.loads(as_of.output)["measurements"]),
        ):
            shown = server.at(time)
            (build,) = [row for row in shown if row["name"] == "nomadwatch_build_info"]
            assert (build["labels"]["world"], build["value"]) == ("simulated", 1.0), (
                "a generated world is called one at every point"
            )
            assert [row for row in shown if row is not build] == measurements
        coverage = server.ask("query_range", query="nomadwatch_window_coverage_ratio", start=first, end=last, step="1h")
        for row in coverage:
            values = [float(value) for _, value in row["values"]]
            assert len(values) == 10
            window = {"1h": 1, "24h": 24, "7d": 168, "30d": 720}[row["metric"]["window"]]
            assert values == pytest.approx([min(hour, window) / window for hour in range(1, 11)], rel=1e-12)
        assert len(coverage) == 16
