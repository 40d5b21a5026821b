"""From kill -9 to measuring again: the worker that counts, and `measure`, with a state of a given size.

python -m benchmarks.restart [--days D] [--activities N] [--runs N] [--old CHECKOUT]

N activities of D days are counted and measured; then, while more come, a role is killed with SIGKILL and started again
at once. Of the counting worker the time runs to the first checkpoint that the new process commits, the session timeout
of the dead one (6 s) included; of `measure` to the first evaluation that it publishes. Then the same once more with the
role's local files deleted, so that it has to read the topic. Rows a second are of the time in which it reads, as it
says it in its log. The embedded broker holds the topics. 300,000 activities take a minute, 8 million (`--activities
8000000`) ten.
"""

import argparse
import shutil
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import cycle
from typing import NamedTuple

from benchmarks.inputs import PARTITIONS, START, Size, add_size, batches, hours
from benchmarks.sides import Side, add_old, sides
from benchmarks.station import Evaluations, Record, Station, embedded
from simulator.clock import HOUR
from streams.activity import Activity, Batch, partition_of

_OWNS = r"owns partitions \[\d.*\] after ([\d.]+) s"
# The second time is of a store whose windows are filled.
_READ = r"has read \S+ to the end after ([\d.]+) s(?:.* in ([\d.]+) s)?"
# A small batch so often: some 200 activities a second.
_PAUSE, _FEW = 0.1, 20


class Return(NamedTuple):
    """Of one kill: seconds until it measured again, and of them seconds of reading back; CPU seconds of the new process
    until then, and its memory (MB).
    """

    total: float
    reading: float
    cpu: float
    memory: float


class Restarts:
    """A station that has counted and measured its input."""

    def __init__(self, station: Station, size: Size) -> None:
        self._station, self._sequences, self._end = station, [-1] * PARTITIONS, START + size.hours * HOUR
        self._count, self._measure = station.count(), station.measure()
        with closing(Evaluations(station.bootstrap)) as evaluations:
            station.publish(self._noted(size))
            ends = station.ends()
            self._measure.wait_until(lambda: evaluations.reached(ends))

    def _noted(self, size: Size) -> Iterator[Record]:
        for partition, batch in batches(size, closed=False):
            self._sequences[partition] = batch.sequence or 0
            yield self._station.record(partition, batch)

    def _more(self) -> Iterator[Record]:
        """What comes behind the input, few at a time."""
        waiting: list[list[Activity]] = [[] for _ in range(PARTITIONS)]
        for activity in cycle(next(hours(Size(0, 20_000, 0), self._end))):
            partition = partition_of(activity.repo_id, PARTITIONS)
            waiting[partition].append(activity)
            if len(waiting[partition]) == _FEW:
                self._sequences[partition] += 1
                batch = Batch(feed="archive", activities=waiting[partition], sequence=self._sequences[partition])
                waiting[partition] = []
                yield self._station.record(partition, batch)

    def count(self, *, forgetful: bool) -> Return:
        """Kill the counting worker."""
        with self._station.trickle(self._more(), _PAUSE):
            before = sum(self._station.counted())
            self._count.wait_until(lambda: sum(self._station.counted()) > before)
            self._count.end(signal.SIGKILL)
            killed = time.monotonic()
            if forgetful:
                shutil.rmtree(self._station.data / "0")
            before = sum(self._station.counted())
            self._count = self._station.count()
            recovery = float(self._count.wait_for(_OWNS)[1])
            measuring = self._count.wait_until(lambda: sum(self._station.counted()) > before)
        return Return(measuring - killed, recovery, self._count.cpu, self._count.memory)

    def measure(self, *, forgetful: bool) -> Return:
        """Kill `measure`."""
        with closing(Evaluations(self._station.bootstrap)) as evaluations:
            with self._station.trickle(self._more(), _PAUSE):
                self._measure.wait_until(lambda: evaluations.count() > 1)
                self._measure.end(signal.SIGKILL)
                killed = time.monotonic()
                if forgetful:
                    for folder in self._station.data.iterdir():
                        if folder.name != "0":
                            shutil.rmtree(folder)
                before = evaluations.count()
                self._measure = self._station.measure()
                reading = sum(float(seconds or 0) for seconds in self._measure.wait_for(_READ).groups())
                measuring = self._measure.wait_until(lambda: evaluations.count() > before)
            return Return(measuring - killed, reading, self._measure.cpu, self._measure.memory)


def show(name: str, activities: int, returns: list[Return]) -> None:
    """A row: medians and the longest."""
    total, reading, cpu, memory = (statistics.median(values) for values in zip(*returns, strict=True))
    most = max(own.total for own in returns)
    print(
        f"  {name:<26}{total:>8.1f}{most:>8.1f}{reading:>10.2f}{activities / reading:>12,.0f}{cpu:>8.1f}{memory:>7.0f}"
    )


def measured(side: Side, size: Size, runs: int) -> dict[str, list[Return]]:
    """All kills of one side."""
    found: dict[str, list[Return]] = {}
    with embedded(side) as (bootstrap, _, folder), Station(side, bootstrap, folder) as station:
        restarts = Restarts(station, size)
        kinds: dict[str, Callable[[bool], Return]] = {
            station.counting: lambda forgetful: restarts.count(forgetful=forgetful),
            "measure": lambda forgetful: restarts.measure(forgetful=forgetful),
        }
        for _ in range(runs):
            for name, kill in kinds.items():
                for forgetful in (False, True):
                    title = f"{name}, files deleted" if forgetful else name
                    found.setdefault(title, []).append(kill(forgetful))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_size(parser, Size(2, 300_000))
    parser.add_argument("--runs", type=int, default=2)
    add_old(parser)
    options = parser.parse_args()
    size = Size(options.days, options.activities, options.disorder_hours)
    print(f"{size.activities:,} activities of {size.hours:,} hours; medians of {options.runs} kills")
    titles = f"{'s':>8}{'most s':>8}{'reading s':>10}{'rows/s':>12}{'CPU s':>8}{'MB':>7}"
    print(f"  {'kill -9 to measuring again':<26}{titles}")
    for side in sides(options.old):
        print(side.name)
        for name, returns in measured(side, size, options.runs).items():
            show(name, size.activities, returns)


if __name__ == "__main__":
    main()
