"""HTTP GET as pollers need it: each failure is one exception, and nothing that a server sends is without a limit."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

import aiohttp
import msgspec
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from streams.errors import StreamsError
from streams.kafka.dead_letters import KEPT
from streams.live.common.trouble import trouble

LARGEST_BODY: Final = 32 << 20
# From this size on decoding takes long enough to hold up the other platform, which has the same event loop.
LARGE: Final = 256 << 10
MOST_MOVES: Final = 3
_LONGEST_HEADER: Final = 4_096
# The header in which the servers of a simulated world say that it is one.
WORLD: Final = "X-World"
_BLOCK: Final = 256 << 10
_MOVED: Final = (301, 302, 303, 307, 308)
_LOG: Final = logging.getLogger("nomadwatch.streams")
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=10, sock_read=20)

P = ParamSpec("P")
T = TypeVar("T")


class Unreachable(StreamsError):
    """No usable answer came: the address, the network, the server or the body failed.

    The text names the kind of failure, never a header.
    """


class Oversized(Unreachable):
    """An answer exceeds what is read of one: a dead letter. `address` is where it came from, `raw` its first bytes."""

    def __init__(self, what: str, address: str, raw: bytes) -> None:
        super().__init__(f"failing: {what}")
        self.address = address[:_LONGEST_HEADER]
        self.raw = raw[:KEPT]


class Broken(Unreachable):
    """A whole answer came, and what it says cannot be read."""


class Gone(Exception):
    """What was asked for is not there, or not for us."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers` are those whose value is printable ASCII of a bounded length; the others are left out.

    `moved_to` is the address of a redirect, if it is on the same server.
    """

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    moved_to: str | None = None

    @property
    def failure(self) -> str:
        """The state of a feed that got an answer of an unexpected status."""
        elsewhere = " to another server, which is not asked" if self.status in _MOVED and self.moved_to is None else ""
        return f"failing: {self.status}{elsewhere}"


@dataclass(slots=True)
class WorldSign:
    """Whether a station looks at a simulated world: it does once an answer has said so."""

    simulated: bool = False

    async def hear(self, session: aiohttp.ClientSession, context: object, ended: aiohttp.TraceRequestEndParams) -> None:
        """Take note of an answer."""
        self.simulated = self.simulated or ended.response.headers.get(WORLD) == "simulated"


def open_session(user_agent: str, world: WorldSign | None = None) -> aiohttp.ClientSession:
    """A session for one platform's feeds; close it in the end. Environment proxies are honoured. What answers say of it
    goes to `world`.
    """
    tracing = aiohttp.TraceConfig()
    if world is not None:
        tracing.on_request_end.append(world.hear)
    return aiohttp.ClientSession(
        timeout=_TIMEOUT,
        headers={"User-Agent": user_agent, "Accept-Encoding": "gzip, deflate"},
        connector=aiohttp.TCPConnector(limit=16),
        trust_env=True,
        trace_configs=[tracing],
        # Session cookies would make one answer depend on another.
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def fetch(session: aiohttp.ClientSession, url: str, *, headers: dict[str, str] | None = None) -> Answer:
    """The answer, of whatever status.

    Redirects are not followed: each is a request of the quota, and may lead to another server.

    Raises `Unreachable`, and `Oversized` for a body of more than `LARGEST_BODY` bytes after decompression.
    """
    try:
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            blocks = []
            length = 0
            async for block in response.content.iter_chunked(_BLOCK):
                blocks.append(block)
                length += len(block)
                if length > LARGEST_BODY:
                    # The same bytes each time, however the network cuts them: the same answer must be told of once.
                    head = b"".join(blocks)[:_BLOCK]
                    raise Oversized(f"the answer is larger than {LARGEST_BODY >> 20} MB", url, head)
            stated = _believable(response.headers)
            return Answer(response.status, stated, b"".join(blocks), _moved_to(response.status, response.url, stated))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        # A ValueError comes from an address that no request can be made of, and from headers that cannot be parsed.
        raise Unreachable(trouble(error)) from error


async def off_loop(size: int, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """The result of a function that decodes so many bytes. If they are many it runs in a thread: others are asked
    meanwhile.
    """
    if size < LARGE:
        return function(*arguments, **named)
    return await asyncio.to_thread(function, *arguments, **named)


async def unhurried(elements: Iterable[msgspec.Raw]) -> AsyncIterator[tuple[int, msgspec.Raw]]:
    """The elements of an answer, numbered from 1. After every `LARGE` bytes of them other feeds have their turn."""
    length = 0
    for number, element in enumerate(elements, 1):
        length += memoryview(element).nbytes
        if length > LARGE:
            length = 0
            await asyncio.sleep(0)
        yield number, element


def growing(failures: int, shortest: float, longest: float) -> float:
    """How long to wait after so many failures (1 or more): each time twice as long, less up to a half at random."""
    return min(longest, shortest * 2.0 ** min(failures - 1, 60)) * random.uniform(0.5, 1.0)


class RefusedToken:
    """Says once, in the log, that a platform refuses its token; `setting` names it."""

    def __init__(self, platform: str, setting: str) -> None:
        self._platform, self._setting = platform, setting
        self._said = False

    def say(self) -> str:
        """The state of a feed, for a person."""
        if not self._said:
            self._said = True
            _LOG.warning(
                "%s: the token is refused, and nothing is seen there; set a new %s and start again",
                self._platform,
                self._setting,
            )
        return "token refused"


def _believable(headers: CIMultiDictProxy[str]) -> CIMultiDictProxy[str]:
    """Without values that are longer than real ones or not printable ASCII: they can be neither saved nor sent back."""
    kept = (
        (name, value)
        for name, value in headers.items()
        if len(value) <= _LONGEST_HEADER and value.isascii() and value.isprintable()
    )
    return CIMultiDictProxy(CIMultiDict(kept))


def _moved_to(status: int, asked: URL, headers: CIMultiDictProxy[str]) -> str | None:
    """Where a redirect leads, or None if that is another server or has a name and password: the token is meant for this
    one.
    """
    location = headers.get("Location")
    if status not in _MOVED or location is None:
        return None
    try:
        target = asked.join(URL(location))
        same = target.origin() == asked.origin() and target.raw_user is None and target.raw_password is None
        return str(target) if same else None
    except ValueError:
        return None
