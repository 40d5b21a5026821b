"""What a replay of many days costs beside one of an hour: memory of all processes, CPU and wall time.

python -m benchmarks.days [--case NAME ...] [--size DAYS:ACTIVITIES ...] [--runs N] [--old CHECKOUT]

The cases: `sparse` (45 days with 38,000 activities) and `hour` (the same number in one hour), whose ratio is printed;
`year` (400 days, 300,000); `days` (10 days, 8 million); `month` (30 days at 500,000 a day). A tenth comes up to 6 hours
late. By default the first three are replayed, two minutes in all; `days` takes ten minutes and `month` twenty. `--size
2:500000` adds an input of one's own.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.inputs import Size, write
from benchmarks.processes import Usage, run
from benchmarks.sides import Side, add_old, sides

CASES: Final = {
    "sparse": Size(45, 38_000),
    "hour": Size(0, 38_000),
    "year": Size(400, 300_000),
    "days": Size(10, 8_000_000),
    "month": Size(30, 15_000_000),
}
# What processes are called. All others start and end these, and import for them.
_ROLES: Final = {
    "streams": ("nw-streams",),
    "broker": ("nw-broker",),
    "count": ("nw-count", "nw-aggregate"),
    "measure": ("nw-measure",),
}


def size_of(text: str) -> Size:
    """DAYS:ACTIVITIES as a size."""
    days, _, activities = text.partition(":")
    return Size(float(days), int(activities))


def replays(size: Size, compared: list[Side], runs: int) -> dict[Side, list[Usage]]:
    """Replays of one input in turn, after one of the first side that fills the caches of the disk where there are more
    runs than one.
    """
    usages: dict[Side, list[Usage]] = {side: [] for side in compared}
    with tempfile.TemporaryDirectory(prefix="nomadwatch-days-") as name:
        folder = write(Path(name) / "days", size)
        for _ in range(runs):
            for side in compared:
                command = side.nomadwatch("replay", folder, "--report", f"{name}/report.json")
                usages[side].append(run(command, folder=side.root))
    return usages


def show(name: str, usages: list[Usage]) -> None:
    """Two rows: medians of the times, and the most memory."""
    wall, cpu = (statistics.median(values) for values in zip(*((u.wall, u.seconds) for u in usages), strict=True))
    seconds, peaks = [wall, cpu], [max(usage.peak for usage in usages)]
    for names in _ROLES.values():
        seconds.append(statistics.median(sum(usage.cpu.get(each, 0.0) for each in names) for usage in usages))
        peaks.append(max(sum(usage.memory.get(each, 0.0) for each in names) for usage in usages))
    print(f"  {name:<5}s" + "".join(f"{value:>9.1f}" for value in seconds))
    print(f"  {'':<5}MB{'':>8}" + "".join(f"{peak:>9,.0f}" for peak in peaks), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="*", choices=CASES, default=["hour", "sparse", "year"])
    parser.add_argument("--size", nargs="*", type=size_of, default=[], metavar="DAYS:ACTIVITIES")
    parser.add_argument("--runs", type=int, default=1)
    add_old(parser)
    options = parser.parse_args()
    compared = list(sides(options.old))
    print(f"medians of {options.runs} runs; wall and CPU seconds; MB at most, of all at one moment and of each process")
    print(f"  {'':<6}" + "".join(f"{title:>9}" for title in ("wall", "all", *_ROLES)))
    found: dict[tuple[str, str], Usage] = {}
    for case, size in [(case, CASES[case]) for case in options.case] + [("", size) for size in options.size]:
        print(f"{case + ': ' if case else ''}{size.activities:,} activities in {size.hours:,} hours")
        for side, usages in replays(size, compared, options.runs).items():
            show(side.name, usages)
            found[case, side.name] = min(usages, key=lambda usage: usage.seconds)
    for side in compared:
        if ("sparse", side.name) in found and ("hour", side.name) in found:
            sparse, hour = found["sparse", side.name], found["hour", side.name]
            print(
                f"{side.name}: 45 sparse days take {sparse.wall / hour.wall:.1f} times the wall time and "
                f"{sparse.seconds / hour.seconds:.1f} times the CPU time of as many activities in an hour"
            )


if __name__ == "__main__":
    main()
