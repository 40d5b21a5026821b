"""Generated inputs: archive hours."""

import subprocess
import sys
from pathlib import Path

# As an archive of those years is: in order, nothing late, nothing twice.
_QUIET = ["--hub-events", "0", "--duplicates", "0", "--disorder-hours", "0", "--late", "0", "--future", "0"]


def quiet_hours(folder: Path, events: int, hours: int = 1) -> Path:
    """Archive hours of GitHub with full payloads, `events` in each, in order and without repetition; their folder."""
    size = ["--hours", str(hours), "--events", str(events), "--seed", "7"]
    command = [sys.executable, "-m", "simulator", "hour", "--out", str(folder), *size, *_QUIET]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder
