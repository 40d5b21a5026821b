"""A feed's watermark, the gaps in which it may have missed something, and its coverage of the last hour."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from streams.activity import HOUR, MINUTE, SECOND, Activity, Cover
from streams.live.common.health import FeedHealth
from streams.live.common.poll_result import Gap, PollResult

# An answer shows the state of when it was made, so a watermark stays this far behind a poll.
MARGIN: Final = MINUTE
# A feed without progress for so long gets a gap, and its watermark goes on: other feeds must not wait for ever.
PATIENCE: Final = 15 * MINUTE


class Ledger:
    """The watermark (`mark`) of one feed (µs; None before its first) and its gaps.

    `began`: when this run began (µs). `encode`: makes the feed's cursor for a watermark. The feed's coverage is the
    time without gaps, times the share of its sources that it has `reached`. Where gaps do not determine it, `share`
    says it for a time. Poll results are made and put under `lock`, so that they are committed in the order of their
    cursors.
    """

    def __init__(
        self,
        health: FeedHealth,
        mark: int | None,
        began: int,
        encode: Callable[[int | None], bytes],
        *,
        share: Callable[[int], float | None] | None = None,
        reached: Callable[[], float] | None = None,
    ) -> None:
        self.health = health
        self.mark = mark
        self.began = began
        self.lock = asyncio.Lock()
        self._encode = encode
        self._share = share
        self._reached = reached or (lambda: 1.0)
        self._gaps = GapCoverage(began)

    def poll_result(
        self,
        *,
        activities: Sequence[Activity] = (),
        dead_letters: Sequence[bytes] = (),
        gaps: Sequence[Gap] = (),
        covered: Sequence[Cover] = (),
        mark: int | None = None,
        cursor: bytes | None = None,
        cursors: Mapping[str, bytes] | None = None,
    ) -> PollResult:
        """A poll result of this feed. The watermark never falls. `cursor` is given if more than the watermark
        changes.
        """
        complete_to = None if mark is None else max(mark, self.mark or 0)
        return PollResult(
            feed=self.health.feed,
            platform=self.health.platform,
            cursor=self._encode(self.mark if complete_to is None else complete_to) if cursor is None else cursor,
            activities=list(activities),
            dead_letters=list(dead_letters),
            gaps=list(gaps),
            covered=list(covered),
            share=self._reached(),
            complete_to=complete_to,
            cursors=cursors or {},
        )

    def overdue(self, end: int, reason: str, *, least: int) -> list[Gap]:
        """The gaps of a feed without progress, from its watermark to `end`. The time before this run is a gap of its
        own.

        No gap is shorter than `least`. A shorter time before this run becomes part of the gap that follows.
        """
        start = self.began if self.mark is None else self.mark
        rows = [(start, end, reason)]
        if start < self.began - least:
            rows = [(start, min(end, self.began), "down"), (self.began, end, reason)]
        return [
            Gap(feed=self.health.feed, start=start, end=end, reason=why)
            for start, end, why in rows
            if start < end - least
        ]

    def cover(self, start: int, end: int) -> list[Cover]:
        """The feed saw everything between two times (µs)."""
        return [Cover(self.health.platform, start, end)] if start < end else []

    def note(self, result: PollResult, now: int) -> None:
        """Count what a poll result published and missed. Call it after the broker has it."""
        health = self.health
        health.seen += len(result.activities)
        newest = max((activity.occurred_at for activity in result.activities), default=None)
        if newest is not None:
            health.newest = max(health.newest or newest, newest)
        for gap in result.gaps:
            health.gaps[gap.reason] = health.gaps.get(gap.reason, 0) + 1
            health.gap_seconds[gap.reason] = health.gap_seconds.get(gap.reason, 0.0) + (gap.end - gap.start) / SECOND
        if result.complete_to is not None:  # else it is the gap of a single repository
            self.mark = result.complete_to
            if self._share is None:
                self._gaps.add(result.gaps, result.covered)
        if self.mark is not None:
            health.coverage = self._gaps.get(now) * self._reached() if self._share is None else self._share(now)


class GapCoverage:
    """The share of the last hour without gaps, or of this run if it began later (`began`, µs).

    A later poll that reaches back over an outage closes that part of the gap.

    >>> coverage = GapCoverage(0)
    >>> coverage.add([Gap(feed="f", start=0, end=HOUR // 4, reason="limited")], [])
    >>> coverage.get(HOUR), coverage.get(2 * HOUR)
    (0.75, 1.0)
    >>> coverage.add([Gap(feed="f", start=HOUR, end=HOUR + HOUR // 2, reason="failed")], [])
    >>> coverage.add([], [Cover("github", HOUR + HOUR // 4, 2 * HOUR)])
    >>> coverage.get(2 * HOUR)
    0.75
    """

    def __init__(self, began: int) -> None:
        self._began = began
        self._gaps: deque[Gap] = deque()

    def add(self, gaps: Iterable[Gap], covered: Iterable[Cover]) -> None:
        """Add gaps, after closing the gaps that `covered` reaches over."""
        for cover in covered:
            self._gaps = deque(piece for gap in self._gaps for piece in _without(gap, cover))
        self._gaps.extend(gaps)

    def get(self, now: int) -> float:
        """The share at a time (µs), 0 to 1."""
        start = max(now - HOUR, self._began)
        while self._gaps and self._gaps[0].end <= start:
            self._gaps.popleft()
        missed = sum(max(0, min(gap.end, now) - max(gap.start, start)) for gap in self._gaps)
        return max(0.0, 1.0 - missed / max(1, now - start))


def _without(gap: Gap, cover: Cover) -> Iterator[Gap]:
    """The parts of a gap before and after a time that was seen completely."""
    for start, end in ((gap.start, min(gap.end, cover.start)), (max(gap.start, cover.end), gap.end)):
        if start < end:
            yield msgspec.structs.replace(gap, start=start, end=end)
