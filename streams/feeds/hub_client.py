"""Asking the Hub: addresses, the quota, and every way in which an answer can fail, told apart by the reaction wanted."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # public, though not marked so
from yarl import URL

from streams.feeds.clock import Clock
from streams.feeds.find import Find, Outlet
from streams.feeds.health import Health
from streams.feeds.http import Answer, Gone, RefusedToken, Unreachable, fetch, growing
from streams.feeds.hub_limits import LIMITS_FEED, HubLimits
from streams.feeds.hub_refusals import Refused, TokenRefused, refusal
from streams.payloads import UNDECODABLE

PLATFORM: Final = "huggingface"
# Who cannot be reached is asked again after 1 s of the station's, then 2 s, …, each shortened by up to a half at random.
_TRIES: Final = 5
_SHORTEST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 300.0
_LINKS: Final = re.compile(r"<([^>]*)>([^<]*)")

T = TypeVar("T")
Params = Sequence[tuple[str, str | int]]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A decoded answer, the address of the next page, and when it came (µs of the station's clock)."""

    content: T
    address: str
    next: str | None
    received: int


class HubClient:
    """Makes all requests of all feeds, one at a time. `token` may be empty."""

    def __init__(self, endpoint: str, token: str, session: aiohttp.ClientSession, limits: HubLimits, outlet: Outlet, clock: Clock) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._session = session
        self._limits = limits
        self._refused = RefusedToken(PLATFORM, "HF_TOKEN")
        self._outlet = outlet
        self._clock = clock
        # Empty must not mean: look for one on this machine. The User-Agent is the session's own.
        headers = build_hf_headers(token=token or False, library_name="nomadwatch")
        self._headers = {name: value for name, value in headers.items() if name.lower() == "authorization"}

    async def get(self, path: str, decode: Callable[[bytes], T], health: Health, params: Params = ()) -> Page[T]:
        """One page of `/api/PATH`, after a ban if there is one.

        Raises `Gone`, `Refused` and `TokenRefused` at once, `Unreachable` after several tries.
        """
        query = f"?{urlencode(params)}" if params else ""
        return await self._get(f"{self._endpoint}/api/{quote(path)}{query}", decode, health)

    async def pages(self, path: str, decode: Callable[[bytes], T], health: Health, params: Params = ()) -> AsyncIterator[Page[T]]:
        """All pages, as far as they are asked for."""
        page = await self.get(path, decode, health, params)
        yield page
        while page.next is not None and page.next != page.address:
            page = await self._get(page.next, decode, health)
            yield page

    async def listing(self, folder: str, decode: Callable[[bytes], T], health: Health, params: Params) -> AsyncIterator[Page[T]]:
        """All pages of a listing, which is always there: `Unreachable` where the server says that it is not."""
        try:
            async for page in self.pages(folder, decode, health, params):
                yield page
        except Gone as error:
            reason = f": {error.reason}" if isinstance(error, Refused) else ""
            health.state = f"failing: the listing is refused{reason}"
            raise Unreachable(health.state) from None

    async def _get(self, address: str, decode: Callable[[bytes], T], health: Health) -> Page[T]:
        tries = 0
        while True:
            try:
                answer = await self._ask(address, health)
                if answer is not None:
                    page = Page(decode(answer.body), address, self._next(address, answer), self._clock.now())
                    health.polls["new"] += 1
                    health.state = health.well
                    return page
            except TokenRefused as error:
                health.polls["failed"] += 1
                health.state = str(error)
                raise
            except (Unreachable, *UNDECODABLE) as error:
                health.polls["failed"] += 1
                health.state = str(error) if isinstance(error, Unreachable) else "failing: broken answer"
                tries += 1
                if tries == _TRIES:
                    raise Unreachable(health.state) from error
                await asyncio.sleep(self.growing(tries))

    async def _ask(self, address: str, health: Health) -> Answer | None:
        """An answer that is one, or None after a ban began."""
        async with self._limits.turn():
            try:
                answer = await fetch(self._session, address, headers=self._headers)
            except Unreachable as error:
                raise Unreachable(f"failing: {error}") from error
            self._limits.note(answer.headers)
            if answer.status == 429:
                self._limits.refuse(answer.headers)
            health.remaining = self._limits.remaining
        if answer.status == 429:
            health.polls["limited"] += 1
            health.state = self._limits.ban.state
            # Whoever starts next must know of it, even if this process dies while it waits.
            await self._outlet.put(Find(feed=LIMITS_FEED, platform=PLATFORM, cursor=self._limits.cursor))
            return None
        refused = refusal(answer.status, answer.headers, signed_in=bool(self._headers))
        if refused is not None:
            health.polls["failed"] += 1
            raise refused
        if answer.status == 401:
            raise TokenRefused(self._refused.say())
        if answer.status != 200:
            raise Unreachable(f"failing: {answer.status}")
        return answer

    def growing(self, failures: int) -> float:
        """How long to wait after so many failures, in the wall's seconds."""
        return self._clock.wait(growing(failures, _SHORTEST_WAIT, _LONGEST_WAIT))

    def _next(self, address: str, answer: Answer) -> str | None:
        """The page after one, at our endpoint, whatever host a mirror names: the token goes nowhere else. Raises `Unreachable`.

        Several `Link` headers, or several links in one, are all looked at.
        """
        for header in answer.headers.getall("Link", []):
            for link, rest in _LINKS.findall(header):
                if 'rel="next"' in rest or "rel=next" in rest:
                    return self._here(address, link)
        return None

    def _here(self, address: str, link: str) -> str:
        """Where a link on a page of ours leads, taken as if it were ours."""
        try:
            url = URL(address, encoded=True).join(URL(link, encoded=True))
            ours = URL(self._endpoint).origin()
            # Nothing but path and query is taken over: a host, or a name and password in front of it, would go with the token.
            return f"{ours if url.origin() == ours else self._endpoint}{url.raw_path_qs}"
        except ValueError:
            raise Unreachable("failing: broken link") from None
