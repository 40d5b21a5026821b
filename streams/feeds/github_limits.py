"""GitHub's limits, which hold for a token and all of its feeds: bans, the quota, and without a token a budget."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from streams.activity import HOUR, hash_name
from streams.errors import StreamsError
from streams.feeds.clock import Clock
from streams.feeds.http import Answer
from streams.payloads import UNDECODABLE

LIMITS_FEED: Final = "github:limits"
# Requests in any hour without a token, of the 60 that GitHub grants an address; after the first of them they come evenly.
BUDGET: Final = 55
_BURST: Final = 20
# How much of a token's quota is ours: its owner has other things to do with the rest. From a half on what is left is spread.
SHARE: Final = 0.8
_EASY: Final = 0.5
# A refusal that says nothing: at least a minute of the wall's, then twice as long, …
_SHORTEST_BAN: Final = 60.0
_LONGEST_SILENT_BAN: Final = 900.0
_LONGEST_BAN: Final = 86_400.0
# A server's seconds may be rounded down, and a clock that differs by less is not wrong: dates have whole seconds.
_MARGIN: Final = 0.25
_SKEW: Final = 2.0
# How often a sleeper looks at the clock, which may have been set.
_LOOK: Final = 60.0
_OF_LIMITS: Final = re.compile(rb"limit|abuse|throttl|too many|quota|slow down", re.IGNORECASE)


class _Memory(msgspec.Struct, array_like=True):
    """The cursor: whose limits these are, until when (the wall's s) nothing may be asked, how often silently refused, requests (µs)."""

    holder: int
    until: float
    strikes: int
    requests: list[int]


class Limits:
    """Lets one poll at a time through, no request during a ban. `cursor` is that of an earlier run, `save` keeps one.

    A ban is stated in the wall's seconds; the hour of the budget is the station's own.
    """

    def __init__(self, token: str, clock: Clock, cursor: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:
        self._clock = clock
        self._save = save
        self._polls = asyncio.Lock()
        self._holder = hash_name(token)
        self.budgeted = not token
        self.banned_until = 0.0
        self._strikes = 0
        self._requests: deque[int] = deque(maxlen=BUDGET)
        self.remaining: int | None = None
        self._next_at = 0.0
        memory = _remembered(cursor)
        if memory is not None and memory.holder == self._holder:
            self.banned_until = min(memory.until, clock.wall() + _LONGEST_BAN)
            self._strikes = memory.strikes
            self._requests.extend(memory.requests)

    @property
    def banned(self) -> bool:
        """Whether nothing may be asked now."""
        return self._clock.wall() < self.banned_until

    @property
    def held(self) -> bool:
        """Whether nothing may be asked now, by a ban or because our share of the quota is spent."""
        return self._clock.wall() < max(self.banned_until, self._next_at)

    @asynccontextmanager
    async def poll(self) -> AsyncIterator[None]:
        """The right to all requests of a poll, for a feed moves while others are asked between two pages; who came first goes first."""
        async with self._polls:
            yield

    async def turn(self, *, first: bool) -> None:
        """Wait for the right to make one request, the `first` of a poll or a further one. Only within `poll`."""
        while (until := self._free_at(first)) > self._clock.wall():
            await sleep_until(self._clock, until)
        if self.budgeted:
            # Before the request: whoever starts next must know of it, even if this process dies while it waits for the answer.
            self._requests.append(self._clock.now())
            await self._save(self._cursor())

    def note(self, answer: Answer) -> None:
        """Take up what an answer says of the quota."""
        left, quota = _number(answer.headers.get("x-ratelimit-remaining")), _number(answer.headers.get("x-ratelimit-limit"))
        reset_at = _number(answer.headers.get("x-ratelimit-reset"))
        if left is not None:
            self.remaining = int(left)
        if left is None or quota is None or reset_at is None:
            return
        reset_at = min(reset_at, self._clock.wall() + _LONGEST_BAN)
        # Without a token the budget is our share, and the address may have others behind it.
        free = left if self.budgeted else left - (1 - SHARE) * quota
        now = self._clock.wall()
        if free < 1:
            self._next_at = reset_at + _MARGIN
        elif not self.budgeted and left < _EASY * quota:
            self._next_at = now + max(0.0, reset_at - now) / free
        else:
            self._next_at = 0.0

    async def refuse(self, answer: Answer) -> None:
        """Take up a refusal, and keep it."""
        now = self._clock.wall()
        seconds = _stated(answer.headers, now)
        if seconds is None:
            seconds = min(_LONGEST_SILENT_BAN, _SHORTEST_BAN * 2.0 ** min(self._strikes, 9))
            self._strikes += 1
        self.banned_until = max(self.banned_until, now + min(seconds, _LONGEST_BAN) + _MARGIN)
        await self._save(self._cursor())

    def allow(self) -> None:
        """An answer that was no refusal: the next silent one is the first again."""
        self._strikes = 0

    def _free_at(self, first: bool) -> float:
        """When (the wall's s) the next request may be made."""
        free_at = max(self.banned_until, self._next_at)
        if not self.budgeted or not self._requests:
            return free_at
        now, requests = self._clock.now(), self._requests
        due = now
        if len(requests) == BUDGET:
            due = requests[0] + HOUR + 1
        if first and sum(request > now - HOUR for request in requests) >= _BURST:
            due = max(due, requests[-1] + HOUR // BUDGET)
        # A clock that was set back must not stop everything for longer than the hour.
        wait = self._clock.wait(min(due - now, HOUR) / 1e6)
        return max(free_at, self._clock.wall() + wait) if wait > 0 else free_at

    def _cursor(self) -> bytes:
        return msgspec.msgpack.encode(_Memory(self._holder, self.banned_until, self._strikes, list(self._requests)))


def is_limit(answer: Answer) -> bool:
    """Whether a refusal is a limit's: it says so in a header or in words, or says nothing at all."""
    if answer.status == 429:
        return True
    if answer.status != 403:
        return False
    headers = answer.headers
    if "retry-after" in headers or _number(headers.get("x-ratelimit-remaining")) == 0 or _OF_LIMITS.search(answer.body):
        return True
    try:
        return not msgspec.json.decode(answer.body, type=_Message).message
    except UNDECODABLE:
        return not answer.body.strip()


async def sleep_until(clock: Clock, until: float) -> None:
    """Sleep until a time of the wall's in seconds, and never end too soon."""
    while True:
        rest = until - clock.wall()
        if rest <= 0:
            return
        await asyncio.sleep(min(rest, _LOOK))


class _Message(msgspec.Struct):
    message: str = ""


def _stated(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds for which a refusal says to wait. A date counts from the server's clock where that is another one, if that is later.

    >>> _stated({"retry-after": "2.5", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "99"}, 0.0)
    2.5
    >>> _stated({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99.5"}, 9.5), _stated({"x-ratelimit-reset": "99"}, 0.0)
    (90.0, None)
    >>> _stated({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT", "date": "Thu, 01 Jan 1970 00:00:10 GMT"}, 40.0)
    50.0
    """
    server = _date(headers.get("date"))
    if server is None or abs(server - now) <= _SKEW:
        server = now
    retry_after = headers.get("retry-after")
    if retry_after is not None:
        seconds, date = _number(retry_after), _date(retry_after)
        if seconds is not None:
            return seconds
        if date is not None:
            return max(0.0, date - min(now, server))
    reset_at = _number(headers.get("x-ratelimit-reset"))
    if reset_at is not None and _number(headers.get("x-ratelimit-remaining")) == 0:
        return max(0.0, reset_at - min(now, server))
    return None


def _number(value: str | None) -> float | None:
    return float(value) if value is not None and re.fullmatch(r"\s*\d{1,15}(\.\d+)?\s*", value) else None


def _date(value: str | None) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp() if value is not None else None
    except (ValueError, OverflowError):
        return None


def _remembered(cursor: bytes | None) -> _Memory | None:
    try:
        return None if cursor is None else msgspec.msgpack.decode(cursor, type=_Memory)
    except UNDECODABLE:
        raise StreamsError(f"the cursor {LIMITS_FEED} cannot be read: name another data folder") from None
