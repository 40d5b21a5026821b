"""The Hub's quota: how many requests may go out, and when."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from streams.errors import StreamsError
from streams.payloads import UNDECODABLE

# How much of the quota is ours: the token's owner has other things to do with the rest.
SHARE: Final = 0.8
# What holds where the Hub says nothing: the quota without a token, and its window in seconds.
_QUOTA: Final = 500.0
_WINDOW: Final = 300.0
# A server's seconds may be rounded down.
_MARGIN: Final = 0.25
_LONGEST_BAN: Final = 86_400.0
_NUMBER: Final = r"\s*=\s*(\d+(?:\.\d+)?)"


class _Ban(msgspec.Struct, array_like=True):
    """The cursor: until when (the wall's seconds since 1970) nothing may be asked."""

    until: float


class Limits:
    """Lets one request at a time through, evenly spaced, within our share of what the Hub says is left, and none during a ban.

    All times are the wall's seconds: they are the server's. `cursor` is that of an earlier run.
    """

    def __init__(self, wall: Callable[[], float], cursor: bytes | None = None) -> None:
        self._wall = wall
        self._turns = asyncio.Lock()
        self._quota = _QUOTA
        self._window = _WINDOW
        self._left = _QUOTA
        self._reset_at = 0.0
        self._asked_at = 0.0
        self.banned_until = _banned_until(cursor)

    @property
    def remaining(self) -> int:
        """Requests left of the quota until it is renewed."""
        return max(0, int(self._left))

    @property
    def banned(self) -> bool:
        """Whether nothing may be asked now."""
        return self._wall() < self.banned_until

    @property
    def cursor(self) -> bytes:
        """What a later run must know."""
        return msgspec.msgpack.encode(_Ban(self.banned_until))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The right to make one request; who asked first goes first."""
        async with self._turns:
            while True:
                wait = self._wait()
                if wait <= 0:
                    break
                await asyncio.sleep(wait)
            self._asked_at = self._wall()
            self._left -= 1
            yield

    def note(self, headers: Mapping[str, str]) -> None:
        """Take up what an answer says of the quota."""
        policy = headers.get("RateLimit-Policy", "")
        quota, window = _number("q", policy), _number("w", policy)
        if quota and window:
            self._quota, self._window = quota, window
        state = _bucket(headers.get("RateLimit", ""))
        left, seconds = _number("r", state), _number("t", state)
        if left is not None and seconds is not None:
            self._left = left
            self._reset_at = self._wall() + seconds

    def ban(self, headers: Mapping[str, str]) -> None:
        """Take up a refusal: nothing is asked before the stated seconds are over."""
        stated = (_number("t", _bucket(headers.get("RateLimit", ""))), _retry_after(headers.get("Retry-After"), self._wall()))
        seconds = max((value for value in stated if value is not None), default=self._window)
        self.banned_until = max(self.banned_until, self._wall() + min(seconds, _LONGEST_BAN) + _MARGIN)
        self._reset_at = self.banned_until
        self._left = 0.0

    @property
    def _free(self) -> float:
        return self._left - (1 - SHARE) * self._quota

    def _wait(self) -> float:
        now = self._wall()
        if now >= self._reset_at:
            self._left, self._reset_at = self._quota, now + self._window
        if self._free < 1:
            return max(self.banned_until, self._reset_at) - now
        # Evenly: neither faster than our share of a whole window, nor than what is left of it allows for.
        spacing = max(self._window / (SHARE * self._quota), (self._reset_at - now) / self._free)
        return max(self.banned_until, self._asked_at + spacing) - now


def _bucket(header: str) -> str:
    """Of several buckets the one of the API, else the first.

    >>> _bucket('"pages";r=9;t=1, "api";r=489;t=55'), _bucket('"api";r=489.5;t=55')
    (' "api";r=489;t=55', '"api";r=489.5;t=55')
    """
    buckets = header.split(",")
    return next((bucket for bucket in buckets if '"api"' in bucket), buckets[0])


def _number(name: str, header: str) -> float | None:
    """A number of a header, or None.

    >>> _number("r", '"api";r=489.5;t=55'), _number("w", '"fixed window";"api";q=500;w=300'), _number("q", "")
    (489.5, 300.0, None)
    """
    found = re.search(rf"(?:^|[;\s]){name}{_NUMBER}", header)
    return float(found[1]) if found else None


def _retry_after(value: str | None, now: float) -> float | None:
    """The seconds of a `Retry-After`, which may be a date.

    >>> _retry_after("2.5", 0.0), _retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 20.0), _retry_after("soon", 0.0), _retry_after(None, 0.0)
    (2.5, 40.0, None, None)
    """
    if value is None:
        return None
    try:
        return max(0.0, float(value)) if re.fullmatch(r"\s*\d+(\.\d+)?\s*", value) else parsedate_to_datetime(value).timestamp() - now
    except (ValueError, OverflowError):
        return None


def _banned_until(cursor: bytes | None) -> float:
    if cursor is None:
        return 0.0
    try:
        return msgspec.msgpack.decode(cursor, type=_Ban).until
    except UNDECODABLE:
        raise StreamsError("the cursor huggingface:limits cannot be read: name another data folder") from None
