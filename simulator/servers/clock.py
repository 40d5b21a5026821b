"""The time that the servers live in: the wall's, or one that runs faster from a common origin on."""

import time
from collections.abc import Callable
from math import ceil

from simulator.clock import SECOND


class WorldClock:
    """Simulated time = origin + (wall - origin)·scale; `origin` in seconds since 1970, `wall` gives the wall's.

    Whoever is judged beside the servers computes the same from the same two numbers. What happens stands in simulated
    time; whatever a server states as a time to wait, and the end of a rate window, is the wall's.

    >>> WorldClock(60.0, origin=1_000.0, wall=lambda: 1_010.0).now()
    1600000000
    """

    def __init__(self, scale: float = 1.0, origin: float = 0.0, wall: Callable[[], float] = time.time) -> None:
        if scale <= 0:
            raise ValueError(f"a clock cannot run at {scale}; take a scale above 0")
        self.scale = scale
        self.origin = origin
        self.wall = wall

    def now(self) -> int:
        """Simulated µs UTC."""
        return self.at(self.wall())

    def at(self, wall: float) -> int:
        """Simulated µs UTC at a wall time in seconds."""
        return int((self.origin + (wall - self.origin) * self.scale) * SECOND)

    def wait(self, seconds: float) -> float:
        """How many of the wall's seconds so many simulated ones take."""
        return seconds / self.scale

    def stated(self, seconds: float) -> str:
        """Simulated seconds as the wall's, in a header.

        >>> WorldClock().stated(60), WorldClock(60).stated(60), WorldClock(1200).stated(60), WorldClock(7).stated(60)
        ('60', '1', '0.05', '8.571429')
        """
        return self.stated_wall(self.wait(seconds))

    def stated_wall(self, seconds: float) -> str:
        """The wall's seconds, or an epoch of them, in a header: whole and rounded up at scale 1, else with the decimals
        that they need.

        >>> WorldClock().stated_wall(1_700_000_000.2), WorldClock(60).stated_wall(1_700_000_000.25)
        ('1700000001', '1700000000.25')
        """
        if self.scale == 1:
            return str(ceil(round(seconds, 6)))
        return f"{seconds:.6f}".rstrip("0").rstrip(".")
