"""The repositories of the watchlist on the Hub: which there are, and which is to be looked at next."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from streams.activity import DAY, HOUR, MINUTE, SECOND
from streams.live.hub.activities import HubPlace
from streams.live.hub.platform import PLATFORM
from streams.live.hub.repository import PARTS
from streams.live.hub.shapes import FOLDERS, Listed
from streams.watchlist import Watchlist

# Looks in vain, one after the other, after which nobody waits for a repository any more.
GIVEN_UP: Final = 4
# What is known to have changed is looked at before all that is only due.
_AHEAD: Final = 365 * DAY
# What is refused is asked for again after an hour: its terms may have been accepted meanwhile.
REFUSED_WAIT: Final = HOUR
_GONE: Final = "listed, but gone or private"
# Of the interval that must be kept, the part after which a look is due: the rest is for the queue.
EARLY: Final = 0.8
# A repository is looked at again after a minute at the earliest, and so rarely that all of them together take no more
# than this part of the looking. One in whose threads something happened in the last day is looked at more often.
_SHORTEST_PAUSE: Final = MINUTE
_PART: Final = 0.5
_TALKATIVE: Final = 3
_TALKED: Final = DAY
# The weight of the newest look in the mean time of one.
_NEWEST: Final = 0.1


@dataclass(slots=True)
class Watch:
    """A watched repository: its last listing and when that was asked for, up to when it is known, when it is to be
    looked at again (all µs), and failures since.

    What a listing does not show as changed is not asked for, so a look is worth no more than the listing it went by.
    One that is `gone` gave nothing at the last look, `gone_at` (µs): it is looked at again after `REFUSED_WAIT`, or
    when its listing changes. `refused` says which parts are not for us, why, and when they are asked for again (µs).
    `told_to` is up to when the ledger tells of failures, `talked_at` when a look last found something in its threads.
    """

    place: HubPlace
    listed: Listed
    listed_at: int
    known_to: int
    due: int
    failures: int = 0
    told_to: int = 0
    gone: bool = False
    gone_at: int = 0
    refused: dict[str, tuple[str, int]] = field(default_factory=dict)
    first: bool = True
    talked_at: int = 0

    def waiting(self, now: int) -> set[str]:
        """The parts that are not asked for now, because they were refused lately."""
        return {part for part, (_, again) in self.refused.items() if again > now}

    @property
    def missed(self) -> float:
        """The share of it (0 to 1) that cannot be seen."""
        if self.failures >= GIVEN_UP or self._tells_of_going:
            return 1.0
        return min(1.0, len(self.refused) / len(PARTS))

    @property
    def trouble(self) -> str | None:
        """Why some of it cannot be seen, for a person; failures apart."""
        if self.refused:
            return next(iter(self.refused.values()))[0]
        return _GONE if self._tells_of_going else None

    @property
    def _tells_of_going(self) -> bool:
        """Whether it gives nothing although it is still listed: what was deleted just now is not missed."""
        return self.gone and self.listed_at > self.gone_at


class HubWatched:
    """The watched repositories by key. `dropped` counts those that are gone.

    Each is to be looked at once in an `interval` (the station's seconds), and is more often where there is time for it;
    `lookers` look side by side.
    """

    def __init__(self, watchlist: Watchlist, names: dict[str, str], interval: float, lookers: int = 1) -> None:
        self.longest = round(EARLY * interval * SECOND)
        self._lookers = lookers
        self.dropped = 0
        # Places of the watchlist that the Hub does not have.
        self.absent: list[str] = []
        # What to do about them, for a person, and those that it does not give, with the reason.
        self.remedy = "correct the name in the watchlist"
        self.refused: dict[str, str] = {}
        # Those that moved and are followed, with their names of today.
        self.moved: dict[str, str] = {}
        # Why an owner's repositories of a kind could not be listed the last time.
        self.unlisted: dict[tuple[str, str], str] = {}
        self.by_key: dict[str, Watch] = {}
        self._names = names
        self._heap: list[tuple[int, str]] = []
        # Keys of those that are looked at just now.
        self._busy: set[str] = set()
        self._took = 0.0
        self._listings: dict[tuple[str, str], set[str]] = {}
        self._times: dict[tuple[str, str], int] = {}
        places = [place for project in watchlist.projects for place in project.places[PLATFORM]]
        owners = {owner.casefold(): owner for owner in (place.partition("/")[0] for place in places)}
        # A glob of owners cannot be listed: what fits it is met in the walks.
        self.owners = [owner for owner in owners.values() if "*" not in owner and "?" not in owner]

    def artefacts(self) -> dict[str, str]:
        """`dataset` or `space` by name; a name that a model has too is the model's."""
        places = [watch.place for watch in self.by_key.values()]
        models = {place.repository.name for place in places if place.artefact == "model"}
        return {place.repository.name: place.artefact for place in places if place.repository.name not in models}

    def take(self, owner: str, artefact: str, found: Mapping[str, tuple[HubPlace, Listed]], now: int) -> None:
        """Take up all of an owner's repositories of one kind, by key, as a listing shows them that was asked for at
        `now`.
        """
        for key in self._listings.get((owner, artefact), set()) - found.keys():
            if self.by_key.pop(key, None) is not None:
                self.dropped += 1
        self._listings[owner, artefact] = set(found)
        self._times[owner, artefact] = now
        for place, listed in found.values():
            self.add(place, listed, now)

    def add(self, place: HubPlace, listed: Listed, now: int) -> None:
        """Watch a repository, or take up its listing asked for at `now` (µs); one that has changed is due."""
        if place.artefact == "model":
            self._names[f"{place.path}"] = place.key
        watch = self.by_key.get(place.key)
        if watch is None:
            self.by_key[place.key] = watch = Watch(place, listed, now, now, now)
            heapq.heappush(self._heap, (now, place.key))
            return
        changed = _differ(watch.listed, listed)
        if changed:
            if watch.gone:
                watch.gone = False
                watch.known_to = min(now, watch.listed_at)
            if watch.listed.gated != listed.gated:
                watch.refused.clear()
        watch.place, watch.listed, watch.listed_at = place, listed, now
        if changed:
            self.schedule(watch, now - _AHEAD)

    def schedule(self, watch: Watch, due: int) -> None:
        """Look at a repository at a time, whatever was planned."""
        watch.due = due
        heapq.heappush(self._heap, (due, watch.place.key))

    def pause(self, watch: Watch, now: int) -> int:
        """How long (µs) after a look the next one is due.

        Threads change without a trace in any listing: how soon that is seen is how often the repository is looked at.
        """
        talkative = sum(each.talked_at > now - _TALKED for each in self.by_key.values())
        shares = len(self.by_key) + (_TALKATIVE - 1) * talkative
        pause = shares * self._took / self._lookers / _PART
        if watch.talked_at > now - _TALKED:
            pause /= _TALKATIVE
        return min(self.longest, max(_SHORTEST_PAUSE, round(pause)))

    def settle(self, watch: Watch, known_to: int, took: int) -> None:
        """A look has succeeded, in so many µs: everything up to a moment is known."""
        watch.known_to, watch.failures, watch.first = known_to, 0, False
        self._took += _NEWEST * (took - self._took)

    def fail(self, watch: Watch) -> bool:
        """A look has failed; whether the ledger must be told: when nobody waits for the repository any more, then ever
        more rarely.
        """
        watch.failures += 1
        return watch.failures >= GIVEN_UP and watch.failures & (watch.failures - 1) == 0

    @property
    def round(self) -> float:
        """About how long it takes to look at all of them, one after the other (µs)."""
        return len(self.by_key) * self._took / self._lookers

    @property
    def trouble(self) -> str | None:
        """A state in words where some cannot be looked at, or not all of them that others see."""
        failing = sum(watch.failures >= GIVEN_UP for watch in self.by_key.values())
        said = [f"failing: {failing} of {len(self.by_key)} repositories"] if failing else []
        if self.absent:
            said.append(f"not listed: {_some(self.absent)}; {self.remedy}")
        reasons: dict[str, list[str]] = {}
        for place, why in self.refused.items():
            reasons.setdefault(why, []).append(place)
        for watch in self.by_key.values():
            if watch.failures < GIVEN_UP and (reason := watch.trouble) is not None:
                reasons.setdefault(reason, []).append(watch.place.repository.name)
        said += [f"{reason} ({_some(names)})" for reason, names in sorted(reasons.items())]
        return "; ".join(said) or None

    @property
    def state(self) -> str:
        """The state of their feed while requests succeed, for a person: `trouble`, and which owners could not be listed
        the last time.
        """
        said = [] if self.trouble is None else [self.trouble]
        for failure in sorted(set(self.unlisted.values())):
            owners = {owner: None for (owner, _), why in self.unlisted.items() if why == failure}
            said.append(f"{failure} (listing {_some(list(owners))})")
        return "; ".join(said) or self.well

    @property
    def well(self) -> str:
        """The state of their feed where no listing fails: `trouble`, else `ok` with the places that moved."""
        moved = [f"{place} moved to {name}" for place, name in self.moved.items()]
        return self.trouble or (f"ok, {_some(moved)}" if moved else "ok")

    def reached(self) -> float:
        """The share (0 to 1) of them that can be looked at; one that refuses some of its parts counts by the others.

        A place of the watchlist that the Hub does not have, or refuses, counts as one that cannot.
        """
        nowhere = len(self.absent) + len(self.refused)
        missed = nowhere + sum(watch.missed for watch in self.by_key.values())
        return 1.0 - missed / (nowhere + len(self.by_key)) if missed else 1.0

    def drop(self, watch: Watch, listed: Listed, now: int, reason: str | None = None) -> None:
        """A look that went by a listing gave nothing: leave it alone for a while, unless the listing has changed."""
        watch.gone = not _differ(watch.listed, listed)
        watch.gone_at = now
        if watch.gone:
            watch.failures = 0
            watch.refused = {} if reason is None else dict.fromkeys(PARTS, (reason, now + REFUSED_WAIT))
            self.schedule(watch, now + REFUSED_WAIT)
        self.dropped += 1

    def refuse(self, watch: Watch, refused: Mapping[str, str], seen: Iterable[str], now: int) -> set[str]:
        """Note which parts a look found refused, and why, and which answered; the reasons that are new."""
        before = {reason for reason, _ in watch.refused.values()}
        watch.gone = False
        for part in seen:
            watch.refused.pop(part, None)
        watch.refused.update((part, (reason, now + REFUSED_WAIT)) for part, reason in refused.items())
        return set(refused.values()) - before

    @contextmanager
    def busy(self, watch: Watch) -> Iterator[None]:
        """While a repository is looked at nobody else does; what is scheduled meanwhile stands afterwards."""
        key = watch.place.key
        self._busy.add(key)
        try:
            yield
        finally:
            self._busy.discard(key)
            if (now_watched := self.by_key.get(key)) is not None:
                self.schedule(now_watched, now_watched.due)

    def next(self) -> Watch | None:
        """The one that is due first and not looked at already, without removing it."""
        while self._heap:
            due, key = self._heap[0]
            watch = self.by_key.get(key)
            if watch is not None and watch.due == due and key not in self._busy:
                return watch
            heapq.heappop(self._heap)
        return None

    def complete_to(self, now: int) -> int | None:
        """Up to when everything of the watched is known: the oldest look or listing. None while one has never been;
        without any, now.

        Those that are gone or always fail are not waited for. Of what fails the ledger tells; of what is gone nothing
        can be had.
        """
        watches = [watch for watch in self.by_key.values() if not watch.gone and watch.failures < GIVEN_UP]
        if len(self._times) < len(self.owners) * len(FOLDERS) or any(watch.first for watch in watches):
            return None
        return min([now, *self._times.values(), *(watch.known_to for watch in watches)])


def _differ(before: Listed, now: Listed) -> bool:
    """Whether a listing shows that something has happened since another."""
    return (before.sha, before.likes, before.gated) != (now.sha, now.likes, now.gated)


def _some(names: list[str]) -> str:
    """The first of some names, and how many others there are.

    >>> _some(["b/x", "a/y", "a/z"]), _some(["b/x"])
    ('a/y and 2 more', 'b/x')
    """
    return min(names) + (f" and {len(names) - 1} more" if len(names) > 1 else "")
