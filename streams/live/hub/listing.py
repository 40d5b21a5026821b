"""Lists the repositories of the watched owners again and again: which exist, and how popular they are."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from streams.errors import DeadLetter
from streams.live.common.clock import Clock
from streams.live.common.http import Gone, Unreachable, unhurried
from streams.live.common.ledger import Ledger
from streams.live.hub.activities import HubActivities, HubTarget
from streams.live.hub.client import HubClient
from streams.live.hub.dead_letters import HubLetters
from streams.live.hub.places import HubPlaces
from streams.live.hub.popularity import HubPopularity
from streams.live.hub.reading import Put
from streams.live.hub.refusals import HubRefused
from streams.live.hub.shapes import FOLDERS, Listed, decode_list, decode_listed, read_listed
from streams.live.hub.walk import expand
from streams.live.hub.watched import HubWatched

_LIMIT: Final = "limit"


@dataclass(slots=True)
class Listing:
    """The watched repositories of one kind of an owner, by key; the names (case-folded) of all of them; and the dead
    letters.
    """

    found: dict[str, tuple[HubTarget, Listed]] = field(default_factory=dict)
    dead_letters: list[bytes] = field(default_factory=list)
    names: set[str] = field(default_factory=set)


class HubListing:
    """The task that lists; `every` is in seconds of the station's clock, `put` publishes a poll result.

    `news` is called after each listing; `done` is set when all owners were asked for once.
    """

    def __init__(
        self,
        client: HubClient,
        activities: HubActivities,
        dead_letters: HubLetters,
        watched: HubWatched,
        places: HubPlaces,
        popularity: HubPopularity,
        ledger: Ledger,
        put: Put,
        news: Callable[[], None],
        clock: Clock,
        every: float,
    ) -> None:
        self.done = asyncio.Event()
        self._client, self._activities, self._dead_letters = client, activities, dead_letters
        self._watched, self._places, self._popularity = watched, places, popularity
        self._ledger, self._put, self._news = ledger, put, news
        self._clock, self._every = clock, every

    async def run(self) -> None:
        """List until cancelled."""
        while True:
            for owner in self._watched.owners:
                for artefact in FOLDERS:
                    now = self._clock.now()
                    try:
                        listing = await self._list(owner, artefact)
                    except Unreachable as error:
                        self._popularity.fail(owner, artefact, now)
                        self._watched.unlisted[owner, artefact] = str(error)
                        await self._save(self._dead_letters.exceeding(self._ledger.health.feed, error))
                        continue
                    self._watched.unlisted.pop((owner, artefact), None)
                    self._watched.take(owner, artefact, listing.found, now)
                    self._places.list(owner, artefact, listing.names)
                    self._news()
                    missing = self._popularity.take(owner, artefact, listing.found, now)
                    await self._save(listing.dead_letters)
                    for target in missing:
                        await self._ask(target)
            await self._places.ask_missing(self._ledger.health)
            self._tell()
            self._news()
            self.done.set()
            await asyncio.sleep(self._clock.wait(self._every))

    async def _list(self, owner: str, artefact: str) -> Listing:
        """All repositories of one kind of an owner. Raises `Unreachable`."""
        listing = Listing()
        health = self._ledger.health
        # In the order of creation nothing moves from page to page while they are read.
        params = [("author", owner), ("sort", "createdAt"), *expand(artefact)]
        async for page in self._client.listing(FOLDERS[artefact], decode_list, health, params):
            async for line, raw in unhurried(page.content):
                try:
                    listed = read_listed(raw)
                    target = self._activities.target(artefact, listed)
                    listing.names.add(listed.id.casefold())
                    if target.repository.project is not None:
                        listing.found[target.key] = target, listed
                except DeadLetter as error:
                    listing.dead_letters += self._dead_letters.write(health.feed, page.address, line, error, raw)
        return listing

    def _tell(self) -> None:
        health = self._ledger.health
        if self._watched.unlisted:
            # If nothing succeeds, the state has the reason already.
            health.state = self._watched.state if health.state == health.well else health.state
        elif self._watched.absent or self._watched.refused:
            health.state = health.well = self._watched.well
        elif not self._watched.by_key and health.state == health.well:
            health.state = health.well = "ok"

    async def _ask(self, target: HubTarget) -> None:
        """Ask about a repository that is missing in a listing: it may be gone, or the listing may have omitted it."""
        params = [(name, value) for name, value in expand(target.artefact) if name != _LIMIT]
        now = self._clock.now()
        try:
            page = await self._client.get(target.path, decode_listed, self._ledger.health, params)
            found = self._activities.target(target.artefact, page.content)
        except (HubRefused, Unreachable, DeadLetter):
            return
        except Gone:
            self._popularity.forget(target)
            return
        if found.key == target.key and found.repository.project is not None:
            self._popularity.state(found, page.content, now)
        else:
            self._popularity.forget(target)

    async def _save(self, dead_letters: list[bytes]) -> None:
        now = self._clock.now()
        cursors = self._popularity.changes(now)
        if dead_letters or cursors:
            async with self._ledger.lock:
                await self._put(self._ledger, self._ledger.poll_result(dead_letters=dead_letters, cursors=cursors))
            self._popularity.saved(cursors, now)
