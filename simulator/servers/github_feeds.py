"""What GitHub's feeds hold at each moment: events in the order in which they became visible, at most 300, none older
than 30 days.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from math import ceil
from random import Random
from typing import Final, NamedTuple

from simulator.clock import DAY, SECOND
from simulator.deed import Deed
from simulator.events import EventWriter
from simulator.servers.course import Course
from simulator.world import Happening, deeds

HELD: Final = 300
HORIZON: Final = 30 * DAY
SOONEST: Final = 30
"""Seconds after which an event is visible at the earliest."""
LATEST: Final = 6 * 3600

# This many lines are kept for feeds that were not asked for yet.
_RECENT: Final = 20_000
# The other events are visible as early as possible. With this share a quarter of the neighbours in a feed are out of
# order.
_DELAYED: Final = 0.3
# The share of stars in the feed of everything, where most are missing since 2025.
_STARS_LISTED: Final = {"2024": 1.0, "2026": 0.18}
_UNKNOWN: Final = b"SponsorshipEvent"


class FeedEvent(NamedTuple):
    """What is kept of an event: when it became visible (µs), the era of its form, whether `/events` lists it, and its
    stated type.
    """

    happening: Happening
    visible_at: int
    era: str
    listed: bool
    type: str

    @property
    def id(self) -> str:
        return str(self.happening.serial)

    @property
    def known(self) -> bool:
        return self.type == self.happening.type


class SimulatedFeed(NamedTuple):
    """One feed: `kind` is all, organisation, repository or user, `id` that of the account or repository, `path` where
    it is asked for.
    """

    kind: str
    id: int
    path: str

    def holds(self, event: FeedEvent) -> bool:
        """Whether an event belongs to it."""
        return (self.kind, self.id) in _places(event)


EVERYTHING: Final = SimulatedFeed("all", 0, "/events")


class Entry(NamedTuple):
    """An event and its JSON."""

    event: FeedEvent
    line: bytes


class SimulatedFeeds:
    """All feeds of a world. `era` is 2024, 2026 or mixed; `unknown` the share of public events of an unknown type."""

    def __init__(self, course: Course, seed: int, era: str, *, unknown: float = 0.0) -> None:
        self.course = course
        self.past: list[FeedEvent] = []
        self.stars: Counter[int] = Counter()
        self.forks: Counter[int] = Counter()
        self._era = era
        self._unknown = unknown
        self._random = Random(f"feeds/{seed}")
        self._writers = {each: EventWriter(seed, each) for each in ("2024", "2026") if era in (each, "mixed")}
        self._pending: list[tuple[int, int, Entry]] = []
        self._recent: deque[Entry] = deque(maxlen=_RECENT)
        self._held: dict[tuple[str, int], deque[Entry]] = {("all", 0): deque(maxlen=HELD)}
        for repository in course.population.watched:
            for key in (("repository", repository.id), ("organisation", repository.owner.id)):
                self._held.setdefault(key, deque(maxlen=HELD))

    def advance(self, now: int, at_most: int | None = None) -> bool:
        """Run the world until a time in µs, or for `at_most` events. Whether it has reached the time."""
        for number, (time, happening) in enumerate(self.course.until(now)):
            self._happen(time, happening)
            if at_most is not None and number + 1 >= at_most:
                return False
        while self._pending and self._pending[0][0] <= now:
            self._show(heapq.heappop(self._pending)[2])
        return True

    def held(self, feed: SimulatedFeed, now: int) -> list[Entry]:
        """What a feed holds at a time in µs that the world has reached, the latest visible first."""
        entries = self._held.get((feed.kind, feed.id))
        if entries is None:
            # From now on it is kept completely; so far it reaches back as far as the kept lines.
            own = [entry for entry in self._recent if feed.holds(entry.event)]
            entries = self._held[feed.kind, feed.id] = deque(own[-HELD:][::-1], maxlen=HELD)
        return [entry for entry in entries if entry.event.happening.occurred_at > now - HORIZON]

    def visible(self, feed: SimulatedFeed, polls: Iterable[int]) -> set[str]:
        """The ids seen by a reader that gets a whole feed at each of these times (µs, in order)."""
        stays = list(self._stays(feed))
        seen: set[str] = set()
        first = 0
        for poll in polls:
            # In the order of becoming visible, all but a few also leave in that order.
            while first < len(stays) and stays[first][2] <= poll:
                first += 1
            for event, begin, end in stays[first:]:
                if begin > poll:
                    break
                if poll < end:
                    seen.add(event.id)
        return seen

    def unmissable(self, feed: SimulatedFeed, since: int, until: int, interval: int) -> set[str]:
        """The ids seen by every reader that gets a whole feed at least once an `interval` between two times (µs),
        whenever it polls.
        """
        return {event.id for event, begin, end in self._stays(feed) if min(end, until) - max(begin, since) >= interval}

    def deeds(self, ids: Iterable[str]) -> list[Deed]:
        """What the events with these ids meant. An event of an unknown type has no known meaning."""
        wanted = set(ids)
        found = [event for event in self.past if event.known and event.id in wanted]
        return [deed for event in found for deed in deeds(event.happening, event.era)]

    def _stays(self, feed: SimulatedFeed) -> Iterator[tuple[FeedEvent, int, int]]:
        """(event, from when, until when it is in a feed), in the order of becoming visible."""
        own = [event for event in self.past if feed.holds(event)]
        for place, event in enumerate(own):
            end = event.happening.occurred_at + HORIZON
            if place + HELD < len(own):
                end = min(end, own[place + HELD].visible_at)
            yield event, event.visible_at, end

    def _happen(self, time: int, happening: Happening) -> None:
        random = self._random
        if happening.type == "WatchEvent":
            self.stars[happening.repository.id] += 1
        elif happening.type == "ForkEvent":
            self.forks[happening.repository.id] += 1
        era = random.choice(("2024", "2026")) if self._era == "mixed" else self._era
        seconds = SOONEST / random.uniform(SOONEST / LATEST, 1) if random.random() < _DELAYED else SOONEST
        listed = happening.type != "WatchEvent" or random.random() < _STARS_LISTED[era]
        line = self._writers[era].line(happening).rstrip()
        kind = happening.type
        if random.random() < self._unknown:
            line = line.replace(f'"type":"{kind}"'.encode(), b'"type":"%s"' % _UNKNOWN, 1)
            kind = _UNKNOWN.decode()
        event = FeedEvent(happening, time + int(seconds * SECOND), era, listed, kind)
        heapq.heappush(self._pending, (event.visible_at, happening.serial, Entry(event, line)))

    def _show(self, entry: Entry) -> None:
        self.past.append(entry.event)
        self._recent.append(entry)
        for key in _places(entry.event):
            held = self._held.get(key)
            if held is not None:
                held.appendleft(entry)


def _places(event: FeedEvent) -> list[tuple[str, int]]:
    """(kind, id) of every feed that an event belongs to."""
    repository = event.happening.repository
    places = [("repository", repository.id), ("user", event.happening.actor.id)]
    if event.listed:
        places.append(("all", 0))
    if repository.organisation:
        places.append(("organisation", repository.owner.id))
    return places


def polls(since: int, until: int, interval: int) -> list[int]:
    """The times of polls from `since` on, an interval apart (all in µs).

    >>> polls(0, 100, 40)
    [0, 40, 80]
    """
    return [since + number * interval for number in range(ceil((until - since + 1) / interval))]
