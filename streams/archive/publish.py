"""The reader: a plan's batches go to the topic `activity`, each one once for every consumer downstream.

Reading and sending overlap: while the broker acknowledges one section, the next is read. A section's cursor is written
when everything before it is acknowledged, never sooner. The reader waits for a broker that is away or full. A reader
that ends goes on at its last cursor.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from streams.archive import reading
from streams.archive.plan import Plan
from streams.archive.sections import Breath, Doubtful, Letter, Options, Sections, Send, Step
from streams.errors import OtherReplay
from streams.kafka.cursors import (
    ARCHIVE,
    Cursor,
    ReadCounts,
    begin,
    decode_cursor,
    decoded,
    encode_cursor,
    sound_archive,
)
from streams.kafka.deliver import Delivery, Sent, read_table
from streams.kafka.topics import Topics

T = TypeVar("T")

_AHEAD: Final = 4
# Records after which a cursor is written, however few lines they hold.
_RECORDS: Final = 500
_AHEAD_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class ReadProgress:
    """How far the reading has come; `position` and `size` in bytes on disk."""

    position: int
    size: int
    counts: ReadCounts


@dataclass(frozen=True, slots=True)
class ReadSummary:
    """What a reading sent. `offsets` are the ends of the partitions of `activity`; `done` is False if it was stopped
    before its end.

    `newest` is the newest event time in µs, 0 if nothing was measured.
    """

    counts: ReadCounts
    offsets: list[int]
    newest: int
    done: bool


async def publish(
    plan: Plan,
    *,
    bootstrap: str,
    topics: Topics,
    actor_key: bytes,
    options: Options,
    now: Callable[[], int],
    progress: Callable[[ReadProgress], None] = lambda progress: None,
    stop: asyncio.Event | None = None,
    ready: Awaitable[object] | None = None,
) -> ReadSummary:
    """Read a plan to its end, going on where an earlier run of the same reading ended.

    With `ready` the broker is not used until that has finished. Until the broker is known and connected, the beginning
    is read ahead, in case nothing of it was read before. Raises `OtherReplay` if the state holds a reading of something
    else, `BrokerAway` if the broker is away at the start or has lost this producer's state (starting again is safe),
    `TopicMismatch` if a topic is missing. `stop` ends it at the next chunk.
    """
    digest = options.reading(plan, topics.partitions, actor_key)
    first = begin(ARCHIVE, digest, now(), topics.partitions)
    ahead = _Ahead(Sections(plan, first, actor_key, options))
    stop = stop or asyncio.Event()
    async with AsyncExitStack() as stack:

        async def connect() -> tuple[Cursor | None, Delivery | None]:
            if ready is not None:
                await ready
            cursor = await read_cursor(bootstrap, topics, ARCHIVE)
            if cursor is not None and cursor.reading != digest:
                raise OtherReplay(
                    "this state holds a reading of other files, or with other settings: "
                    "repeat the command that began it, or name another data folder"
                )
            if cursor is not None and cursor.done:
                return cursor, None
            return cursor, await stack.enter_async_context(Delivery.open(bootstrap, topics, "nomadwatch-reader"))

        connected = await ahead.read_until(connect(), stop)
        if connected is None:
            return _summary(first)
        cursor, delivery = connected
        if delivery is None:
            return _summary(cursor or first)
        if cursor is None:
            cursor = first
            await _Sender(delivery, topics, cursor).write(cursor)
        else:
            ahead = _Ahead(Sections(plan, cursor, actor_key, options))
        return _summary(await _Sender(delivery, topics, cursor).run(ahead, plan.size, progress, stop))


async def read_cursor(bootstrap: str, topics: Topics, feed: str) -> Cursor | None:
    """The reader's latest cursor on the broker; None if it never wrote one. Records of others under its key are
    skipped.

    Raises `BrokerAway`, `TopicMismatch` if the topic is missing, and `UnreadableCursor` if only records of others are
    left: then it is not known what was sent before.
    """
    left: set[bytes] = set()

    def sound(key: bytes, value: bytes | None) -> None:
        left.add(key)
        sound_archive(key, value)

    found = (await read_table(bootstrap, topics, topics.cursors, sound)).get(feed.encode())
    return None if found is None and feed.encode() not in left else decoded(feed, decode_cursor, found or b"")


class _Ahead:
    """The steps of a reading; the first ones may be read before they can be sent."""

    def __init__(self, sections: Sections) -> None:
        self.sections = sections
        self._steps = iter(sections)
        self._read: deque[Step] = deque()

    async def read_until(self, ready: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
        """Read ahead, as far as memory allows, until `ready` has finished. Returns its result, or None if this was
        stopped before.
        """
        waiting, stopping = asyncio.ensure_future(ready), asyncio.ensure_future(stop.wait())
        size = 0
        try:
            while (
                not (waiting.done() or stop.is_set())
                and size < _AHEAD_BYTES
                and (step := next(self._steps, None)) is not None
            ):
                self._read.append(step)
                if isinstance(step, Send):
                    size += len(step.value)
                elif isinstance(step, Breath):
                    await asyncio.sleep(0)
            await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None
        finally:
            for task in (waiting, stopping):
                task.cancel()
            await asyncio.gather(waiting, stopping, return_exceptions=True)

    def __iter__(self) -> Iterator[Step]:
        while self._read:
            yield self._read.popleft()
        yield from self._steps


class _Sender:
    """Sends the steps of a reading, and writes each section's cursor when everything before it is acknowledged."""

    def __init__(self, delivery: Delivery, topics: Topics, cursor: Cursor) -> None:
        self._delivery = delivery
        self._topics = topics
        self._cursor = cursor
        self._offsets = list(cursor.offsets)
        self._sections: asyncio.Queue[tuple[list[Sent], Cursor] | None] = asyncio.Queue(_AHEAD)

    async def run(
        self, steps: _Ahead, size: int, progress: Callable[[ReadProgress], None], stop: asyncio.Event
    ) -> Cursor:
        """Send everything, or what there is before `stop`. Returns the last cursor that was written."""
        sending = asyncio.create_task(self._send_all(steps, size, progress))
        committing = asyncio.create_task(self._commit())
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([sending, committing, stopping], return_when=asyncio.FIRST_COMPLETED)
            if stopping not in done:
                for task in done:
                    task.result()
                done, _ = await asyncio.wait([committing, stopping], return_when=asyncio.FIRST_COMPLETED)
            if committing in done:
                committing.result()
            return self._cursor
        finally:
            tasks = [sending, committing, stopping]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def write(self, cursor: Cursor) -> None:
        """Write a cursor and wait for its acknowledgement."""
        await self._delivery.acknowledged(
            [await self._delivery.send(self._topics.cursors, 0, encode_cursor(cursor), cursor.feed.encode())]
        )
        self._cursor = cursor

    async def _send_all(self, steps: _Ahead, size: int, progress: Callable[[ReadProgress], None]) -> None:
        sent: list[Sent] = []
        lines = self._cursor.counts.lines
        for step in steps:
            match step:
                case Send(partition, value):
                    sent.append(await self._delivery.send(self._topics.activity, partition, value))
                case Letter(key, value):
                    sent.append(await self._delivery.send(self._topics.dead_letters, 0, value, key))
                case Doubtful(value):
                    sent.append(await self._delivery.send(self._topics.gaps, 0, value, ARCHIVE.encode()))
                case Cursor():
                    # A file of a quiet hour alone is not worth waiting for the broker and writing a cursor.
                    if step.done or step.counts.lines >= lines + reading.SECTION or len(sent) >= _RECORDS:
                        lines = step.counts.lines
                        await self._sections.put((sent, step))
                        sent = []
                case Breath(position):
                    progress(ReadProgress(position, size, steps.sections.counts))
                    await asyncio.sleep(0)
        await self._sections.put(None)

    async def _commit(self) -> None:
        while (section := await self._sections.get()) is not None:
            sent, cursor = section
            for record in await self._delivery.acknowledged(sent):
                if record.topic == self._topics.activity:
                    self._offsets[record.partition] = max(self._offsets[record.partition], record.offset + 1)
            cursor.offsets = list(self._offsets)
            await self.write(cursor)


def _summary(cursor: Cursor) -> ReadSummary:
    return ReadSummary(cursor.counts, cursor.offsets, cursor.newest, cursor.done)
