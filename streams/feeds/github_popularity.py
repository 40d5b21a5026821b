"""How popular the watched repositories are on GitHub, as it states it.

Most stars are missing from `/events` since 2025, and whether the other feeds have them is not known: these figures stand in for them.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from streams.cursors import decoded
from streams.feeds.clock import Clock
from streams.feeds.find import Find, Outlet
from streams.feeds.github_page import GithubPages, Limited
from streams.feeds.health import Health, Popularity
from streams.feeds.http import Gone, Unreachable
from streams.payloads import UNDECODABLE
from streams.watchlist import Watchlist

# One cursor for each repository, by its case-folded name: together they would outgrow the largest record.
POPULARITY_CURSOR: Final = "github:popularity:"
# The station's seconds between two looks at a repository, and between two requests.
_EVERY: Final = 6 * 3600.0
_PACE: Final = 5.0
_SECOND: Final = 1_000_000
_ARTEFACT: Final = "software"


class Stated(msgspec.Struct):
    """What GitHub states of a repository; `subscribers_count` are its watchers. An old cursor has no `id` (then 0) and no `full_name`."""

    stargazers_count: int
    forks_count: int
    subscribers_count: int | None = None
    id: int = 0
    full_name: str = ""


class Known(msgspec.Struct, array_like=True):
    """A watched repository: its project, when it was looked at (µs; 0: never), and what was stated then (in a cursor None: it is gone)."""

    project: str
    at: int = 0
    stated: Stated | None = None


_decode_stated: Final = msgspec.json.Decoder(Stated).decode
_decode: Final = msgspec.json.Decoder(Known).decode


class GithubPopularity:
    """Stars, forks and watchers of the watched repositories that are named or have been seen, summed up for each project.

    A sum is unknown until every repository of its project was looked at. One that was renamed is known by both names and counts once. One
    that is gone, or has moved to where nobody is watched, is forgotten, and so is at the start what an earlier run knew that is of no
    project of the watchlist any more.
    """

    def __init__(self, pages: GithubPages, outlet: Outlet, clock: Clock, cursors: Mapping[str, bytes], watchlist: Watchlist) -> None:
        self._pages, self._outlet, self._clock, self._watchlist = pages, outlet, clock, watchlist
        self._known = dict(_still_watched(cursors, watchlist))
        # Not among the feeds: it has no events and no mark that others would wait for.
        self.health = Health("github:repositories", "github")

    def see(self, repositories: Iterable[tuple[str, str]]) -> None:
        """Take up (name, project) of watched repositories."""
        for name, project in repositories:
            self._known.setdefault(name.casefold(), Known(project))

    def get(self) -> Iterator[Popularity]:
        """(project, artefact, kind, value)."""
        stated: dict[str, dict[int | str, Stated | None]] = {}
        # Of the names of one repository the one that was looked at last.
        for name, known in sorted(self._known.items(), key=lambda item: item[1].at):
            number = known.stated.id if known.stated is not None else 0
            stated.setdefault(known.project, {})[number or name] = known.stated
        for project, each_once in sorted(stated.items()):
            complete = [each for each in each_once.values() if each is not None]
            if len(complete) < len(each_once):
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
            stated = _decode_stated(await self._pages.repository(quote(name), self.health))
            project = _project_of(self._watchlist, name, stated)
        except Gone:
            project = None
        except (Limited, Unreachable, *UNDECODABLE):
            # What was stated before still stands; its turn comes again behind the others'.
            known.at = self._clock.now() - round(0.9 * _EVERY * _SECOND)
            return
        if project is None:
            del self._known[name]
            known.stated = None
        else:
            known.project, known.stated = project, stated
        known.at = self._clock.now()
        await self._outlet.put(Find(feed=POPULARITY_CURSOR + name, platform="github", cursor=msgspec.json.encode(known)))


def _still_watched(cursors: Mapping[str, bytes], watchlist: Watchlist) -> Iterator[tuple[str, Known]]:
    """What cursors say of the repositories that are watched today, each with today's project, by name."""
    for key, value in cursors.items():
        name = key.removeprefix(POPULARITY_CURSOR)
        if name == key:
            continue
        known = decoded(key, _decode, value)
        project = _project_of(watchlist, name, known.stated) if known.stated is not None else None
        if project is not None:
            known.project = project
            yield name, known


def _project_of(watchlist: Watchlist, name: str, stated: Stated) -> str | None:
    """Whose a repository is: where it stands today says so. One that is named in the watchlist stays there if it has moved to nobody's.

    >>> from streams.watchlist import Project
    >>> watchlist = Watchlist([Project("olmo", github=("allenai",)), Project("one", github=("Other/One",))])
    >>> [_project_of(watchlist, "allenai/a", Stated(0, 0, full_name=name)) for name in ("AllenAI/b", "other/one", "else/b", "")]
    ['olmo', 'one', None, 'olmo']
    >>> _project_of(watchlist, "other/one", Stated(0, 0, full_name="else/one"))
    'one'
    """
    project = watchlist.project_of("github", stated.full_name or name)
    if project is None and any(name == place.casefold() for each in watchlist.projects for place in each.github):
        return watchlist.project_of("github", name)
    return project
