"""What the limits of both platforms have in common: bans, the seconds that headers state, and sleeping by a clock that may be set."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

# How much of a token's quota is ours: its owner has other things to do with the rest.
SHARE: Final = 0.8
# A server's seconds may be rounded down, and a clock that differs by less is not wrong: dates have whole seconds.
MARGIN: Final = 0.25
_SKEW: Final = 2.0
_LONGEST: Final = 86_400.0
# How often a sleeper looks at the clock, which may have been set.
_LOOK: Final = 60.0

Wall = Callable[[], float]


class Hold:
    """Up to when (the wall's s since 1970) something has to wait: at most a day, and no longer than told where the clock is set back."""

    def __init__(self, wall: Wall, until: float = 0.0) -> None:
        self._wall = wall
        self._until = until
        self._longest = _LONGEST

    @property
    def until(self) -> float:
        """When it ends, or has ended."""
        self._until = min(self._until, self._wall() + self._longest)
        return self._until

    @property
    def holds(self) -> bool:
        """Whether it lasts still."""
        return self._wall() < self.until

    def set(self, seconds: float) -> None:
        """Wait for so many of the wall's seconds from now on, whatever it was before."""
        self._longest = min(seconds, _LONGEST)
        self._until = self._wall() + self._longest


class Ban(Hold):
    """Up to when nothing may be asked of a server. It is never shortened."""

    def extend(self, seconds: float) -> None:
        """A refusal tells to wait for so many of the wall's seconds from now on."""
        seconds = min(seconds + MARGIN, _LONGEST)
        if self._wall() + seconds > self.until:
            self.set(seconds)

    @property
    def state(self) -> str:
        """For a person."""
        return f"limited until {time.strftime('%H:%M:%S', time.gmtime(self.until))}"


def number(value: str | None) -> float | None:
    """A number as a header states one, or None.

    >>> number("2.5"), number(" 7 "), number("-5"), number("1e99"), number(None)
    (2.5, 7.0, None, None, None)
    """
    return float(value) if value is not None and re.fullmatch(r"\s*[0-9]{1,15}(\.[0-9]+)?\s*", value) else None


def date(value: str | None) -> float | None:
    """A date as a header states one, in seconds since 1970, or None.

    >>> date("Thu, 01 Jan 1970 00:01:00 GMT"), date("soon"), date(None)
    (60.0, None, None)
    """
    try:
        return parsedate_to_datetime(value).timestamp() if value is not None else None
    except (ValueError, OverflowError):
        return None


def server_now(headers: Mapping[str, str], now: float) -> float:
    """From when on (s since 1970) a server's times are to be counted: now, or its own `Date`, if that is another and earlier time.

    A date may be wrong, and whoever waits too long breaks no ban: what would shorten a wait is not believed.

    >>> [server_now({"date": "Thu, 01 Jan 1970 00:01:40 GMT"}, now) for now in (40.0, 99.0, 101.0, 700.0)]
    [40.0, 99.0, 101.0, 100.0]
    """
    stated = date(headers.get("date"))
    return now if stated is None or stated >= now - _SKEW else stated


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds of `retry-after`, which may be a date.

    >>> [retry_after({"retry-after": value}, 20.0) for value in ("2.5", "Thu, 01 Jan 1970 00:01:00 GMT", "soon")]
    [2.5, 40.0, None]
    """
    value = headers.get("retry-after")
    seconds, until = number(value), date(value)
    if seconds is None and until is not None:
        seconds = max(0.0, until - server_now(headers, now))
    return seconds


async def sleep_until(wall: Wall, until: float) -> None:
    """Sleep until a time of the wall's in seconds and never end too soon, nor much later than was meant if the clock is set meanwhile."""
    while (rest := until - wall()) > 0:
        await asyncio.sleep(min(rest, _LOOK))
        until = min(until, wall() + rest)
