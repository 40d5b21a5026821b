"""The figures and the lines of the page as CSV, for one scope, window and feature."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final

from agents.metric import PREFIX
from sinks.board import World
from sinks.cells import Cell, row_of
from sinks.covered import is_in_part
from sinks.figures import MEASURES, Figures
from sinks.history import Line
from sinks.report import rfc3339
from streams.activity import FEATURES, PLATFORMS
from streams.windows import WINDOWS

_COLUMNS: Final = (
    "name",
    "scope",
    "platform",
    "window",
    "feature",
    "repository",
    "feed",
    "value",
    "state",
    "coverage",
    "covered_since",
)


def figures_csv(figures: Figures, scope: str, window: str, feature: str, world: World) -> str:
    """One row for each figure. A figure has no value if it is unknown, or if its window is covered too little.

    `coverage` (0 to 1) is that of the figure's scope, platform and window, and unknown for what a station sees only in
    part (`is_in_part`). `covered_since`: since when a window is covered that is covered too little. Times are RFC 3339.
    """
    moments = {each: rfc3339(figures.behind.get(each, figures.front)) for each in WINDOWS}
    front, evaluated_at = rfc3339(figures.front), rfc3339(figures.evaluated_at)
    place = _COLUMNS.index("window") - 1
    rows = (
        [f"{PREFIX}{name}", *row, moments.get(str(row[place]), front), evaluated_at, world]
        for name, *row in _rows(figures, scope, window, feature)
    )
    return _table([*_COLUMNS, "as_of", "evaluated_at", "world"], rows)


def history_csv(line: Line, coverage: dict[str, float], scope: str, window: str, feature: str, world: World) -> str:
    """One row for each evaluation, with the activity and the intensity of each platform.

    `coverage`: the present coverage, by platform. `as_of`: where the windows end; `evaluated_at`: when they were
    evaluated (RFC 3339).
    """
    names = [(platform, measure) for measure in ("activity", "intensity") for platform in PLATFORMS]
    columns = [line.values[platform][measure] for platform, measure in names]
    seen = {} if is_in_part({"scope": scope, "feature": feature}) else coverage
    told: list[Cell] = [scope, window, feature, *(seen.get(platform) for platform in PLATFORMS), world]
    head = [
        "as_of",
        "evaluated_at",
        *(f"{platform}_{measure}" for platform, measure in names),
        "scope",
        "window",
        "feature",
    ]
    head += [*(f"{platform}_coverage_now" for platform in PLATFORMS), "world"]
    moments = zip(line.ends, line.times, *columns, strict=True)
    return _table(head, ([_moment(end), _moment(at), *values, *told] for end, at, *values in moments))


def _moment(seconds: float | None) -> str | None:
    return rfc3339(None if seconds is None else round(seconds * 1e6))


def _rows(figures: Figures, scope: str, window: str, feature: str) -> Iterator[list[Cell]]:
    def seen(platform: str, scope: str, window: str) -> tuple[Cell, Cell]:
        coverage = figures.coverage.get(scope, {}).get(platform, {}).get(window)
        return coverage, rfc3339(figures.since.get(scope, {}).get(platform, {}).get(window))

    for platform in PLATFORMS:
        for each in WINDOWS:
            share, since = seen(platform, scope, each)
            yield ["window_coverage_ratio", scope, platform, each, None, None, None, share, None, share, since]
        cells = figures.cells.get(scope, {}).get(platform, {}).get(window, {})
        for each in FEATURES:
            for measure, name in MEASURES.items():
                value = cells.get(each, {}).get(measure)
                share, since = seen(platform, scope, window)
                share = None if is_in_part({"scope": scope, "feature": each}) else share
                yield [name, scope, platform, window, each, None, None, value, None, share, since]
    for each, value in figures.gap.get(scope, {}).get(window, {}).items():
        yield ["intensity_gap_ratio", scope, None, window, each, None, None, value, None, None, None]
    for platform in PLATFORMS:
        told = seen(platform, "watched", window)
        for repository, value in figures.busiest.get(platform, {}).get(window, {}).get(feature, []):
            yield [
                "top_repository_activity",
                "watched",
                platform,
                window,
                feature,
                repository,
                None,
                value,
                None,
                *told,
            ]
        for repository, value in figures.releases.get(platform, {}).get(window, []):
            yield ["release_engagement", "watched", platform, window, None, repository, None, value, None, *told]
    for feed in figures.feeds:
        yield ["feed_coverage_ratio", None, None, None, None, None, feed.feed, feed.coverage, feed.state, None, None]
        yield ["feed_lag_seconds", None, None, None, None, None, feed.feed, feed.lag, feed.state, None, None]


def _table(head: list[str], rows: Iterable[list[Cell]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows(row_of(row) for row in rows)
    return text.getvalue()
