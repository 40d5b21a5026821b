"""GitHub's feeds of events: a sample of everything public; watched organisations and repositories, which are complete
while they are polled often enough.

github:/events                      as often as the server allows
github:/orgs/NAME/events            every organisation of the watchlist; globs are seen through it
github:/repos/OWNER/NAME/events     every repository that the watchlist names
github:/users/NAME/events/public    if GitHub knows no organisation NAME: what the user NAME does
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import quote

import aiohttp

from streams.activity import SECOND
from streams.assignment import Assignment
from streams.github_events import GithubEvents
from streams.identities import Identities
from streams.live.common.context import Context
from streams.live.common.health import FeedHealth, Feeds, Scope
from streams.live.common.ledger import PATIENCE
from streams.live.common.poll_result import Outlet, PollResult
from streams.live.common.poller import Poller
from streams.live.common.popularity import Popularity
from streams.live.github.cursor import GithubCursor, decode_github
from streams.live.github.feed import MISSING, GithubFeed
from streams.live.github.limits import LIMITS_FEED, GithubLimits
from streams.live.github.named import WatchedRepository
from streams.live.github.pace import PollPace
from streams.live.github.page import GithubPages
from streams.live.github.platform import PLATFORM
from streams.live.github.popularity import GithubPopularity
from streams.watchlist import Watchlist

EVERYTHING: Final = "/events"
_MARKS_EVERY: Final = 15.0


class GithubPoller(Poller):
    """All feeds of GitHub; `token` may be empty."""

    def __init__(self, api: str, token: str, session: aiohttp.ClientSession, context: Context) -> None:
        clock, outlet, cursors, watchlist = context.clock, context.outlet, context.cursors, context.watchlist
        self._clock = clock
        self._outlet = outlet
        self._marks_every = min(_MARKS_EVERY, context.interval_cap)
        limits = self._limits = GithubLimits(token, clock, cursors.get(LIMITS_FEED), self._save_limits)
        pages = GithubPages(api, token, session, limits, clock)
        assignment = Assignment(watchlist, PLATFORM, cursors, asked=True)
        identities = Identities(context.actor_key, watchlist, include_bots=context.include_bots, assignment=assignment)
        events = GithubEvents(identities, clock.now())
        pace = PollPace(context.interval_cap, budgeted=not token)
        self._popularity = GithubPopularity(pages, outlet, clock, cursors, watchlist, identities)
        self._popularity.see(_named(watchlist))
        # Without a token the budget of 55 requests an hour is kept for the feeds.
        self._asks_popularity = bool(token)
        self._noting = _Noting(outlet, self._popularity, context.feeds, assignment)
        self._named = partial(WatchedRepository, identities=identities, pages=pages, clock=clock)
        self._cursors, self._health = cursors, context.feeds
        patience = max(PATIENCE, round(3 * context.interval_cap * SECOND))
        keep = context.keep_dead_letters
        self._feed = partial(
            GithubFeed,
            pages=pages,
            events=events,
            outlet=self._noting,
            clock=clock,
            pace=pace,
            patience=patience,
            keep=keep,
        )
        self._feeds: list[GithubFeed] = []
        self._users: list[tuple[GithubFeed, str]] = []
        for path in paths(watchlist):
            user = _user_path(path)
            feed = self._open(
                path, missing=f"asked for as {PLATFORM}:{user}" if user else MISSING, sampled=path == EVERYTHING
            )
            if user:
                # The user's cursor is needed when the organisation is gone. One that cannot be read is reported now.
                self._cursor(user)
                self._users.append((feed, user))

    def _open(self, path: str, *, missing: str, sampled: bool = False, of_user: bool = False) -> GithubFeed:
        name = f"{PLATFORM}:{path}"
        cursor = self._cursor(path)
        # A user's feed shows no known share of anything.
        scope: Scope = "all" if path == EVERYTHING else "watched"
        health = self._health.open(name, PLATFORM, scope=scope, sampled=sampled, has_total=not of_user)
        place = _named_by(path)
        named = self._named(place, quote(path)) if place is not None else None
        self._feeds.append(
            self._feed(
                quote(path), cursor, health=health, missing=missing, sampled=sampled, of_user=of_user, named=named
            )
        )
        return self._feeds[-1]

    def _cursor(self, path: str) -> GithubCursor:
        name = f"{PLATFORM}:{path}"
        return decode_github(name, self._cursors.get(name))

    async def run(self) -> None:
        """Poll until cancelled. What servers and networks do ends up in the feeds' health, never in an exception."""
        await self._limits.correct()
        async with asyncio.TaskGroup() as tasks:
            for feed in self._feeds:
                tasks.create_task(feed.run())
            for feed, path in self._users:
                tasks.create_task(self._fall_back(feed, path))
            tasks.create_task(self._keep_marks())
            if self._asks_popularity:
                tasks.create_task(self._popularity.run())

    def popularity(self) -> Iterator[Popularity]:
        """Stars, forks and watchers of the watched repositories, as GitHub states them; only with a token."""
        return self._popularity.get()

    async def _fall_back(self, organisation: GithubFeed, path: str) -> None:
        """Poll an account as a user's when it is no organisation's. Both are polled from then on, because a 404 may
        come from an outage.

        An organisation that has never existed is not shown and not waited for. Its user's feed says what is wrong.
        """
        await organisation.gone.wait()
        user = self._open(path, missing=f"no organisation and no user: {MISSING}", of_user=True)
        if organisation.cursor.mark is None:
            self._noting.hide(organisation.health.feed)
        await user.run()

    async def _keep_marks(self) -> None:
        organisations = [feed for feed, _ in self._users]
        while True:
            await asyncio.sleep(self._clock.wait(self._marks_every))
            for feed in self._feeds:
                # An organisation that is hidden, or will be when its user's feed opens, gets no watermark that others
                # would wait for.
                if not (feed in organisations and feed.is_nowhere and feed.cursor.mark is None):
                    await feed.keep_mark(self._clock.now())

    async def _save_limits(self, cursor: bytes) -> None:
        await self._outlet.put(PollResult(feed=LIMITS_FEED, platform=PLATFORM, cursor=cursor))


