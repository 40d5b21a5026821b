"""The time of the servers: real time, or one that runs faster since a common origin."""

import time
from collections.abc import Callable
from math import ceil

from simulator.clock import SECOND


class WorldClock:
    """Simulated time = origin + (real time - origin)·scale; `origin` is Unix time, `wall` gives real time.

    A station beside the servers computes the same from the same two numbers. Happenings are in simulated time. Times to
    wait that a server states, and the end of a rate window, are real time.

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
        """Simulated µs UTC at a Unix time."""
        return int((self.origin + (wall - self.origin) * self.scale) * SECOND)

    def wait(self, seconds: float) -> float:
        """The seconds of real time that simulated seconds take."""
        return seconds / self.scale

    def stated(self, seconds: float) -> str:
        """Simulated seconds as real ones, for a header.

        >>> WorldClock().stated(60), WorldClock(60).stated(60), WorldClock(1200).stated(60), WorldClock(7).stated(60)
        ('60', '1', '0.05', '8.571429')
        """
        return self.stated_wall(self.wait(seconds))

    def stated_wall(self, seconds: float) -> str:
        """Seconds of real time, or a Unix time, for a header: whole and rounded up at scale 1, else with the decimals
        that are needed.

        >>> WorldClock().stated_wall(1_700_000_000.2), WorldClock(60).stated_wall(1_700_000_000.25)
        ('1700000001', '1700000000.25')
        """
        if self.scale == 1:
            return str(ceil(round(seconds, 6)))
        return f"{seconds:.6f}".rstrip("0").rstrip(".")
