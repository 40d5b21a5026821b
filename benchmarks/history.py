"""What a history costs: the same replay without and with it, in turn; prints the medians of the difference.

python -m benchmarks.history [--hours N] [--events N] [--runs N]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.processes import Usage, run


def replay(folder: Path, *more: str) -> Usage:
    """One replay of all hours."""
    report = folder / "report.json"
    return run([sys.executable, "-m", "nomadwatch", "replay", str(folder / "hours"), "--report", str(report), *more])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hours", type=int, default=30)
    parser.add_argument("--events", type=int, default=5_000, help="of an hour")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = ["--out", str(folder / "hours"), "--hours", str(options.hours), "--events", str(options.events)]
        subprocess.run([sys.executable, "-m", "simulator", "hour", *asked], check=True, stdout=subprocess.DEVNULL)
        pairs = [(replay(folder), replay(folder, "--history", str(folder / "past"))) for _ in range(options.runs)]
        samples = sum(1 for path in (folder / "past").iterdir() for line in path.open() if not line.startswith("#"))
    without = statistics.median(plain.wall for plain, _ in pairs)
    seconds = statistics.median(long.wall - plain.wall for plain, long in pairs)
    cpu = statistics.median(sum(long.cpu.values()) - sum(plain.cpu.values()) for plain, long in pairs)
    print(f"{options.hours} hours of {options.events:,} events, medians of {options.runs} runs in turn")
    short, long = (max(usage.peak for usage in runs) for runs in zip(*pairs, strict=True))
    print(f"replay       {without:7.1f} s, {short:,.0f} MB at most")
    print(f"its history  {seconds:7.1f} s more ({cpu:.1f} s of CPU), {long:,.0f} MB at most, {samples:,} samples")


if __name__ == "__main__":
    main()
