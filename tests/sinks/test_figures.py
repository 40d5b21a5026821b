"""What the live page shows of a board: absent stays absent, and a thin sample shows nothing that it makes invalid."""

import pytest

from agents.measurements import Measurement
from sinks.board import STALE_AFTER, Board
from sinks.figures import BUSIEST, SCOPES, FeedFigure, Figures, figures_of
from streams.activity import PLATFORMS
from streams.windows import WINDOWS
from tests.sinks.made import NOON, evaluation_record, measurement, record
from tests.sinks.publishing import health_record, polled
from tests.sinks.test_live_board import Clock

PLACE = {"platform": "github", "window": "1h", "feature": "contribution"}


def shown(*rows: Measurement, clock: Clock | None = None) -> Figures:
    """The figures of these rows; every window is covered unless they say otherwise."""
    whole = [coverage(1.0, scope, platform, window) for scope in SCOPES for platform in PLATFORMS for window in WINDOWS]
    return told(*whole, *rows, clock=clock)


def told(*rows: Measurement, clock: Clock | None = None) -> Figures:
    """The figures of these rows alone."""
    board = Board(live=True, now=clock or Clock())
    board.take([*(record(row) for row in rows), evaluation_record()])
    return figures_of(board)


def coverage(value: float, scope: str, platform: str = "github", window: str = "1h") -> Measurement:
    return measurement("window_coverage_ratio", value, scope=scope, platform=platform, window=window)


def cell(figures: Figures, scope: str = "watched") -> dict[str, float]:
    return figures.cells.get(scope, {}).get("github", {}).get("1h", {}).get("contribution", {})


def test_a_cell_has_what_is_known_and_of_intensity_the_mean() -> None:
    figures = shown(
        measurement("activity", 0.0, scope="watched", **PLACE),
        measurement("active_developers", 3.0, scope="watched", **PLACE),
        measurement("intensity", 2.5, scope="watched", stat="mean", **PLACE),
        measurement("intensity", 9.0, scope="watched", stat="max", **PLACE),
    )
    assert cell(figures) == {"activity": 0.0, "developers": 3.0, "intensity": 2.5}
    assert cell(figures, "all") == {}
    assert (figures.status, figures.evaluated_at, figures.front) == ("ok", NOON, NOON - 1)


@pytest.mark.parametrize(("covered", "valid"), [(0.95, True), (0.9499, False), (0.5, False)])
def test_a_thin_sample_of_everything_shows_only_what_scales(covered: float, valid: bool) -> None:
    rows = [
        measurement("activity", 7.0, scope="all", **PLACE),
        measurement("active_developers", 3.0, scope="all", **PLACE),
        measurement("active_repositories", 2.0, scope="all", **PLACE),
        measurement("intensity", 3.5, scope="all", stat="mean", **PLACE),
        coverage(covered, "all"),
    ]
    figures = shown(*rows)
    everything = {"activity": 7.0, "developers": 3.0, "repositories": 2.0, "intensity": 3.5}
    assert cell(figures, "all") == (everything if valid else {"activity": 7.0})
    assert (("all", "github", "1h") in figures.reserved) is not valid


ROWS = [
    measurement("activity", 7.0, scope="watched", **PLACE),
    measurement("active_developers", 3.0, scope="watched", **PLACE),
    measurement("intensity", 2.5, scope="watched", stat="mean", **PLACE),
    measurement("intensity_gap_ratio", 4.0, scope="watched", window="1h", feature="contribution"),
    measurement("top_repository_activity", 7.0, scope="watched", repository="a/b", **PLACE),
    measurement("release_engagement", 3.0, platform="github", window="1h", release="a/b"),
]


