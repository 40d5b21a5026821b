"""Whether a window is covered enough for its figures to be shown, and if not, since when it is covered.

The first poll of a feed brings activities that are older than the time it covers: a day that is covered for one hour
may hold the activities of three. Such a figure is misleading, and far too high when it is divided by the coverage.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from agents.measurements import Measurement
from agents.metric import PREFIX
from sinks.covered import Coverages
from streams.activity import PLATFORMS
from streams.windows import WINDOWS

ENOUGH: Final = 0.5
_SINCE: Final = PREFIX + "covered_since_timestamp_seconds"


def is_enough(coverage: float | None) -> bool:
    """Whether figures of a window with this coverage are shown. An unknown coverage is not enough.

    >>> [is_enough(coverage) for coverage in (0.5, 0.4999, None)]
    [True, False, False]
    """
    return coverage is not None and coverage >= ENOUGH


class CoveredWindows:
    """The coverage of the windows of each scope and platform, from rows.

    `front` (µs UTC): where the windows end. `watermark`: up to where the feeds are complete, the end of the covered
    time.
    """

    def __init__(self, rows: Iterable[Measurement], front: int | None, watermark: int | None = None) -> None:
        self._front = front
        self._end = front if front is None or watermark is None else min(front, watermark)
        rows = list(rows)
        self._coverage = Coverages(rows).known
        self._begun: dict[tuple[str, str], int] = {}
        for row in rows:
            if row.name == _SINCE:
                self._begun[row.labels["scope"], row.labels["platform"]] = int(row.value * 1e6)

    def enough(self, scope: str, platform: str, window: str) -> bool:
        """Whether the figures of a window are shown."""
        return is_enough(self._coverage.get((scope, platform, window)))

    def since(self, scope: str, platform: str, window: str) -> int | None:
        """Since when a window is covered (µs UTC); None if unknown.

        It is what the station reports, unless that is after the front: pollers can be ahead of the figures. Otherwise
        it is counted back from the end of the covered time.
        """
        begun, coverage = self._begun.get((scope, platform)), self._coverage.get((scope, platform, window))
        if begun is not None and (self._front is None or begun <= self._front):
            return begun
        if coverage is None or self._end is None:
            return None
        return self._end - round(coverage * WINDOWS[window].length)

    def since_words(self, scope: str, platform: str, window: str) -> str:
        """Since when a window is covered, in words."""
        return since_words(self.since(scope, platform, window), self._front)

    def known(self, scope: str) -> bool:
        """Whether the coverage of any window of a scope is known."""
        return any(place[0] == scope for place in self._coverage)

    def longest(self, scope: str) -> str | None:
        """The longest window that is covered enough on every platform, or else on one; None if there is none."""
        for enough in all, any:
            for window in reversed(WINDOWS):
                if enough(self.enough(scope, platform, window) for platform in PLATFORMS):
                    return window
        return None


def since_words(since: int | None, front: int | None) -> str:
    """A time in words, with the date if that is not the date of the front (both µs UTC).

    >>> noon = 1_420_113_600_000_000
    >>> hour, day = WINDOWS["1h"].length, WINDOWS["24h"].length
    >>> since_words(noon - hour, noon), since_words(noon - day, noon), since_words(None, noon)
    ('since 11:00', 'since 31 Dec 12:00', 'not covered yet')
    """
    if since is None:
        return "not covered yet"
    begun, end = (datetime.fromtimestamp(time // 1_000_000, UTC) for time in (since, since if front is None else front))
    return f"since {begun:%H:%M}" if begun.date() == end.date() else f"since {begun.day} {begun:%b %H:%M}"
