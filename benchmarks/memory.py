"""How the memory of a replay grows with its input: generated days with lines up to six hours late, the first hours of
them and all.

python benchmarks/memory.py [--hours N N ...] [--events N]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.processes import run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--hours", type=int, nargs="+", default=[6, 24, 72], metavar="N", help="how many hours each replay reads"
    )
    parser.add_argument("--events", type=int, default=20_000, help="events of GitHub in each hour")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        days, report = Path(name) / "days", Path(name) / "report.json"
        _generate(days, max(options.hours), options.events)
        stems = sorted(
            {file.name.partition(".")[0] for file in days.iterdir()}, key=lambda stem: (stem[:10], int(stem[11:]))
        )
        print(f"{options.events:,} events an hour and 2,000 of the Hub; MB at most, shared pages divided")
        print(f"{'hours':>6}{'all at once':>13}{'aggregate':>11}{'measure':>9}{'broker':>8}{'streams':>9}{'wall s':>8}")
        for hours in options.hours:
            files = [str(file) for stem in stems[:hours] for file in days.glob(f"{stem}.*")]
            usage = run([sys.executable, "-m", "nomadwatch", "replay", *files, "--report", str(report)])
            roles = [usage.memory.get(f"nw-{role}", 0.0) for role in ("count", "measure", "broker", "streams")]
            print(
                "{:>6}{:>13,.0f}{:>11,.0f}{:>9,.0f}{:>8,.0f}{:>9,.0f}{:>8.1f}".format(
                    hours, usage.peak, *roles, usage.wall
                )
            )


def _generate(folder: Path, hours: int, events: int) -> None:
    sizes = ["--hours", str(hours), "--events", str(events)]
    command = [sys.executable, "-m", "simulator", "hour", "--out", str(folder), "--seed", "7", *sizes]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
