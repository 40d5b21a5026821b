"""A board beside a running station: health at once, nothing that is too old; a replay's board keeps everything."""

import msgspec
import pytest

from agents.measurements import EVALUATION, health_key
from sinks.board import STALE_AFTER, Board
from sinks.report import as_json, build
from tests.sinks.made import NOON, evaluation_record, measurement, record
from tests.sinks.publishing import health_record, polled

COMMITS = measurement("commits", 5.0, scope="all", platform="github", window="1h")
LAG = measurement("feed_lag_seconds", 4.0, feed="huggingface:models")
DERIVED = [
    measurement("duplicates_total", 2),
    measurement("late_total", 1),
    measurement("dead_letters_total", 3, reason="late-stamp"),
    measurement("watermark_timestamp_seconds", NOON / 1e6, role="measure"),
]


class Clock:
    """Set by hand, µs."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def test_the_world_is_simulated_as_soon_as_anybody_says_so() -> None:
    def world(*records: tuple[bytes, bytes], simulated: bool = False) -> str:
        board = Board(live=True, simulated=simulated, now=Clock())
        board.take(records)
        return board.world

    assert world(record(COMMITS), evaluation_record(), health_record(NOON)) == "real"
    assert world(record(COMMITS), evaluation_record(simulated=True), health_record(NOON)) == "simulated"
    assert world(health_record(NOON, simulated=True)) == "simulated"
    assert world(evaluation_record(), health_record(NOON - 2 * STALE_AFTER, simulated=True)) == "simulated", (
        "it never becomes real"
    )
    assert world(simulated=True) == "simulated"


def test_health_is_shown_at_once_and_replaced_as_a_whole() -> None:
    board = Board(live=True, now=Clock())
    board.put(*health_record(NOON, rows=[LAG, measurement("feed_polls_total", 1.0, feed="x", outcome="new")]))
    assert len(board.health) == 2
    board.put(*health_record(NOON, rows=[LAG]))
    assert board.health == [LAG]
    board.put(health_key("streams"), None)
    assert board.health == []


def test_the_roles_are_told_apart_and_sorted() -> None:
    board = Board(live=True, now=Clock())
    board.put(*health_record(NOON, rows=[LAG]))
    board.put(*health_record(NOON, "count"))
    assert [report.role for report in board.reports] == ["count", "streams"]


def test_the_evaluation_tells_of_duplicates_late_ones_dead_letters_and_the_watermark() -> None:
    board = Board(live=True, now=Clock())
    board.put(*health_record(NOON, rows=[LAG]))
    board.put(*evaluation_record())
    assert board.health == [*DERIVED, LAG]
    board.put(*evaluation_record(watermark=None, dead_letters={}))
    assert board.health == [*DERIVED[:2], LAG]


def test_a_role_that_is_silent_for_a_minute_is_dropped_from_a_live_board_alone() -> None:
    clock = Clock()
    live, replayed = Board(live=True, now=clock), Board(now=clock)
    for board in (live, replayed):
        board.put(*health_record(NOON, "old", rows=[LAG]))
        board.put(*health_record(NOON + 1, "young"))
    clock.now = NOON + STALE_AFTER
    assert [report.role for report in live.reports] == ["old", "young"]
    clock.now += 1
    assert [report.role for report in live.reports] == ["young"]
    assert live.health == []
    assert [report.role for report in replayed.reports] == ["old", "young"]
    assert replayed.health == [LAG]


def test_measurements_of_a_measure_that_is_silent_for_a_minute_are_dropped_from_a_live_board_alone() -> None:
    clock = Clock()
    live, replayed = Board(live=True, now=clock), Board(now=clock)
    for board in (live, replayed):
        board.put(*record(COMMITS))
        board.put(*evaluation_record())
    clock.now = NOON + STALE_AFTER
    assert live.measurements == [COMMITS]
    assert not live.is_stale
    clock.now += 1
    assert live.measurements == []
    assert live.health == []
    assert live.is_stale
    assert replayed.measurements == [COMMITS]
    assert replayed.health == DERIVED
    assert not replayed.is_stale
    live.put(*evaluation_record(evaluated_at=clock.now))
    assert live.measurements == [COMMITS]


def test_what_a_role_reports_itself_is_shown_in_place_of_what_is_measured() -> None:
    clock = Clock()
    labels = {"scope": "all", "platform": "github", "window": "1h"}
    measured, known = (
        measurement("window_coverage_ratio", 1.0, **labels),
        measurement("window_coverage_ratio", 0.04, **labels),
    )
    live, replayed = Board(live=True, now=clock), Board(now=clock)
    for board in (live, replayed):
        board.take([record(COMMITS), record(measured), evaluation_record(), health_record(NOON - 1, rows=[known])])
    assert live.measurements == [COMMITS]
    assert live.health == [*DERIVED, known]
    assert replayed.measurements == [COMMITS]
    assert replayed.health == [*DERIVED, known]
    assert live.figures == replayed.figures == [COMMITS, known], "a report has it once"
    clock.now = NOON + STALE_AFTER
    assert live.measurements == [COMMITS, measured], "a role that is away is believed no longer"
    assert live.health == DERIVED


def test_a_cleared_board_knows_nothing() -> None:
    board = Board()
    board.take([record(COMMITS), evaluation_record(), record(LAG), polled(NOON)])
    board.clear()
    assert (board.evaluation, board.measurements, board.health) == (None, [], [])
    board.put(*evaluation_record())
    assert board.measurements == []


@pytest.mark.parametrize("key", [EVALUATION, health_key("streams"), b"nomadwatch_commits{}"])
def test_what_cannot_be_read_leaves_the_board_as_it_was(key: bytes) -> None:
    board = Board()
    board.take([record(COMMITS), evaluation_record(), polled(NOON)])
    before = board.evaluation, board.measurements, board.health
    with pytest.raises(msgspec.MsgspecError):
        board.put(key, b'{"name": 1')
    assert (board.evaluation, board.measurements, board.health) == before


def test_a_report_is_the_same_with_and_without_health() -> None:
    plain, healthy = Board(), Board()
    plain.take([record(COMMITS), evaluation_record()])
    healthy.take([polled(NOON), record(COMMITS), evaluation_record(), polled(NOON + 1)])
    assert as_json(build(healthy.evaluation, healthy.measurements)) == as_json(
        build(plain.evaluation, plain.measurements)
    )
