"""Requests to the Hub: addresses, the quota, and every failure, each an exception named by the reaction wanted."""

import asyncio
import copy
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence, Sized
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # public, though not marked so
from yarl import URL

from streams.errors import DeadLetter
from streams.github_payloads import UNDECODABLE
from streams.live.common.clock import Clock
from streams.live.common.health import FeedHealth
from streams.live.common.http import (
    MOST_MOVES,
    Answer,
    Broken,
    Gone,
    Oversized,
    RefusedToken,
    Unreachable,
    fetch,
    growing,
    off_loop,
)
from streams.live.common.poll_result import Outlet, PollResult
from streams.live.hub.limits import LIMITS_FEED, HubLimits
from streams.live.hub.platform import PLATFORM
from streams.live.hub.refusals import HubRefused, TokenRefused, refusal

# A server that cannot be reached is asked again after 1 s of the station's clock, then 2 s, …, each shortened by up to
# a half at random.
_TRIES: Final = 5
_SHORTEST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 300.0
# The limits of reading one listing, walk or repository: far more than any real one needs.
_MOST_REQUESTS: Final = 1_000
_MOST_PAGES: Final = 250
_MOST_ELEMENTS: Final = 100_000
_MOST_BYTES: Final = 128 << 20
# Seconds of waiting for answers. Waits for a quota or a backoff do not count.
_MOST_SECONDS: Final = 300.0
_LINKS: Final = re.compile(r"<([^>]*)>([^<]*)")

T = TypeVar("T")
Params = Sequence[tuple[str, str | int]]


@dataclass(frozen=True, slots=True)
class HubPage(Generic[T]):
    """A decoded answer, the address of the next page, and when it came (µs of the station's clock)."""

    content: T
    address: str
    next: str | None
    received: int


class _Allowance:
    """What is left of the limits for reading one thing."""

    def __init__(self) -> None:
        self._requests, self._seconds, self._bytes = _MOST_REQUESTS, _MOST_SECONDS, _MOST_BYTES

    @property
    def left(self) -> bool:
        return self._requests > 0 and self._seconds > 0 and self._bytes > 0

    def spend(self, seconds: float, length: int) -> None:
        self._requests -= 1
        self._seconds -= seconds
        self._bytes -= length


