"""How far a feed of the Hub has come, and what it may have missed."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from streams.activity import HOUR, MINUTE, Activity, Cover
from streams.feeds.find import Find, Gap
from streams.feeds.health import Health
from streams.feeds.hub_client import PLATFORM

# A request shows what was there when it was answered: a mark keeps that far behind.
MARGIN: Final = MINUTE
# A feed that does not get on for so long opens a gap, and its mark goes on: others must not wait for it for ever.
PATIENCE: Final = 15 * MINUTE


class Ledger:
    """The mark of one feed (µs; None before its first) and its gaps.

    `began` is when this run did, `encode` makes the feed's cursor with a mark, `share` is its coverage if that is not told by gaps,
    `reached` the share of what it looks at that can be looked at.
    Finds are built and put under `lock`, so that they are committed in the order in which the cursors were made.
    """

    def __init__(
        self,
        health: Health,
        mark: int | None,
        began: int,
        encode: Callable[[int | None], bytes],
        share: Callable[[int], float | None] | None = None,
        reached: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self.health = health
        self.mark = mark
        self.lock = asyncio.Lock()
        self.share = share
        self._reached = reached
        self._encode = encode
        self._began = began
        self._recent: deque[Gap] = deque()

    def find(
        self,
        *,
        activities: Sequence[Activity] = (),
        letters: Sequence[bytes] = (),
        gaps: Sequence[Gap] = (),
        covered: Sequence[Cover] = (),
        mark: int | None = None,
        cursor: bytes | None = None,
        cursors: Mapping[str, bytes] | None = None,
    ) -> Find:
        """A find of this feed, whose mark never falls; with a `cursor` if it moves by more than the mark."""
        complete_to = None if mark is None else max(mark, self.mark or 0)
        return Find(
            feed=self.health.feed,
            platform=PLATFORM,
            cursor=self._encode(self.mark if complete_to is None else complete_to) if cursor is None else cursor,
            activities=list(activities),
            letters=list(letters),
            gaps=list(gaps),
            covered=list(covered),
            complete_to=complete_to,
            cursors=cursors or {},
        )

    def overdue(self, now: int, patience: int, reason: str) -> Gap | None:
        """The gap that a feed opens which has not got on for longer than its patience; no row for every few seconds of it."""
        start = self._began if self.mark is None else self.mark
        end = now - patience
        # What little is left of the time before this run is told with what comes after it, or it never would be.
        if start < self._began - patience // 3:
            end, reason = min(end, self._began), "down"
        return Gap(feed=self.health.feed, start=start, end=end, reason=reason) if start < end - patience // 3 else None

    def cover(self, start: int, end: int) -> list[Cover]:
        """What the feed saw whole between two times."""
        return [Cover(PLATFORM, start, end)] if start < end else []

    def note(self, find: Find, now: int) -> None:
        """Count what was published and missed. Call it after the broker has it."""
        health = self.health
        health.seen += len(find.activities)
        newest = max((activity.occurred_at for activity in find.activities), default=None)
        if newest is not None:
            health.newest = max(health.newest or newest, newest)
        if find.complete_to is not None:
            self.mark = find.complete_to
        for gap in find.gaps:
            health.gaps[gap.reason] = health.gaps.get(gap.reason, 0) + 1
            health.gap_seconds[gap.reason] = health.gap_seconds.get(gap.reason, 0.0) + (gap.end - gap.start) / 1e6
        if find.complete_to is not None:  # else it is a gap of one of many repositories
            self._recent.extend(find.gaps)
        if self.mark is not None:
            health.coverage = self._coverage(now) * self._reached() if self.share is None else self.share(now)

    def _coverage(self, now: int) -> float:
        """The share of the last hour, or of this run if that is younger, that no gap touches."""
        start = max(now - HOUR, self._began)
        while self._recent and self._recent[0].end <= start:
            self._recent.popleft()
        missed = sum(max(0, gap.end - max(gap.start, start)) for gap in self._recent)
        return max(0.0, 1.0 - missed / max(1, now - start))
