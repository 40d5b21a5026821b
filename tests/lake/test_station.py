"""The lake beside what runs: a station keeps it by itself, its figures are counted again while they change, and rows
are restored from a backup that was made meanwhile.
"""

import json
import shutil
import signal
import time
from pathlib import Path

from agents.measure.snapshot import Snapshot
from agents.measure.store import DamagedStore, store_path
from tests.nomadwatch.commands import Done, generate, started
from tests.nomadwatch.commands import command as run
from tests.nomadwatch.stations import PATIENCE, Station

# More than a command or an end takes on the busiest machine.
_SECONDS = 300.0


def command(*arguments: object) -> Done:
    return run(*arguments, timeout=_SECONDS)


def test_a_station_keeps_its_lake_by_itself_and_its_figures_are_counted_again_while_it_runs(tmp_path: Path) -> None:
    state = tmp_path / "state"
    station = Station("demo", "--data-dir", str(state), "--port", "0", "--speed", "60")
    try:
        # An hour of this station's clock takes a minute.
        deadline = time.monotonic() + 3 * PATIENCE
        while not list(state.glob("lake/measurements/*/*.parquet")):
            assert time.monotonic() < deadline, "no lake"
            time.sleep(0.2)
        verified = command("verify", "--data-dir", state, "--format", "json")
        assert (verified.code, json.loads(verified.output)["differences"]) == (0, []), verified.complaint
        assert sum(json.loads(verified.output)["agreed"].values()) > 100
        sql = "SELECT platform, count(*) AS n, bool_and(simulated) AS simulated FROM facts GROUP BY ALL ORDER BY ALL"
        found = json.loads(command("query", sql, "--data-dir", state, "--format", "json").output)
        assert [(row["platform"], row["simulated"]) for row in found] == [("github", True), ("huggingface", True)]
        copied = command("backup", tmp_path / "copy", "--data-dir", state)
        assert copied.code == 0, copied.complaint
        assert "the log of the embedded broker is in use and is not in the backup" in copied.complaint
        with Snapshot(store_path(str(tmp_path / "copy"))) as store:
            assert sum(store.hours().values()) >= sum(row["n"] for row in found)
        assert "nw-lake" not in station.roles(), "the writer ends"
    finally:
        station.process.send_signal(signal.SIGINT)
        _, said = station.process.communicate(timeout=_SECONDS)
    assert (station.process.returncode, "lake" in said) == (0, False)


def _rows(state: Path) -> int:
    try:
        with Snapshot(store_path(str(state))) as store:
            return sum(store.hours().values())
    except (FileNotFoundError, DamagedStore):
        return 0


def test_rows_are_restored_from_a_backup_that_was_made_of_a_replay_while_it_ran(tmp_path: Path) -> None:
    generate(tmp_path / "hours", 5_000)
    state, copy = tmp_path / "state", tmp_path / "copy"
    again = ("replay", tmp_path / "hours", "--data-dir", state, "--report", tmp_path / "report.json")
    replay = started(*again)
    try:
        while not _rows(state):
            assert replay.poll() is None, replay.communicate()
            time.sleep(0.02)
        assert command("backup", copy, "--data-dir", state).code == 0
    finally:
        replay.communicate(timeout=_SECONDS)
    report = (tmp_path / "report.json").read_bytes()
    assert 0 < _rows(copy) <= _rows(state)
    for name in ("measure", "lake"):
        shutil.rmtree(state / name)
        if (copy / name).exists():
            shutil.copytree(copy / name, state / name)
    resumed = command(*again)
    assert (resumed.code, "no copy of the topic" in resumed.complaint) == (0, False)
    assert (tmp_path / "report.json").read_bytes() == report
    assert command("verify", "--data-dir", state).code == 0
