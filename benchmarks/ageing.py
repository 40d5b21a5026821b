"""How the memory and the files of a station develop while simulated days pass at a constant rate.

python -m benchmarks.ageing [--days N] [--rate N] [--old CHECKOUT]

Broker, counting worker, `measure` and sinks are processes of their own, at the pace of a station. Hours of generated
activities are written to the topic `activity`, eight together, as soon as the workers have taken those before. Ids are
kept for 31 days and rows for 33, so that from then on nothing should grow but the logs, which the broker clears by its
own clock. Memory is the most of each simulated day, MB. The default takes ten minutes, with the old side twenty.
"""

import argparse
from pathlib import Path
from typing import Final

from benchmarks.inputs import PARTITIONS, Size, batches_by_hour
from benchmarks.processes import memory_of
from benchmarks.sides import Side, add_old, sides
from benchmarks.station import Record, Station, embedded

_SHOWN: Final = (1, 2, 5, 10, 15, 20, 25, 31)
_LAST: Final = 3
# Hours that are written at once.
_TOGETHER: Final = 8


def measure(side: Side, days: int, rate: int) -> None:
    """Let the days pass on one side."""
    with embedded(side) as (bootstrap, pid, folder), Station(side, bootstrap, folder) as station:
        roles = {"count": station.count(), "measure": station.measure(), "sinks": station.sinks()}
        pids = {"broker": pid, **{name: role.process.pid for name, role in roles.items()}}
        print(f"{side.name}\n  {'day':>4}" + "".join(f"{title:>9}" for title in (*pids, "all", "data", "log")))
        most, written = dict.fromkeys(pids, 0.0), [0] * PARTITIONS
        waiting: list[Record] = []
        for hour, content in enumerate(batches_by_hour(Size(days, 24 * days * rate), closed=False), 1):
            waiting += [station.record(partition, batch) for partition, batch in content]
            if hour % _TOGETHER:
                continue
            station.publish(waiting)
            waiting = []
            # What was written before has to be taken by now: a worker works while the next hours are written.
            roles["count"].wait_until(lambda before=written: _all_past(station.counted(), before))
            written = station.ends()
            most = {name: max(own, memory_of(pids[name])) for name, own in most.items()}
            if hour % 24 == 0:
                if hour // 24 in _SHOWN or hour // 24 > days - _LAST:
                    cells = [*most.values(), sum(most.values()), _size(folder / "data"), _size(folder / "broker")]
                    print(f"  {hour // 24:>4}" + "".join(f"{cell:>9,.0f}" for cell in cells), flush=True)
                most = dict.fromkeys(pids, 0.0)


def _all_past(counted: list[int], written: list[int]) -> bool:
    return all(own >= end for own, end in zip(counted, written, strict=True))


def _size(folder: Path) -> float:
    """MB of files."""
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size
        except OSError:
            continue  # it is gone by now
    return found / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=40, help="default: 40")
    parser.add_argument("--rate", type=int, default=400, help="activities an hour (default: 400)")
    add_old(parser)
    options = parser.parse_args()
    print(f"{options.rate:,} activities an hour; MB: memory of each process, files of the workers, log of the broker")
    for side in sides(options.old):
        measure(side, options.days, options.rate)


if __name__ == "__main__":
    main()
