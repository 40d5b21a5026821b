"""Compares what a board shows with what was counted again: which figures agree, which do not, which nobody can count
again and why.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from agents.catalogue import by_name
from agents.measurements import Measurement, series
from agents.metric import PREFIX

_TOLERANCE: Final = 1e-9
# The tail of a distribution, which two libraries approximate.
_LOOSE: Final = {PREFIX + "mann_whitney_p": 1e-6}
RECOUNTED: Final = frozenset(
    PREFIX + name
    for name in (
        "activities_total",
        "activity",
        "active_developers",
        "active_repositories",
        "commits",
        "project_activity",
        "top_repository_activity",
        "release_engagement",
        "intensity",
        "intensity_gap_ratio",
        "feature_correlation",
        "mann_whitney_u",
        "mann_whitney_z",
        "mann_whitney_p",
        "dominance_ratio",
    )
)
_REST: Final = "_other"
_NAMED: Final = {PREFIX + "top_repository_activity": "repository", PREFIX + "release_engagement": "release"}
# Of each platform and window so many releases are shown.
_MOST_RELEASES: Final = 50
_WHY: Final = {
    PREFIX + "window_coverage_ratio": "what the feeds covered stands in no row",
    PREFIX + "covered_since_timestamp_seconds": "what the feeds covered stands in no row",
    PREFIX + "repository_popularity": "a level that the platforms state, and no count of activities",
    PREFIX + "repository_popularity_share_ratio": "a level that the platforms state, and no count of activities",
}
_HEALTH: Final = "how the station does, and no count of activities"
_NO_RECOUNT: Final = "no second count is written for it"


class Difference(msgspec.Struct, frozen=True):
    """A figure on which the board and the rows disagree; None where one of them has none."""

    series: str
    shown: float | None
    counted: float | None


class Verdict(msgspec.Struct):
    """`agreed`: {metric: figures}; `unknown`: {(metric, why it cannot be counted again): figures}."""

    agreed: Counter[str] = msgspec.field(default_factory=Counter)
    differences: list[Difference] = []
    unknown: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)

    def add(self, other: "Verdict") -> None:
        """Take up another one."""
        self.agreed += other.agreed
        self.differences = [*self.differences, *other.differences]
        self.unknown += other.unknown


def compare(
    shown: Iterable[Measurement], counted: Iterable[Measurement], twice: Collection[tuple[str, str]] = ()
) -> Verdict:
    """The verdict on what is shown; `twice` are (platform, name) that
    several repositories have: their figures share one series.

    >>> row = Measurement("nomadwatch_commits", {"window": "1h"}, 3.0)
    >>> verdict = compare([row], [msgspec.structs.replace(row, value=2.0)])
    >>> verdict.differences
    [Difference(series='nomadwatch_commits{window="1h"}', shown=3.0, counted=2.0)]
    """
    verdict = Verdict()
    shown = list(shown)
    mixed = {
        _slot(row)
        for row in shown
        if row.name in _NAMED and (row.labels["platform"], row.labels[_NAMED[row.name]]) in twice
    }
    known = {_series(row): row for row in counted}
    for row in shown:
        found = known.pop(_series(row), None)
        if (why := _why_not(row, twice, mixed)) is not None:
            verdict.unknown[row.name, why] += 1
        elif found is not None and _agree(row.name, row.value, found.value):
            verdict.agreed[row.name] += 1
        else:
            value = None if found is None else found.value
            verdict.differences.append(Difference(_series(row), row.value, value))
    releases = Counter(_place(row) for row in shown if row.name == PREFIX + "release_engagement")
    for name, row in known.items():
        left_out = row.name == PREFIX + "release_engagement" and releases[_place(row)] >= _MOST_RELEASES
        if not left_out and _why_not(row, twice, mixed) is None:
            verdict.differences.append(Difference(name, None, row.value))
    return verdict


def _slot(row: Measurement) -> tuple[str, ...]:
    """What the names of a row are ranked within."""
    return row.name, *(value for label, value in sorted(row.labels.items()) if label != _NAMED[row.name])


def _why_not(row: Measurement, twice: Collection[tuple[str, str]], mixed: Collection[tuple[str, ...]]) -> str | None:
    """Why a figure cannot be counted again; None where it can."""
    if row.name in RECOUNTED:
        name = row.labels.get(_NAMED.get(row.name, ""), "")
        shared = (row.labels.get("platform", ""), name) in twice or (name == _REST and _slot(row) in mixed)
        return "several repositories have this name" if shared else None
    if row.name in _WHY:
        return _WHY[row.name]
    try:
        return _HEALTH if by_name(row.name).group in ("H", "P", "I") else _NO_RECOUNT
    except KeyError:
        return _NO_RECOUNT


def _place(row: Measurement) -> tuple[str, str]:
    return row.labels.get("platform", ""), row.labels.get("window", "")


def _series(row: Measurement) -> str:
    return series(row.name, row.labels).decode()


def _agree(name: str, shown: float, counted: float) -> bool:
    # A correlation or a z near 0 is the difference of large sums: there an absolute bound must do.
    return math.isclose(shown, counted, rel_tol=_LOOSE.get(name, _TOLERANCE), abs_tol=1e-12)
