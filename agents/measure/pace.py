"""When each window is evaluated: the shortest one always in time, longer ones as often as their cost allows."""

from collections.abc import Collection, Sequence
from typing import Final

# A window rests for this many times what its evaluation took: the first takes at most a tenth of the time, each of the
# others half of that.
REST: Final = 10
REST_OF_LONGER: Final = 20
# Windows are evaluated together if that is expected to take no longer than this (s), so that the others delay the first
# window once at most.
TOGETHER: Final = 0.2


class Pace:
    """Chooses the windows that are due. Times in seconds of one clock; `interval` is the shortest time between two
    evaluations.

    >>> pace = Pace(["1h", "7d"], interval=0.5)
    >>> pace.changed()
    >>> pace.due(100.0)
    ['1h', '7d']
    >>> pace.evaluated("1h", 100.0, took=0.01)
    >>> pace.evaluated("7d", 100.0, took=2.0)
    >>> pace.changed()
    >>> pace.due(100.1), round(pace.wait(100.1), 3)
    ([], 0.4)
    >>> pace.due(101.0), pace.due(140.0)
    (['1h'], ['1h'])
    >>> pace.evaluated("1h", 140.0, took=0.01)
    >>> pace.due(140.0)
    ['7d']
    """

    def __init__(self, windows: Sequence[str], interval: float) -> None:
        self._windows = list(windows)
        self._interval = interval
        self._changed: set[str] = set()
        self._due = dict.fromkeys(self._windows, 0.0)
        self._took = dict.fromkeys(self._windows, 0.0)

    def changed(self) -> None:
        """Note that something new has arrived: every window must be evaluated."""
        self._changed.update(self._windows)

    def waiting(self) -> Collection[str]:
        """The windows that are to be evaluated, due or not."""
        return self._changed

    def wait(self, now: float) -> float:
        """Seconds until the next window is due; 0 where none is waiting."""
        return max(0.0, min((self._due[window] for window in self._changed), default=now) - now)

    def due(self, now: float) -> list[str]:
        """The windows to evaluate now: the first as soon as it is due, of the others those that have waited longest."""
        first = self._windows[0]
        ready = sorted((w for w in self._changed if self._due[w] <= now), key=lambda w: (w != first, self._due[w]))
        chosen: list[str] = []
        for window in ready:
            if chosen and sum(self._took[w] for w in [*chosen, window]) > TOGETHER:
                break
            chosen.append(window)
        return chosen

    def evaluated(self, window: str, now: float, took: float) -> None:
        """Note that a window was evaluated, and how long that took (s)."""
        rest = REST if window == self._windows[0] else REST_OF_LONGER
        self._changed.discard(window)
        self._took[window] = took
        self._due[window] = now + max(self._interval, rest * took)
