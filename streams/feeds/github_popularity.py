"""How popular the watched repositories are on GitHub, as it states it.

Most stars are missing from `/events` since 2025, and whether the other feeds have them is not known: these figures stand in for them.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from streams.feeds.clock import Clock
from streams.feeds.find import Find, Outlet
from streams.feeds.github_page import GithubPages, Gone, Limited
from streams.feeds.health import Health
from streams.feeds.http import Unreachable
from streams.payloads import UNDECODABLE
from streams.watchlist import Watchlist

# One cursor for each repository, by its case-folded name: together they would outgrow the largest record.
POPULARITY_CURSOR: Final = "github:popularity:"
# The station's seconds between two looks at a repository, and between two requests.
_EVERY: Final = 6 * 3600.0
_PACE: Final = 5.0
_SECOND: Final = 1_000_000
_ARTEFACT: Final = "software"

Popularity = tuple[str, str, str, float]


class Stated(msgspec.Struct):
    """What GitHub states of a repository; `subscribers_count` are its watchers."""

    stargazers_count: int
    forks_count: int
    subscribers_count: int | None = None


class Known(msgspec.Struct, array_like=True):
    """A watched repository: its project, when it was looked at (µs; 0: never), and what was stated then (in a cursor None: it is gone)."""

    project: str
    at: int = 0
    stated: Stated | None = None


_decode_stated: Final = msgspec.json.Decoder(Stated).decode
_decode_cursor: Final = msgspec.json.Decoder(Known).decode


class GithubPopularity:
    """Stars, forks and watchers of the watched repositories that are named or have been seen, summed up for each project.

    A sum is unknown until every repository of its project was looked at. One that is gone is forgotten, and so is at the start what an
    earlier run knew that is of no project of the watchlist any more.
    """

    def __init__(self, pages: GithubPages, outlet: Outlet, clock: Clock, cursors: Mapping[str, bytes], watchlist: Watchlist) -> None:
        self._pages, self._outlet, self._clock = pages, outlet, clock
        self._known = dict(_still_watched(cursors, watchlist))
        # Not among the feeds: it has no events and no mark that others would wait for.
        self.health = Health("github:repositories", "github")

    def see(self, repositories: Iterable[tuple[str, str]]) -> None:
        """Take up (name, project) of watched repositories."""
        for name, project in repositories:
            known = self._known.setdefault(name.casefold(), Known(project))
            known.project = project

    def get(self) -> Iterator[Popularity]:
        """(project, artefact, kind, value)."""
        sums: dict[str, list[Stated | None]] = {}
        for known in self._known.values():
            sums.setdefault(known.project, []).append(known.stated)
        for project, stated in sorted(sums.items()):
            complete = [each for each in stated if each is not None]
            if len(complete) < len(stated):
                continue
            yield project, _ARTEFACT, "stars", sum(each.stargazers_count for each in complete)
            yield project, _ARTEFACT, "forks", sum(each.forks_count for each in complete)
            watchers = [each.subscribers_count for each in complete if each.subscribers_count is not None]
            if len(watchers) == len(complete):
                yield project, _ARTEFACT, "watchers", sum(watchers)

    async def run(self) -> None:
        """Look at what is due, one after the other, until cancelled."""
        while True:
            due = min(self._known, key=lambda name: self._known[name].at, default=None)
            if due is not None and self._clock.now() - self._known[due].at >= _EVERY * _SECOND:
                await self._look(due)
            await asyncio.sleep(self._clock.wait(_PACE))

    async def _look(self, name: str) -> None:
        known = self._known[name]
        try:
            known.stated = _decode_stated(await self._pages.repository(quote(name), self.health))
        except Gone:
            del self._known[name]
            known.stated = None
        except (Limited, Unreachable, *UNDECODABLE):
            # What was stated before still stands; its turn comes again behind the others'.
            known.at = self._clock.now() - round(0.9 * _EVERY * _SECOND)
            return
        known.at = self._clock.now()
        await self._outlet.put(Find(feed=POPULARITY_CURSOR + name, platform="github", cursor=msgspec.json.encode(known)))


def _still_watched(cursors: Mapping[str, bytes], watchlist: Watchlist) -> Iterator[tuple[str, Known]]:
    """What cursors say of the repositories that are watched today, each with today's project, by name."""
    for key, value in cursors.items():
        name = key.removeprefix(POPULARITY_CURSOR)
        project = watchlist.project_of("github", name) if name != key else None
        if project is not None:
            known = _decode_cursor(value)
            known.project = project
            if known.stated is not None:
                yield name, known