@pytest.mark.parametrize("covered", [0.5, 0.4999, 0.0, None])
def test_a_window_that_is_not_covered_by_half_has_no_level_and_no_rate_and_says_since_when(
    covered: float | None,
) -> None:
    begun = measurement("covered_since_timestamp_seconds", NOON / 1e6 - 600, scope="watched", platform="github")
    others = [coverage(1.0, "watched", "huggingface")]
    figures = told(*ROWS, *others, begun, *([] if covered is None else [coverage(covered, "watched")]))
    if covered == 0.5:
        assert cell(figures) == {"activity": 7.0, "developers": 3.0, "intensity": 2.5}
        assert figures.gap["watched"]["1h"] == {"contribution": 4.0}
        assert figures.busiest["github"]["1h"] == {"contribution": [("a/b", 7.0)]}
        assert figures.releases["github"]["1h"] == [("a/b", 3.0)]
        assert "1h" not in figures.since["watched"]["github"]
    else:
        assert (cell(figures), figures.gap, figures.busiest, figures.releases) == ({}, {}, {}, {})
        assert figures.since["watched"]["github"]["1h"] == NOON - 600_000_000
        assert figures.coverage["watched"].get("github", {}).get("1h") == covered, "the coverage itself is shown"
    assert "1h" not in figures.since["watched"]["huggingface"]
    assert set(figures.since["watched"]["huggingface"]) == {"24h", "7d", "30d"}, "what is unknown is not covered"


def test_a_station_that_does_not_say_since_when_is_counted_back_from_the_end() -> None:
    since = told(coverage(0.25, "watched"), coverage(0.25 / 24, "watched", window="24h")).since["watched"]["github"]
    assert since == {"1h": NOON - 1 - 900_000_000, "24h": NOON - 1 - 900_000_000, "7d": None, "30d": None}


def test_a_window_that_is_covered_too_little_is_not_called_a_thin_sample() -> None:
    figures = shown(coverage(0.04, "all"), coverage(0.6, "all", "huggingface"))
    assert figures.reserved == [("all", "huggingface", "1h")]
    assert figures.since["all"] == {"github": {"1h": NOON - 1 - 144_000_000}}


def test_a_figure_is_shown_however_thin_the_other_windows_are() -> None:
    figures = told(*ROWS, coverage(0.9, "watched"), coverage(0.03, "watched", window="24h"))
    assert cell(figures) == {"activity": 7.0, "developers": 3.0, "intensity": 2.5}
    assert set(figures.since["watched"]["github"]) == {"24h", "7d", "30d"}


def test_the_gap_of_everything_needs_both_samples_to_be_complete() -> None:
    def gap(scope: str, hub: float) -> Measurement | object:
        row = measurement("intensity_gap_ratio", 4.0, scope=scope, window="1h", feature="contribution")
        return shown(row, coverage(1.0, "all"), coverage(hub, scope, "huggingface")).gap

    assert gap("all", 1.0) == {"all": {"1h": {"contribution": 4.0}}}
    assert gap("all", 0.9) == {}
    assert gap("watched", 0.5) == {"watched": {"1h": {"contribution": 4.0}}}
    assert gap("watched", 0.4) == {}


def test_the_busiest_are_watched_ranked_few_and_neither_the_rest_nor_the_silent() -> None:
    def top(repository: str, value: float, scope: str = "watched") -> Measurement:
        return measurement("top_repository_activity", value, scope=scope, repository=repository, **PLACE)

    many = [top(f"a/{n}", float(n)) for n in range(BUSIEST + 3)]
    found = shown(*many, top("_other", 99.0), top("b/same", 9.0), top("c/elsewhere", 98.0, "all")).busiest["github"][
        "1h"
    ]["contribution"]
    assert found[:4] == [("a/10", 10.0), ("a/9", 9.0), ("b/same", 9.0), ("a/8", 8.0)]
    assert len(found) == BUSIEST
    assert shown(top("a/silent", 0.0)).busiest == {}


