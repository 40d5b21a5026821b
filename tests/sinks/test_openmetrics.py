"""History files, from hand-made points: read by a strict parser, compared with `/metrics`."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from agents.measurements import Measurement
from sinks.about import BUILD
from sinks.board import Board
from sinks.openmetrics import Point, Written, write
from sinks.prometheus import BoardCollector, registry_of
from streams.activity import DAY, HOUR, SECOND
from tests.sinks.made import NOON, evaluation_record, measurement, record

MIDNIGHT = NOON - 12 * HOUR
WHERE = {"scope": "all", "platform": "github", "window": "1h"}
STRANGE = 'o/quote"back\\slash'


def measured(hour: int) -> list[Measurement]:
    """Something of most kinds, not in order; the repository leaves the busiest after two hours."""
    found = [
        measurement("window_coverage_ratio", 1 / 3, **WHERE),
        measurement("mann_whitney_p", 1.2345678901234567e-300, scope="all", feature="exchange", window="1h"),
        measurement("activity", 13576.0 + hour, feature="review", **WHERE),
        measurement("activity", 7.0, feature="exchange", **WHERE),
        measurement("activities_total", 4096.0, scope="all", platform="github", feature="review", actor="bot"),
    ]
    return found + [measurement("top_repository_activity", 5.0, feature="review", repository=STRANGE, **WHERE)] * (
        hour <= 2
    )


def points(first: int, last: int) -> Iterator[Point]:
    return ((MIDNIGHT + hour * HOUR, measured(hour)) for hour in range(first, last + 1))


def samples(path: Path) -> dict[tuple[str, frozenset[tuple[str, str]], float], float]:
    families = list(text_string_to_metric_families(path.read_text()))
    assert len({family.name for family in families}) == len(families), "each family once"
    found = [
        (s.name, frozenset(s.labels.items()), float(s.timestamp), s.value)
        for family in families
        for s in family.samples
    ]
    assert len(found) == len({row[:3] for row in found})
    return {row[:3]: row[3] for row in found}


def test_every_value_stands_at_its_time_in_the_file_of_its_day_as_it_was(tmp_path: Path) -> None:
    assert write(tmp_path, points(1, 25)) == Written(days=2, points=25, samples=127)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2015-01-01.openmetrics", "2015-01-02.openmetrics"]
    for name, first, last in (("2015-01-01", 1, 24), ("2015-01-02", 25, 25)):
        expected = {
            (each.name, frozenset(each.labels.items()), (MIDNIGHT + hour * HOUR) / SECOND): each.value
            for hour in range(first, last + 1)
            for each in measured(hour)
        }
        assert samples(tmp_path / f"{name}.openmetrics") == expected


def test_without_its_times_a_file_is_what_metrics_shows(tmp_path: Path) -> None:
    write(tmp_path, points(2, 2))
    board = Board()
    board.take([*map(record, measured(2)), evaluation_record()])
    shown = generate_latest(registry_of(BoardCollector(board))).decode().splitlines()
    written = (tmp_path / "2015-01-01.openmetrics").read_text().splitlines()
    assert written[-1] == "# EOF"
    without_times = [line if line.startswith("#") else line.rpartition(" ")[0] for line in written]
    assert set(without_times) <= set(shown)
    # On /metrics stands beside it what the evaluation says of the input, and how the sink does.
    more = {line.split("{")[0].split(" ")[0] for line in set(shown) - set(without_times) if not line.startswith("#")}
    names = ("dead_letters_total", "duplicates_total", "late_total", "watermark_timestamp_seconds")
    assert more >= {f"nomadwatch_{name}" for name in names}
    assert not more & {each.name for each in measured(2)}


def test_series_stand_together_by_rising_time(tmp_path: Path) -> None:
    write(tmp_path, points(1, 24))
    lines = [
        line.rsplit(" ", 2)
        for line in (tmp_path / "2015-01-01.openmetrics").read_text().splitlines()
        if not line.startswith("#")
    ]
    order = [(series, int(time)) for series, _, time in lines]
    runs = [series for number, (series, _) in enumerate(order) if not number or order[number - 1][0] != series]
    assert len(runs) == len(set(runs)) == 6
    assert all(before[1] < after[1] for before, after in pairwise(order) if before[0] == after[0])


def test_a_moment_within_a_second_stands_at_the_next_one(tmp_path: Path) -> None:
    write(tmp_path, [(NOON + 1, measured(1))])
    assert {time for _, _, time in samples(tmp_path / "2015-01-01.openmetrics")} == {NOON / SECOND + 1}


def test_a_history_replaces_an_earlier_one_whole_and_leaves_other_files_alone(tmp_path: Path) -> None:
    write(tmp_path, points(1, 30))
    (tmp_path / "notes.txt").write_text("mine")
    write(tmp_path, ((time + 2 * DAY, found) for time, found in points(1, 1)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2015-01-03.openmetrics", "notes.txt"]


def test_what_fails_on_the_way_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, points(1, 24))
    before = (tmp_path / "2015-01-01.openmetrics").read_text()

    def breaking() -> Iterator[Point]:
        yield from points(2, 26)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write(tmp_path, breaking())
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"2015-01-01.openmetrics": before}


def test_a_history_of_nothing_is_no_file(tmp_path: Path) -> None:
    assert write(tmp_path / "new", []) == Written()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_simulated_history_says_so_in_the_names_of_its_files_and_at_every_point(tmp_path: Path) -> None:
    write(tmp_path, points(1, 2))
    write(tmp_path, points(1, 3), simulated=True)
    (path,) = tmp_path.iterdir()
    assert path.name == "2015-01-01.simulated.openmetrics", "and no other is left beside it"
    worlds = {
        (dict(labels)["world"], time): value for (name, labels, time), value in samples(path).items() if name == BUILD
    }
    assert worlds == {("simulated", (MIDNIGHT + hour * HOUR) / SECOND): 1.0 for hour in (1, 2, 3)}
