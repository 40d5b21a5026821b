"""A clock for ages and timeouts that does not follow changes of the system clock."""

import time
from collections.abc import Callable
from typing import Final

from broker.configs import DAY_MS

# A process that was suspended must not find everything expired when it continues.
_LONGEST_STEP_MS: Final = 60_000
# Shorter than any retention.
_LONGEST_DOWN_MS: Final = DAY_MS // 2


def wall_clock() -> int:
    """Milliseconds since 1970 by the system clock, which may be set back or ahead."""
    return int(time.time() * 1000)


def monotonic() -> int:
    """Milliseconds of the monotonic clock."""
    return int(time.monotonic() * 1000)


class SteadyClock:
    """Milliseconds since about 1970 that never go back and never jump.

    While the broker runs, it follows the monotonic clock. For the time while the broker was down there is the system
    clock only: at most half a day of it counts, so that a wrong system clock does not expire the log.

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
        """Continue from the last saved time (ms); None for a new log."""
        self._tick = self._ticks()
        wall = self._wall()
        self._now = wall if last is None else last + min(max(wall - last, 0), _LONGEST_DOWN_MS)

    def __call__(self) -> int:
        tick = self._ticks()
        self._now += min(max(tick - self._tick, 0), _LONGEST_STEP_MS)
        self._tick = tick
        return self._now
