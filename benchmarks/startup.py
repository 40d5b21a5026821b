"""How long a replay takes that has one event to read: from the command to its report, several times; prints the median.

python benchmarks/startup.py [--runs N]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_EVENT = (
    '{"id":"1","type":"PushEvent","created_at":"2024-05-01T12:00:00Z","payload":{},'
    '"actor":{"id":1,"login":"somebody"},"repo":{"id":1,"name":"owner/name"}}\n'
)


def once(folder: Path) -> float:
    """Seconds of one run."""
    report = folder / "report.json"
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "nomadwatch", "replay", str(folder / "event.json"), "--report", str(report)], check=True
    )
    seconds = time.perf_counter() - begun
    report.unlink()
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "event.json").write_text(_EVENT)
        once(folder)  # fills the caches of the disk
        seconds = [once(folder) for _ in range(runs)]
    spread = f"{min(seconds):.2f} to {max(seconds):.2f} s, {runs} runs"
    print(f"replay of one event to its report: median {statistics.median(seconds):.2f} s, {spread}")


if __name__ == "__main__":
    main()
