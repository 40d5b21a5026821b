"""What counting costs: CPU an activity beside decoding, bytes written for it, and memory, on input of three shapes.

python -m benchmarks.count [--shape dense|disorder|sparse] [--scale SHARE] [--every N]

`dense`: 200,000 activities of one hour. `disorder`: 8 million over 10 days, one in ten up to 6 hours late. `sparse`:
38,000 over 45 days. Batches are decoded from records as they stand in the topic; a checkpoint follows every N
activities (of all partitions) and is packed as the producer packs it. Each shape is measured in a process of its own.
Memory is what the process holds more than before the first batch (proportional set size), at most and at the end.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import cramjam

from agents.count.partition import Count
from agents.facts import encode_in_parts
from streams.activity import (
    ARCHIVE,
    HOUR,
    SECOND,
    Activity,
    Batch,
    Cover,
    decode_batch,
    encode_batch,
    hash_name,
)

_PARTITIONS: Final = 8
_BEGIN: Final = 1_714_521_600 * SECOND
_BATCH: Final = 2_000
# (kind, action): how often, of 100.
_MIX: Final = (
    (50, "push", None),
    (9, "branch", "created"),
    (9, "repository", "created"),
    (6, "issue_comment", "created"),
    (6, "star", "started"),
    (5, "pull_request", "opened"),
    (4, "pull_request", "merged"),
    (3, "pull_request", "closed"),
    (3, "delete", None),
    (2, "issue", "opened"),
    (2, "fork", "forked"),
    (1, "release", "published"),
)


class Shape(NamedTuple):
    """How many activities, over how many hours, and up to how many hours one in ten of them is late."""

    activities: int
    hours: int
    late: int


SHAPES: Final = {
    "dense": Shape(200_000, 1, 0),
    "disorder": Shape(8_000_000, 240, 6),
    "sparse": Shape(38_000, 45 * 24, 0),
}


def records(shape: Shape) -> Iterator[tuple[int, bytes]]:
    """(partition, record of `activity`) as a reader of hours sends them: a mark and what was covered at each end of an
    hour. Half of the activities are of the busiest tenth of the repositories.
    """
    random = Random(7)
    repositories = max(100, min(shape.activities // 3, 2_000_000))
    people = max(100, repositories // 2)
    kinds = [row for row in _MIX for _ in range(row[0])]
    sequences = [0] * _PARTITIONS

    def batch(partition: int, own: list[Activity], mark: int | None = None, start: int = 0) -> tuple[int, bytes]:
        sequences[partition] += 1
        covered = [] if mark is None else [Cover("github", start, mark)]
        made = Batch(feed=ARCHIVE, activities=own, sequence=sequences[partition] - 1, complete_to=mark, covered=covered)
        return partition, encode_batch(made)

    number = 0
    for hour in range(shape.hours):
        begin = _BEGIN + hour * HOUR
        waiting: list[list[Activity]] = [[] for _ in range(_PARTITIONS)]
        due = shape.activities * (hour + 1) // shape.hours
        size = due - number
        while number < due:
            number += 1
            place = int(repositories * random.random() ** 3.3)
            _, kind, action = kinds[int(100 * random.random())]
            at = begin + int(3600 * (1 - (due - number) / size)) * SECOND
            if shape.late and random.random() < 0.1:
                at -= int(random.random() * shape.late * 3600) * SECOND
            name = hash_name(f"r{place}")
            partition = place % _PARTITIONS
            waiting[partition].append(
                Activity(
                    id=f"github:Event:{40_000_000_000 + number}",
                    platform="github",
                    kind=kind,
                    action=action,
                    occurred_at=at,
                    ingested_at=begin + HOUR,
                    repo_id=name,
                    repo=f"owner{place % 99_991}/repository-{place}",
                    owner=f"owner{place % 99_991}",
                    actor=hash_name(f"a{(place * 7 + int(3 * random.random() ** 2)) % people}"),
                    bot=place % 10 == 3,
                    thread=int(500 * random.random()) + 1 if kind in ("pull_request", "issue_comment") else None,
                    commits=1 + int(3 * random.random() ** 4) if kind == "push" else None,
                    project="olmo" if place % 50 == 1 else None,
                )
            )
            if len(waiting[partition]) == _BATCH:
                yield batch(partition, waiting[partition])
                waiting[partition] = []
        for partition, own in enumerate(waiting):
            yield batch(partition, own, begin + HOUR, begin)


def proportional() -> float:
    """The process's proportional set size, MB."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(text.partition("Pss:")[2].split()[0]) / 1024


