"""Figures with their coverage, computed in one place for the terminal, the page, reports and tables."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from agents.measurements import Measurement
from agents.metric import PREFIX
from streams.activity import COMPARED

_COVERAGE: Final = PREFIX + "window_coverage_ratio"
# An accepted contribution is counted beside the merge that it follows from (upkeep of the account that merged), so sums
# leave it out.
COUNTED_BESIDE: Final = "accepted"
# Live feeds show few of the stars on GitHub, and on the Hub only the likes of watched repositories
# (streams.features.IN_PART).
SEEN_IN_PART: Final = "preference"
_SINCE: Final = PREFIX + "covered_since_timestamp_seconds"


class Covered(NamedTuple):
    """A figure, and the share of its scope, platform and window that was seen (0 to 1); None if unknown."""

    value: float
    coverage: float | None


class Coverages:
    """The coverage of each scope, platform and window, from rows of `window_coverage_ratio`."""

    def __init__(self, rows: Iterable[Measurement]) -> None:
        rows = list(rows)
        self.known = {_place(row.labels, row.labels["platform"]): row.value for row in rows if row.name == _COVERAGE}
        self.is_live = any(row.name == _SINCE for row in rows)

    def of(self, row: Measurement) -> float | None:
        """The coverage of a row's window (0 to 1); of a comparison of platforms, the lower one of both.

        None if the row has no window, or if the coverage is unknown.
        """
        if "window" not in row.labels or (self.is_live and is_in_part(row.labels)):
            return None
        platforms = [row.labels["platform"]] if "platform" in row.labels else COMPARED
        shares = [self.known.get(_place(row.labels, platform)) for platform in platforms]
        known = [share for share in shares if share is not None]
        return min(known) if len(known) == len(shares) else None


class Totals:
    """Sums of people's activities over features, each activity counted once, with their coverage."""

    def __init__(self, rows: Iterable[Measurement]) -> None:
        self._rows = list(rows)
        self._coverages = Coverages(self._rows)

    def activity(self, scope: str, platform: str, window: str) -> Covered | None:
        """All activities of people in a window; None if unknown."""
        wanted = {"scope": scope, "platform": platform, "window": window}
        found = [row for row in self._of("activity") if wanted.items() <= row.labels.items()]
        return Covered(sum(row.value for row in found), self.coverage(scope, platform, window)) if found else None

    def coverage(self, scope: str, platform: str, window: str) -> float | None:
        """The coverage of a window; None if unknown."""
        return self._coverages.known.get((scope, platform, window))

    def repositories(self, scope: str, window: str) -> list[tuple[str, str, Covered]]:
        """(repository, platform, activities without upkeep) of the repositories that are named, the busiest first."""
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
    """Whether a live station sees only a part of what a figure counts, by an unknown share.

    >>> [is_in_part({"scope": scope, "feature": "preference"}) for scope in ("all", "watched")]
    [True, False]
    """
    return labels.get("scope") == "all" and SEEN_IN_PART in (labels.get("feature"), labels.get("a"), labels.get("b"))


def _place(labels: Mapping[str, str], platform: str) -> tuple[str, str, str]:
    # Rows of projects and releases have no scope: their repositories are watched.
    return labels.get("scope", "watched"), platform, labels["window"]