class _Noting:
    """Passes poll results on together with what was learnt about repositories, and tells the popularity which watched
    ones occur.

    A feed that is hidden appears with its first poll result.
    """

    def __init__(self, outlet: Outlet, popularity: GithubPopularity, feeds: Feeds, assignment: Assignment) -> None:
        self._outlet, self._popularity, self._feeds, self._assignment = outlet, popularity, feeds, assignment
        self._hidden: dict[str, FeedHealth] = {}

    def hide(self, feed: str) -> None:
        self._hidden[feed] = self._feeds.by_name.pop(feed)

    async def put(self, result: PollResult) -> None:
        if result.feed in self._hidden:
            self._feeds.by_name[result.feed] = self._hidden.pop(result.feed)
        learnt = self._assignment.changes()
        await self._outlet.put(replace(result, cursors={**result.cursors, **learnt}))
        self._assignment.saved(learnt)
        self._popularity.see({(each.repo, each.project) for each in result.activities if each.project is not None})


def _named(watchlist: Watchlist) -> Iterator[tuple[str, str]]:
    """(name, project) of the repositories that the watchlist names."""
    for project in watchlist.projects:
        for place in project.places[PLATFORM]:
            if "/" in place and not _is_glob(place):
                yield place, project.project


def paths(watchlist: Watchlist) -> list[str]:
    """The paths of the feeds: of everything, and of each organisation and repository once, whatever the letter case.

    A glob is watched through its organisation. A glob of organisations shows only in the feed of everything.

    >>> from streams.watchlist import Project
    >>> paths(Watchlist([Project("olmo", github=("allenai/OLMo*", "AllenAI", "ggml-org/llama.cpp", "open*"))]))
    ['/events', '/orgs/allenai/events', '/repos/ggml-org/llama.cpp/events']
    """
    found = {EVERYTHING: EVERYTHING}
    for place in (place for project in watchlist.projects for place in project.places[PLATFORM]):
        owner, _, name = place.partition("/")
        if _is_glob(owner):
            continue
        path = f"/orgs/{owner}/events" if not name or _is_glob(name) else f"/repos/{owner}/{name}/events"
        found.setdefault(path.casefold(), path)
    return list(found.values())


def _named_by(path: str) -> str | None:
    """The name in the watchlist that a repository's feed belongs to.

    >>> _named_by("/repos/ggml-org/llama.cpp/events"), _named_by("/orgs/repos/events")
    ('ggml-org/llama.cpp', None)
    """
    match path.split("/"):
        case ["", "repos", owner, name, "events"]:
            return f"{owner}/{name}"
    return None


def _user_path(path: str) -> str | None:
    """The path of the user's feed for an organisation's feed.

    >>> _user_path("/orgs/allenai/events"), _user_path("/repos/orgs/orgs/events")
    ('/users/allenai/events/public', None)
    """
    match path.split("/"):
        case ["", "orgs", name, "events"]:
            return f"/users/{name}/events/public"
    return None


def _is_glob(name: str) -> bool:
    return "*" in name or "?" in name
