"""Which share of what happened a feed has shown over the trailing hour: one that is a sample, and one that is whole between gaps."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from streams.activity import HOUR, Cover
from streams.feeds.find import Gap


class Poll(NamedTuple):
    """A poll of a sample: when and after how long (µs), how many were new, whether nothing is missing, how many over how many seconds."""

    at: int
    elapsed: int
    new: int
    whole: bool
    shown: int
    span: float


class SampleCoverage:
    """Events seen ÷ (rate within a poll × time); a stretch between two polls that overlap was seen whole.

    >>> coverage = SampleCoverage()
    >>> coverage.add(0, 0, 300, whole=False, shown=300, span=2.0)
    >>> coverage.get() is None
    True
    >>> coverage.add(60_000_000, 60_000_000, 300, whole=False, shown=300, span=2.5)
    >>> coverage.get(), SampleCoverage(coverage.polls).get()
    (0.0375, 0.0375)
    """

    def __init__(self, polls: Iterable[Poll] = ()) -> None:
        self._polls = deque(polls)

    @property
    def polls(self) -> tuple[Poll, ...]:
        """Those of the last hour, from which it can be made again."""
        return tuple(self._polls)

    def add(self, at: int, elapsed: int, new: int, *, whole: bool, shown: int, span: float) -> None:
        """Take up a complete poll at a time, so long after the one before (µs; 0: there was none).

        Of a single poll `span` may be negative, for its times are cut to the second: only the sum of an hour says how fast a feed moves.
        """
        self._polls.append(Poll(at, elapsed, new, whole, shown, span))
        while self._polls[0].at <= at - HOUR:
            self._polls.popleft()

    def get(self) -> float | None:
        """0 to 1; None as long as it cannot be known."""
        span = sum(poll.span for poll in self._polls)
        rate = sum(poll.shown for poll in self._polls) / span if span > 0 else None
        seen = time = 0.0
        for poll in self._polls:
            if poll.elapsed > 0:
                if poll.whole:
                    seen += poll.elapsed
                elif rate:
                    seen += min(poll.elapsed, poll.new / rate * 1e6)
                else:
                    return None
                time += poll.elapsed
        return seen / time if time else None


class GapCoverage:
    """The share of the last hour, or of this run if that is younger, that no gap touches; `began` in µs.

    What was a gap because nobody could look is none any more once a look reaches back over it.

    >>> coverage = GapCoverage(0)
    >>> coverage.add([Gap(feed="f", start=0, end=HOUR // 4, reason="limited")], [])
    >>> coverage.get(HOUR), coverage.get(2 * HOUR)
    (0.75, 1.0)
    >>> coverage.add([Gap(feed="f", start=HOUR, end=HOUR + HOUR // 4, reason="failed")], [])
    >>> coverage.add([], [Cover("github", HOUR, 2 * HOUR)])
    >>> coverage.get(2 * HOUR)
    1.0
    """

    def __init__(self, began: int) -> None:
        self._began = began
        self._gaps: deque[Gap] = deque()

    def add(self, gaps: list[Gap], covered: list[Cover]) -> None:
        """Take up what the ledger got, and what was seen whole."""
        for cover in covered:
            self._gaps = deque(gap for gap in self._gaps if gap.end <= cover.start)
        self._gaps.extend(gaps)

    def get(self, now: int) -> float:
        """0 to 1."""
        start = max(now - HOUR, self._began)
        while self._gaps and self._gaps[0].end <= start:
            self._gaps.popleft()
        missed = sum(max(0, min(gap.end, now) - max(gap.start, start)) for gap in self._gaps)
        return max(0.0, 1.0 - missed / max(1, now - start))
