"""Asking a platform for what the watchlist names: whether it lists a name, and what it calls it today."""

from typing import Any, Final, Literal, NamedTuple, Protocol

import aiohttp
import msgspec

from streams.live.common.http import Answer, fetch

ABSENT: Final = (404, 410)
_MOST_MOVES: Final = 3


class NameVerdict(NamedTuple):
    """What a platform says of a name of the watchlist: `known`, or a problem in words."""

    verdict: Literal["known", "absent", "moved", "unclear"]
    what: str = ""


class PlatformCheck(Protocol):
    """Checks a platform without polling it. Made with an HTTP session, the platform's address and token (may be empty).

    `path` is asked for to see whether the platform answers and takes the token. `asks_names` is False where checking
    all names would use up the requests that it grants without a token.
    """

    @property
    def path(self) -> str: ...

    @property
    def asks_names(self) -> bool: ...

    async def ask(self, name: str) -> NameVerdict:
        """What the platform says of an owner (`NAME`) or repository (`OWNER/NAME`). Raises `Unreachable`."""


class HttpCheck:
    """What the checks over HTTP have in common: requests with the token, and the verdict of an answer."""

    def __init__(self, session: aiohttp.ClientSession, address: str, token: str) -> None:
        self._session, self._address = session, address.rstrip("/")
        self._has_token = bool(token)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def _get(self, path: str) -> Answer:
        """The answer to a request; redirects within the same server are followed."""
        address = self._address + path
        for _ in range(_MOST_MOVES):
            answer = await fetch(self._session, address, headers=self._headers)
            if answer.moved_to is None:
                return answer
            address = answer.moved_to
        return answer

    def _judge(self, name: str, answer: Answer, field: str) -> NameVerdict:
        """The verdict of an answer that states the name of today in `field`."""
        if answer.status != 200:
            return unclear(answer.status)
        value = decoded_body(answer.body)
        today = value.get(field) if isinstance(value, dict) else None
        if isinstance(today, str) and today.casefold() != name.casefold():
            return NameVerdict("moved", f"is called {today} now; write that name")
        return NameVerdict("known")


def unclear(status: int) -> NameVerdict:
    """The verdict of an answer that says nothing about the name."""
    return NameVerdict("unclear", f"the answer was {status}; try again later, with a token")


def decoded_body(body: bytes) -> Any:
    """The JSON of a body, or None."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
