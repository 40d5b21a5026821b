"""A clock for ages and time-outs that nobody can set: it goes on with the time that the broker saw pass."""

import time
from collections.abc import Callable
from typing import Final

from broker.configs import DAY_MS

# A process that was stopped, or held up, must not wake up to find everything expired.
_LONGEST_STEP_MS: Final = 60_000
# Less than anything is kept for.
_LONGEST_DOWN_MS: Final = DAY_MS // 2


def wall_clock() -> int:
    """Milliseconds since 1970, as the machine has them now: they may be set back or ahead."""
    return int(time.time() * 1000)


def monotonic() -> int:
    """Milliseconds since some moment."""
    return int(time.monotonic() * 1000)


class SteadyClock:
    """Milliseconds since about 1970, that never go back and never jump.

    While the broker runs they follow the monotonic clock. The time while it was down is the machine's word alone: it
    counts for half a day at most, so that a clock that is wrong for a moment does not make a log old.

    >>> ticks = iter([0, 250, 500])
    >>> clock = SteadyClock(wall=lambda: 5_000, ticks=lambda: next(ticks))
    >>> clock.begin(None)
    >>> clock(), clock()
    (5250, 5500)
    """

    def __init__(self, wall: Callable[[], int] = wall_clock, ticks: Callable[[], int] = monotonic) -> None:
        self._wall = wall
        self._ticks = ticks
        self._now = 0
        self._tick = 0

    def begin(self, last: int | None) -> None:
        """Go on from what the clock last showed, ms; None for a new log."""
        self._tick = self._ticks()
        wall = self._wall()
        self._now = wall if last is None else last + min(max(wall - last, 0), _LONGEST_DOWN_MS)

    def __call__(self) -> int:
        tick = self._ticks()
        self._now += min(max(tick - self._tick, 0), _LONGEST_STEP_MS)
        self._tick = tick
        return self._now