class HubClient:
    """Makes all requests of all feeds, one at a time. `token` may be empty."""

    def __init__(
        self, endpoint: str, token: str, session: aiohttp.ClientSession, limits: HubLimits, outlet: Outlet, clock: Clock
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._session = session
        self._limits = limits
        self._refused = RefusedToken(PLATFORM, "HF_TOKEN")
        self._outlet = outlet
        self._clock = clock
        self._allowance: _Allowance | None = None
        # An empty token must not make the library search this machine for one. The User-Agent is the session's own.
        headers = build_hf_headers(token=token or False, library_name="nomadwatch")
        self._headers = {name: value for name, value in headers.items() if name.lower() == "authorization"}

    @property
    def signed_in(self) -> bool:
        """Whether a token is sent with the requests."""
        return bool(self._headers)

    def bounded(self) -> Self:
        """The same client with limits of requests, bytes and seconds for reading one thing; beyond them it raises
        `Oversized`.
        """
        client = copy.copy(self)
        client._allowance = _Allowance()
        return client

    async def get(self, path: str, decode: Callable[[bytes], T], health: FeedHealth, params: Params = ()) -> HubPage[T]:
        """One page of `/api/PATH`, after a backoff if there is one.

        Raises `Gone`, `HubRefused`, `TokenRefused` and `Oversized` at once, `Unreachable` after several attempts.
        """
        query = f"?{urlencode(params)}" if params else ""
        return await self._get(f"{self._endpoint}/api/{quote(path)}{query}", decode, health)

    async def pages(
        self, path: str, decode: Callable[[bytes], T], health: FeedHealth, params: Params = ()
    ) -> AsyncIterator[HubPage[T]]:
        """The pages, as far as they are asked for. `Oversized` if they do not end, or lead back to an earlier one."""
        client = self.bounded() if self._allowance is None else self
        page = await client.get(path, decode, health, params)
        met = {page.address}
        length = 0
        while True:
            yield page
            length += len(page.content) if isinstance(page.content, Sized) else 0
            if page.next is None:
                return
            if page.next in met or len(met) >= _MOST_PAGES or length > _MOST_ELEMENTS:
                what = "pages lead in a circle" if page.next in met else "the pages do not end"
                raise self._exceeds(what, page.next, health)
            met.add(page.next)
            page = await client._get(page.next, decode, health)

    async def listing(
        self, folder: str, decode: Callable[[bytes], T], health: FeedHealth, params: Params
    ) -> AsyncIterator[HubPage[T]]:
        """The pages of a listing, which always exists: `Unreachable` if the server says that it does not."""
        try:
            async for page in self.pages(folder, decode, health, params):
                yield page
        except Gone as error:
            reason = f": {error.reason}" if isinstance(error, HubRefused) else ""
            health.state = f"failing: the listing is refused{reason}"
            raise Unreachable(health.state) from None

    async def _get(self, address: str, decode: Callable[[bytes], T], health: FeedHealth) -> HubPage[T]:
        tries = 0
        while True:
            try:
                answer = await self._ask(address, health)
                if answer is not None:
                    received = self._clock.now()
                    content = await off_loop(len(answer.body), decode, answer.body)
                    page = HubPage(content, address, self._next(address, answer), received)
                    health.polls["new"] += 1
                    health.state = self._limits.state or health.well
                    return page
            except TokenRefused as error:
                health.polls["failed"] += 1
                health.state = str(error)
                raise
            except DeadLetter:
                body = answer.body if answer is not None else b""
                raise self._exceeds("an answer has too many elements", address, health, body) from None
            except Oversized:
                raise
            except (Unreachable, *UNDECODABLE) as error:
                health.polls["failed"] += 1
                health.state = str(error) if isinstance(error, Unreachable) else "failing: broken answer"
                tries += 1
                if tries == _TRIES:
                    raise (Unreachable if isinstance(error, Unreachable) else Broken)(health.state) from error
                await asyncio.sleep(self.growing(tries))

    async def _ask(self, address: str, health: FeedHealth) -> Answer | None:
        """The answer, or None after a backoff began. Redirects are followed; each costs a request of the quota."""
        place = address
        for _ in range(MOST_MOVES + 1):
            answer = await self._fetch(place, health)
            if answer.moved_to is None:
                return await self._taken(answer, health)
            place = answer.moved_to
        raise Unreachable("failing: too many redirects")

    async def _fetch(self, address: str, health: FeedHealth) -> Answer:
        health.state = self._limits.state or health.state
        async with self._limits.turn():
            if self._allowance is not None and not self._allowance.left:
                raise self._exceeds("one reading takes too many requests, seconds or bytes", address, health)
            began = time.monotonic()
            length = 0
            try:
                answer = await fetch(self._session, address, headers=self._headers)
                length = len(answer.body)
            except Oversized as error:
                raise self._exceeds(str(error), address, health, error.raw) from None
            except Unreachable as error:
                raise Unreachable(f"failing: {error}") from error
            finally:
                if self._allowance is not None:
                    self._allowance.spend(time.monotonic() - began, length)
            self._limits.note(answer.headers)
            if answer.status == 429:
                self._limits.refuse(answer.headers)
            else:
                self._limits.allow()
            health.remaining = self._limits.remaining
        return answer

    async def _taken(self, answer: Answer, health: FeedHealth) -> Answer | None:
        if answer.status == 429:
            health.polls["limited"] += 1
            health.state = self._limits.backoff.state
            # Saved at once: the next process must know of it, even if this one dies while it waits.
            await self._outlet.put(PollResult(feed=LIMITS_FEED, platform=PLATFORM, cursor=self._limits.cursor))
            return None
        refused = refusal(answer.status, answer.headers, signed_in=self.signed_in)
        if refused is not None:
            health.polls["failed"] += 1
            raise refused
        if answer.status == 401:
            raise TokenRefused(self._refused.say())
        if answer.status != 200:
            raise Unreachable(answer.failure)
        return answer

    def _exceeds(self, what: str, address: str, health: FeedHealth, raw: bytes = b"") -> Oversized:
        """Count and show that a limit is exceeded. Without an answer the address is kept as the dead letter."""
        error = Oversized(what.removeprefix("failing: "), address, raw or address.encode())
        health.polls["failed"] += 1
        health.state = str(error)
        return error

    def growing(self, failures: int) -> float:
        """How long to wait after `failures` failures in a row, in seconds of real time."""
        return self._clock.wait(growing(failures, _SHORTEST_WAIT, _LONGEST_WAIT))

    def _next(self, address: str, answer: Answer) -> str | None:
        """The next page, at our endpoint, whatever host a mirror names: the token goes nowhere else. Raises
        `Unreachable`.

        All `Link` headers are read, and all links in each.
        """
        for header in answer.headers.getall("Link", []):
            for link, rest in _LINKS.findall(header):
                if 'rel="next"' in rest or "rel=next" in rest:
                    return self._here(address, link)
        return None

    def _here(self, address: str, link: str) -> str:
        """The target of a link, moved to our endpoint."""
        try:
            url = URL(address, encoded=True).join(URL(link, encoded=True))
            ours = URL(self._endpoint).origin()
            # Only path and query are taken: the token would be sent along to a host, or with a user name and password,
            # in front of them.
            return f"{ours if url.origin() == ours else self._endpoint}{url.raw_path_qs}"
        except ValueError:
            raise Unreachable("failing: broken link") from None
