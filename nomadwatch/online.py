"""Looks up the names of a watchlist on the platforms: those that are not listed, and those that were renamed."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from nomadwatch import __version__
from streams import platforms
from streams.activity import PLATFORMS
from streams.live.common.check import NameVerdict, PlatformCheck
from streams.live.common.http import Unreachable, open_session
from streams.platform import imported
from streams.watchlist import Watchlist, is_glob

if TYPE_CHECKING:
    from nomadwatch.settings import Settings

_AT_ONCE: Final = 4
_WAIT: Final = 20.0


class NameCheck(NamedTuple):
    """A name of the watchlist, and what its platform says about it."""

    platform: str
    name: str
    verdict: NameVerdict

    def __str__(self) -> str:
        return f"{self.name} on {platforms.BY_ID[self.platform].name}: {self.verdict.what}"


async def look(settings: "Settings", watchlist: Watchlist, asked: tuple[str, ...] = PLATFORMS) -> list[NameCheck]:
    """What the platforms say about each name, in the order of the watchlist. A glob is looked up as its owner."""
    turns = asyncio.Semaphore(_AT_ONCE)
    async with open_session(f"nomadwatch/{__version__}") as session:
        checks: dict[str, PlatformCheck] = {
            platform: imported(platforms.BY_ID[platform].check)(session, *settings.access(platform))
            for platform in asked
            if platforms.BY_ID[platform].check
        }

        async def one(platform: str, name: str) -> NameCheck:
            async with turns:
                try:
                    async with asyncio.timeout(_WAIT):
                        verdict = await checks[platform].ask(name)
                except (Unreachable, TimeoutError) as error:
                    verdict = NameVerdict("unclear", f"does not answer ({error or 'timed out'}); try again later")
            return NameCheck(platform, name, verdict)

        names = [(platform, name) for platform in checks for name in _names(watchlist, platform)]
        return list(await asyncio.gather(*(one(*each) for each in names)))


def _names(watchlist: Watchlist, platform: str) -> Iterator[str]:
    """Each name once; a glob of repositories as its owner. A glob of owners cannot be looked up."""
    found: dict[str, str] = {}
    for place in (place for project in watchlist.projects for place in project.places[platform]):
        owner = place.partition("/")[0]
        if not is_glob(owner):
            asked = owner if is_glob(place) else place
            found.setdefault(asked.casefold(), asked)
    yield from found.values()
