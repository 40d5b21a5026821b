"""The station's clock: the time of day, or a faster one that it shares with a simulated world."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Time that runs `scale` times as fast as real time since `origin` (Unix time), when both showed the same.

    It shortens the station's own waits only. Times that a server states (`retry-after`, `X-Poll-Interval`, …) are real
    time.

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
        """The seconds of real time that a wait of the station's own lasts."""
        return seconds / self.scale
