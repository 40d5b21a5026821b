"""Which share of event time each feed saw whole, and from that the coverage of every window.

Kept in steps as windows are: minutes for two hours, hours for eight days, days for 35. A platform's coverage is the
mean over its feeds: one of ten that is silent for a whole window leaves 0.9. What a feed has not said yet is no part of
its window of an hour, unless it is late; in the longer windows that weighs little, and they go up to now.
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
# A feed has a cursor of its own: together they would outgrow the largest record.
COVERAGE_CURSOR: Final = "coverage:"

# Kept as a step of no length: the start of the latest stretch that a feed saw without a break → its end (µs).
_STRETCH: Final = 0
# Half of the shortest window: a window that is covered less than that has lost more.
_BREAK: Final = 30 * MINUTE

# Step → start of a step in steps → covered µs, weighted by the share that was seen.
_Steps = dict[int, dict[int, float]]
_NO_LATER: Final[Mapping[str, int]] = {}
_decode_steps: Final = msgspec.json.Decoder(_Steps, strict=False).decode


def _decode(data: bytes) -> _Steps:
    """The covered time of a feed. Raises ValueError where a step is missing."""
    steps = _decode_steps(data)
    if not steps.keys() >= _KEPT.keys():
        raise ValueError("no covered time of a feed")
    return steps


class FeedCoverage:
    """The covered time of a station's `feeds`. The window of an hour leaves out what is younger than `settling` (µs).

    >>> feeds = Feeds()
    >>> watched, everything = feeds.open("github:/orgs/a/events", "github"), feeds.open("github:/events", "github", scope="all")
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
        """From start to end (µs) a feed saw everything, or a share of it (0 to 1). Never twice for the same time."""
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
        """The coverage of a window that ends now (µs); None where no feed of the scope is known, or nothing of that
        time can be yet.

        `late_after` (µs) is after how long the silence of single feeds counts, where `settling` is not enough.
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
        """Up to when a feed has said what it saw or missed, or is late to; a whole minute (µs)."""
        said = max(steps[MINUTE], default=0) * MINUTE
        settled = now - self._settling
        return max(min(said, settled), min(settled, now - late_after)) // MINUTE * MINUTE

    def since(self, platform: str, scope: str) -> int | None:
        """From when on the feeds of a scope have seen what happened, or their share of it, without a break (µs): the
        median of the feeds.

        A break is longer than half an hour. None where no feed has seen anything.

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
        """`window_coverage_ratio` and `covered_since_timestamp_seconds` of every platform, scope and window that is
        known.
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
        """Forget all other feeds: they are not watched any more."""
        for feed in self._feeds.keys() - feeds:
            del self._feeds[feed]
            self._unsaved.add(feed)

    def changes(self) -> dict[str, bytes | None]:
        """The cursors of the feeds that have changed since `saved`, JSON; None for one that was forgotten."""
        return {
            COVERAGE_CURSOR + feed: msgspec.json.encode(self._feeds[feed]) if feed in self._feeds else None
            for feed in sorted(self._unsaved)
        }

    def saved(self) -> None:
        """All changes are on the broker."""
        self._unsaved.clear()

    @classmethod
    def restore(cls, cursors: Mapping[str, bytes], feeds: Feeds, settling: int = 0) -> Self:
        """The coverage that cursors hold, whatever else is among them. Raises `StreamsError` for one that is none."""
        coverage = cls(feeds, settling)
        for key, value in cursors.items():
            if key.startswith(COVERAGE_CURSOR):
                coverage._feeds[key.removeprefix(COVERAGE_CURSOR)] = decoded(key, _decode, value)
        return coverage


def _extend(stretch: dict[int, float], start: int, end: int) -> None:
    """Take a covered interval into the latest stretch: it goes on, reaches further back, or begins anew after a break."""
    begun, until = next(iter(stretch.items()), (start, end))
    if end + _BREAK < begun:
        return
    begun = start if start > until + _BREAK else min(begun, start)
    stretch.clear()
    stretch[begun] = max(until, end)
