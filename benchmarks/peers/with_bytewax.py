"""Bytewax: windows of event time, a minute by repository and feature and an hour by feature. with_bytewax.py HOUR"""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Any, TypeAlias

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators.windowing import EventClock, TumblingWindower
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main
from work import lines, mixed, read, say

# Each activation asks all keys that have a window open: small batches would make the work quadratic.
BATCH = 20_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Neighbours in an archive are up to a minute and a half out of order.
GRACE = timedelta(minutes=2)
Event: TypeAlias = tuple[int, str, int, int]
answer: dict[str, list[int]] = {}


class Lines(StatelessSourcePartition[bytes]):
    """The lines of the hour."""

    def __init__(self) -> None:
        self._lines: Iterator[bytes] = chain.from_iterable(lines(sys.argv[1]))

    def next_batch(self) -> list[bytes]:
        """The next lines."""
        batch = list(islice(self._lines, BATCH))
        if not batch:
            raise StopIteration
        return batch


class Hour(DynamicSource[bytes]):
    """The hour, read by one worker."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Lines:
        """Its lines."""
        return Lines()


class Calls(DynamicSink[Any]):
    """Calls a function with each item."""

    def __init__(self, take: Callable[[Any], None]) -> None:
        self._take = take

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:
        """The end of one worker."""
        take = self._take

        class End(StatelessSinkPartition[Any]):
            def write_batch(self, items: list[Any]) -> None:
                for item in items:
                    take(item)

        return End()


def counted(item: tuple[str, tuple[int, int]]) -> None:
    """The count of a repository, a feature and a minute: windows are numbered from 1970."""
    key, (minute, count) = item
    repository, _, feature = key.partition("/")
    row = answer.setdefault(feature, [0, 0, 0, 0])
    row[0] += 1
    row[1] += count
    row[2] += count * count * mixed(int(repository), minute)


def met(item: tuple[str, tuple[int, set[int]]]) -> None:
    """The people of a feature in an hour."""
    feature, (_, actors) = item
    answer.setdefault(feature, [0, 0, 0, 0])[3] += len(actors)


def add(actors: set[int], event: Event) -> set[int]:
    """Take up a person."""
    actors.add(event[3])
    return actors


def clock() -> EventClock[Event]:
    """Event time alone: otherwise the watermark goes on while a batch is worked on, and what comes next is late."""
    return EventClock(lambda event: EPOCH + timedelta(seconds=event[2]), GRACE, now_getter=lambda: EPOCH)


flow = Dataflow("hour")
events = op.filter_map("read", op.input("hour", flow, Hour()), read)
minutes = TumblingWindower(length=timedelta(minutes=1), align_to=EPOCH)
counts = win.count_window("minutes", events, clock(), minutes, key=lambda event: f"{event[0]}/{event[1]}")
op.output("counts", counts.down, Calls(counted))
by_feature = op.key_on("feature", events, lambda event: event[1])
hours = TumblingWindower(length=timedelta(hours=1), align_to=EPOCH)
people = win.fold_window("people", by_feature, clock(), hours, set, add, set.union)
op.output("hours", people.down, Calls(met))
run_main(flow)
say(answer)
