"""Poll results go to the broker: activities in batches, and after their acknowledgement the feeds' cursors.

If a poller dies between the two, the result comes again: its activities have the same ids and are counted once. Every
few seconds the watermark of each platform goes to every partition. It is the lowest watermark of the platform's feeds.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from streams.activity import SECOND, Activity, Batch, encode_batch, partition_of
from streams.kafka.deliver import Delivery
from streams.kafka.topics import Topics
from streams.live.common.clock import Clock
from streams.live.common.coverage import FeedCoverage
from streams.live.common.health import Feeds, Row
from streams.live.common.http import WorldSign
from streams.live.common.poll_result import Gap, PollResult

BATCH: Final = 500
LARGEST: Final = 4 << 20
_MARK_EVERY: Final = 5.0
_REPORT_EVERY: Final = 1.0
_LEAST: Final = 0.5

# Makes a record of the topic `measurements` (key, value) from the time (µs), rows, and states of feeds.
Report = Callable[[int, list[Row], dict[str, str]], tuple[bytes, bytes]]


class _Letter(msgspec.Struct):
    reason: str


class KafkaOutlet:
    """Publishes the poll results of all feeds; run `run` beside the pollers.

    `cursors` are those of an earlier run, from which the coverage is restored. A healthy feed reports what it saw
    within `settling` seconds of the station's clock. Activities of a simulated `world` are marked.
    """

    def __init__(
        self,
        delivery: Delivery,
        topics: Topics,
        clock: Clock,
        feeds: Feeds,
        cursors: dict[str, bytes],
        report: Report,
        settling: float = 0.0,
        world: WorldSign | None = None,
    ) -> None:
        self._world = world or WorldSign()
        self._delivery, self._topics = delivery, topics
        self._clock, self._feeds, self._report = clock, feeds, report
        self._waiting: list[tuple[PollResult, asyncio.Future[None]]] = []
        self._work = asyncio.Event()
        self._marks: dict[str, dict[str, int]] = {}
        self._told: dict[str, int] = {}
        self.coverage = FeedCoverage.restore(cursors, feeds, round(settling * SECOND))
        self.published = 0
        self._dead_letters: Counter[str] = Counter()
        self.more_rows: Callable[[], list[Row]] = list

    async def put(self, result: PollResult) -> None:
        """Returns when the broker has everything in the poll result, and its cursor."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((result, done))
        self._work.set()
        await done

    async def run(self) -> None:
        """Publish until cancelled. Waits while the broker is away; raises if it refuses permanently."""
        marked = reported = 0.0
        # Under a faster clock watermarks come more often, but not so often that they hold up everything else.
        mark_every = max(_LEAST, self._clock.wait(_MARK_EVERY))
        while True:
            rest = min(marked + mark_every, reported + _REPORT_EVERY) - time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, rest)):
                    await self._work.wait()
            except TimeoutError:
                pass
            await self._publish()
            if time.monotonic() >= marked + mark_every:
                marked = time.monotonic()
                await self._mark()
            if time.monotonic() >= reported + _REPORT_EVERY:
                reported = time.monotonic()
                await self.report()

    async def flush(self) -> None:
        """Publish what waits, and the coverage, before the process ends."""
        await self._publish()
        await self._mark()

    async def _publish(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._work.clear()
        if not waiting:
            return
        buffers: dict[tuple[str, int], list[Activity]] = {}
        sent = []
        for result, _ in waiting:
            for activity in result.activities:
                activity.simulated = activity.simulated or self._world.simulated
                slot = result.platform, partition_of(activity.repo_id, self._topics.partitions)
                buffers.setdefault(slot, []).append(activity)
            for letter in result.dead_letters:
                self._dead_letters[msgspec.json.decode(letter, type=_Letter).reason] += 1
                sent.append(await self._delivery.send(self._topics.dead_letters, 0, letter, result.feed.encode()))
            for gap in result.gaps:
                sent.append(
                    await self._delivery.send(self._topics.gaps, 0, msgspec.json.encode(gap), result.feed.encode())
                )
        for (platform, partition), activities in buffers.items():
            for value in _batches(platform, activities):
                sent.append(await self._delivery.send(self._topics.activity, partition, value))
            self.published += len(activities)
        await self._delivery.acknowledged(sent)
        cursors: dict[str, bytes | None] = {}
        for result, _ in waiting:
            self._take(result)
            cursors |= {**result.cursors, result.feed: result.cursor}
        await self._save(cursors)
        for _, done in waiting:
            if not done.done():
                done.set_result(None)

    def _take(self, result: PollResult) -> None:
        health = self._feeds.by_name.get(result.feed)
        if health is None:
            return
        if result.gaps:
            # A feed counts in the coverage from its first gap on, even if it has never seen anything.
            self.coverage.expect(result.feed)
        if result.complete_to is not None:  # else the gaps are those of a single repository
            for gap in result.gaps:
                self.coverage.miss(result.feed, gap.start, gap.end)
            marks = self._marks.setdefault(result.platform, {})
            before = marks.get(result.feed, result.complete_to)
            if health.sampled and health.coverage is not None:
                for start, end in _outside(result.gaps, before, result.complete_to):
                    self.coverage.add(result.feed, start, end, health.coverage)
            marks[result.feed] = max(result.complete_to, before)
        for cover in result.covered:
            self.coverage.add(result.feed, cover.start, cover.end, result.share)

    async def _save(self, cursors: Mapping[str, bytes | None]) -> None:
        sent = [
            await self._delivery.send(self._topics.cursors, 0, value, feed.encode()) for feed, value in cursors.items()
        ]
        await self._delivery.acknowledged(sent)

    async def _mark(self) -> None:
        sent = []
        for platform, marks in self._marks.items():
            expected = [feed for feed, health in self._feeds.by_name.items() if health.platform == platform]
            if any(feed not in marks for feed in expected):
                continue
            mark = min(marks.values())
            if mark <= self._told.get(platform, 0):
                continue
            self._told[platform] = mark
            value = encode_batch(Batch(feed=platform, complete_to=mark))
            for partition in range(self._topics.partitions):
                sent.append(await self._delivery.send(self._topics.activity, partition, value))
        await self._delivery.acknowledged(sent)
        self.coverage.keep(set(self._feeds.by_name))
        await self._save(self.coverage.changes())
        self.coverage.saved()

    async def report(self) -> None:
        """Publish the health of the feeds."""
        now = self._clock.now()
        dead_letters: list[Row] = [
            ("nomadwatch_dead_letters_total", {"reason": reason}, n) for reason, n in self._dead_letters.items()
        ]
        late_after = {feed: health.late_after for feed, health in self._feeds.by_name.items()}
        rows = [*self._feeds.rows(now), *self.coverage.rows(now, late_after), *dead_letters, *self.more_rows()]
        states = {feed: health.state for feed, health in self._feeds.by_name.items()}
        key, value = self._report(now, rows, states)
        await self._delivery.acknowledged([await self._delivery.send(self._topics.measurements, 0, value, key)])


def _outside(gaps: list[Gap], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches between start and end (µs) without gaps.

    >>> gaps = [Gap(feed="f", start=30, end=40, reason="down"), Gap(feed="f", start=0, end=10, reason="failed")]
    >>> list(_outside(gaps, 5, 50))
    [(10, 30), (40, 50)]
    """
    for gap in sorted(gaps, key=lambda gap: gap.start):
        if start < min(gap.start, end):
            yield start, min(gap.start, end)
        start = max(start, gap.end)
    if start < end:
        yield start, end


def _batches(platform: str, activities: list[Activity]) -> list[bytes]:
    """Records of at most BATCH activities and LARGEST bytes."""
    if len(activities) > BATCH:
        return [
            value
            for start in range(0, len(activities), BATCH)
            for value in _batches(platform, activities[start : start + BATCH])
        ]
    value = encode_batch(Batch(feed=platform, activities=activities))
    if len(value) <= LARGEST or len(activities) == 1:
        return [value]
    half = len(activities) // 2
    return _batches(platform, activities[:half]) + _batches(platform, activities[half:])
