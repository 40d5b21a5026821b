"""How far a partition has come, in offsets and in event time, and what it counted.

It is in the last record of every checkpoint: a reader that has it knows that the checkpoint is complete.
"""

from typing import Final, Self

import msgspec
import numpy as np

from agents.operators.coverage import Coverage
from agents.operators.reach import SCOPES
from streams.activity import MINUTE, Batch, Foreign
from streams.columns import SIMULATED

_BEFORE_ALL: Final = -(1 << 62)
# So few times are compared faster one by one.
_FEW: Final = 16


class Feed(msgspec.Struct, omit_defaults=True):
    """A feed as one partition knows it: its mark (µs), the number of its last batch, and what it covered of each
    platform.

    `covered`: sorted disjoint intervals [start, end) in µs. An empty list means that nothing was covered; an absent
    platform means that it is not known.
    """

    mark: int | None = None
    sequence: int = -1
    closed: bool = False
    covered: dict[str, list[tuple[int, int]]] = {}

    def coverage(self, platform: str) -> Coverage:
        """What the feed has covered of a platform."""
        coverage = Coverage()
        for start, end in self.covered.get(platform, ()):
            coverage.add(start, end)
        return coverage


class Progress(msgspec.Struct, kw_only=True):
    """What one partition has reached. Times in µs UTC; `offset` is the last one counted.

    `watermark`: everything older is complete, as the feeds say. `front`: the newest that was seen;
    windows end there. Both only grow. `activities` counts what was taken in, each once; `missing` the records that the
    log had deleted before they could be taken in. `simulated`: at least one activity came from a simulated world.
    """

    offset: int = -1
    watermark: int | None = None
    front: int | None = None
    feeds: dict[str, Feed] = {}
    totals: dict[str, dict[str, int]] = msgspec.field(default_factory=lambda: {scope: {} for scope in SCOPES})
    activities: int = 0
    duplicates: int = 0
    late: int = 0
    missing: int = 0
    dead_letters: dict[str, int] = {}
    simulated: bool = False

    def is_repeated(self, batch: Batch) -> bool:
        """Whether the batch was taken before: its feed restarted and sent it again."""
        feed = self.feeds.get(batch.feed)
        return feed is not None and batch.sequence is not None and batch.sequence <= feed.sequence

    def advance(self, batch: Batch) -> None:
        """Take the batch's number, mark, coverage and times, but not its activities."""
        feed = self.feeds.setdefault(batch.feed, Feed())
        if batch.sequence is not None:
            feed.sequence = batch.sequence
        for cover in batch.covered:
            if cover.end <= cover.start:
                feed.covered.setdefault(cover.platform, [])
                continue
            known = feed.covered.get(cover.platform)
            if known and known[-1][0] <= cover.start <= known[-1][1]:
                # Nearly always what was covered goes on.
                known[-1] = known[-1][0], max(known[-1][1], cover.end)
                continue
            coverage = feed.coverage(cover.platform)
            coverage.add(cover.start, cover.end)
            feed.covered[cover.platform] = coverage.get()
        feed.closed = batch.closed
        front = self.front if self.front is not None else _BEFORE_ALL
        if batch.activities:
            columns = batch.columns
            self.simulated = self.simulated or bool((columns.flags & SIMULATED).any())
            # An event that is dated ahead carries the front a minute beyond its receipt at most.
            if columns.count > _FEW:
                front = max(front, int(np.minimum(columns.occurred_at, columns.ingested_at + MINUTE).max()))
            else:
                times = zip(columns.occurred_at.tolist(), columns.ingested_at.tolist(), strict=True)
                front = max(front, *(min(occurred_at, ingested_at + MINUTE) for occurred_at, ingested_at in times))
        if batch.complete_to is not None:
            feed.mark = max(batch.complete_to, feed.mark or batch.complete_to)
            front = max(front, batch.complete_to - 1)
        if front > _BEFORE_ALL:
            self.front = front
        self._raise_watermark()

    def _raise_watermark(self) -> None:
        waiting = [feed for feed in self.feeds.values() if not feed.closed] or list(self.feeds.values())
        marks = [feed.mark for feed in waiting if feed.mark is not None]
        if marks and len(marks) == len(waiting):
            self.watermark = max(min(marks), self.watermark if self.watermark is not None else min(marks))

    def follow(self, before: Self | None) -> Self:
        """This progress with everything that was covered up to the one before.

        A checkpoint holds only what was covered since the last one. Raises Foreign for a progress that goes back: no
        worker wrote it.

        >>> feed = Feed(covered={"github": [(0, 5)]})
        >>> Progress(offset=2, feeds={"f": feed}).follow(
        ...     Progress(offset=1, feeds={"f": Feed(covered={"github": [(5, 9)]})})
        ... ).feeds["f"].covered
        {'github': [(0, 9)]}
        """
        if before is None:
            return self
        if self.offset < before.offset:
            raise Foreign("a progress that goes back")
        feeds = {name: msgspec.structs.replace(feed, covered=dict(feed.covered)) for name, feed in self.feeds.items()}
        for name, old in before.feeds.items():
            feed = feeds.setdefault(name, Feed())
            for platform, intervals in old.covered.items():
                if not feed.covered.get(platform):
                    feed.covered[platform] = intervals
                    continue
                coverage = old.coverage(platform)
                coverage.merge(feed.coverage(platform))
                feed.covered[platform] = coverage.get()
        return msgspec.structs.replace(self, feeds=feeds)

    @property
    def closed(self) -> bool:
        """Whether every known feed has ended."""
        return bool(self.feeds) and all(feed.closed for feed in self.feeds.values())


encode_progress = msgspec.json.Encoder().encode
decode_progress = msgspec.json.Decoder(Progress).decode
