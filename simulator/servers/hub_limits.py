"""The Hub's quota: so many requests in each fixed window, told with every answer, and what follows for whoever does not stop."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final

from simulator.servers.clock import Clock

WINDOW: Final = 300
# Whoever waits exactly as long as it was told is not early, whatever decimals and clocks do.
_TOLERANCE: Final = 0.002


@dataclass(slots=True)
class _Window:
    """A client's: the window's number, requests counted in it, and whether one was refused."""

    number: int
    used: int = 0
    banned: bool = False


class Limits:
    """Counts each client's requests; the windows are 300 simulated seconds long and the same for all.

    A client is a token, or an address without one. `anonymous` and `authorised` requests a window can be changed at any time; `refused`
    counts 429s. `offended` is told (the path) of a request after a 429 before its window has ended.
    """

    def __init__(self, clock: Clock, offended: Callable[[str], None]) -> None:
        self.anonymous = 500
        self.authorised = 1_000
        self.refused = 0
        self._clock = clock
        self._offended = offended
        self._windows: dict[str, _Window] = {}

    def spend(self, client: str, path: str, *, authorised: bool) -> tuple[bool, dict[str, str]]:
        """Count a request: whether it may pass, and what the answer states."""
        length = self._clock.wait(WINDOW)
        now = self._clock.wall()
        number = int((now + _TOLERANCE - self._clock.origin) // length)
        window = self._windows.get(client)
        if window is None or window.number != number:
            window = self._windows[client] = _Window(number)
        quota = self.authorised if authorised else self.anonymous
        window.used += 1
        passes = window.used <= quota
        if not passes:
            self.refused += 1
            if window.banned:
                self._offended(path)
            window.banned = True
        left = max(0.0, self._clock.origin + (number + 1) * length - now)
        return passes, {
            "RateLimit": f'"api";r={max(0, quota - window.used)};t={self._stated(left)}',
            "RateLimit-Policy": f'"fixed window";"api";q={quota};w={self._clock.stated(WINDOW)}',
        }

    def _stated(self, seconds: float) -> str:
        """The wall's seconds, never too few: whole at scale 1, else with decimals where they are needed."""
        return str(ceil(seconds)) if self._clock.scale <= 1 else f"{ceil(seconds * 1000) / 1000:g}"
