"""A repository that the watchlist names. It is followed by its id if it is renamed and another repository takes its
name.
"""

import logging
from typing import Final

import msgspec

from streams.errors import DeadLetter
from streams.github_payloads import UNDECODABLE
from streams.identities import Identities, Name
from streams.live.common.clock import Clock
from streams.live.common.health import FeedHealth
from streams.live.common.http import Gone, Unreachable
from streams.live.github.page import GithubPages
from streams.live.github.page_overlap import PageOverlap
from streams.times import parse_time

_LOG: Final = logging.getLogger("nomadwatch.streams")


class _NamedStub(msgspec.Struct, gc=False):
    id: int | Name
    name: Name


class _NamedEvent(msgspec.Struct, gc=False):
    repo: _NamedStub
    created_at: str


class _NameOfToday(msgspec.Struct):
    full_name: Name


_decode_event: Final = msgspec.json.Decoder(_NamedEvent).decode
_decode_stated: Final = msgspec.json.Decoder(_NameOfToday).decode


class WatchedRepository:
    """`path` is the path of its feed: by the name in the watchlist, which GitHub redirects to the name of today, else
    by its id.
    """

    def __init__(self, place: str, path: str, identities: Identities, pages: GithubPages, clock: Clock) -> None:
        self.path = path
        self._place = place
        self._identities, self._pages, self._clock = identities, pages, clock
        self._told = ""

    async def shows(self, overlap: PageOverlap, health: FeedHealth) -> bool:
        """Learn the repository's id from the events of a poll. False if they are those of another repository that took
        the name; then `path` has changed.

        Raises `Unreachable` and `Limited` if this cannot be decided now.
        """
        met = [event for event in map(_event, (each.raw for each in reversed(overlap.new))) if event is not None]
        known = self._identities.assignment.holder(self._place)
        if known is not None and any(str(event.repo.id) != str(known.native) for event, _ in met):
            if known.name == self._place.casefold():
                await self._ask_for(known.native, health)
            if known.name != self._place.casefold():
                self.path = f"/repositories/{known.native}/events"
                self._tell(f"{self._place} is another repository now, the watched one is {known.name}")
                health.well = f"ok, moved to {known.name}"
                return False
        for event, at in met:
            self._identities.claim(event.repo.id, event.repo.name, at, self._place)
        known = self._identities.assignment.holder(self._place)
        health.well = "ok"
        if known is not None and known.name != self._place.casefold():
            self._tell(f"{self._place} is called {known.name} now, and is watched under both names")
            health.well = f"ok, moved to {known.name}"
        return True

    async def _ask_for(self, native: int | str, health: FeedHealth) -> None:
        """Ask what the repository of an id is called today. If it is gone, the one that now has its name replaces
        it.
        """
        try:
            stated = _decode_stated(await self._pages.repository_by_id(native, health))
        except Gone:
            self._identities.assignment.forget(self._identities.hash_of(native))
            return
        except UNDECODABLE as error:
            health.state = "failing: broken answer"
            raise Unreachable(health.state) from error
        try:
            self._identities.repository(native, stated.full_name, self._clock.now())
        except DeadLetter as error:
            health.state = "failing: the answer names no repository"
            raise Unreachable(health.state) from error

    def _tell(self, what: str) -> None:
        if what != self._told:
            self._told = what
            _LOG.warning("github: %s; correct the name in the watchlist", what)


def _event(raw: bytes) -> tuple[_NamedEvent, int] | None:
    """The event and its time (µs), or None."""
    try:
        event = _decode_event(raw)
        return event, parse_time(event.created_at)
    except (*UNDECODABLE, DeadLetter):
        return None
