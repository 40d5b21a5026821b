"""A generated archive hour end to end through the embedded broker, beside the floor: a process that unpacks and decodes
the same file with the same typed decoder and throws the events away.

python -m benchmarks.replay [--events N] [--runs N] [--hour DIR] [--old CHECKOUT]

Floor and replay run in turn, after one replay that fills the caches of the disk; prints medians. One run of 200,000
events takes about 10 s. What counts on a machine with other work is the share in CPU seconds.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.inputs import quiet_hours
from benchmarks.processes import Usage, run
from benchmarks.sides import NEW, Side, add_old, sides

FLOOR = """
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
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000, help="of the generated hour (default: 200,000)")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--hour", type=Path, help="a folder with one *.json.gz hour; otherwise one is generated")
    add_old(parser)
    options = parser.parse_args()
    compared = sides(options.old)
    floors: list[Usage] = []
    usages: dict[Side, list[Usage]] = {side: [] for side in compared}
    with tempfile.TemporaryDirectory(prefix="nomadwatch-replay-") as name:
        folder = options.hour or quiet_hours(Path(name) / "hour", options.events)
        archive = next(folder.resolve().glob("*.json.gz"))
        for turn in range(options.runs + 1):
            floor = run(NEW.python("-c", FLOOR, archive), keep=True)
            replays = {
                side: run(side.nomadwatch("replay", archive, "--report", f"{name}/report"), folder=side.root)
                for side in compared
            }
            if turn:
                floors.append(floor)
                for side, usage in replays.items():
                    usages[side].append(usage)
    events = int(floors[-1].output)
    print(
        f"{events:,} events, {archive.name}; medians of {options.runs} runs, floor and replay in turn (least to most)"
    )
    wall, cpu = (statistics.median(values) for values in zip(*((f.wall, f.seconds) for f in floors), strict=True))
    print(f"floor: {events / wall:,.0f} events/s on one core (isal, msgspec), {cpu:.2f} s of CPU")
    for side, replays_of in usages.items():
        _show(side.name if len(compared) > 1 else "replay", events, floors, replays_of)


def _show(name: str, events: int, floors: list[Usage], usages: list[Usage]) -> None:
    rate = statistics.median(events / usage.wall for usage in usages)
    seconds = statistics.median(usage.seconds for usage in usages)
    print(f"{name}: {rate:,.0f} events/s from command to report, {seconds:.2f} s of CPU")
    for what, ratios in {
        "wall": [floor.wall / usage.wall for floor, usage in zip(floors, usages, strict=True)],
        "CPU": [floor.seconds / usage.seconds for floor, usage in zip(floors, usages, strict=True)],
    }.items():
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"  of the floor, {what + ' time':<10}{statistics.median(ratios):5.2f} ({spread})")
    print(f"  memory of all processes {max(usage.peak for usage in usages):5.0f} MB at most")
    for process in sorted({name for usage in usages for name in usage.cpu}):
        cpu = statistics.median(usage.cpu.get(process, 0.0) for usage in usages)
        memory = max(usage.memory.get(process, 0.0) for usage in usages)
        if cpu >= 0.01:
            print(f"    {process:<16}{cpu:6.2f} s {memory:5.0f} MB")


if __name__ == "__main__":
    main()
