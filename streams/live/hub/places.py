"""Which names of the watchlist the Hub knows. A repository that moved is followed; a name that is missing is
reported.
"""

import logging
from collections.abc import Iterator
from typing import Final

from streams.activity import HOUR
from streams.assignment import Assigned
from streams.errors import DeadLetter
from streams.identities import Identities
from streams.live.common.clock import Clock
from streams.live.common.health import FeedHealth
from streams.live.common.http import Gone, Unreachable
from streams.live.hub.activities import HubActivities, HubTarget
from streams.live.hub.client import HubClient
from streams.live.hub.platform import PLATFORM
from streams.live.hub.refusals import HubRefused
from streams.live.hub.shapes import FOLDERS, Listed, decode_listed, is_name
from streams.live.hub.walk import expand
from streams.live.hub.watched import HubWatched
from streams.watchlist import Watchlist, is_glob, names_one, plain_name

_LOG: Final = logging.getLogger("nomadwatch.streams")
# A missing name is asked for again after so long (µs).
_AGAIN: Final = HOUR


class HubPlaces:
    """Call `list` with every listing of an owner, and `ask_missing` when all were listed. A glob that fits nothing yet
    is not reported.
    """

    def __init__(
        self,
        watchlist: Watchlist,
        client: HubClient,
        activities: HubActivities,
        identities: Identities,
        watched: HubWatched,
        clock: Clock,
    ) -> None:
        self._client, self._activities, self._identities = client, activities, identities
        self._watched, self._clock = watched, clock
        self._places = list(watchlist.projects_by_place(PLATFORM))
        self._listed: dict[tuple[str, str], set[str]] = {}
        self._again: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._told: set[str] = set()
        if not client.signed_in:
            # Without a token the Hub answers the same for private repositories and missing ones.
            watched.remedy += ", or set HF_TOKEN if it is private"

    def list(self, owner: str, artefact: str, names: set[str]) -> None:
        """Take the names (case-folded) of all repositories of one kind that an owner has."""
        self._listed[owner.casefold(), artefact] = names

    async def ask_missing(self, health: FeedHealth) -> None:
        """Ask for each named repository that no listing showed. Those that the Hub does not have go to `watched`, and
        once to the log.
        """
        now = self._clock.now()
        absent = []
        for place in self._places:
            if names_one(place):
                if not self._shows(place) and not await self._find(place, now, health):
                    absent.append(place)
            elif not is_glob(place) and self._lists_nothing(place):
                absent.append(place)
        for place in absent:
            if place not in self._told:
                reason = self._refused.get(place)
                _LOG.warning("%s: %s: %s", PLATFORM, place, reason or f"not listed; {self._watched.remedy}")
        self._told = set(absent)
        self._watched.absent = [place for place in absent if place not in self._refused]
        self._watched.refused = {place: self._refused[place] for place in absent if place in self._refused}
        self._watched.moved = dict(self._moved())

    def _moved(self) -> Iterator[tuple[str, str]]:
        """The names whose repository is watched under another name, with that name."""
        watched = {plain_name(PLATFORM, watch.target.repository.name) for watch in self._watched.by_key.values()}
        for place in filter(names_one, self._places):
            for _, known in self._holders(place):
                if known.name != place and known.name in watched:
                    yield place, known.name

    def _lists_nothing(self, owner: str) -> bool:
        """Whether an owner was asked for all kinds of repositories and has none."""
        listings = [self._listed.get((owner, artefact)) for artefact in FOLDERS]
        return all(names is not None and not names for names in listings)

    def _shows(self, place: str) -> bool:
        """Whether a listing shows the repository that a name means, whatever it is called now. True while not all are
        known.
        """
        owner = place.partition("/")[0]
        names = [self._listed.get((owner, artefact)) for artefact in FOLDERS]
        if any(each is None for each in names):
            return True
        watched = {plain_name(PLATFORM, watch.target.repository.name) for watch in self._watched.by_key.values()}
        met = [known.name for _, known in self._holders(place)] or [place]
        return any(name in watched and name.partition("/")[0] == owner for name in met)

    def _holders(self, place: str) -> Iterator[tuple[str, Assigned]]:
        for artefact in FOLDERS:
            known = self._identities.assignment.holder(place, artefact)
            if known is not None:
                yield artefact, known

    async def _find(self, place: str, now: int, health: FeedHealth) -> bool:
        """Ask for a named repository under its last name and under that of the watchlist. False if it does not
        exist.
        """
        if self._again.get(place, 0) > now:
            return place not in self._told
        self._refused.pop(place, None)
        holders = dict(self._holders(place))
        for artefact in holders or FOLDERS:
            known = holders.get(artefact)
            for name in dict.fromkeys([known.name, place] if known is not None else [place]):
                try:
                    found = await self._ask(artefact, name, place, known, health)
                except (Unreachable, DeadLetter):
                    return place not in self._told
                except HubRefused as refused:
                    self._refused[place] = refused.reason
                    continue
                if found is not None:
                    self._watched.add(*found, now)
                    self._again.pop(place, None)
                    return True
        self._again[place] = now + _AGAIN
        return False

    async def _ask(
        self, artefact: str, name: str, place: str, known: Assigned | None, health: FeedHealth
    ) -> tuple[HubTarget, Listed] | None:
        """The repository with a name, if it is the one that the watchlist means. The Hub redirects an old name to the
        new one.

        Raises `HubRefused` if it exists but may not be seen, `Unreachable`, `DeadLetter`.
        """
        if not is_name(name):
            return None
        params = [(key, value) for key, value in expand(artefact) if key != "limit"]
        try:
            listed = (await self._client.get(f"{FOLDERS[artefact]}/{name}", decode_listed, health, params)).content
        except HubRefused:
            raise
        except Gone:
            return None
        if listed.native is None:
            return None
        if known is not None and str(known.native) != listed.native and known.name == place:
            # Another repository has its name, and neither listings nor walks show it elsewhere: it was deleted and made
            # again.
            self._identities.assignment.forget(self._identities.hash_of(known.native))
        if not self._identities.claim(listed.native, listed.id, self._clock.now(), place, artefact):
            return None
        if plain_name(PLATFORM, listed.id) != place and place not in self._told:
            _LOG.warning(
                "%s: %s is called %s now, and is watched under both names; correct the name in the watchlist",
                PLATFORM,
                place,
                listed.id,
            )
        return self._activities.target(artefact, listed), listed
