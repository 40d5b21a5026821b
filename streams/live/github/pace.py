"""How often each feed is polled: busy ones before they overflow, quiet ones rarely, all of them within the limits."""

import random
from collections.abc import Mapping
from typing import Final

from streams.live.common.backoff import LONGEST_BACKOFF, LONGEST_INTERVAL
from streams.live.common.clock import Clock
from streams.live.github.cursor import GithubCursor
from streams.live.github.limits import BUDGET

# Events expected between two polls, of the 300 that a feed holds: twice as many may come.
_EXPECTED: Final = 150.0
_SLOWER: Final = 1.5
_FASTER: Final = 0.5
# A busier feed is a sample anyway and gets no larger share of the budget.
_BUSIEST: Final = 0.5
_HOUR: Final = 3600.0
# Waits in seconds of the station's clock: after the first failure, after many, and for a feed that does not exist.
SHORTEST_WAIT: Final = 30.0
LONGEST_WAIT: Final = 300.0
GONE_WAIT: Final = 3600.0
# The seconds (station's clock) between two polls where the server states none.
_POLL_INTERVAL: Final = 60.0
# The shortest poll interval, whatever a server states.
_SHORTEST_POLL_INTERVAL: Final = 1.0


# A feed that was due has been polled after so many poll intervals, however busy the machine is.
_LATEST: Final = 4


class PollPace:
    """The intervals of all feeds, in seconds of the station's clock; `cap` is the longest one with a token."""

    def __init__(self, cap: float, *, budgeted: bool) -> None:
        self._cap = cap
        self._budgeted = budgeted
        self._rates: dict[str, float] = {}

    def note(self, feed: str, rate: float) -> None:
        """Note a feed's new events a second."""
        self._rates[feed] = rate

    def forget(self, feed: str) -> None:
        """A feed that does not exist gets no share of the budget until its rate is noted again."""
        self._rates.pop(feed, None)

    def interval(self, feed: str, cursor: GithubCursor, new: int, least: float, *, sampled: bool) -> float:
        """The seconds to the next poll after one that found `new` events; at least what the server demands."""
        if self._budgeted:
            return max(least, cursor.cost * _HOUR / (BUDGET * share(feed, self._rates)))
        if sampled:
            # Times in a feed are cut to whole seconds. Polls at always the same fraction of a second would bias all
            # rates.
            return least + random.random()
        interval = max(cursor.interval or least, least) * (_FASTER if new else _SLOWER)
        if cursor.rate:
            interval = min(interval, _EXPECTED / cursor.rate)
        return max(least, min(interval, self._cap))


class Due:
    """The Unix time (`at`) at which a feed is due.

    `poll_interval` is what the server demands between two polls, between a second of the station's clock and an hour. A
    feed that is polled more rarely than its `patience` (station's seconds) is not `ok`.

    A run that was killed may have polled without being able to save it: when the feed was due, or up to `_LATEST` poll
    intervals later.
    """

    def __init__(self, clock: Clock, cursor: GithubCursor, banned_until: float, patience: float) -> None:
        self._clock = clock
        self._patience = patience
        self._not_before = 0.0
        self._stated = 0.0
        self._shortest = clock.wait(_SHORTEST_POLL_INTERVAL)
        stated = clock.wait(_POLL_INTERVAL) if cursor.poll_interval is None else cursor.poll_interval
        self.poll_interval = max(stated, self._shortest)
        self.at = now = clock.wall()
        if cursor.due_at > 0:
            due = max(cursor.due_at, banned_until)
            if now >= due:
                due = min(now, due + _LATEST * self.poll_interval) + self.poll_interval
            # If the clock is set back, the feed must not wait longer than it would have otherwise.
            self.at = min(due, now + max(self.poll_interval, min(clock.wait(cursor.interval), LONGEST_BACKOFF)))

    @property
    def least(self) -> float:
        """The poll interval in seconds of the station's clock."""
        return self.poll_interval * self._clock.scale

    @property
    def expected(self) -> float:
        """The longest poll interval (station's seconds) at which the feed still counts as `ok`."""
        return self.least if self.slowed is None else LONGEST_WAIT

    @property
    def slowed(self) -> str | None:
        """The state, in words, of a feed that the server does not allow to be polled often enough."""
        if self.least <= self._patience:
            return None
        capped = (
            ""
            if self._stated <= LONGEST_INTERVAL
            else f" (X-Poll-Interval says {self._stated:,.0f} s, which cannot be true)"
        )
        return f"slowed down: asked every {self.poll_interval:.6g} s, as the server wants{capped}"

    def asked(self, stated: float | None) -> None:
        """Page 1 was asked for just now; the server may have stated another interval."""
        if stated is not None:
            self.poll_interval, self._stated = min(max(stated, self._shortest), LONGEST_INTERVAL), stated
        self._not_before = self._clock.wall() + self.poll_interval

    def wait(self, seconds: float) -> None:
        """Be due after seconds of the station's clock, but not before the server allows it."""
        self.at = max(self._not_before, self._clock.wall() + self._clock.wait(seconds))


def share(feed: str, rates: Mapping[str, float]) -> float:
    """A feed's part of the budget: half of it is divided evenly, half by the rates of events.

    >>> rates = {"quiet": 0.0, "busy": 0.1, "firehose": 132.0, "other": 0.4}
    >>> [share(feed, rates) for feed in rates]
    [0.125, 0.175, 0.375, 0.325]
    """
    bounded = {name: min(rate, _BUSIEST) for name, rate in rates.items()}
    total = sum(bounded.values())
    even = 1 / max(1, len(rates))
    return 0.5 * even + 0.5 * (bounded.get(feed, 0.0) / total if total else even)


def updated_rate(rate: float, new: int, seconds: float) -> float:
    """New events a second after a poll: a higher rate is taken at once, a lower one halves the old one at most.

    >>> updated_rate(1.0, 0, 60.0), updated_rate(1.0, 120, 60.0), updated_rate(1.0, 5, 0.0)
    (0.5, 2.0, 1.0)
    """
    if seconds <= 0:
        return rate
    return max(new / seconds, (rate + new / seconds) / 2)
