"""What `benchmarks.count` runs in a process of its own, with the Python of the checkout that is measured: it reads
batches from standard input, lets that checkout's worker count them, and prints what that took as JSON.

The two ways of counting stand side by side: facts, and the panes of version 0.1.
"""

import json
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import zstandard

from agents.memory import Trimmer, one_arena, trim
from streams.activity import DAY, decode_batch

try:
    from streams.activity import encode_batch
except ImportError:
    # Version 0.1 has JSON on the wire, as standard input has.
    encode_batch = None

PARTITIONS = 8
HEADER = struct.Struct("<BI")


class Counting(Protocol):
    """All partitions of one worker."""

    def take(self, partition: int, offset: int, batch: Any) -> None:
        """Count a batch."""

    def checkpoint(self, partition: int) -> list[bytes]:
        """The records to be written, one after the other."""

    def counted(self) -> list[Any]:
        """Counted, duplicates, late, and totals by feature, for comparison."""


class Facts:
    """`agents.count`."""

    def __init__(self, folder: Path) -> None:
        from agents.count.partition import Count
        from agents.facts import encode_in_parts

        self._encode = encode_in_parts
        folders = [folder / str(number) for number in range(PARTITIONS)]
        for own in folders:
            own.mkdir(parents=True, exist_ok=True)
        self._partitions = [Count(number, own) for number, own in enumerate(folders)]

    def take(self, partition: int, offset: int, batch: Any) -> None:
        """Count a batch."""
        count = self._partitions[partition]
        if count.advance(offset, batch):
            count.take(batch)

    def checkpoint(self, partition: int) -> list[bytes]:
        """`facts`, and `facts-watched`."""
        count = self._partitions[partition]
        facts = count.checkpoint()
        watched = count.watched.take(facts)
        records = [value for each in (facts, watched) if each is not None for value in self._encode(each, partition)]
        count.tidy()
        return records

    def counted(self) -> list[Any]:
        """Of all partitions."""
        return _counted([each.progress for each in self._partitions])


class Panes:
    """`agents.operators.partition` of version 0.1."""

    def __init__(self, _: Path) -> None:
        from agents.operators.partition import Partition

        self._partitions = [Partition(number) for number in range(PARTITIONS)]

    def take(self, partition: int, offset: int, batch: Any) -> None:
        """Count a batch."""
        own = self._partitions[partition]
        if own.advance(offset, batch):
            for _ in own.close():
                pass
            own.take(batch.activities)

    def checkpoint(self, partition: int) -> list[bytes]:
        """The panes that changed."""
        own = self._partitions[partition]
        records = [key + (value or b"") for key, value in own.checkpoint()]
        own.committed()
        return records

    def counted(self) -> list[Any]:
        """Of all partitions."""
        return _counted([each.progress for each in self._partitions])


def _counted(progress: list[Any]) -> list[Any]:
    totals: dict[str, int] = {}
    for each in progress:
        for scope, own in each.totals.items():
            for key, count in own.items():
                if key.count("/") == 1:
                    continue  # version 0.1 summed up commits, too
                totals[f"{scope}/{key}"] = totals.get(f"{scope}/{key}", 0) + count
    sums = [sum(getattr(each, name) for each in progress) for name in ("activities", "duplicates", "late")]
    return [*sums, dict(sorted(totals.items()))]


def _records() -> Iterator[tuple[int, Any, float]]:
    """(partition, batch, CPU seconds of decoding it) of all batches, in this checkout's form on the wire."""
    while header := sys.stdin.buffer.read(HEADER.size):
        partition, size = HEADER.unpack(header)
        wire = sys.stdin.buffer.read(size)
        if encode_batch is not None:
            wire = encode_batch(decode_batch(wire))
        begun = time.process_time()
        batch = decode_batch(wire)
        yield partition, batch, time.process_time() - begun


def _memory() -> float:
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def main(kind: str, every: int, folder: Path) -> dict[str, Any]:
    """Count everything. A checkpoint comes after so many activities, or after five days of event time."""
    one_arena()
    counting: Counting = Facts(folder) if kind == "facts" else Panes(folder)
    zstd, trimmer = zstandard.ZstdCompressor(level=3), Trimmer()
    taken = written = packed = activities = waiting = 0
    seconds = dict.fromkeys(("decode", "take", "checkpoint", "pack"), 0.0)
    offsets, due = [0] * PARTITIONS, 0
    trim()
    base = peak = _memory()

    def checkpoint() -> None:
        nonlocal written, packed, peak
        for partition in range(PARTITIONS):
            begun = time.process_time()
            records = counting.checkpoint(partition)
            seconds["checkpoint"] += time.process_time() - begun
            # The producer packs what goes to one partition together.
            begun = time.process_time()
            packed += len(zstd.compress(b"".join(records)))
            seconds["pack"] += time.process_time() - begun
            written += sum(map(len, records))
        peak = max(peak, _memory())
        trimmer()

    for partition, batch, decoding in _records():
        seconds["decode"] += decoding
        begun = time.process_time()
        counting.take(partition, offsets[partition], batch)
        seconds["take"] += time.process_time() - begun
        offsets[partition] += 1
        activities += len(batch.activities)
        waiting += len(batch.activities)
        taken = max(taken, batch.complete_to or 0)
        if waiting >= every or taken >= due:
            checkpoint()
            waiting, due = 0, taken + 5 * DAY
    checkpoint()
    trim()
    memory = {"base": base, "peak": peak, "end": _memory()}
    return {
        "activities": activities,
        "counted": counting.counted(),
        "seconds": seconds,
        "written": written,
        "packed": packed,
        **memory,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
