"""What the terminal and the pipe say: each figure beside the coverage of its own scope, no activity twice, and of which
world.
"""

import io

import pytest
from rich.console import Console

from agents.measurements import Measurement
from nomadwatch.terminal import summary
from sinks.board import SIMULATED, Board
from tests.sinks.made import evaluation_record, measurement, record
from tests.sinks.publishing import health_record
from tests.sinks.test_live_board import NOON, Clock

HOUR = {"platform": "github", "window": "1h"}
DAY = {"platform": "github", "window": "24h", "scope": "watched"}
ROWS = [
    measurement("activity", 1200.0, scope="all", feature="contribution", **HOUR),
    measurement("activity", 300.0, scope="all", feature="upkeep", **HOUR),
    measurement("activity", 70.0, scope="all", feature="accepted", **HOUR),
    measurement("activity", 40.0, scope="watched", feature="review", **HOUR),
    measurement("activity", 2.0, scope="watched", feature="accepted", **HOUR),
    measurement("window_coverage_ratio", 0.75, scope="all", **HOUR),
    measurement("window_coverage_ratio", 0.98, scope="watched", **HOUR),
    measurement("window_coverage_ratio", 0.5, **DAY),
    measurement("top_repository_activity", 9.0, feature="review", repository="a/b", **DAY),
    measurement("top_repository_activity", 4.0, feature="accepted", repository="a/b", **DAY),
    measurement("top_repository_activity", 5.0, feature="upkeep", repository="a/b", **DAY),
]


def board(rows: list[Measurement], *, simulated: bool = False) -> Board:
    made = Board(live=True, simulated=simulated, now=Clock())
    made.take([*map(record, rows), evaluation_record(), health_record(NOON, rows=[], states={"f": "ok"})])
    return made


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    shown = Console(file=written, width=120, height=40, force_terminal=True, color_system=None)
    monkeypatch.setattr(summary, "console", lambda: shown)
    return written


def test_a_line_pairs_each_figure_with_the_coverage_of_its_own_scope(capsys: pytest.CaptureFixture[str]) -> None:
    summary.Lines().show(board(ROWS))
    said = capsys.readouterr().out
    assert "GitHub in 1h: watched 40 activities (coverage 98.0 %), all seen 1,500 activities (coverage 75.0 %)" in said
    assert "Hugging Face in 1h: watched not covered yet (coverage –), all seen not covered yet (coverage –)" in said


def test_an_hour_that_is_not_covered_by_half_has_no_figure_but_since_when_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [row for row in ROWS if row.name != "nomadwatch_window_coverage_ratio"]
    begun = measurement("covered_since_timestamp_seconds", NOON / 1e6 - 600, scope="all", platform="github")
    summary.Lines().show(board([*rows, begun, measurement("window_coverage_ratio", 0.4, scope="all", **HOUR)]))
    assert "watched not covered yet (coverage –), all seen since 11:50 (coverage 40.0 %)" in capsys.readouterr().out


def test_a_line_s_time_is_that_of_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    summary.Lines().show(board(ROWS))
    assert capsys.readouterr().out.startswith("2015-01-01T11:59:59Z; ")


def test_a_line_of_a_simulated_world_begins_with_that(capsys: pytest.CaptureFixture[str]) -> None:
    summary.Lines().show(board(ROWS, simulated=True))
    assert capsys.readouterr().out.startswith(f"{SIMULATED}; 2015-01-01T11:59:59Z; ")


def test_a_coverage_is_shown_also_where_nothing_happened(capsys: pytest.CaptureFixture[str]) -> None:
    summary.Lines().show(
        board([row for row in ROWS if row.labels.get("scope") != "watched" or row.name.endswith("coverage_ratio")])
    )
    assert "watched – activities (coverage 98.0 %)" in capsys.readouterr().out


@pytest.mark.parametrize("simulated", [False, True])
def test_the_screen_pairs_them_too_and_counts_no_activity_twice(simulated: bool, screen: io.StringIO) -> None:
    with summary.Screen() as shown:
        shown.show(board(ROWS, simulated=simulated))
        shown._live.refresh()
    lines = [line.split() for line in screen.getvalue().splitlines()]
    assert ["GitHub", "40", "98.0", "%", "1,500", "75.0", "%"] in lines
    assert ["9", "50.0", "%", "a/b", "(GitHub)"] in lines, "neither accepted nor upkeep is added"
    assert (SIMULATED in screen.getvalue()) is simulated
