"""What counting costs: CPU time an activity beside decoding, bytes that are written, and memory, for inputs that span
an hour, ten days and 45 sparse days.

python -m benchmarks.count [--case NAME ...] [--scale SHARE] [--old CHECKOUT]

All partitions of one worker are counted in a process of its own, without Kafka; generated batches are piped into it. A
checkpoint comes after 100,000 activities (`--every`) or five days of event time. With `--old` the panes of version 0.1
are measured on the same batches, and must count the same. Takes some 20 s an input and million of activities, with the
old side two minutes; `--scale 0.1` takes a tenth of the activities in the same span.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.count_probe import HEADER
from benchmarks.inputs import Size, batches
from benchmarks.sides import Side, add_old, sides

CASES: Final = {
    "hour": Size(0, 200_000, 0),
    "days": Size(10, 8_000_000),
    "sparse": Size(45, 38_000),
}
_IN_WORDS: Final = {
    "hour": "one hour, in order",
    "days": "10 days, a tenth up to 6 h late",
    "sparse": "45 sparse days",
}


def measure(side: Side, size: Size, every: int) -> dict[str, Any]:
    """Run the probe of one side on an input. Raises CalledProcessError if it fails."""
    kind = "facts" if (side.root / "agents" / "facts.py").exists() else "panes"
    with tempfile.TemporaryDirectory(prefix="nomadwatch-count-") as folder:
        command = side.python(Path(__file__).with_name("count_probe.py"), kind, every, folder)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, cwd=side.root, **pipes) as probe:  # type: ignore[call-overload]
            try:
                for partition, batch in batches(size):
                    value = msgspec.json.encode(batch)
                    probe.stdin.write(HEADER.pack(partition, len(value)) + value)
                output, _ = probe.communicate()
            except BrokenPipeError:
                output = b""
    if probe.wait():
        raise subprocess.CalledProcessError(probe.returncode, command)
    found: dict[str, Any] = json.loads(output)
    return found


def show(name: str, found: dict[str, Any]) -> None:
    """A row of the table."""
    count = found["activities"]
    seconds = {what: 1e6 * value / count for what, value in found["seconds"].items()}
    cells = [seconds["decode"], seconds["take"] + seconds["checkpoint"], seconds["checkpoint"], seconds["pack"]]
    cells += [found["written"] / count, found["packed"] / count]
    memory = [found["base"], found["peak"] - found["base"], found["end"] - found["base"]]
    print(f"  {name:<6}" + "".join(f"{cell:>10.2f}" for cell in cells[:4]), end="")
    print("".join(f"{cell:>9,.0f}" for cell in cells[4:] + memory), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the activities of the case `days`")
    parser.add_argument("--every", type=int, default=100_000, help="activities between checkpoints (default: 100,000)")
    add_old(parser)
    options = parser.parse_args()
    print("µs of CPU an activity; bytes an activity; MB")
    print(f"  {'':<6}{'decode':>10}{'count':>10}{'of it ckp':>10}{'zstd':>10}", end="")
    print("".join(f"{title:>9}" for title in ("raw B", "packed B", "base MB", "peak +", "end +")))
    for case in options.case:
        size = CASES[case]
        if case == "days":
            size = size._replace(activities=round(options.scale * size.activities))
        print(f"{_IN_WORDS[case]}, {size.activities:,} activities")
        counted = {}
        for side in sides(options.old):
            found = measure(side, size, options.every)
            counted[side.name] = found["counted"]
            show(side.name, found)
        if any(each != counted["new"] for each in counted.values()):
            raise SystemExit(f"the two sides counted differently: {counted}")


if __name__ == "__main__":
    main()
