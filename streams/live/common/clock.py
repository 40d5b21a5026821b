"""The station's clock: the time of day, or a faster one that it shares with a simulated world."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Time that runs `scale` times as fast as the wall's since `origin` (seconds since 1970), when both showed the
    same.

    Only the station's own waits are shortened by it. A time that a server states (`retry-after`, `X-Poll-Interval`, …)
    is the wall's.

    >>> Clock(scale=60, origin=1000.0, wall=lambda: 1002.0).now()
    1120000000
    """

    scale: float = 1.0
    origin: float = 0.0
    wall: Callable[[], float] = time.time

    def now(self) -> int:
        """µs UTC."""
        wall = self.wall()
        return round(1e6 * (wall if self.scale == 1 else self.origin + (wall - self.origin) * self.scale))

    def wait(self, seconds: float) -> float:
        """How many of the wall's seconds a wait of the station's own lasts."""
        return seconds / self.scale
