"""The Hub's quota: so many requests in each fixed window, told with every answer, and what follows for whoever does not
stop.
"""

from dataclasses import dataclass
from math import ceil, inf
from typing import Final, NamedTuple

from simulator.servers.clock import WorldClock

WINDOW: Final = 300
# Whoever waits exactly as long as it was told is not early, whatever decimals and clocks do.
_TOLERANCE: Final = 0.002


@dataclass(slots=True)
class _Window:
    """A client's: the window's number, and requests counted in it."""

    number: int
    used: int = 0


class Spent(NamedTuple):
    """What a request comes to: whether it may pass, what the answer states, and when (the wall's s) its window ends."""

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
        """Others with the same token or address use up every window that begins before so many simulated seconds from
        now, and this one.
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
        """The window of a time of the wall's."""
        return int((wall + _TOLERANCE - self._clock.origin) // self._clock.wait(WINDOW))

    def _stated(self, seconds: float) -> str:
        """The wall's seconds, never too few: whole at scale 1, else with decimals where they are needed."""
        return str(ceil(seconds)) if self._clock.scale <= 1 else f"{ceil(seconds * 1000) / 1000:g}"
