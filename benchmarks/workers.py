"""How fast workers count: one and two of them on Apache Kafka, and one on the embedded broker.

python -m benchmarks.workers [--activities N] [--runs N] [--old CHECKOUT]

All batches of two dense hours are written while the workers own their partitions already; measured is from the first
record to the last committed checkpoint. The two share the machine's cores with the broker and with others, so what says
how they scale is the CPU time of the busier one: activities a second of it, two workers against one. A run of 400,000
activities takes about 15 s. Apache Kafka needs Java 17 and Maven; without them it is left out.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from benchmarks.inputs import Size, batches
from benchmarks.processes import cpu_of
from benchmarks.sides import Side, add_old, sides
from benchmarks.station import Role, Station, apache, embedded
from streams.activity import Batch
from tests.apache_kafka import KafkaUnavailable

_OWNS = r"owns partitions \[(\d[^\]]*)\] after [\d.]+ s"


class Run(NamedTuple):
    """Of one run: wall time (s), CPU time of each worker and of the broker (s), the most memory of a worker (MB)."""

    wall: float
    cpu: list[float]
    broker: float
    memory: float


def measure(side: Side, workers: int, at: tuple[str, int, Path], content: Sequence[tuple[int, Batch]]) -> Run:
    """One run on a fresh broker."""
    bootstrap, pid, folder = at
    with Station(side, bootstrap, folder) as station:
        records = [station.record(partition, batch) for partition, batch in content]
        roles = [station.count(number) for number in range(workers)]
        for role in roles:
            role.wait_for(_OWNS)
        _settled(roles)
        before, broker, begun = [role.cpu for role in roles], cpu_of(pid), time.monotonic()
        station.publish(records)
        ends = station.ends()
        memory = [0.0]

        def done() -> bool:
            memory.append(max(role.memory for role in roles))
            return station.counted() == ends

        wall = roles[0].wait_until(done) - begun
        cpu = [role.cpu - own for role, own in zip(roles, before, strict=True)]
        return Run(wall, cpu, cpu_of(pid) - broker, max(memory))


def _settled(roles: Sequence[Role]) -> None:
    """Wait until all have their share: the first one had all partitions before the second came."""
    share = 8 // len(roles)
    for role in roles:
        role.wait_until(lambda role=role: _owned(role) == share)  # type: ignore[misc]


def _owned(role: Role) -> int:
    """How many partitions a worker owns, by the last thing that it said of it."""
    said = role.find(rf"(?s).*{_OWNS}")
    return len(said[1].split(",")) if said else 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activities", type=int, default=400_000, help="in two hours (default: 400,000)")
    parser.add_argument("--runs", type=int, default=3)
    add_old(parser)
    options = parser.parse_args()
    content = list(batches(Size(2 / 24, options.activities, 0)))
    kinds: dict[str, tuple[int, Callable[[Side], AbstractContextManager[tuple[str, int, Path]]]]] = {
        "1, embedded broker": (1, embedded),
        "1, Apache Kafka": (1, lambda _: apache()),
        "2, Apache Kafka": (2, lambda _: apache()),
    }
    found: dict[tuple[str, str], list[Run]] = {}
    for _ in range(options.runs):
        for side in sides(options.old):
            for name, (workers, broker) in kinds.items():
                try:
                    with broker(side) as at:
                        found.setdefault((side.name, name), []).append(measure(side, workers, at, content))
                except KafkaUnavailable as reason:
                    print(f"without Apache Kafka: {reason}", file=sys.stderr)
    print(f"{options.activities:,} activities in {len(content):,} batches; medians of {options.runs} runs in turn")
    titles = ("activities/s", "CPU s, busier", "CPU s, all", "broker CPU s", "MB, larger", "/s of CPU")
    print(f"{'workers':<28}" + "".join(f"{title:>15}" for title in titles))
    rates: dict[tuple[str, str], float] = {}
    for (side_name, name), runs in found.items():
        busier = statistics.median(max(run.cpu) for run in runs)
        rates[side_name, name] = options.activities / busier
        cells = [
            options.activities / statistics.median(run.wall for run in runs),
            busier,
            statistics.median(sum(run.cpu) for run in runs),
            statistics.median(run.broker for run in runs),
            max(run.memory for run in runs),
            rates[side_name, name],
        ]
        patterns = (",.0f", ".2f", ".2f", ".2f", ".0f", ",.0f")
        texts = [f"{cell:{pattern}}" for cell, pattern in zip(cells, patterns, strict=True)]
        print(f"{side_name + ': ' + name:<28}" + "".join(f"{text:>15}" for text in texts))
    for side in sides(options.old):
        one, two = rates.get((side.name, "1, Apache Kafka")), rates.get((side.name, "2, Apache Kafka"))
        if one and two:
            print(f"{side.name}: two workers do {two / one:.2f} times what one does in a second of worker CPU")


if __name__ == "__main__":
    main()
