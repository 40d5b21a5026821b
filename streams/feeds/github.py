"""GitHub's feeds of events: a sample of everything public; watched organisations and repositories, complete while asked in time.

    github:/events                      as often as the server allows
    github:/orgs/NAME/events            every organisation of the watchlist; globs are seen through it
    github:/repos/OWNER/NAME/events     every repository that the watchlist names
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

import aiohttp

from streams.activity import MINUTE, SECOND
from streams.feeds.clock import Clock
from streams.feeds.find import Find, Outlet
from streams.feeds.github_cursor import decode_github
from streams.feeds.github_feed import PLATFORM, GithubFeed
from streams.feeds.github_limits import LIMITS_FEED, Limits
from streams.feeds.github_pace import Pace
from streams.feeds.github_page import GithubPages
from streams.feeds.github_popularity import POPULARITY_CURSOR, GithubPopularity, Popularity
from streams.feeds.health import Feeds
from streams.github import GithubEvents
from streams.identities import Identities
from streams.letters import Keep
from streams.watchlist import Watchlist

EVERYTHING: Final = "/events"
# A feed that does not get on for so long opens a gap, and its mark goes on: others must not wait for it for ever.
_PATIENCE: Final = 15 * MINUTE
_LOOK: Final = 15.0


class GithubPoller:
    """All feeds of GitHub. `cursors` are those of an earlier run; `interval_cap` in the station's seconds; `token` may be empty."""

    def __init__(
        self,
        *,
        api: str,
        token: str,
        session: aiohttp.ClientSession,
        watchlist: Watchlist,
        actor_key: bytes,
        outlet: Outlet,
        cursors: Mapping[str, bytes],
        feeds: Feeds,
        clock: Clock,
        include_bots: bool = False,
        dead_letters: Keep = "raw",
        interval_cap: float = 300.0,
    ) -> None:
        self._clock = clock
        self._outlet = outlet
        self._look = min(_LOOK, interval_cap)
        limits = Limits(token, clock, cursors.get(LIMITS_FEED), self._save_limits)
        pages = GithubPages(api, token, session, limits, clock)
        events = GithubEvents(Identities(actor_key, watchlist, include_bots=include_bots), clock.now())
        pace = Pace(interval_cap, budgeted=not token)
        self._popularity = GithubPopularity(pages, outlet, clock, cursors.get(POPULARITY_CURSOR))
        self._popularity.see(_named(watchlist))
        # A budget of 55 requests an hour is the feeds'.
        self._asks_popularity = bool(token)
        noting = _Noting(outlet, self._popularity)
        self._feeds = [
            GithubFeed(
                quote(path),
                decode_github(feed, cursors.get(feed)),
                health=feeds.open(feed, PLATFORM),
                pages=pages,
                events=events,
                outlet=noting,
                clock=clock,
                pace=pace,
                patience=max(_PATIENCE, round(3 * interval_cap * SECOND)),
                keep=dead_letters,
                sampled=path == EVERYTHING,
            )
            for feed, path in ((f"{PLATFORM}:{path}", path) for path in paths(watchlist))
        ]

    async def run(self) -> None:
        """Poll until cancelled. What servers and networks do ends up in the feeds' health, never in an exception."""
        async with asyncio.TaskGroup() as tasks:
            for feed in self._feeds:
                tasks.create_task(feed.run())
            tasks.create_task(self._keep_marks())
            if self._asks_popularity:
                tasks.create_task(self._popularity.run())

    def popularity(self) -> Iterator[Popularity]:
        """(project, artefact, kind, value): stars, forks, watchers of watched repositories, as GitHub states them; only with a token."""
        return self._popularity.get()

    async def _keep_marks(self) -> None:
        while True:
            await asyncio.sleep(self._clock.wait(self._look))
            for feed in self._feeds:
                await feed.keep_mark(self._clock.now())

    async def _save_limits(self, cursor: bytes) -> None:
        await self._outlet.put(Find(feed=LIMITS_FEED, platform=PLATFORM, cursor=cursor))


class _Noting:
    """Hands finds on, and tells which watched repositories occur in them."""

    def __init__(self, outlet: Outlet, popularity: GithubPopularity) -> None:
        self._outlet, self._popularity = outlet, popularity

    async def put(self, find: Find) -> None:
        await self._outlet.put(find)
        self._popularity.see({(each.repo, each.project) for each in find.activities if each.project is not None})


def _named(watchlist: Watchlist) -> Iterator[tuple[str, str]]:
    """(name, project) of the repositories that the watchlist names."""
    for project in watchlist.projects:
        for place in project.github:
            if "/" in place and not _is_glob(place):
                yield place, project.project


def paths(watchlist: Watchlist) -> list[str]:
    """Where the feeds are: of everything, of each organisation and repository once, in whatever letter case.

    A glob is watched through its organisation, unless that is one too: then only the feed of everything shows it.

    >>> from streams.watchlist import Project
    >>> paths(Watchlist([Project("olmo", github=("allenai/OLMo*", "AllenAI", "ggml-org/llama.cpp", "open*"))]))
    ['/events', '/orgs/allenai/events', '/repos/ggml-org/llama.cpp/events']
    """
    found = {EVERYTHING: EVERYTHING}
    for place in (place for project in watchlist.projects for place in project.github):
        owner, _, name = place.partition("/")
        if _is_glob(owner):
            continue
        path = f"/orgs/{owner}/events" if not name or _is_glob(name) else f"/repos/{owner}/{name}/events"
        found.setdefault(path.casefold(), path)
    return list(found.values())


def _is_glob(name: str) -> bool:
    return "*" in name or "?" in name
