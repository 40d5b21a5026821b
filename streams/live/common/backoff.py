"""What the rate limits of all platforms share: backoffs, the seconds that headers state, and sleeping by a clock that
may be set.

Every number that a server states is capped at a plausible value. A capped value is named in the log or the feed's
state.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

# The share of a token's quota that is used: its owner needs the rest for other things.
SHARE: Final = 0.8
# Added to each backoff, because a server's seconds may be rounded down.
MARGIN: Final = 0.25
# The longest backoff, and the longest poll interval or window of a quota, in seconds.
LONGEST_BACKOFF: Final = 86_400.0
LONGEST_INTERVAL: Final = 3_600.0
# More requests than any platform grants in a window.
LARGEST_QUOTA: Final = 1_000_000.0
_LIMITED: Final = "limited until"
_USED_UP: Final = "quota used up, waits until"
# A feed that waits for a quota longer than this says so (seconds of real time).
_LONG: Final = 60.0
# A server's `Date` that is behind by less is not taken for a clock that is wrong: dates have whole seconds.
_SKEW: Final = 2.0
# How often a sleeper reads the clock, which may have been set.
_LOOK: Final = 60.0
_LOG: Final = logging.getLogger("nomadwatch.streams")

Wall = Callable[[], float]


class Hold:
    """The Unix time until which something has to wait, at most `longest` seconds from now.

    Setting the clock back does not prolong the wait. `shortened`: the `until` of an earlier run was implausible and was
    cut. It has to be saved again, or each run would wait as long.
    """

    def __init__(self, wall: Wall, until: float = 0.0, longest: float = LONGEST_BACKOFF) -> None:
        self._wall = wall
        self._cap = self._longest = longest
        self.shortened = until > wall() + longest
        self._until = min(wall() + longest, until)

    @property
    def until(self) -> float:
        """When the wait ends, or has ended."""
        self._until = min(self._until, self._wall() + self._longest)
        return self._until

    @property
    def holds(self) -> bool:
        """Whether the wait is not over."""
        return self._wall() < self.until

    def set(self, seconds: float) -> None:
        """Wait for `seconds` of real time from now on, whatever was set before."""
        self._longest = min(seconds, self._cap)
        self._until = self._wall() + self._longest


class Backoff(Hold):
    """The time until which a server must not be asked. A later refusal may prolong it, never shorten it."""

    _stated = 0.0

    def extend(self, seconds: float) -> None:
        """Take a refusal that demands a wait of `seconds` of real time from now on."""
        capped = min(seconds + MARGIN, LONGEST_BACKOFF)
        if self._wall() + capped > self.until:
            self._stated = seconds
            self.set(capped)

    @property
    def state(self) -> str:
        """The state of a feed that waits, in words."""
        told = f", not for the {self._stated:,.0f} s that the server said" if self._stated > LONGEST_BACKOFF else ""
        return f"{_LIMITED} {moment(self.until, self._wall())}{told}"


class Caps:
    """Caps the numbers that one platform states. A number is logged once for as long as it stays implausible."""

    def __init__(self, platform: str) -> None:
        self._platform = platform
        self._told: set[str] = set()

    def take(self, name: str, value: float | None, largest: float, *, slack: float = 0.0) -> float | None:
        """The value, at most `largest`; None stays None. An excess of at most `slack` is not logged."""
        if value is None:
            return None
        if value <= largest + slack:
            self._told.discard(name)
            return min(value, largest)
        if name not in self._told:
            self._told.add(name)
            _LOG.warning(
                "%s: %s says %s, which cannot be true; %s is taken",
                self._platform,
                name,
                f"{value:,.0f}",
                f"{largest:,.0f}",
            )
        return largest


def quota_state(until: float, now: float) -> str | None:
    """The state of a feed that waits for a quota until a time (s since 1970), or None if that is not for long."""
    return f"{_USED_UP} {moment(until, now)}" if until - now > _LONG else None


def is_waiting(state: str) -> bool:
    """Whether a feed's state says that it waits for the end of a backoff, or for a quota.

    >>> is_waiting("limited until 12:03:20"), is_waiting("quota used up, waits until 12:03:20")
    (True, True)
    >>> is_waiting("failing: 502")
    False
    """
    return state.startswith((_LIMITED, _USED_UP))


def moment(time_: float, now: float) -> str:
    """A Unix time in words, UTC; with its date if that is not today.

    >>> moment(86_399.0, 0.0), moment(86_400.0, 0.0)
    ('23:59:59', '1970-01-02 00:00:00')
    """
    at, today = time.gmtime(time_), time.gmtime(now)
    return time.strftime("%H:%M:%S" if at[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", at)


def number(value: str | None) -> float | None:
    """A number as a header states one, or None.

    >>> number("2.5"), number(" 7 "), number("-5"), number("1e99"), number(None)
    (2.5, 7.0, None, None, None)
    """
    return float(value) if value is not None and re.fullmatch(r"\s*[0-9]{1,300}(\.[0-9]{0,300})?\s*", value) else None


def date(value: str | None) -> float | None:
    """A date as a header states one, in seconds since 1970, or None.

    >>> date("Thu, 01 Jan 1970 00:01:00 GMT"), date("soon"), date(None)
    (60.0, None, None)
    """
    try:
        return parsedate_to_datetime(value).timestamp() if value is not None else None
    except (ValueError, OverflowError, OSError):
        return None


def server_now(headers: Mapping[str, str], now: float) -> float:
    """The Unix time from which a server's times are counted: its own `Date` if that is earlier, else now.

    A `Date` may be wrong. One that would shorten a wait is ignored: waiting too long breaks no rule.

    >>> [server_now({"date": "Thu, 01 Jan 1970 00:01:40 GMT"}, now) for now in (40.0, 99.0, 101.0, 700.0)]
    [40.0, 99.0, 101.0, 100.0]
    """
    stated = date(headers.get("date"))
    return now if stated is None or stated >= now - _SKEW else stated


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that `retry-after` demands; the header may state a date.

    >>> [retry_after({"retry-after": value}, 20.0) for value in ("2.5", "Thu, 01 Jan 1970 00:01:00 GMT", "soon")]
    [2.5, 40.0, None]
    """
    value = headers.get("retry-after")
    seconds, until = number(value), date(value)
    if seconds is None and until is not None:
        seconds = max(0.0, until - server_now(headers, now))
    return seconds


async def sleep_until(wall: Wall, until: float) -> None:
    """Sleep until the Unix time `until`. Never wakes early; setting the clock cannot prolong the wait much."""
    while (rest := until - wall()) > 0:
        await asyncio.sleep(min(rest, _LOOK))
        until = min(until, wall() + rest)
