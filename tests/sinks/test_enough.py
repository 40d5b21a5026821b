"""Since when a window is covered."""

import pytest

from sinks.enough import CoveredWindows
from streams.activity import HOUR, MINUTE
from tests.sinks.made import NOON, measurement


@pytest.mark.parametrize(
    ("begun", "wanted"),
    [(NOON - 20 * MINUTE, "since 11:40"), (NOON, "since 12:00"), (NOON + 30 * MINUTE, "since 11:45")],
)
def test_no_window_is_covered_since_a_time_ahead_of_what_is_shown(begun: int, wanted: str) -> None:
    place = {"scope": "watched", "platform": "huggingface"}
    covered = measurement("window_coverage_ratio", 15 * MINUTE / HOUR, window="1h", **place)
    since = measurement("covered_since_timestamp_seconds", begun / 1e6, **place)
    assert CoveredWindows([covered, since], front=NOON).since_words("watched", "huggingface", "1h") == wanted
    expected = "not covered yet" if begun > NOON else wanted
    assert CoveredWindows([since], front=NOON).since_words("watched", "huggingface", "1h") == expected, (
        "without a coverage"
    )
