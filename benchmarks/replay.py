"""A generated archive hour end to end through the embedded broker, beside the floor: unpacking and decoding the same
file, nothing more.

python benchmarks/replay.py [--events N] [--runs N] [--hour DIR]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import Usage, run

_FLOOR = """
import sys
from isal import igzip
from streams.github_payloads import decode_event
n, rest = 0, b""
with igzip.open(sys.argv[1]) as file:
    while chunk := file.read(1 << 20):
        lines = (rest + chunk).split(b"\\n")
        rest = lines.pop()
        for line in lines:
            decode_event(line)
        n += len(lines)
print(n)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--hour", type=Path, help="a folder with one *.json.gz hour; otherwise one is generated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.hour or _generate(Path(name), options.events)
        archive = next(folder.glob("*.json.gz"))
        report = Path(name) / "report.json"
        command = [sys.executable, "-m", "nomadwatch", "replay", str(archive), "--report", str(report)]
        run(command)  # fills the caches of the disk
        floors, usages, ratios, events = [], [], [], 0
        for _ in range(options.runs):
            events, seconds = floor(archive)
            usage = run(command)
            floors.append(events / seconds)
            usages.append(usage)
            ratios.append(seconds / usage.wall)
    print(f"{events:,} events, {archive.name}; medians of {options.runs} runs, floor and replay in turn")
    print(f"floor   {statistics.median(floors):>9,.0f} events/s on one core (isal, msgspec)")
    print(
        f"replay  {statistics.median(events / usage.wall for usage in usages):>9,.0f} events/s from command to report"
    )
    print(f"ratio   {statistics.median(ratios):>9.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"memory  {max(usage.peak for usage in usages):>9,.0f} MB at most, all processes together")
    _stages(usages)


def floor(archive: Path) -> tuple[int, float]:
    """(events, seconds) of reading an archive hour on one core, from the command to its end."""
    begun = time.perf_counter()
    events = int(subprocess.check_output([sys.executable, "-c", _FLOOR, str(archive)]))
    return events, time.perf_counter() - begun


def _stages(usages: list[Usage]) -> None:
    print("CPU seconds by process, median")
    names = sorted({name for usage in usages for name in usage.cpu})
    for process in names:
        seconds = statistics.median(usage.cpu.get(process, 0.0) for usage in usages)
        print(f"  {process:<16}{seconds:6.2f} s  {max(usage.memory.get(process, 0.0) for usage in usages):5.0f} MB")


def _generate(folder: Path, events: int) -> Path:
    hour = folder / "hour"
    # As an archive of those years is: in order, nothing late, nothing twice.
    quiet = ["--hub-events", "0", "--duplicates", "0", "--disorder-hours", "0", "--late", "0", "--future", "0"]
    command = [
        sys.executable,
        "-m",
        "simulator",
        "hour",
        "--out",
        str(hour),
        "--events",
        str(events),
        "--seed",
        "7",
        *quiet,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return hour


if __name__ == "__main__":
    main()
