"""The Hub's quota: a number of requests in each fixed window, stated in every answer, and what happens to clients that
exceed it.
"""

from dataclasses import dataclass
from math import ceil, inf
from typing import Final, NamedTuple

from simulator.servers.clock import WorldClock

WINDOW: Final = 300
# A client that waits exactly as long as demanded is not early, whatever decimals and clocks do.
_TOLERANCE: Final = 0.002


@dataclass(slots=True)
class _Window:
    """A client's window: its number, and the requests counted in it."""

    number: int
    used: int = 0


class Spent(NamedTuple):
    """The result of a request: whether it may pass, what the answer states, and when (Unix time) its window ends."""

    passes: bool
    headers: dict[str, str]
    until: float


class HubServerLimits:
    """Counts each client's requests; the windows are 300 simulated seconds long and the same for all.

    A client is a token, or an address without one. `anonymous` and `authorised` requests a window can be changed at any
    time; `refused` counts 429s.
    """

    def __init__(self, clock: WorldClock) -> None:
        self.anonymous = 500
        self.authorised = 1_000
        self.refused = 0
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._refusing_to = -inf  # windows before the clock's origin have negative numbers

    def refuse_everybody(self, seconds: float) -> None:
        """Others with the same token or address use up this window, and each one that begins within simulated seconds
        from now.
        """
        self._refusing_to = self._number(self._clock.wall() + self._clock.wait(seconds))

    def spend(self, client: str, *, authorised: bool) -> Spent:
        """Count a request."""
        now = self._clock.wall()
        number = self._number(now)
        window = self._windows.get(client)
        if window is None or window.number != number:
            window = self._windows[client] = _Window(number)
        quota = self.authorised if authorised else self.anonymous
        window.used += 1
        if number <= self._refusing_to:
            window.used = max(window.used, quota + 1)
        passes = window.used <= quota
        self.refused += not passes
        until = self._clock.origin + (number + 1) * self._clock.wait(WINDOW)
        headers = {
            "RateLimit": f'"api";r={max(0, quota - window.used)};t={self._stated(max(0.0, until - now))}',
            "RateLimit-Policy": f'"fixed window";"api";q={quota};w={self._clock.stated(WINDOW)}',
        }
        return Spent(passes, headers, until)

    def _number(self, wall: float) -> int:
        """The number of the window at a Unix time."""
        return int((wall + _TOLERANCE - self._clock.origin) // self._clock.wait(WINDOW))

    def _stated(self, seconds: float) -> str:
        """Seconds of real time, never too few: whole at scale 1, else with decimals where they are needed."""
        return str(ceil(seconds)) if self._clock.scale <= 1 else f"{ceil(seconds * 1000) / 1000:g}"
