"""GitHub's rate limits, which hold for a token and all its feeds: backoffs, the quota, and a budget without a token."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from streams.activity import HOUR, hash_name
from streams.kafka.cursors import decoded
from streams.live.common.backoff import (
    LARGEST_QUOTA,
    LONGEST_INTERVAL,
    MARGIN,
    SHARE,
    Backoff,
    Caps,
    Hold,
    number,
    quota_state,
    retry_after,
    server_now,
    sleep_until,
)
from streams.live.common.clock import Clock
from streams.live.common.http import Answer
from streams.live.github.refusal import message_of

LIMITS_FEED: Final = "github:limits"
_REMAINING: Final = "x-ratelimit-remaining"
_LIMIT: Final = "x-ratelimit-limit"
_RESET: Final = "x-ratelimit-reset (in seconds from now)"
# Requests in any hour without a token, of the 60 that GitHub grants an address. After the first of them they are spread
# evenly.
BUDGET: Final = 55
_BURST: Final = 20
# When this part of a token's quota is left, the rest is spread over the time.
_EASY: Final = 0.5
# The backoff after a refusal that states no time: a minute of real time, then doubled, up to the longest.
_SHORTEST_BACKOFF: Final = 60.0
_LONGEST_SILENT_BACKOFF: Final = 900.0
# How the message of a rate limit begins, as GitHub documents it. Only the beginning is compared, because an
# organisation's name or policy later in the message may contain any word.
_OF_LIMITS: Final = re.compile(
    r"API rate limit (already )?exceeded"
    r"|You have exceeded a( secondary)? rate limit"
    r"|You have triggered an abuse detection mechanism",
    re.IGNORECASE,
)


class _GithubLimitsCursor(msgspec.Struct, array_like=True):
    """The cursor: whose limits these are, the Unix time until which nothing may be asked, how many refusals without a
    time came in a row, and the times of requests (µs).
    """

    holder: int
    until: float = 0.0
    strikes: int = 0
    requests: list[int] = []


_decode: Final = msgspec.msgpack.Decoder(_GithubLimitsCursor).decode


class GithubLimits:
    """Admits one poll at a time, and no request during a backoff. `cursor` is that of an earlier run, `save` keeps a
    new one.

    Backoffs are in real time; the hour of the budget is the station's own.
    """

    def __init__(
        self, token: str, clock: Clock, cursor: bytes | None, save: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self._clock = clock
        self._save = save
        self._polls = asyncio.Lock()
        self._holder = hash_name(token)
        self.budgeted = not token
        self.remaining: int | None = None
        memory = None if cursor is None else decoded(LIMITS_FEED, _decode, cursor)
        if memory is None or memory.holder != self._holder:
            memory = _GithubLimitsCursor(self._holder)
        self.backoff = Backoff(clock.wall, memory.until)
        self._strikes = memory.strikes
        self._requests = deque(memory.requests, maxlen=BUDGET)
        # Until then the rest of our share of the quota is held back.
        self._spared = Hold(clock.wall, longest=LONGEST_INTERVAL)
        self._caps = Caps("github")

    @property
    def held(self) -> bool:
        """Whether nothing may be asked now, because of a backoff or because our share of the quota is spent."""
        return self.backoff.holds or self._spared.holds

    @property
    def state(self) -> str | None:
        """What holds up all feeds for longer than a minute, in words."""
        return self.backoff.state if self.backoff.holds else quota_state(self._spared.until, self._clock.wall())

    async def correct(self) -> None:
        """Save again what an earlier run had saved and was implausible."""
        if self.backoff.shortened:
            await self._save(self._cursor())

    @asynccontextmanager
    async def poll(self) -> AsyncIterator[None]:
        """The right to make all requests of one poll, first come, first served. A feed moves while others are asked
        between two of its pages.
        """
        async with self._polls:
            yield

    async def turn(self, *, first: bool) -> None:
        """Wait for the right to make one request of a poll, the `first` or a further one. Call it within `poll`."""
        while (until := self._free_at(first)) > self._clock.wall():
            await sleep_until(self._clock.wall, until)
        if self.budgeted:
            # Saved before the request: the next process must know of it, even if this one dies while it waits for the
            # answer.
            self._requests.append(self._clock.now())
            await self._save(self._cursor())

    def note(self, answer: Answer) -> None:
        """Read what an answer states about the quota."""
        headers = answer.headers
        left = self._caps.take(_REMAINING, number(headers.get(_REMAINING)), LARGEST_QUOTA)
        quota = self._caps.take(_LIMIT, number(headers.get(_LIMIT)), LARGEST_QUOTA)
        reset_at = number(headers.get("x-ratelimit-reset"))
        if left is not None:
            self.remaining = int(left)
        if left is None or quota is None or reset_at is None:
            return
        seconds = max(0.0, reset_at - server_now(headers, self._clock.wall()))
        # If the two clocks differ, an hour may look longer.
        seconds = self._caps.take(_RESET, seconds, LONGEST_INTERVAL, slack=LONGEST_INTERVAL) or 0.0
        # Without a token the budget is our share. Others may use the same address.
        free = left if self.budgeted else left - (1 - SHARE) * quota
        if free < 1:
            self._spared.set(seconds + MARGIN)
        elif not self.budgeted and left < _EASY * quota:
            self._spared.set(seconds / free)
        else:
            self._spared.set(0.0)

    async def refuse(self, answer: Answer) -> None:
        """Take a refusal into account, and save it."""
        seconds = _stated(answer.headers, self._clock.wall())
        if seconds is None:
            seconds = min(_LONGEST_SILENT_BACKOFF, _SHORTEST_BACKOFF * 2.0 ** min(self._strikes, 9))
            self._strikes += 1
        self.backoff.extend(seconds)
        await self._save(self._cursor())

    def allow(self) -> None:
        """Note an answer that was no refusal: the next refusal without a time counts as the first again."""
        self._strikes = 0

    def _free_at(self, first: bool) -> float:
        """The Unix time at which the next request may be made."""
        free_at = max(self.backoff.until, self._spared.until)
        if not self.budgeted or not self._requests:
            return free_at
        now = self._clock.now()
        if self._requests[-1] > now:
            # If the clock is set back, the budget must not hold up requests for longer than an hour.
            self._requests = deque((min(request, now) for request in self._requests), maxlen=BUDGET)
        requests = self._requests
        due = now
        if len(requests) == BUDGET:
            due = requests[0] + HOUR + 1
        if first and sum(request > now - HOUR for request in requests) >= _BURST:
            due = max(due, requests[-1] + HOUR // BUDGET)
        wait = self._clock.wait((due - now) / 1e6)
        return max(free_at, self._clock.wall() + wait) if wait > 0 else free_at

    def _cursor(self) -> bytes:
        return msgspec.msgpack.encode(
            _GithubLimitsCursor(self._holder, self.backoff.until, self._strikes, list(self._requests))
        )


def poll_interval(answer: Answer) -> float | None:
    """The seconds of `X-Poll-Interval`; a fast simulated world states decimals."""
    return number(answer.headers.get("X-Poll-Interval"))


def is_limit(answer: Answer) -> bool:
    """Whether a refusal is a rate limit: a 429, or a 403 whose headers or documented message say so."""
    if answer.status == 429:
        return True
    if answer.status != 403:
        return False
    headers = answer.headers
    if "retry-after" in headers or number(headers.get("x-ratelimit-remaining")) == 0:
        return True
    return _OF_LIMITS.match(message_of(answer)) is not None


def _stated(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds for which a refusal demands to wait.

    >>> _stated({"retry-after": "2.5", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "99"}, 0.0)
    2.5
    >>> _stated({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99.5"}, 9.5)
    90.0
    >>> _stated({"x-ratelimit-reset": "99"}, 0.0)
    >>> _stated({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT", "date": "Thu, 01 Jan 1970 00:00:10 GMT"}, 40.0)
    50.0
    """
    seconds = retry_after(headers, now)
    if seconds is not None:
        return seconds
    reset_at = number(headers.get("x-ratelimit-reset"))
    if reset_at is not None and number(headers.get("x-ratelimit-remaining")) == 0:
        return max(0.0, reset_at - server_now(headers, now))
    return None
