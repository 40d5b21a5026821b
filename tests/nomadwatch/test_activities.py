"""The command `activities` writes what `replay` reads."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simulator.archive import ArchivePlan, write
from simulator.stream import START

ROOT = Path(__file__).parents[2]


def nomadwatch(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nomadwatch", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def totals(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report.read_text())
    rows = [row for row in found["measurements"] if row["name"] == "nomadwatch_activities_total"]
    return {
        "activities": found["input"]["activities"],
        **{str(sorted(row["labels"].items())): row["value"] for row in rows},
    }


@pytest.mark.parametrize("suffix", [".activities.ndjson", ".activities.ndjson.gz", ".activities.ndjson.zst"])
def test_what_is_written_is_read_again(suffix: str, tmp_path: Path) -> None:
    hours = tmp_path / "hours"
    hours.mkdir()
    write(hours, ArchivePlan(start=START, hours=1, events=800, hub_events=300, seed=3))
    replayed = nomadwatch("replay", hours, "--data-dir", tmp_path / "state", "--report", tmp_path / "first.json")
    assert replayed.returncode == 0, replayed.stderr
    file = tmp_path / ("copy" + suffix)
    written = nomadwatch("activities", "--data-dir", tmp_path / "state", "-o", file)
    first = totals(tmp_path / "first.json")
    # What was given twice is a duplicate in the copy too.
    duplicates = json.loads((tmp_path / "first.json").read_text())["input"]["duplicates"]
    assert (written.returncode, written.stderr) == (0, f"{first['activities'] + duplicates:,} activities\n")
    assert nomadwatch("replay", file, "--report", tmp_path / "second.json").returncode == 0
    assert totals(tmp_path / "second.json") == first


def test_a_name_that_would_not_be_read_again_is_refused(tmp_path: Path) -> None:
    refused = nomadwatch("activities", "--data-dir", tmp_path, "-o", tmp_path / "copy.json")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert ".activities.ndjson.gz" in refused.stderr
