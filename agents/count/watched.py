"""What of a checkpoint goes to the topic `facts-watched`, too: the rows of the watchlist's projects with what they need
to be read by themselves. It is kept for longer than `facts`.
"""

from typing import Final

import numpy as np

from agents.facts import BOT, WATCHED, Facts, Rows
from agents.operators.names import Names
from agents.operators.progress import Progress
from agents.operators.threads import Threads

# Stretches of covered time that wait for a row; then they go without one.
_MOST_WAITING: Final = 100


class Watched:
    """Which names the topic has, and what was covered since its last record."""

    def __init__(self) -> None:
        self._named: dict[int, tuple[int, str]] = {}
        self._waiting: Progress | None = None

    def take(self, facts: Facts) -> Facts | None:
        """The record for a checkpoint; None where it has no row of the watchlist."""
        rows = facts.rows[facts.rows["flags"] & WATCHED > 0]
        self._wait(facts)
        if not len(rows) and self._stretches() <= _MOST_WAITING:
            return None
        progress, self._waiting = self._waiting, None
        return Facts(rows, facts.projects, Threads(), self._names(rows, facts.names), progress)

    def learn(self, rows: Rows, progress: Progress) -> None:
        """Take up what an earlier run sent to `facts`."""
        self._waiting = None if (rows["flags"] & WATCHED).any() else progress.follow(self._waiting)

    def _names(self, rows: Rows, fresh: Names) -> Names:
        names = Names()
        keys = np.unique(rows["repository"][rows["flags"] & BOT == 0])
        for key, (minute, name) in fresh.get_many(keys.tolist()).items():
            names.put(key, minute, name)
        return names

    def _wait(self, facts: Facts) -> None:
        if facts.progress is not None:
            self._waiting = facts.progress.follow(self._waiting)

    def _stretches(self) -> int:
        feeds = self._waiting.feeds.values() if self._waiting else ()
        return sum(len(intervals) for feed in feeds for intervals in feed.covered.values())
