"""The share of event time that each feed saw completely, and from it the coverage of every window.

It is kept in the steps of the windows: minutes for two hours, hours for eight days, days for 35 days. The coverage of a
platform is the mean over its feeds: if one of ten is silent for a whole window, 0.9 is left. Time that a feed has not
reported yet is excluded from the window of one hour until the feed is overdue. Longer windows go up to now, because a
few minutes weigh little in them.
"""

from collections.abc import Iterator, Mapping
from statistics import median_high
from typing import Final, Self

import msgspec

from streams.activity import DAY, HOUR, MINUTE, PLATFORMS
from streams.kafka.cursors import decoded
from streams.live.common.health import Feeds, Row
from streams.windows import WINDOWS

# Step → how long it is kept.
_KEPT: Final = {MINUTE: 2 * HOUR, HOUR: 8 * DAY, DAY: 35 * DAY}
# Each feed has a cursor of its own: all in one would be larger than the largest record.
COVERAGE_CURSOR: Final = "coverage:"

# The key of one more entry beside the steps: start → end (µs) of the latest stretch that a feed saw without a break.
_STRETCH: Final = 0
# A longer pause is a break. It is half of the shortest window.
_BREAK: Final = 30 * MINUTE

# Step (µs) → number of the step since 1970 → covered µs in it, weighted by the share that was seen.
_Steps = dict[int, dict[int, float]]
_NO_LATER: Final[Mapping[str, int]] = {}
_decode_steps: Final = msgspec.json.Decoder(_Steps, strict=False).decode


def _decode(data: bytes) -> _Steps:
    """The covered time of a feed from its cursor. Raises ValueError where a step is missing."""
    steps = _decode_steps(data)
    if not steps.keys() >= _KEPT.keys():
        raise ValueError("no covered time of a feed")
    return steps


