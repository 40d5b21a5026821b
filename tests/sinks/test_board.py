"""The board shows complete evaluations, nothing in between."""

from agents.measurements import series
from sinks.board import Board
from tests.sinks.made import evaluation_record, measurement, record

COMMITS = measurement("commits", 5.0, scope="all", platform="github", window="1h")


def test_measurements_appear_with_their_evaluation() -> None:
    board = Board()
    board.put(*record(COMMITS))
    assert board.measurements == []
    board.put(*evaluation_record())
    assert board.measurements == [COMMITS]


def test_a_half_written_evaluation_leaves_the_previous_one_standing() -> None:
    board = Board()
    board.put(*record(COMMITS))
    board.put(*evaluation_record())
    board.put(*record(measurement("commits", 6.0, **COMMITS.labels)))
    board.put(series(COMMITS.name, COMMITS.labels), None)
    assert board.measurements == [COMMITS]


def test_a_tombstoned_series_is_gone_with_the_next_evaluation() -> None:
    board = Board()
    board.put(*record(COMMITS))
    board.put(*evaluation_record())
    board.put(series(COMMITS.name, COMMITS.labels), None)
    board.put(*evaluation_record())
    assert board.measurements == []


def test_measurements_are_sorted_by_name_and_labels_whatever_order_they_came_in() -> None:
    board = Board()
    made = [
        measurement("commits", 1.0, window="1h"),
        measurement("activity", 1.0, window="7d"),
        measurement("activity", 1.0, platform="github", window="7d"),
    ]
    for each in made:
        board.put(*record(each))
    board.put(*evaluation_record())
    assert board.measurements == [made[2], made[1], made[0]]


def test_the_end_is_reached_when_every_partition_is_read_and_every_feed_closed() -> None:
    board = Board()
    assert not board.has_reached({})
    board.put(*evaluation_record(closed=False))
    assert not board.has_reached({0: 10, 1: 7})
    board.put(*evaluation_record(offsets={0: 10, 1: 6}))
    assert not board.has_reached({0: 10, 1: 7})
    board.put(*evaluation_record(offsets={0: 10}))
    assert not board.has_reached({0: 10, 1: 7})
    board.put(*evaluation_record(offsets={0: 11, 1: 7}))
    assert board.has_reached({0: 10, 1: 7})


def test_an_end_that_was_reached_over_deleted_records_is_a_loss() -> None:
    board = Board()
    assert not board.has_lost({0: 10})
    board.put(*evaluation_record(missing=3, closed=False, offsets={0: 9}))
    assert not board.has_lost({0: 10})
    board.put(*evaluation_record(missing=3, closed=False, offsets={0: 10}))
    assert board.has_lost({0: 10})
    board.put(*evaluation_record(offsets={0: 10}))
    assert not board.has_lost({0: 10})
