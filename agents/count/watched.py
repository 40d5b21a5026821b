"""The part of a checkpoint that also goes to the topic `facts-watched`: the rows of watched projects, with what is
needed to read them without `facts`. That topic is kept longer.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agents.count.names import PublishedNames
from agents.facts import WATCHED, Facts
from agents.operators.keys import Keys
from agents.operators.names import Names
from agents.operators.progress import Progress
from agents.operators.threads import Threads

# Covered intervals that wait for the next row. If there are more, they are sent without a row.
_MOST_WAITING: Final = 100


class Watched:
    """The names that the topic has, and what was covered since its last record."""

    def __init__(self) -> None:
        self._published = PublishedNames()
        self._fresh = Names()
        self.waiting: Progress | None = None

    def name(self, keys: Keys, minutes: NDArray[np.int64], names: Sequence[str]) -> None:
        """Note the names that have to go out, of repositories of the watchlist in which people did something."""
        for place in self._published.take(keys, minutes, names):
            self._fresh.put(int(keys[place]), int(minutes[place]), names[place])

    def take(self, facts: Facts) -> Facts | None:
        """The record for a checkpoint; None if it has no watched row."""
        rows = facts.rows[facts.rows["flags"] & WATCHED > 0]
        if facts.progress is not None:
            self.waiting = facts.progress.follow(self.waiting)
        if not len(rows) and self._stretches() <= _MOST_WAITING:
            return None
        progress, self.waiting = self.waiting, None
        names, self._fresh = self._fresh, Names()
        return Facts(rows, facts.projects, Threads(), names, progress)

    def learn(self, record: Facts) -> None:
        """Take up a record that an earlier run sent to `facts`. What it named is named again: there it may be
        unknown.
        """
        if (record.rows["flags"] & WATCHED).any():
            self.waiting = None
        elif record.progress is not None:
            self.waiting = record.progress.follow(self.waiting)

    def forget(self, before: int) -> None:
        """Drop what was last published before a minute."""
        self._published.forget(before)

    def _stretches(self) -> int:
        feeds = self.waiting.feeds.values() if self.waiting else ()
        return sum(len(intervals) for feed in feeds for intervals in feed.covered.values())
