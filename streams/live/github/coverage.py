"""Which share of what happened a feed has shown over the trailing hour that is a sample."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from streams.activity import HOUR


class Poll(NamedTuple):
    """A poll of a sample: when and after how long (µs), how many were new, whether nothing is missing, how many over
    how many seconds.
    """

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

        Of a single poll `span` may be negative, for its times are cut to the second: only the sum of an hour says how
        fast a feed moves.
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