class FeedCoverage:
    """The covered time of a station's `feeds`. The window of one hour excludes the last `settling` µs, which no feed
    can have reported yet.

    >>> feeds = Feeds()
    >>> watched = feeds.open("github:/orgs/a/events", "github")
    >>> everything = feeds.open("github:/events", "github", scope="all")
    >>> coverage = FeedCoverage(feeds)
    >>> coverage.add(watched.feed, 0, 30 * MINUTE)
    >>> coverage.add(everything.feed, 0, HOUR, share=0.04)
    >>> [round(coverage.share("github", scope, "1h", HOUR - 1), 3) for scope in ("watched", "all")]
    [0.5, 0.04]
    """

    def __init__(self, feeds: Feeds, settling: int = 0) -> None:
        self._declared = feeds.by_name
        self._settling = settling
        self._feeds: dict[str, _Steps] = {}
        self._unsaved: set[str] = set()

    def expect(self, feed: str) -> None:
        """Count a feed, whether it has ever seen anything or not. One without a total is left out."""
        if feed not in self._feeds and self._has_total(feed):
            self._feeds[feed] = {step: {} for step in _KEPT}
            self._unsaved.add(feed)

    def add(self, feed: str, start: int, end: int, share: float = 1.0) -> None:
        """A feed saw everything from start to end (µs), or a share of it (0 to 1). Call it once for the same time."""
        steps = self._feeds.setdefault(feed, {step: {} for step in _KEPT})
        self._unsaved.add(feed)
        for step, keep in _KEPT.items():
            covered = steps[step]
            for number in range(max(start, end - keep) // step, -(-end // step)):
                whole = min(end, (number + 1) * step) - max(start, number * step)
                covered[number] = covered.get(number, 0.0) + share * whole
            for number in [number for number in covered if (number + 1) * step < end - keep]:
                del covered[number]
        if share > 0:
            _extend(steps.setdefault(_STRETCH, {}), start, end)

    def miss(self, feed: str, start: int, end: int) -> None:
        """A feed is known to have seen nothing from start to end (µs); a later `add` heals it. A feed without a total
        is left out.
        """
        self.expect(feed)
        if feed in self._feeds:
            self.add(feed, start, end, 0.0)

    def share(
        self, platform: str, scope: str, window: str, now: int, late_after: Mapping[str, int] = _NO_LATER
    ) -> float | None:
        """The coverage of a window that ends now (µs). None if no feed of the scope is known, or none can have reported
        any of that time yet.

        `late_after` has, by feed, the µs after which its silence counts, where that is longer than `settling`.
        """
        step, count = WINDOWS[window]
        begin = now // step + 1 - count
        shares = []
        for feed, steps in self._of(platform, scope):
            end = self._settled(steps, now, late_after.get(feed, 0)) if self._settling and step == MINUTE else now
            if end > begin * step:
                covered = sum(steps[step].get(number, 0.0) for number in range(begin, -(-end // step)))
                shares.append(min(1.0, covered / (end - begin * step)))
        return sum(shares) / len(shares) if shares else None

    def _of(self, platform: str, scope: str) -> Iterator[tuple[str, _Steps]]:
        """The feeds of a scope, of those that are open."""
        for feed, steps in self._feeds.items():
            health = self._declared.get(feed)
            if health is not None and (health.platform, health.scope) == (platform, scope):
                yield feed, steps

    def _has_total(self, feed: str) -> bool:
        health = self._declared.get(feed)
        return health is None or health.has_total

    def _settled(self, steps: _Steps, now: int, late_after: int) -> int:
        """The time (a whole minute, µs) up to which a feed has reported what it saw or missed, or is overdue."""
        said = max(steps[MINUTE], default=0) * MINUTE
        settled = now - self._settling
        return max(min(said, settled), min(settled, now - late_after)) // MINUTE * MINUTE

    def since(self, platform: str, scope: str) -> int | None:
        """The time (µs) since which the feeds of a scope have seen everything, or their share of it, without a break.

        It is the median over the feeds. A break is longer than half an hour. None where no feed has seen anything.

        >>> feeds = Feeds()
        >>> coverage = FeedCoverage(feeds)
        >>> coverage.add(feeds.open("github:/orgs/a/events", "github").feed, 0, MINUTE)
        >>> coverage.add("github:/orgs/a/events", HOUR, HOUR + MINUTE)
        >>> coverage.since("github", "watched") == HOUR
        True
        """
        found = [int(next(iter(stretch))) for _, steps in self._of(platform, scope) if (stretch := steps.get(_STRETCH))]
        return median_high(found) if found else None

    def rows(self, now: int, late_after: Mapping[str, int] = _NO_LATER) -> Iterator[Row]:
        """`window_coverage_ratio` and `covered_since_timestamp_seconds` of every platform, scope and window, where they
        are known.
        """
        for platform in PLATFORMS:
            for scope in ("all", "watched"):
                if (since := self.since(platform, scope)) is not None:
                    yield (
                        "nomadwatch_covered_since_timestamp_seconds",
                        {"scope": scope, "platform": platform},
                        since / 1e6,
                    )
                for window in WINDOWS:
                    share = self.share(platform, scope, window, now, late_after)
                    if share is not None:
                        labels = {"scope": scope, "platform": platform, "window": window}
                        yield "nomadwatch_window_coverage_ratio", labels, share

    def keep(self, feeds: set[str]) -> None:
        """Forget all other feeds: they are no longer watched."""
        for feed in self._feeds.keys() - feeds:
            del self._feeds[feed]
            self._unsaved.add(feed)

    def changes(self) -> dict[str, bytes | None]:
        """The cursors (JSON) of the feeds that changed since `saved`; None for a feed that was forgotten."""
        return {
            COVERAGE_CURSOR + feed: msgspec.json.encode(self._feeds[feed]) if feed in self._feeds else None
            for feed in sorted(self._unsaved)
        }

    def saved(self) -> None:
        """The broker has all changes."""
        self._unsaved.clear()

    @classmethod
    def restore(cls, cursors: Mapping[str, bytes], feeds: Feeds, settling: int = 0) -> Self:
        """The coverage that cursors hold; other cursors are ignored. Raises `StreamsError` for one that cannot be
        read.
        """
        coverage = cls(feeds, settling)
        for key, value in cursors.items():
            if key.startswith(COVERAGE_CURSOR):
                coverage._feeds[key.removeprefix(COVERAGE_CURSOR)] = decoded(key, _decode, value)
        return coverage


def _extend(stretch: dict[int, float], start: int, end: int) -> None:
    """Add a covered interval to the latest stretch, which grows at either end, or begins again after a break."""
    begun, until = next(iter(stretch.items()), (start, end))
    if end + _BREAK < begun:
        return
    begun = start if start > until + _BREAK else min(begun, start)
    stretch.clear()
    stretch[begun] = max(until, end)
