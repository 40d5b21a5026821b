"""The health of each feed. It is shown beside every metric, because a number without its coverage misleads."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

Outcome = Literal["new", "unchanged", "limited", "failed"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("new", "unchanged", "limited", "failed")
Scope = Literal["watched", "all"]
Row = tuple[str, dict[str, str], float]


@dataclass(slots=True)
class FeedHealth:
    """A feed, and its health.

    What the feed declares: `scope` is `all` for a feed that shows the platform as a whole, `watched` for one of the
    watchlist. `sampled`: it shows only a share of what happens, and `coverage` estimates the share. `has_total` is
    False where there is no whole that it could show a share of: such a feed has no coverage.

    `state` is a few words for people: `ok`, `limited until 12:03:20`, `failing: 502`. It begins with `ok` only if
    nothing is wrong: `ok, moved to new-org/tool`. `well` is the state while requests succeed: `ok` with a remark, or
    what cannot be seen nevertheless.

    `polls` counts HTTP requests by outcome: 200, 304, refused by a rate limit, everything else (broken bodies too).
    `seen` counts the activities of the feed's own poll results, `gaps` and `gap_seconds` the rows of the ledger by
    reason. Unknown is None: `newest` (the newest event time seen, µs), `coverage` (0 to 1, of the last hour),
    `remaining` (requests left of the quota). `late_after` (µs): a healthy feed may be silent so long, where that is
    longer than for all feeds.
    """

    feed: str
    platform: str
    scope: Scope = "watched"
    sampled: bool = False
    has_total: bool = True
    state: str = "starting"
    well: str = "ok"
    polls: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    seen: int = 0
    gaps: dict[str, int] = field(default_factory=dict)
    gap_seconds: dict[str, float] = field(default_factory=dict)
    newest: int | None = None
    coverage: float | None = None
    remaining: int | None = None
    late_after: int = 0

    def rows(self, now: int) -> Iterator[Row]:
        """(name, labels, value) of the metrics of feeds; `now` in µs."""
        feed = {"feed": self.feed}
        for outcome, n in self.polls.items():
            yield "nomadwatch_feed_polls_total", {**feed, "outcome": outcome}, n
        for reason, n in self.gaps.items():
            yield "nomadwatch_feed_gaps_total", {**feed, "reason": reason}, n
            yield "nomadwatch_feed_gap_seconds_total", {**feed, "reason": reason}, self.gap_seconds[reason]
        if self.coverage is not None:
            yield "nomadwatch_feed_coverage_ratio", feed, self.coverage
        if self.newest is not None:
            yield "nomadwatch_feed_lag_seconds", feed, max(0.0, (now - self.newest) / 1e6)
        if self.remaining is not None:
            yield "nomadwatch_feed_rate_limit_remaining", feed, self.remaining


class Feeds:
    """The health of all feeds of a station, by name, in the order in which they were opened."""

    def __init__(self) -> None:
        self.by_name: dict[str, FeedHealth] = {}

    def open(
        self,
        feed: str,
        platform: str,
        *,
        scope: Scope = "watched",
        sampled: bool = False,
        has_total: bool = True,
    ) -> FeedHealth:
        """The health of a feed: the one that is known, or a new one with what the feed declares."""
        new = FeedHealth(feed, platform, scope=scope, sampled=sampled, has_total=has_total)
        return self.by_name.setdefault(feed, new)

    def rows(self, now: int) -> Iterator[Row]:
        """The rows of all feeds."""
        for health in self.by_name.values():
            yield from health.rows(now)
