"""Asks the platforms for what the watchlist names: what they do not list, and what is called otherwise today."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from urllib.parse import quote

import msgspec

from nomadwatch import __version__
from streams.activity import PLATFORMS
from streams.live.common.http import Answer, Unreachable, fetch, open_session
from streams.watchlist import Watchlist, is_glob

if TYPE_CHECKING:
    import aiohttp

    from nomadwatch.settings import Settings

NAMES: Final = {"github": "GitHub", "huggingface": "the Hugging Face Hub"}
_FOLDERS: Final = ("models", "datasets", "spaces")
_MOST_MOVES: Final = 3
_AT_ONCE: Final = 4
_WAIT: Final = 20.0
_ABSENT: Final = (404, 410)


class Place(NamedTuple):
    """A place of the watchlist and what a platform says of it: `known`, or a problem in words."""

    platform: str
    place: str
    verdict: Literal["known", "absent", "moved", "unclear"]
    what: str = ""

    def __str__(self) -> str:
        return f"{self.place} on {NAMES[self.platform]}: {self.what}"


async def look(settings: "Settings", watchlist: Watchlist, platforms: tuple[str, ...] = PLATFORMS) -> list[Place]:
    """What the platforms say of each place, in the order of the watchlist; of a glob of repositories of its owner."""
    places = [(platform, place) for platform in platforms for place in _places(watchlist, platform)]
    turns = asyncio.Semaphore(_AT_ONCE)
    async with open_session(f"nomadwatch/{__version__}") as session:
        ask = {"github": _Github(session, settings).ask, "huggingface": _Hub(session, settings).ask}

        async def one(platform: str, place: str) -> Place:
            async with turns:
                try:
                    async with asyncio.timeout(_WAIT):
                        return await ask[platform](place)
                except (Unreachable, TimeoutError) as error:
                    return Place(
                        platform, place, "unclear", f"does not answer ({error or 'timed out'}); try again later"
                    )

        return list(await asyncio.gather(*(one(*each) for each in places)))


def _places(watchlist: Watchlist, platform: str) -> Iterator[str]:
    """Each place once, a glob as its owner; a glob of owners cannot be asked for."""
    found: dict[str, str] = {}
    for place in (place for project in watchlist.projects for place in getattr(project, platform)):
        owner = place.partition("/")[0]
        if not is_glob(owner):
            asked = owner if is_glob(place) else place
            found.setdefault(asked.casefold(), asked)
    yield from found.values()


class _Platform:
    name: str

    def __init__(self, session: "aiohttp.ClientSession", address: str, token: str) -> None:
        self._session, self._address = session, address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def _get(self, path: str) -> Answer:
        """The answer where a place is today, redirects of the same server followed."""
        address = self._address + path
        for _ in range(_MOST_MOVES):
            answer = await fetch(self._session, address, headers=self._headers)
            if answer.moved_to is None:
                return answer
            address = answer.moved_to
        return answer

    def _judge(self, place: str, answer: Answer, todays: str) -> Place:
        """What an answer says of a place; `todays` is the field with its name of today."""
        if answer.status != 200:
            return self._unclear(place, answer.status)
        name = _field(answer.body, todays)
        if name is not None and name.casefold() != place.casefold():
            return Place(self.name, place, "moved", f"is called {name} now; write that name")
        return Place(self.name, place, "known")

    def _unclear(self, place: str, status: int) -> Place:
        return Place(self.name, place, "unclear", f"the answer was {status}; try again later, with a token")


class _Github(_Platform):
    name = "github"

    def __init__(self, session: "aiohttp.ClientSession", settings: "Settings") -> None:
        super().__init__(session, settings.github_api, settings.github_token)

    async def ask(self, place: str) -> Place:
        if "/" in place:
            answer = await self._get(f"/repos/{quote(place)}")
            if answer.status in _ABSENT:
                return Place(self.name, place, "absent", "there is no such public repository; correct the name")
            return self._judge(place, answer, "full_name")
        for path in (f"/orgs/{quote(place)}/events?per_page=1", f"/users/{quote(place)}/events/public?per_page=1"):
            answer = await self._get(path)
            if answer.status not in _ABSENT:
                return Place(self.name, place, "known") if answer.status == 200 else self._unclear(place, answer.status)
        return Place(self.name, place, "absent", "there is no such organisation or user; correct the name")


class _Hub(_Platform):
    name = "huggingface"

    def __init__(self, session: "aiohttp.ClientSession", settings: "Settings") -> None:
        super().__init__(session, settings.hf_endpoint, settings.hf_token)

    async def ask(self, place: str) -> Place:
        unclear = None
        for folder in _FOLDERS:
            if "/" in place:
                answer = await self._get(f"/api/{folder}/{quote(place)}")
                if answer.status == 200:
                    return self._judge(place, answer, "id")
                # Of what is private or not there the Hub says the same: sign in.
                absent = answer.status in _ABSENT or answer.headers.get("X-Error-Code") == "RepoNotFound"
            else:
                answer = await self._get(f"/api/{folder}?author={quote(place)}&limit=1")
                if answer.status == 200 and _rows(answer.body):
                    return Place(self.name, place, "known")
                absent = answer.status == 200
            if not absent:
                unclear = self._unclear(place, answer.status)
        if unclear is not None:
            return unclear
        what = "there is no such public repository" if "/" in place else "it lists no repository of that owner"
        return Place(self.name, place, "absent", f"{what}; correct the name")


def _field(body: bytes, name: str) -> str | None:
    value = _decoded(body)
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def _rows(body: bytes) -> bool:
    return bool(_decoded(body))


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
