"""What an evaluation of `measure` costs after hours and days of a constant rate, and the memory that its windows hold.

python -m benchmarks.windows [--hours N N ...] [--rate N]
"""

import argparse
import resource
import statistics
import time
from pathlib import Path
from typing import Final

import msgspec

from agents.operators.pane import RecordKey
from agents.operators.partition import Partition
from agents.operators.progress import decode_progress
from agents.operators.window import Windows
from simulator.stream import five_days
from streams.activity import MINUTE, Activity, Batch, partition_of

_PARTITIONS: Final = 8
# Evaluations that are timed at each number of hours, with a minute of activities between two of them.
_EVALUATIONS: Final = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=int, nargs="+", default=[1, 6, 26, 50], metavar="N")
    parser.add_argument("--rate", type=int, default=20_000, help="activities an hour")
    options = parser.parse_args()
    minutes = _minutes(max(options.hours), options.rate)
    begin = min(minutes)
    windows, partitions = Windows(_PARTITIONS), [Partition(number) for number in range(_PARTITIONS)]
    took: list[float] = []
    print(
        f"{options.rate:,} activities an hour; an evaluation is the median of {_EVALUATIONS}; the process's memory includes the input's"
    )
    print(f"{'hours':>6}{'evaluation, CPU s':>19}{'figures':>9}{'memory MB':>11}")
    for minute in range(begin, max(minutes) + 1):
        mark = (minute + 1) * MINUTE
        for partition in partitions:
            own = [a for a in minutes.get(minute, []) if partition_of(a.repo_id, _PARTITIONS) == partition.number]
            _take(partition, Batch(feed="bench", activities=own, complete_to=mark), windows)
        windows.refresh()
        hours, rest = divmod(minute - begin, 60)
        if rest >= 60 - _EVALUATIONS or not minute % 10:
            before = time.process_time()
            measurements = windows.evaluate()
            took.append(time.process_time() - before)
        if rest == 59 and hours + 1 in options.hours:
            cost = statistics.median(took[-_EVALUATIONS:])
            print(f"{hours + 1:>6}{cost:>19.3f}{len(measurements):>9,}{_megabytes():>11,.0f}", flush=True)


def _minutes(hours: int, rate: int) -> dict[int, list[Activity]]:
    wire = five_days(seed=7, n=hours * rate, days=hours / 24, disorder_hours=1, late=0, duplicates=0, future=0)
    found: dict[int, list[Activity]] = {}
    for activity in msgspec.convert(wire, list[Activity]):
        found.setdefault(activity.occurred_at // MINUTE, []).append(activity)
    return found


def _take(partition: Partition, batch: Batch, windows: Windows) -> None:
    partition.advance(partition.progress.offset + 1, batch)
    for _ in partition.close():
        pass
    partition.take(batch.activities)
    for key, value in partition.checkpoint():
        if key == partition.progress_key:
            assert value is not None
            windows.commit(partition.number, decode_progress(value))
        elif value is not None:
            windows.put(partition.number, RecordKey.parse(key), value)
    partition.committed()


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main()
