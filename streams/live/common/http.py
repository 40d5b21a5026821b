"""HTTP GET for pollers: every failure is one exception, and everything that a server sends has a limit."""

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
# From this size on, decoding would delay the other platforms, which share the event loop.
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
    """No usable answer came: the address, the network, the server or the body failed. The text never has a header."""


class Oversized(Unreachable):
    """An answer exceeds a limit and becomes a dead letter. `address`: where it came from; `raw`: its first bytes."""

    def __init__(self, what: str, address: str, raw: bytes) -> None:
        super().__init__(f"failing: {what}")
        self.address = address[:_LONGEST_HEADER]
        self.raw = raw[:KEPT]


class Broken(Unreachable):
    """A complete answer came, but its content cannot be read."""


class Gone(Exception):
    """What was asked for does not exist, or may not be seen."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. Headers whose value is too long or not printable ASCII are left out.

    `moved_to` is the target of a redirect if that is on the same server.
    """

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    moved_to: str | None = None

    @property
    def failure(self) -> str:
        """The state of a feed whose answer has an unexpected status."""
        elsewhere = " to another server, which is not asked" if self.status in _MOVED and self.moved_to is None else ""
        return f"failing: {self.status}{elsewhere}"


@dataclass(slots=True)
class WorldSign:
    """Whether a station polls a simulated world. It does as soon as one answer has said so."""

    simulated: bool = False

    async def hear(self, session: aiohttp.ClientSession, context: object, ended: aiohttp.TraceRequestEndParams) -> None:
        """Take note of the header of an answer."""
        self.simulated = self.simulated or ended.response.headers.get(WORLD) == "simulated"


def open_session(user_agent: str, world: WorldSign | None = None) -> aiohttp.ClientSession:
    """A session for one platform's feeds, which the caller closes. Proxies of the environment are used. `world` learns
    from the answers whether they are simulated.
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
        # Cookies would make one answer depend on another.
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def fetch(session: aiohttp.ClientSession, url: str, *, headers: dict[str, str] | None = None) -> Answer:
    """The answer, whatever its status.

    Redirects are not followed: each one costs a request of the quota and may lead to another server.

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
                    # Always the same bytes, however the network cut them: the same answer is one dead letter.
                    head = b"".join(blocks)[:_BLOCK]
                    raise Oversized(f"the answer is larger than {LARGEST_BODY >> 20} MB", url, head)
            stated = _believable(response.headers)
            return Answer(response.status, stated, b"".join(blocks), _moved_to(response.status, response.url, stated))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        # ValueError: an address that cannot be requested, or headers that cannot be parsed.
        raise Unreachable(trouble(error)) from error


async def off_loop(size: int, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """The result of a function that decodes `size` bytes. Many bytes are decoded in a thread, so that other feeds go
    on meanwhile.
    """
    if size < LARGE:
        return function(*arguments, **named)
    return await asyncio.to_thread(function, *arguments, **named)


async def unhurried(elements: Iterable[msgspec.Raw]) -> AsyncIterator[tuple[int, msgspec.Raw]]:
    """The elements of an answer, numbered from 1. Other feeds get a turn after every `LARGE` bytes."""
    length = 0
    for number, element in enumerate(elements, 1):
        length += memoryview(element).nbytes
        if length > LARGE:
            length = 0
            await asyncio.sleep(0)
        yield number, element


def growing(failures: int, shortest: float, longest: float) -> float:
    """Seconds to wait after `failures` failures in a row (1 or more): doubled each time, with up to half taken off at
    random.
    """
    return min(longest, shortest * 2.0 ** min(failures - 1, 60)) * random.uniform(0.5, 1.0)


class RefusedToken:
    """Logs once that a platform refuses its token; `setting` is the name of the token's variable."""

    def __init__(self, platform: str, setting: str) -> None:
        self._platform, self._setting = platform, setting
        self._said = False

    def say(self) -> str:
        """The state of a feed whose token is refused."""
        if not self._said:
            self._said = True
            _LOG.warning(
                "%s: the token is refused, and nothing is seen there; set a new %s and start again",
                self._platform,
                self._setting,
            )
        return "token refused"


def _believable(headers: CIMultiDictProxy[str]) -> CIMultiDictProxy[str]:
    """The headers without values that are overlong or not printable ASCII: these can be neither saved nor sent back."""
    kept = (
        (name, value)
        for name, value in headers.items()
        if len(value) <= _LONGEST_HEADER and value.isascii() and value.isprintable()
    )
    return CIMultiDictProxy(CIMultiDict(kept))


def _moved_to(status: int, asked: URL, headers: CIMultiDictProxy[str]) -> str | None:
    """The target of a redirect. None if it is on another server or has a user name or password: the token is meant for
    this server only.
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
