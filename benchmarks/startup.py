"""How long a replay takes that has nothing to read: from the command to its report, several times; prints the median.

python benchmarks/startup.py [--runs N]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def once(folder: Path) -> float:
    """Seconds of one run."""
    report = folder / "report.json"
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "nomadwatch", "replay", str(folder / "empty.json"), "--report", str(report)], check=True)
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
        (folder / "empty.json").touch()
        once(folder)  # fills the caches of the disk
        seconds = [once(folder) for _ in range(runs)]
    spread = f"{min(seconds):.2f} to {max(seconds):.2f} s, {runs} runs"
    print(f"replay of an empty file to its report: median {statistics.median(seconds):.2f} s, {spread}")


if __name__ == "__main__":
    main()
