"""How often each feed is asked: busy ones before they overflow, quiet ones rarely, all of them within the limits."""

import random
from collections.abc import Mapping
from typing import Final

from streams.feeds.github_cursor import GithubCursor
from streams.feeds.github_limits import BUDGET

# Of the 300 that a feed holds: what comes between two polls may be twice as much as expected.
_EXPECTED: Final = 150.0
_SLOWER: Final = 1.5
_FASTER: Final = 0.5
# Above this a feed is a sample anyway and gets no more of the budget.
_BUSIEST: Final = 0.5
_HOUR: Final = 3600.0
# Waits in the station's seconds: after the first failure, after many, and for what is not there.
_SHORTEST_WAIT: Final = 30.0
_LONGEST_WAIT: Final = 300.0
GONE_WAIT: Final = 3600.0


class Pace:
    """The intervals of all feeds, in the station's seconds; `cap` is the longest with a token."""

    def __init__(self, cap: float, *, budgeted: bool) -> None:
        self._cap = cap
        self._budgeted = budgeted
        self._rates: dict[str, float] = {}

    def note(self, feed: str, rate: float) -> None:
        """Know a feed's new events a second."""
        self._rates[feed] = rate

    def forget(self, feed: str) -> None:
        """A feed that is not there gets no part of the budget, until its rate is noted again."""
        self._rates.pop(feed, None)

    def interval(self, feed: str, cursor: GithubCursor, new: int, least: float, *, sampled: bool) -> float:
        """The seconds to the next poll after one that found so many; at least those that the server wants."""
        if self._budgeted:
            return max(least, cursor.cost * _HOUR / (BUDGET * share(feed, self._rates)))
        if sampled:
            return least
        interval = max(cursor.interval or least, least) * (_FASTER if new else _SLOWER)
        if cursor.rate:
            interval = min(interval, _EXPECTED / cursor.rate)
        return max(least, min(interval, self._cap))


def share(feed: str, rates: Mapping[str, float]) -> float:
    """A feed's part of the budget: half of it is divided evenly, half by what happens in each.

    >>> rates = {"quiet": 0.0, "busy": 0.1, "firehose": 132.0, "other": 0.4}
    >>> [share(feed, rates) for feed in rates]
    [0.125, 0.175, 0.375, 0.325]
    """
    bounded = {name: min(rate, _BUSIEST) for name, rate in rates.items()}
    total = sum(bounded.values())
    even = 1 / max(1, len(rates))
    return 0.5 * even + 0.5 * (bounded.get(feed, 0.0) / total if total else even)


def updated_rate(rate: float, new: int, seconds: float) -> float:
    """New events a second after a poll that found so many since the last one: up at once, down by halves.

    >>> updated_rate(1.0, 0, 60.0), updated_rate(1.0, 120, 60.0), updated_rate(1.0, 5, 0.0)
    (0.5, 2.0, 1.0)
    """
    if seconds <= 0:
        return rate
    return max(new / seconds, (rate + new / seconds) / 2)


def growing(failures: int) -> float:
    """The station's seconds to wait after so many failures: each time twice as long, less up to a half at random."""
    return min(_LONGEST_WAIT, _SHORTEST_WAIT * 2.0 ** min(failures - 1, 9)) * random.uniform(0.5, 1.0)
