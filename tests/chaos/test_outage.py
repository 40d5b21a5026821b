"""A broker is gone for half a minute in the middle of a replay: all roles wait, and nothing is lost."""

import json
import subprocess
import sys
import time
from pathlib import Path

from simulator.archive import ArchivePlan, write
from simulator.stream import START
from sinks.compare import differences
from tests.chaos.conftest import Embedded
from tests.chaos.fleet import ROOT

AWAY = 30.0


def test_a_replay_survives_a_broker_that_is_away_for_half_a_minute(tmp_path: Path) -> None:
    hours = tmp_path / "hours"
    hours.mkdir()
    _, truth = write(hours, ArchivePlan(start=START, hours=6, events=20_000, hub_events=1_000, seed=3))
    broker = Embedded(tmp_path)
    report = tmp_path / "report.json"
    command = [
        sys.executable,
        "-m",
        "nomadwatch",
        "replay",
        str(hours),
        "--broker",
        broker.bootstrap,
        "--report",
        str(report),
    ]
    replay = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        grown = broker.size
        while broker.size < grown + (4 << 20):
            assert replay.poll() is None, "the replay ended before its broker was stopped"
            time.sleep(0.02)
        broker.stop()
        time.sleep(AWAY)
        assert replay.poll() is None, replay.stderr and replay.stderr.read()
        broker.revive()
        _, said = replay.communicate(timeout=90)
    finally:
        replay.kill()
        replay.communicate()
        broker.stop()
    assert replay.returncode == 0, said
    assert "Traceback" not in said
    assert list(differences(json.loads(report.read_text()), truth.report())) == []