def test_releases_are_ranked_few_and_one_without_engagement_is_among_them() -> None:
    many = [
        measurement("release_engagement", float(n), platform="huggingface", window="7d", release=f"a/{n}")
        for n in range(BUSIEST - 1)
    ]
    new = measurement("release_engagement", 3.0, platform="huggingface", window="7d", release="a/0-new")
    found = shown(*many, new).releases["huggingface"]["7d"]
    assert [name for name, _ in found] == ["a/6", "a/5", "a/4", "a/0-new", "a/3", "a/2", "a/1", "a/0"]
    assert found[-1] == ("a/0", 0.0)
    more = measurement("release_engagement", 9.0, platform="huggingface", window="7d", release="a/9")
    assert len(shown(*many, new, more).releases["huggingface"]["7d"]) == BUSIEST


def test_a_row_of_another_versions_labels_is_passed_over() -> None:
    named = {"platform": "github", "window": "1h"}
    figures = shown(
        measurement("release_engagement", 3.0, release="a/b", **named),
        measurement("release_engagement", 4.0, release="a/c", window="1h"),
        measurement("activity", 5.0, **named),
    )
    assert figures.releases == {"github": {"1h": [("a/b", 3.0)]}}
    assert figures.cells == {}


def test_feeds_in_trouble_come_first_and_what_a_feed_has_not_told_is_unknown() -> None:
    board = Board(live=True, now=Clock())
    board.put(*polled(NOON))
    figures = figures_of(board)
    assert figures.status == "starting"
    assert figures.feeds == [
        FeedFigure("github:/repos/huggingface/transformers/events", "starting", None, None),
        FeedFigure("huggingface:models", "failing: 502", 0.97, 7300.0),
        FeedFigure("github:/events", "ok", 0.0412, 95.0),
    ]


def test_a_feed_whose_repository_moved_is_well() -> None:
    board = Board(live=True, now=Clock())
    states = {"b": "ok, moved to new-org/tool", "c": "failing: 502", "a": "ok"}
    board.take([record(coverage(1.0, "watched")), evaluation_record(), health_record(NOON, rows=[], states=states)])
    assert [(feed.feed, feed.state) for feed in figures_of(board).feeds] == [
        ("c", states["c"]),
        ("a", "ok"),
        ("b", states["b"]),
    ]


def test_a_role_is_believed_before_a_measurement() -> None:
    board = Board(live=True, now=Clock())
    board.take(
        [record(coverage(1.0, "watched")), evaluation_record(), health_record(NOON, rows=[coverage(0.04, "watched")])]
    )
    assert figures_of(board).coverage == {"watched": {"github": {"1h": 0.04}}}


def test_what_is_too_old_is_not_shown_but_when_it_was_is() -> None:
    clock = Clock(NOON + STALE_AFTER + 1)
    figures = shown(measurement("activity", 7.0, scope="watched", **PLACE), clock=clock)
    assert (figures.status, figures.evaluated_at, figures.cells) == ("stale", NOON, {})


def test_what_the_hub_s_repositories_are_is_told_of_those_that_are_shown() -> None:
    place = {"scope": "watched", "platform": "huggingface", "window": "1h", "feature": "contribution"}
    board = Board(live=True, now=Clock())
    rows = [
        coverage(1.0, "watched", "huggingface"),
        measurement("top_repository_activity", 7.0, repository="a/corpus", **place),
        measurement("release_engagement", 3.0, platform="huggingface", window="1h", release="a/demo"),
    ]
    said = {"a/corpus": "dataset", "a/demo": "space", "a/hidden": "dataset"}
    board.take([*map(record, rows), evaluation_record(), health_record(NOON, artefacts=said), health_record(NOON + 1)])
    assert figures_of(board).artefacts == {"a/corpus": "dataset", "a/demo": "space"}, "it holds until it is said again"
    board.put(*health_record(NOON + 2, artefacts={"a/corpus": "space"}))
    assert figures_of(board).artefacts == {"a/corpus": "space"}
