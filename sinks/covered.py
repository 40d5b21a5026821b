"""A figure and its own coverage, made in one place: the terminal, the page, reports and tables all show the pair that
stands here.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from agents.measurements import Measurement
from agents.metric import PREFIX
from streams.activity import COMPARED

_COVERAGE: Final = PREFIX + "window_coverage_ratio"
# A merge is upkeep of the account that merged; the contribution that it accepts is counted beside it, and once more in
# a sum.
COUNTED_BESIDE: Final = "accepted"
# Live feeds show few of the stars on GitHub, and likes on the Hub of watched repositories only
# (streams.features.IN_PART).
SEEN_IN_PART: Final = "preference"
_SINCE: Final = PREFIX + "covered_since_timestamp_seconds"


class Covered(NamedTuple):
    """A figure and the share of its own scope, platform and window that was seen (0 to 1); None where it is unknown."""

    value: float
    coverage: float | None


class Coverages:
    """What was seen of each scope, platform and window, from rows that hold `window_coverage_ratio`."""

    def __init__(self, rows: Iterable[Measurement]) -> None:
        rows = list(rows)
        self.known = {_place(row.labels, row.labels["platform"]): row.value for row in rows if row.name == _COVERAGE}
        self.is_live = any(row.name == _SINCE for row in rows)

    def of(self, row: Measurement) -> float | None:
        """The share of the row's window that was seen, of a comparison of platforms the lesser of both; None for no window,
        and unknown.
        """
        if "window" not in row.labels or (self.is_live and is_in_part(row.labels)):
            return None
        platforms = [row.labels["platform"]] if "platform" in row.labels else COMPARED
        shares = [self.known.get(_place(row.labels, platform)) for platform in platforms]
        known = [share for share in shares if share is not None]
        return min(known) if len(known) == len(shares) else None


class Totals:
    """Sums of human activities over features, each activity once, each sum beside its own coverage."""

    def __init__(self, rows: Iterable[Measurement]) -> None:
        self._rows = list(rows)
        self._coverages = Coverages(self._rows)

    def activity(self, scope: str, platform: str, window: str) -> Covered | None:
        """Everything that people did; None where nothing is known of it."""
        wanted = {"scope": scope, "platform": platform, "window": window}
        found = [row for row in self._of("activity") if wanted.items() <= row.labels.items()]
        return Covered(sum(row.value for row in found), self.coverage(scope, platform, window)) if found else None

    def coverage(self, scope: str, platform: str, window: str) -> float | None:
        """The share that was seen, also where nothing happened."""
        return self._coverages.known.get((scope, platform, window))

    def repositories(self, scope: str, window: str) -> list[tuple[str, str, Covered]]:
        """(repository, platform, activities) without upkeep, the busiest first; only the repositories that are named."""
        sums: dict[tuple[str, str], Covered] = {}
        for row in self._of("top_repository_activity"):
            labels = row.labels
            named = labels["repository"] != "_other" and labels["feature"] != "upkeep"
            if named and (labels["scope"], labels["window"]) == (scope, window):
                place = labels["repository"], labels["platform"]
                before = sums[place].value if place in sums else 0.0
                sums[place] = Covered(before + row.value, self.coverage(scope, labels["platform"], window))
        ranked = sorted(sums.items(), key=lambda item: (-item[1].value, item[0]))
        return [(repository, platform, figure) for (repository, platform), figure in ranked]

    def _of(self, name: str) -> list[Measurement]:
        return [row for row in self._rows if row.name == PREFIX + name and row.labels.get("feature") != COUNTED_BESIDE]


def is_in_part(labels: Mapping[str, str]) -> bool:
    """Whether a live station sees only a part of what the figure counts, which no coverage tells.

    >>> [is_in_part({"scope": scope, "feature": "preference"}) for scope in ("all", "watched")]
    [True, False]
    """
    return labels.get("scope") == "all" and SEEN_IN_PART in (labels.get("feature"), labels.get("a"), labels.get("b"))


def _place(labels: Mapping[str, str], platform: str) -> tuple[str, str, str]:
    # A project's rows and a release's say no scope: their repositories are watched.
    return labels.get("scope", "watched"), platform, labels["window"]
