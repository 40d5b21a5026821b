"""The repositories of the watchlist on the Hub: which exist, and which is to be read next."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from streams.activity import DAY, HOUR, MINUTE, SECOND
from streams.live.hub.activities import HubTarget
from streams.live.hub.platform import PLATFORM
from streams.live.hub.repository import PARTS
from streams.live.hub.shapes import FOLDERS, Listed
from streams.watchlist import Watchlist

# After so many failed readings in a row, nothing waits for a repository any longer.
GIVEN_UP: Final = 4
# Repositories known to have changed are read before all that are only due.
_AHEAD: Final = 365 * DAY
# A refused part is asked for again after an hour: its terms may have been accepted meanwhile.
REFUSED_WAIT: Final = HOUR
_GONE: Final = "listed, but gone or private"
# A repository is due after this part of the interval that must be kept. The rest is for waiting in the queue.
EARLY: Final = 0.8
# A repository is read again after a minute at the earliest, and so rarely that all of them together take no more than
# this part of the quota. One whose threads had activity in the last day is read more often.
_SHORTEST_PAUSE: Final = MINUTE
_PART: Final = 0.5
_TALKATIVE: Final = 3
_TALKED: Final = DAY
# The weight of the newest reading in the mean duration of one.
_NEWEST: Final = 0.1


@dataclass(slots=True)
class Watch:
    """A watched repository: its last listing and when that was asked for, up to when it is known, when it is due again
    (all µs), and the failures since.

    A reading asks only for what the listing shows as changed, so it is worth no more than its listing. `gone`: it gave
    nothing at the last reading, at `gone_at` (µs). It is read again after `REFUSED_WAIT`, or when its listing changes.
    `refused`: the parts that may not be seen, why, and when they are asked for again (µs). `told_to`: the ledger has
    its failures up to here. `talked_at`: when a reading last found something in its threads.
    """

    target: HubTarget
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
        """Why some of it cannot be seen, in words; failures are not included."""
        if self.refused:
            return next(iter(self.refused.values()))[0]
        return _GONE if self._tells_of_going else None

    @property
    def _tells_of_going(self) -> bool:
        """Whether it gives nothing although it is still listed. What was deleted just now is not missed."""
        return self.gone and self.listed_at > self.gone_at


class HubWatched:
    """The watched repositories by key. `dropped` counts those that are gone.

    Each is to be read once in an `interval` (station's seconds), and more often if there is time. `readers` tasks read
    at the same time.
    """

    def __init__(self, watchlist: Watchlist, names: dict[str, str], interval: float, readers: int = 1) -> None:
        self.longest = round(EARLY * interval * SECOND)
        self._readers = readers
        self.dropped = 0
        # Names of the watchlist that the Hub does not have.
        self.absent: list[str] = []
        # What to do about them, in words; and those that it refuses, with the reason.
        self.remedy = "correct the name in the watchlist"
        self.refused: dict[str, str] = {}
        # Those that moved and are followed, with their names of today.
        self.moved: dict[str, str] = {}
        # Why an owner's repositories of a kind could not be listed the last time.
        self.unlisted: dict[tuple[str, str], str] = {}
        self.by_key: dict[str, Watch] = {}
        self._names = names
        self._heap: list[tuple[int, str]] = []
        # Keys of those that are being read.
        self._busy: set[str] = set()
        self._took = 0.0
        self._listings: dict[tuple[str, str], set[str]] = {}
        self._times: dict[tuple[str, str], int] = {}
        places = [place for project in watchlist.projects for place in project.places[PLATFORM]]
        owners = {owner.casefold(): owner for owner in (place.partition("/")[0] for place in places)}
        # A glob of owners cannot be listed: what fits it is found by the walks.
        self.owners = [owner for owner in owners.values() if "*" not in owner and "?" not in owner]

    def artefacts(self) -> dict[str, str]:
        """`dataset` or `space` by name; if a model has the same name, the name is left out."""
        targets = [watch.target for watch in self.by_key.values()]
        models = {target.repository.name for target in targets if target.artefact == "model"}
        return {target.repository.name: target.artefact for target in targets if target.repository.name not in models}

    def take(self, owner: str, artefact: str, found: Mapping[str, tuple[HubTarget, Listed]], now: int) -> None:
        """Take all repositories of one kind of an owner, by key, from a listing that was asked for at `now`."""
        for key in self._listings.get((owner, artefact), set()) - found.keys():
            if self.by_key.pop(key, None) is not None:
                self.dropped += 1
        self._listings[owner, artefact] = set(found)
        self._times[owner, artefact] = now
        for target, listed in found.values():
            self.add(target, listed, now)

    def add(self, target: HubTarget, listed: Listed, now: int) -> None:
        """Watch a repository, or take its listing asked for at `now` (µs). One that has changed is due."""
        if target.artefact == "model":
            self._names[f"{target.path}"] = target.key
        watch = self.by_key.get(target.key)
        if watch is None:
            self.by_key[target.key] = watch = Watch(target, listed, now, now, now)
            heapq.heappush(self._heap, (now, target.key))
            return
        changed = _differ(watch.listed, listed)
        if changed:
            if watch.gone:
                watch.gone = False
                watch.known_to = min(now, watch.listed_at)
            if watch.listed.gated != listed.gated:
                watch.refused.clear()
        watch.target, watch.listed, watch.listed_at = target, listed, now
        if changed:
            self.schedule(watch, now - _AHEAD)

    def schedule(self, watch: Watch, due: int) -> None:
        """Set when a repository is due, whatever was planned."""
        watch.due = due
        heapq.heappush(self._heap, (due, watch.target.key))

    def pause(self, watch: Watch, now: int) -> int:
        """How long (µs) after a reading the next one is due.

        No listing shows changes of threads, so the pause decides how soon they are seen.
        """
        talkative = sum(each.talked_at > now - _TALKED for each in self.by_key.values())
        shares = len(self.by_key) + (_TALKATIVE - 1) * talkative
        pause = shares * self._took / self._readers / _PART
        if watch.talked_at > now - _TALKED:
            pause /= _TALKATIVE
        return min(self.longest, max(_SHORTEST_PAUSE, round(pause)))

    def settle(self, watch: Watch, known_to: int, took: int) -> None:
        """A reading succeeded in `took` µs: everything up to `known_to` is known."""
        watch.known_to, watch.failures, watch.first = known_to, 0, False
        self._took += _NEWEST * (took - self._took)

    def fail(self, watch: Watch) -> bool:
        """A reading failed. Whether a gap is due: when nothing waits for the repository any longer, and then less and
        less often.
        """
        watch.failures += 1
        return watch.failures >= GIVEN_UP and watch.failures & (watch.failures - 1) == 0

    @property
    def round(self) -> float:
        """About how long it takes to read all of them, one after the other (µs)."""
        return len(self.by_key) * self._took / self._readers

    @property
    def trouble(self) -> str | None:
        """A state in words if some cannot be read, or not all of their parts."""
        failing = sum(watch.failures >= GIVEN_UP for watch in self.by_key.values())
        said = [f"failing: {failing} of {len(self.by_key)} repositories"] if failing else []
        if self.absent:
            said.append(f"not listed: {_some(self.absent)}; {self.remedy}")
        reasons: dict[str, list[str]] = {}
        for place, why in self.refused.items():
            reasons.setdefault(why, []).append(place)
        for watch in self.by_key.values():
            if watch.failures < GIVEN_UP and (reason := watch.trouble) is not None:
                reasons.setdefault(reason, []).append(watch.target.repository.name)
        said += [f"{reason} ({_some(names)})" for reason, names in sorted(reasons.items())]
        return "; ".join(said) or None

    @property
    def state(self) -> str:
        """The state of their feed while requests succeed, in words: `trouble`, and the owners that could not be listed
        the last time.
        """
        said = [] if self.trouble is None else [self.trouble]
        for failure in sorted(set(self.unlisted.values())):
            owners = {owner: None for (owner, _), why in self.unlisted.items() if why == failure}
            said.append(f"{failure} (listing {_some(list(owners))})")
        return "; ".join(said) or self.well

    @property
    def well(self) -> str:
        """The state of their feed if no listing fails: `trouble`, else `ok` with the names that moved."""
        moved = [f"{place} moved to {name}" for place, name in self.moved.items()]
        return self.trouble or (f"ok, {_some(moved)}" if moved else "ok")

    def reached(self) -> float:
        """The share (0 to 1) of them that can be read. One that refuses some of its parts counts by the others.

        A name of the watchlist that the Hub does not have, or refuses, counts as one that cannot be read.
        """
        nowhere = len(self.absent) + len(self.refused)
        missed = nowhere + sum(watch.missed for watch in self.by_key.values())
        return 1.0 - missed / (nowhere + len(self.by_key)) if missed else 1.0

    def drop(self, watch: Watch, listed: Listed, now: int, reason: str | None = None) -> None:
        """A reading that went by a listing gave nothing: leave it alone for a while, unless the listing has changed."""
        watch.gone = not _differ(watch.listed, listed)
        watch.gone_at = now
        if watch.gone:
            watch.failures = 0
            watch.refused = {} if reason is None else dict.fromkeys(PARTS, (reason, now + REFUSED_WAIT))
            self.schedule(watch, now + REFUSED_WAIT)
        self.dropped += 1

    def refuse(self, watch: Watch, refused: Mapping[str, str], seen: Iterable[str], now: int) -> set[str]:
        """Note which parts were refused in a reading, and why, and which answered. Returns the reasons that are new."""
        before = {reason for reason, _ in watch.refused.values()}
        watch.gone = False
        for part in seen:
            watch.refused.pop(part, None)
        watch.refused.update((part, (reason, now + REFUSED_WAIT)) for part, reason in refused.items())
        return set(refused.values()) - before

    @contextmanager
    def busy(self, watch: Watch) -> Iterator[None]:
        """While a repository is being read, no other task reads it. What is scheduled meanwhile is kept."""
        key = watch.target.key
        self._busy.add(key)
        try:
            yield
        finally:
            self._busy.discard(key)
            if (now_watched := self.by_key.get(key)) is not None:
                self.schedule(now_watched, now_watched.due)

    def next(self) -> Watch | None:
        """The one that is due first and is not being read, without removing it."""
        while self._heap:
            due, key = self._heap[0]
            watch = self.by_key.get(key)
            if watch is not None and watch.due == due and key not in self._busy:
                return watch
            heapq.heappop(self._heap)
        return None

    def complete_to(self, now: int) -> int | None:
        """The time up to which everything is known: the oldest reading or listing. None while one has never been read;
        now if there are none.

        Repositories that are gone or always fail are not waited for: the ledger has the failures, and what is gone has
        nothing to give.
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
