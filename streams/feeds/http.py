"""HTTP GET as pollers need it: every way in which it can fail is one exception, and a body has a largest size."""

import logging
import random
from dataclasses import dataclass
from typing import Final

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from streams.errors import StreamsError
from streams.feeds.trouble import trouble

LARGEST_BODY: Final = 32 << 20
_BLOCK: Final = 256 << 10
_MOVED: Final = (301, 302, 303, 307, 308)
_LOG: Final = logging.getLogger("nomadwatch.streams")
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=10, sock_read=20)


class Unreachable(StreamsError):
    """No whole answer came: the address, the network, the server or the body failed. The text names the kind, never a header."""


class Gone(Exception):
    """What was asked for is not there, or not for us."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `moved_to` is where it sends whoever asked, if that is another address of the same server."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    moved_to: str | None = None


def open_session(user_agent: str) -> aiohttp.ClientSession:
    """A session for one platform's feeds; close it in the end. Environment proxies are honoured."""
    return aiohttp.ClientSession(
        timeout=_TIMEOUT,
        headers={"User-Agent": user_agent, "Accept-Encoding": "gzip, deflate"},
        connector=aiohttp.TCPConnector(limit=16),
        trust_env=True,
        # Session cookies would make one answer depend on another.
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def fetch(session: aiohttp.ClientSession, url: str, *, headers: dict[str, str] | None = None, follow: bool = True) -> Answer:
    """The answer of whatever status, redirects followed unless their requests are to be counted. Raises `Unreachable`."""
    try:
        async with session.get(url, headers=headers, allow_redirects=follow) as response:
            blocks = []
            length = 0
            async for block in response.content.iter_chunked(_BLOCK):
                blocks.append(block)
                length += len(block)
                if length > LARGEST_BODY:
                    raise Unreachable(f"the answer is larger than {LARGEST_BODY >> 20} MB")
            return Answer(response.status, response.headers, b"".join(blocks), _moved_to(response))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        # A ValueError is an address's that no request can be made of, as a redirect may name one.
        raise Unreachable(trouble(error)) from error


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
            _LOG.warning("%s: the token is refused, and nothing is seen there; set a new %s and start again", self._platform, self._setting)
        return "token refused"


def _moved_to(response: aiohttp.ClientResponse) -> str | None:
    """Never another server's address: what is sent along is meant for this one."""
    location = response.headers.get("Location")
    if response.status not in _MOVED or location is None:
        return None
    try:
        target = response.url.join(URL(location))
        return str(target) if target.origin() == response.url.origin() else None
    except ValueError:
        return None