def measure(shape: Shape, every: int, folder: Path | None) -> dict[str, float]:
    """CPU microseconds an activity and bytes of a shape; MB."""
    counts = [Count(number) for number in range(_PARTITIONS)]
    offsets = [0] * _PARTITIONS
    taken = checkpoints = packing = decoding = 0.0
    activities = since = raw = packed = written = rows = 0
    base = most = proportional()

    def checkpoint() -> None:
        nonlocal checkpoints, packing, raw, packed, written, rows, most
        for count in counts:
            began = time.process_time()
            facts = count.checkpoint()
            values = encode_in_parts(facts, count.number)
            watched = count.watched.take(facts)
            more = [] if watched is None else encode_in_parts(watched, count.number)
            count.tidy()
            checkpoints += time.process_time() - began
            began = time.process_time()
            for value in values:
                packed += len(bytes(cramjam.zstd.compress(value, level=3)))
            packing += time.process_time() - began
            raw += sum(map(len, values))
            written += sum(map(len, more))
            rows += len(facts.rows)
        most = max(most, proportional())

    for partition, value in records(shape):
        began = time.process_time()
        batch = decode_batch(value)
        decoding += time.process_time() - began
        began = time.process_time()
        if counts[partition].advance(offsets[partition], batch):
            counts[partition].take(batch)
        taken += time.process_time() - began
        offsets[partition] += 1
        activities += len(batch.activities)
        since += len(batch.activities)
        if since >= every:
            since = 0
            checkpoint()
    checkpoint()
    micro = 1e6 / activities
    return {
        "activities": activities,
        "rows": rows,
        "us": (taken + checkpoints + packing) * micro,
        "us_take": taken * micro,
        "us_checkpoint": checkpoints * micro,
        "us_zstd": packing * micro,
        "us_decode": decoding * micro,
        "bytes_raw": raw / activities,
        "bytes_packed": packed / activities,
        "bytes_watched": written / activities,
        "mb_most": most - base,
        "mb_end": proportional() - base,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, action="append")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the activities and hours (default: 1)")
    parser.add_argument("--every", type=int, default=50_000, help="activities from checkpoint to checkpoint")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        (name,) = options.shape
        shape = SHAPES[name]
        scaled = Shape(int(shape.activities * options.scale), max(1, int(shape.hours * options.scale)), shape.late)
        with tempfile.TemporaryDirectory(prefix="nomadwatch-count-") as folder:
            print(json.dumps(measure(scaled, options.every, Path(folder))))
        return
    for name in options.shape or SHAPES:
        arguments = ["--alone", "--shape", name, "--scale", str(options.scale), "--every", str(options.every)]
        command = [sys.executable, "-m", "benchmarks.count", *arguments]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(
            f"{name:<9}{found['activities']:>10,} activities: {found['us']:5.2f} µs (take {found['us_take']:.2f}, "
            f"checkpoint {found['us_checkpoint']:.2f}, zstd {found['us_zstd']:.2f}; decode {found['us_decode']:.2f})  "
            f"{found['bytes_raw']:5.1f} B raw  {found['bytes_packed']:5.1f} B packed  "
            f"{found['bytes_watched']:4.1f} B watched  {found['mb_most']:4.0f} MB at most, {found['mb_end']:.0f} at the end",
            flush=True,
        )


if __name__ == "__main__":
    main()
