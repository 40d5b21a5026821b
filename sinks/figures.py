"""The state of the live page: the figures of the board, by their place on the page. Unknown figures are absent."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from agents.catalogue import CATALOGUE, by_name
from agents.measurements import Measurement, is_well
from agents.metric import PREFIX
from sinks.board import Board, World
from sinks.covered import Coverages
from sinks.enough import CoveredWindows
from streams import platforms
from streams.activity import COMPARED, FEATURES, PLATFORMS
from streams.windows import WINDOWS

SCOPES: Final = ("watched", "all")
_PLACES: Final = tuple((scope, platform, window) for scope in SCOPES for platform in PLATFORMS for window in WINDOWS)
# The measures of a cell, and their metrics. The intensity is the mean.
MEASURES: Final = {
    "activity": "activity",
    "developers": "active_developers",
    "repositories": "active_repositories",
    "intensity": "intensity",
}
BUSIEST: Final = 8
# Below this coverage, metrics that are `invalid` under sampling are not shown in scope `all` (docs/metrics.md).
COMPLETE: Final = 0.95
_REST: Final = "_other"
_LABELS: Final = {row.name: frozenset(row.labels) for row in CATALOGUE}

Status = Literal["starting", "ok", "stale"]
Cell = tuple[str, str, str, str]


class FeedFigure(msgspec.Struct, frozen=True):
    """A feed on the page: its state in words, its coverage of the last hour (0 to 1), and its lag in seconds."""

    feed: str
    state: str
    coverage: float | None
    lag: float | None


class Figures(msgspec.Struct, kw_only=True):
    """A state of the page. Times in µs UTC.

    Keys of the dictionaries, from the outside in: `coverage`: scope, platform, window; `cells`: scope, platform,
    window, feature, measure; `gap` (GitHub ÷ Hub): scope, window, feature; `busiest`: platform, window, feature;
    `releases`: platform, window. Lists begin with the greatest figure.

    `since` (scope, platform, window) has the windows that are covered too little for their figures to be shown, and
    since when they are covered (None: unknown). `reserved` lists the (scope, platform, window) whose sample is too thin
    for metrics that are invalid under sampling. Both are left out of the figures. `artefacts`: kind of artefact, by
    name, of repositories of the Hub that are not models.
    """

    status: Status
    world: World = "real"
    evaluated_at: int | None = None
    front: int | None = None
    # Windows that were last evaluated at an earlier front, with that front.
    behind: dict[str, int] = {}
    feeds: list[FeedFigure] = []
    coverage: dict[str, dict[str, dict[str, float]]] = {}
    cells: dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]] = {}
    gap: dict[str, dict[str, dict[str, float]]] = {}
    busiest: dict[str, dict[str, dict[str, list[tuple[str, float]]]]] = {}
    releases: dict[str, dict[str, list[tuple[str, float]]]] = {}
    since: dict[str, dict[str, dict[str, int | None]]] = {}
    reserved: list[tuple[str, str, str]] = []
    artefacts: dict[str, str] = {}


def cells_in_order() -> Iterator[Cell]:
    """(scope, platform, window, feature) of every cell."""
    for scope in SCOPES:
        for platform in PLATFORMS:
            for window in WINDOWS:
                for feature in FEATURES:
                    yield scope, platform, window, feature


def figures_of(board: Board) -> Figures:
    """The state of the page for a live board, without figures that are too old.

    >>> figures_of(Board()).status
    'starting'
    """
    rows = _by_name(board)
    seen = board.evaluation
    coverage = Coverages(rows["window_coverage_ratio"]).known
    front = seen.front if seen else None
    known = (*rows["window_coverage_ratio"], *rows["covered_since_timestamp_seconds"])
    windows = CoveredWindows(known, front, seen.watermark if seen else None)
    sampled = _Sampled(coverage, windows)
    figures = Figures(
        world=board.world,
        status="starting" if seen is None else "stale" if board.is_stale else "ok",
        evaluated_at=seen.evaluated_at if seen else None,
        front=front,
        behind=seen.behind if seen else {},
        feeds=_feeds(board, rows),
        reserved=sampled.thin,
    )
    for (scope, platform, window), value in coverage.items():
        figures.coverage.setdefault(scope, {}).setdefault(platform, {})[window] = value
    for scope, platform, window in _PLACES:
        if not windows.enough(scope, platform, window):
            figures.since.setdefault(scope, {}).setdefault(platform, {})[window] = windows.since(
                scope, platform, window
            )
    for measure, name in MEASURES.items():
        for row in rows[name]:
            scope, platform, window = place = _place(row)
            if row.labels.get("stat", "mean") == "mean" and sampled.allows(name, place):
                cells = figures.cells.setdefault(scope, {}).setdefault(platform, {})
                cells.setdefault(window, {}).setdefault(row.labels["feature"], {})[measure] = row.value
    for row in rows["intensity_gap_ratio"]:
        scope, window = row.labels["scope"], row.labels["window"]
        if all(sampled.allows("intensity_gap_ratio", (scope, platform, window)) for platform in COMPARED):
            figures.gap.setdefault(scope, {}).setdefault(window, {})[row.labels["feature"]] = row.value
    # The busiest repositories and the releases are watched ones.
    shown = {
        (platform, window)
        for scope, platform, window in _PLACES
        if scope == "watched" and windows.enough(scope, platform, window)
    }
    figures.busiest = _busiest(
        row for row in rows["top_repository_activity"] if (row.labels["platform"], row.labels["window"]) in shown
    )
    figures.releases = _releases(
        row for row in rows["release_engagement"] if (row.labels["platform"], row.labels["window"]) in shown
    )
    figures.artefacts = {
        name: board.artefacts[name] for name in _names_with_folders(figures) if name in board.artefacts
    }
    return figures


class _Sampled:
    """Which figures are shown: of windows that are covered enough; of a thin sample, only metrics that stay valid."""

    def __init__(self, coverage: dict[tuple[str, str, str], float], windows: CoveredWindows) -> None:
        self._windows = windows
        everything = [place for place in _PLACES if place[0] == "all" and windows.enough(*place)]
        self.thin = [place for place in everything if coverage.get(place, 0.0) < COMPLETE]

    def allows(self, name: str, place: tuple[str, str, str]) -> bool:
        if not self._windows.enough(*place):
            return False
        return place not in self.thin or by_name(PREFIX + name).under_sampling != "invalid"


def _by_name(board: Board) -> defaultdict[str, list[Measurement]]:
    """The rows by name, without the prefix. Rows with the labels of another version are left to /metrics."""
    rows: defaultdict[str, list[Measurement]] = defaultdict(list)
    for row in (*board.shown, *board.health):
        if row.labels.keys() == _LABELS.get(row.name):
            rows[row.name.removeprefix(PREFIX)].append(row)
    return rows


def _place(row: Measurement) -> tuple[str, str, str]:
    return row.labels["scope"], row.labels["platform"], row.labels["window"]


def _feeds(board: Board, rows: dict[str, list[Measurement]]) -> list[FeedFigure]:
    """The feeds, those with problems first, then by name."""
    coverage = {row.labels["feed"]: row.value for row in rows["feed_coverage_ratio"]}
    lag = {row.labels["feed"]: row.value for row in rows["feed_lag_seconds"]}
    states = {feed: state for report in board.reports for feed, state in report.states.items()}
    found = [FeedFigure(feed, state, coverage.get(feed), lag.get(feed)) for feed, state in states.items()]
    return sorted(found, key=lambda each: (is_well(each.state), each.feed))


def _busiest(rows: Iterable[Measurement]) -> dict[str, dict[str, dict[str, list[tuple[str, float]]]]]:
    ranked: dict[str, dict[str, dict[str, list[tuple[str, float]]]]] = {}
    for row in rows:
        if row.labels["scope"] == "watched" and row.labels["repository"] != _REST and row.value > 0:
            features = ranked.setdefault(row.labels["platform"], {}).setdefault(row.labels["window"], {})
            features.setdefault(row.labels["feature"], []).append((row.labels["repository"], row.value))
    for windows in ranked.values():
        for features in windows.values():
            for feature, found in features.items():
                features[feature] = _first(found)
    return ranked


def _releases(rows: Iterable[Measurement]) -> dict[str, dict[str, list[tuple[str, float]]]]:
    found: dict[str, dict[str, list[tuple[str, float]]]] = {}
    for row in rows:
        windows = found.setdefault(row.labels["platform"], {})
        windows.setdefault(row.labels["window"], []).append((row.labels["release"], row.value))
    return {
        platform: {window: _first(pairs) for window, pairs in windows.items()} for platform, windows in found.items()
    }


def _names_with_folders(figures: Figures) -> set[str]:
    """The repositories that are shown of platforms where an address depends on the kind of the artefact."""
    ranked: list[list[tuple[str, float]]] = []
    for platform in (each.id for each in platforms.ALL if each.folders):
        ranked += [pairs for features in figures.busiest.get(platform, {}).values() for pairs in features.values()]
        ranked += figures.releases.get(platform, {}).values()
    return {name for pairs in ranked for name, _ in pairs}


def _first(pairs: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The greatest BUSIEST pairs; equal ones by name."""
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:BUSIEST]
