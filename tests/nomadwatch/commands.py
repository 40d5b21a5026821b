"""The program as a person starts it, and what it is given to read."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

PROGRAM = [sys.executable, "-m", "nomadwatch"]


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    output: str
    complaint: str


def command(*arguments: object, timeout: float = 90.0) -> Done:
    """Run a command to its end."""
    done = subprocess.run([*PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def started(*arguments: object) -> "subprocess.Popen[str]":
    """Start a command."""
    return subprocess.Popen([*PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def generate(folder: Path, events: int) -> dict[str, Any]:
    """Write a generated hour of both platforms; its truth."""
    options = ["--out", str(folder), "--events", str(events), "--hub-events", str(events // 10)]
    subprocess.run([sys.executable, "-m", "simulator", "hour", *options], check=True, capture_output=True)
    truth: dict[str, Any] = json.loads(folder.with_name(folder.name + ".truth.json").read_text())
    return truth
