"""Repositories that changed and are not watched: they are read as far as the quota allows, and counted where it does
not.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass

from streams.activity import HOUR
from streams.live.hub.activities import HubTarget
from streams.live.hub.shapes import Listed
from streams.live.hub.state import RepositoryState

_MOST_STATES = 5_000
_MOST_WAITING = 20_000


@dataclass(slots=True)
class ChangedRepository:
    """A repository that has changed; `since` (µs) is the earliest change that was not read yet."""

    since: int
    target: HubTarget
    listed: Listed


class HubChanges:
    """The repositories that wait, the newest last, and the last state of some. `began` is when this run began (µs)."""

    def __init__(self, began: int) -> None:
        self._waiting: OrderedDict[str, ChangedRepository] = OrderedDict()
        self._known: OrderedDict[str, RepositoryState] = OrderedDict()
        # The earliest change of those dropped because too many wait; None when the ledger has it.
        self._lost: int | None = None
        self._looked = 0
        self._dropped = 0
        self._past = deque([(began, 0, 0)])

    def add(self, change: ChangedRepository) -> None:
        """Add one. If it waits already, it keeps its earliest change but moves to the end of the queue."""
        earlier = self._waiting.pop(change.target.key, None)
        if earlier is not None:
            change.since = earlier.since
        self._waiting[change.target.key] = change
        if len(self._waiting) > _MOST_WAITING:
            _, dropped = self._waiting.popitem(last=False)
            self._lost = dropped.since if self._lost is None else min(self._lost, dropped.since)
            self._dropped += 1

    def next(self) -> tuple[ChangedRepository, RepositoryState | None] | None:
        """The newest. If there are more than the quota allows, those that are read are fresh, and the others become a
        gap.
        """
        if not self._waiting:
            return None
        key = next(reversed(self._waiting))
        return self._waiting[key], self._known.get(key)

    def done(self, change: ChangedRepository, state: RepositoryState | None) -> None:
        """One was read. It no longer waits, unless it has changed once more meanwhile."""
        key = change.target.key
        self._looked += 1
        if state is not None:
            self._known[key] = state
            self._known.move_to_end(key)
            if len(self._known) > _MOST_STATES:
                self._known.popitem(last=False)
        if self._waiting.get(key) is change:
            del self._waiting[key]

    def defer(self, change: ChangedRepository) -> None:
        """One could not be read: the others go first."""
        if self._waiting.get(change.target.key) is change:
            self._waiting.move_to_end(change.target.key, last=False)

    def oldest(self) -> int | None:
        """The earliest change that was not read yet, of those that wait or were dropped (µs)."""
        lost = [] if self._lost is None else [self._lost]
        return min([*lost, *(change.since for change in self._waiting.values())], default=None)

    def forget(self, floor: int) -> None:
        """Drop and count those that have waited since before a time (µs)."""
        for key in [key for key, change in self._waiting.items() if change.since < floor]:
            del self._waiting[key]
            self._dropped += 1
        if self._lost is not None and self._lost < floor:
            self._lost = None

    def share(self, now: int) -> float | None:
        """The share (0 to 1) of those that changed in about the last hour that were read; None if there was none."""
        self._past.append((now, self._looked, self._dropped))
        while len(self._past) > 1 and self._past[0][0] < now - HOUR:
            self._past.popleft()
        _, looked, dropped = self._past[0]
        looked, dropped = self._looked - looked, self._dropped - dropped
        return looked / (looked + dropped) if looked + dropped else None
