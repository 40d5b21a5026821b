"""What the page shows as CSV: the right values beside their coverage, nothing that is withheld, and no cell that is a
formula.
"""

import csv
import io

import pytest

from agents.measurements import Measurement
from sinks.board import Board
from sinks.cells import safe
from sinks.figures import Figures, figures_of
from sinks.history import History
from sinks.report import as_csv, build
from sinks.sheet import figures_csv, history_csv
from tests.sinks.made import NOON, evaluation_record, measurement, record
from tests.sinks.publishing import polled
from tests.sinks.test_live_board import Clock

PLACE = {"scope": "watched", "platform": "github", "window": "24h"}
AWKWARD = 'an "owner", of sorts\r\nand/lines'
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("http://evil.example","x")']


def figures(*rows: Measurement, coverage: float = 0.75) -> Figures:
    board = Board(live=True, now=Clock())
    covered = measurement("window_coverage_ratio", coverage, **PLACE)
    began = measurement("covered_since_timestamp_seconds", NOON / 1e6 - 3600, scope="watched", platform="github")
    board.take([*map(record, (covered, began, *rows)), polled(NOON), evaluation_record()])
    return figures_of(board)


def rows(found: Figures, world: str = "real") -> list[dict[str, str]]:
    text = figures_csv(found, "watched", "24h", "exchange", world)  # type: ignore[arg-type]
    return list(csv.DictReader(io.StringIO(text, newline="")))


def of(found: list[dict[str, str]], **wanted: str) -> list[dict[str, str]]:
    return [row for row in found if wanted.items() <= row.items()]


ACTIVITY = measurement("activity", 1234.0, feature="exchange", **PLACE)


def test_a_figure_stands_beside_its_coverage_its_moment_and_its_world() -> None:
    found = of(rows(figures(ACTIVITY), "simulated"), name="nomadwatch_activity", platform="github", feature="exchange")
    assert found == [
        {
            "name": "nomadwatch_activity", "scope": "watched", "platform": "github", "window": "24h",
            "feature": "exchange", "repository": "", "feed": "", "value": "1234", "state": "", "coverage": "0.75",
            "covered_since": "", "as_of": "2015-01-01T11:59:59.999999Z", "evaluated_at": "2015-01-01T12:00:00Z",
            "world": "simulated",
        }
    ]  # fmt: skip


def test_what_is_unknown_and_what_is_withheld_has_no_value() -> None:
    known = rows(figures(ACTIVITY))
    assert [
        row["value"] for row in of(known, name="nomadwatch_active_developers", platform="github", feature="exchange")
    ] == [""]
    assert [
        row["value"] for row in of(known, name="nomadwatch_activity", platform="huggingface", feature="exchange")
    ] == [""]
    withheld = of(
        rows(figures(ACTIVITY, coverage=0.04)), name="nomadwatch_activity", platform="github", feature="exchange"
    )
    assert [(row["value"], row["coverage"], row["covered_since"]) for row in withheld] == [
        ("", "0.04", "2015-01-01T11:00:00Z")
    ]


def test_every_table_of_the_page_is_in_it() -> None:
    busiest = measurement("top_repository_activity", 5.0, feature="exchange", repository="a/b", **PLACE)
    release = measurement("release_engagement", 7.0, platform="github", window="24h", release="a/new")
    found = rows(figures(ACTIVITY, busiest, release))
    assert [(row["repository"], row["value"]) for row in of(found, name="nomadwatch_top_repository_activity")] == [
        ("a/b", "5")
    ]
    assert [(row["repository"], row["value"]) for row in of(found, name="nomadwatch_release_engagement")] == [
        ("a/new", "7")
    ]
    assert [(row["feed"], row["value"], row["state"]) for row in of(found, name="nomadwatch_feed_coverage_ratio")][
        1:
    ] == [
        ("huggingface:models", "0.97", "failing: 502"),
        ("github:/events", "0.0412", "ok"),
    ]
    assert len(of(found, name="nomadwatch_window_coverage_ratio")) == 8


@pytest.mark.parametrize("name", [*FORMULAS, AWKWARD])
def test_no_name_is_a_formula_or_ends_its_cell(name: str) -> None:
    busiest = measurement("top_repository_activity", 5.0, feature="exchange", repository=name, **PLACE)
    [row] = of(rows(figures(busiest)), name="nomadwatch_top_repository_activity")
    assert row["repository"] == (name if name == AWKWARD else "'" + name).replace("\r\n", "\n").replace("\r", "\n")
    assert (row["value"], row["coverage"]) == ("5", "0.75")
    reported = csv.DictReader(io.StringIO(as_csv(build(None, [busiest])), newline=""))
    assert [row["repository"] for row in reported] == [safe(name)]


def test_a_number_below_zero_stays_a_number() -> None:
    row = measurement("mann_whitney_z", -1.5, scope="all", window="1h", feature="review")
    assert next(csv.DictReader(io.StringIO(as_csv(build(None, [row])))))["value"] == "-1.5"


def test_the_lines_are_a_row_a_moment() -> None:
    history = History()
    for second, value in enumerate((5.0, 6.0)):
        found = figures(measurement("activity", value, feature="exchange", **PLACE))
        found.evaluated_at, found.front = NOON + second * 1_000_000, NOON - 3_600_000_000 + second * 30_000_000
        history.add(found)
    text = history_csv(
        history.past("watched", "24h", "exchange").seconds, {"github": 0.75}, "watched", "24h", "exchange", "simulated"
    )
    found_rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert found_rows[1] == {
        "as_of": "2015-01-01T11:00:30Z", "evaluated_at": "2015-01-01T12:00:01Z",
        "github_activity": "6", "huggingface_activity": "", "github_intensity": "",
        "huggingface_intensity": "", "scope": "watched", "window": "24h", "feature": "exchange",
        "github_coverage_now": "0.75", "huggingface_coverage_now": "",
        "world": "simulated",
    }  # fmt: skip
    assert [row["github_activity"] for row in found_rows] == ["5", "6"]


@pytest.mark.parametrize(("scope", "coverage"), [("all", ""), ("watched", "0.75")])
def test_no_coverage_stands_beside_what_is_seen_only_in_part(scope: str, coverage: str) -> None:
    history = History()
    history.add(figures(measurement("activity", 5.0, feature="preference", **PLACE)))
    line = history.past(scope, "24h", "preference").seconds
    (row,) = csv.DictReader(
        io.StringIO(history_csv(line, {"github": 0.75}, scope, "24h", "preference", "real"), newline="")
    )
    assert row["github_coverage_now"] == coverage
    shown = figures(measurement("window_coverage_ratio", 0.75, scope=scope, platform="github", window="24h"))
    rows = csv.DictReader(io.StringIO(figures_csv(shown, scope, "24h", "preference", "real"), newline=""))
    found = {
        row["feature"]: row["coverage"]
        for row in rows
        if row["name"] == "nomadwatch_activity" and row["platform"] == "github"
    }
    assert (found["preference"], found["review"]) == (coverage, "0.75")
