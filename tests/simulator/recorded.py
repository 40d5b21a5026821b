"""Recorded events that generated ones are compared with: a folder beside the repository, never part of it."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("NOMADWATCH_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def recorded(name: str) -> Path:
    """A recorded file or folder; without it a test is skipped, in CI it fails."""
    path = FOLDER / name
    if not path.exists():
        reason = f"recorded data are absent: {path}; set NOMADWATCH_SHARED_DATA to the folder that holds them"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def recorded_events(name: str) -> list[dict[str, Any]]:
    """The events of a recorded file: an array, lines, or lines with the actions of a bulk upload between."""
    path = recorded(name)
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    rows = (
        json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines() if line.strip()]
    )
    return [row for row in rows if "type" in row]
