"""The Hub's quota: how many requests may go out, and when."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from streams.kafka.cursors import decoded
from streams.live.common.backoff import (
    LARGEST_QUOTA,
    LONGEST_BACKOFF,
    LONGEST_INTERVAL,
    SHARE,
    Backoff,
    Caps,
    Hold,
    Wall,
    quota_state,
    retry_after,
    sleep_until,
)

LIMITS_FEED: Final = "huggingface:limits"
# The defaults where the Hub states nothing: the quota without a token, and its window in seconds.
_QUOTA: Final = 500.0
_WINDOW: Final = 300.0
# Seconds before the third request after two refusals in a row; then doubled, up to a window.
_SHORTEST_BACKOFF: Final = 0.5
_NUMBER: Final = r"\s*=\s*([0-9]{1,300}(?:\.[0-9]{0,300})?)(?![0-9])"


class _HubLimitsCursor(msgspec.Struct, array_like=True):
    """The cursor: the Unix time until which nothing may be asked."""

    until: float


_decode: Final = msgspec.msgpack.Decoder(_HubLimitsCursor).decode


class HubLimits:
    """Admits one request at a time, evenly spaced, within our share of what the Hub says is left, and none during a
    backoff.

    All times are real time, because the server states them. `cursor` is that of an earlier run.
    """

    def __init__(self, wall: Wall, cursor: bytes | None = None) -> None:
        self._wall = wall
        self._turns = asyncio.Lock()
        self._quota = _QUOTA
        self._window = _WINDOW
        self._left = _QUOTA
        # The quota is renewed when this ends.
        self._spending = Hold(wall)
        self._caps = Caps("huggingface")
        self._asked_at = 0.0
        self._refusals = 0
        self.backoff = Backoff(wall, 0.0 if cursor is None else decoded(LIMITS_FEED, _decode, cursor).until)

    @property
    def state(self) -> str | None:
        """What holds up all feeds for longer than a minute, in words."""
        return self.backoff.state if self.backoff.holds else quota_state(self._free_at(), self._wall())

    @property
    def remaining(self) -> int:
        """Requests left of the quota until it is renewed."""
        return max(0, int(self._left))

    @property
    def cursor(self) -> bytes:
        """What a later run must know."""
        return msgspec.msgpack.encode(_HubLimitsCursor(self.backoff.until))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The right to make one request; first come, first served."""
        async with self._turns:
            while (until := self._free_at()) > self._wall():
                await sleep_until(self._wall, until)
            self._asked_at = self._wall()
            self._left -= 1
            yield

    def note(self, headers: Mapping[str, str]) -> None:
        """Read what an answer states about the quota."""
        policy = headers.get("RateLimit-Policy", "")
        quota = self._caps.take("RateLimit-Policy q", _number("q", policy), LARGEST_QUOTA)
        window = self._caps.take("RateLimit-Policy w", _number("w", policy), LONGEST_INTERVAL)
        if quota and window:
            self._quota, self._window = max(1.0, quota), window
        state = _bucket(headers.get("RateLimit", ""))
        left = self._caps.take("RateLimit r", _number("r", state), LARGEST_QUOTA)
        # A quota that is used up counts as a backoff.
        seconds = self._caps.take("RateLimit t", _number("t", state), LONGEST_BACKOFF)
        if left is not None and seconds is not None:
            self._left = left
            self._spending.set(seconds)

    def refuse(self, headers: Mapping[str, str]) -> None:
        """Take a refusal into account: nothing is asked before the stated seconds have passed."""
        stated = (_number("t", _bucket(headers.get("RateLimit", ""))), retry_after(headers, self._wall()))
        # A server that refuses again and again, each time until now, is asked less and less often.
        least = min(self._window, _SHORTEST_BACKOFF * 2.0 ** min(self._refusals, 20)) if self._refusals else 0.0
        self._refusals += 1
        said = [value for value in stated if value is not None] or [self._window]
        self.backoff.extend(max(*said, least))
        self._spending.set(self.backoff.until - self._wall())
        self._left = 0.0

    def allow(self) -> None:
        """Note an answer that was no refusal."""
        self._refusals = 0

    @property
    def _free(self) -> float:
        # Even of a quota below five, one request is ours.
        return self._left - min((1 - SHARE) * self._quota, self._quota - 1)

    def _free_at(self) -> float:
        """The Unix time at which the next request may be made."""
        # Setting the clock back does not delay what follows from the last request.
        now = self._wall()
        self._asked_at = min(self._asked_at, now)
        if not self._spending.holds:
            self._left = self._quota
            self._spending.set(self._window)
        renewed_at = self._spending.until
        if self._free < 1:
            return max(self.backoff.until, renewed_at)
        # Evenly: no faster than our share of a whole window, and no faster than what is left of it allows.
        spacing = max(self._window / (SHARE * self._quota), (renewed_at - now) / self._free)
        return max(self.backoff.until, self._asked_at + min(spacing, LONGEST_INTERVAL))


def _bucket(header: str) -> str:
    """The bucket of the API if a header has several, else the first.

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
