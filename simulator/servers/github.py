"""GitHub's events API over a generated world: with the delays, disorder, short memory and strict limits of the real
one.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aiohttp import web

from simulator.clock import SECOND
from simulator.deed import Deed
from simulator.population import WATCHED, Watched
from simulator.servers.clock import WorldClock
from simulator.servers.course import Course, Release
from simulator.servers.directory import Directory
from simulator.servers.faults import Faults
from simulator.servers.github_api import GithubApi
from simulator.servers.github_feeds import FeedEvent, SimulatedFeeds, polls
from simulator.servers.github_limits import GithubServerLimits
from simulator.servers.ledger import Offence, OffenceLedger
from simulator.servers.listening import Listening

_SLICE: Final = 500


class GithubServer(Listening):
    """A GitHub on loopback.

    `rate`: events a simulated second. `token`: one or several valid tokens; without one every token is wrong. `era`:
    2026, 2024 or mixed. It begins at `begin` (simulated µs), else now; a server with the same settings shows the same
    world, as far as it has come by now. `history`: simulated seconds that have happened at the beginning. `release_in`:
    so many simulated seconds later the busiest watched repository publishes, or `release_of`. `unknown`: the share of
    events of an unknown type.
    """

    def __init__(
        self,
        seed: int,
        clock: WorldClock,
        faults: Faults | None = None,
        *,
        begin: int | None = None,
        rate: float = 5.0,
        token: str | Sequence[str] | None = None,
        era: str = "2026",
        repositories: int = 2_000,
        people: int = 3_000,
        watched: Watched = WATCHED,
        history: float = 120.0,
        release_in: float | None = None,
        release_of: str | None = None,
        release_factor: float = 20.0,
        release_half_life: float = 7_200.0,
        unknown: float = 0.0,
    ) -> None:
        super().__init__()
        begin = clock.now() if begin is None else begin
        self.clock = clock
        self.faults = faults or Faults(seed, clock.wall)
        self.course = Course(
            seed,
            begin=begin - int(history * SECOND),
            rate=rate,
            repositories=repositories,
            people=people,
            era="2024" if era == "2024" else "2026",
            watched=watched,
        )
        self.release: Release | None = None
        if release_in is not None:
            of = release_of or self.course.population.watched[0].name
            self.release = Release(of, begin + int(release_in * SECOND), release_factor, release_half_life)
            self.course.publish(self.release)
        self.directory = Directory(self.course.population)
        self.feeds = SimulatedFeeds(self.course, seed, era, unknown=unknown)
        self.ledger = OffenceLedger(clock.wall)
        self.limits = GithubServerLimits(clock, seed)
        tokens = frozenset([token] if isinstance(token, str) else token or ())
        self.api = GithubApi(clock, self.feeds, self.directory, self.ledger, self.limits, tokens=tokens, seed=seed)

    def _application(self) -> web.Application:
        return self.api.application(self.faults)

    async def _catch_up(self) -> None:
        now, arrived = self.clock.now(), False
        while not arrived:
            arrived = self.feeds.advance(now, _SLICE)
            await asyncio.sleep(0)

    # The truth.

    @property
    def offences(self) -> list[Offence]:
        """The rules that clients broke."""
        return self.ledger.offences

    @property
    def events(self) -> Sequence[FeedEvent]:
        """Every event that has become visible by now, in that order."""
        return self.feeds.past

    def shown(self, feed: str) -> Mapping[str, float]:
        """{event id: the Unix time at which an answer first showed it} of a feed, by its path. KeyError if there is no
        such feed.
        """
        return self.ledger.shown(self.api.feed(feed).path)

    def visible(self, feed: str, since: int, until: int) -> set[str]:
        """The ids seen by a poller that reads a whole feed at `since` and then at each poll interval, until `until`
        (simulated µs).
        """
        self.feeds.advance(self.clock.now())
        return self.feeds.visible(self.api.feed(feed), polls(since, until, int(self.api.poll_interval * SECOND)))

    def unmissable(self, feed: str, since: int, until: int) -> set[str]:
        """The ids that every poller sees that reads a whole feed at least once in each poll interval from `since` to
        `until` (simulated µs).
        """
        self.feeds.advance(self.clock.now())
        return self.feeds.unmissable(self.api.feed(feed), since, until, int(self.api.poll_interval * SECOND))

    def deeds(self, ids: Iterable[str]) -> list[Deed]:
        """What these events meant."""
        return self.feeds.deeds(ids)

    def stars(self, name: str) -> int:
        """The stars that a repository was given since the world began. KeyError if there is none of that name."""
        found = self.directory.repository(name)
        if found is None:
            raise KeyError(name)
        return self.feeds.stars[found.id]

    def logins(self) -> set[str]:
        """The logins of all people and bots; organisations are public names."""
        return {person.login for person in self.directory.users.values()}

    def rename(self, old: str, new: str) -> None:
        """Give a repository another name; its feed keeps the old one in the ledger. KeyError if there is none of that
        name.
        """
        found = self.directory.repository(old)
        if found is None:
            raise KeyError(old)
        self.directory.rename(self.course.rename(found, new))
