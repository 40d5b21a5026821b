"""The pair of a figure and its own coverage."""

import pytest

from agents.measurements import Measurement
from sinks.covered import Coverages, Totals
from tests.sinks.made import measurement

COVERED = [
    measurement("window_coverage_ratio", share, scope=scope, platform=platform, window="1h")
    for scope, platform, share in [("all", "github", 0.9), ("all", "huggingface", 0.8), ("watched", "huggingface", 1.0)]
]
LIVE = measurement("covered_since_timestamp_seconds", 1.0, scope="all", platform="github")


def of(name: str, value: float = 1.0, **labels: str) -> Measurement:
    return measurement(name, value, window="1h", **labels)


@pytest.mark.parametrize(
    ("row", "live", "replayed"),
    [
        (of("activity", scope="all", platform="huggingface", feature="preference"), None, 0.8),
        (of("activity", scope="watched", platform="huggingface", feature="preference"), 1.0, 1.0),
        (of("activity", scope="all", platform="huggingface", feature="review"), 0.8, 0.8),
        (of("feature_correlation", scope="all", platform="github", a="exchange", b="preference"), None, 0.9),
        (of("intensity_gap_ratio", scope="all", feature="preference"), None, 0.8),
        (of("intensity_gap_ratio", scope="all", feature="review"), 0.8, 0.8),
    ],
)
def test_no_coverage_holds_for_what_live_feeds_show_only_in_part(
    row: Measurement, live: float | None, replayed: float
) -> None:
    assert Coverages([*COVERED, LIVE]).of(row) == live
    assert Coverages(COVERED).of(row) == replayed


def test_a_sum_over_features_keeps_the_coverage_of_its_window_where_one_of_them_is_seen_in_part() -> None:
    place = {"scope": "all", "platform": "huggingface"}
    rows = [of("activity", 2.0, feature="preference", **place), of("activity", 3.0, feature="review", **place)]
    assert Totals([*COVERED, LIVE, *rows]).activity("all", "huggingface", "1h") == (5.0, 0.8)
