"""The report's formats, from hand-made measurements."""

import csv
import io
import json

from sinks.report import as_csv, as_json, build, rfc3339
from tests.sinks.made import NOON, evaluation, measurement

ACTIVITY = measurement("activity", 13576.0, scope="all", platform="github", feature="contribution", window="24h")
P = measurement("mann_whitney_p", 1.2345678901234567e-30, scope="all", feature="exchange", window="24h")


def test_the_json_report_has_the_published_shape() -> None:
    report = build(evaluation(), [P, ACTIVITY], files=2, dead_letters={"json": 4, "late-stamp": 1})
    assert json.loads(as_json(report)) == {
        "world": "real",
        "as_of": "2015-01-01T11:59:59.999999Z",
        "watermark": "2015-01-01T12:00:00Z",
        "input": {
            "files": 2,
            "activities": 100,
            "duplicates": 2,
            "late": 1,
            "dead_letters": {"json": 4, "late-stamp": 4},
        },
        "measurements": [
            {"name": ACTIVITY.name, "labels": ACTIVITY.labels, "value": 13576.0},
            {"name": P.name, "labels": P.labels, "value": P.value},
        ],
    }


def test_the_same_report_is_the_same_text_whatever_order_its_parts_came_in() -> None:
    turned = measurement("activity", 13576.0, window="24h", feature="contribution", platform="github", scope="all")
    one = as_json(build(evaluation(dead_letters={"a": 1, "b": 2}), [P, ACTIVITY]))
    other = as_json(build(evaluation(dead_letters={"b": 2, "a": 1}), [turned, P]))
    assert one == other


def test_a_report_of_nothing_is_valid_and_says_no_time() -> None:
    content = json.loads(as_json(build(None, [], files=0)))
    assert content["as_of"] is None
    assert content["watermark"] is None
    assert content["measurements"] == []
    assert content["input"] == {"files": 0, "activities": 0, "duplicates": 0, "late": 0, "dead_letters": {}}


def test_what_was_after_the_asked_end_is_told_only_when_an_end_was_asked() -> None:
    assert "after_as_of" not in as_json(build(evaluation(), []))
    assert json.loads(as_json(build(evaluation(), [], after_as_of=0)))["input"]["after_as_of"] == 0


def test_csv_has_a_column_for_every_label_and_exact_values() -> None:
    seen = measurement("window_coverage_ratio", 0.5, scope="all", platform="github", window="24h")
    report = build(evaluation(), [ACTIVITY, P, seen])
    rows = list(csv.DictReader(io.StringIO(as_csv(report))))
    assert rows[0] == {
        "name": ACTIVITY.name,
        "feature": "contribution",
        "platform": "github",
        "scope": "all",
        "window": "24h",
        "value": "13576",
        "coverage": "0.5",
        "as_of": report.as_of,
        "watermark": report.watermark,
        "world": "real",
    }
    assert (rows[1]["platform"], rows[1]["coverage"]) == ("", ""), "the Hub's is not known"
    assert float(rows[1]["value"]) == P.value


def test_times_have_as_many_decimals_as_they_need() -> None:
    assert rfc3339(NOON) == "2015-01-01T12:00:00Z"
    assert rfc3339(NOON + 500_000) == "2015-01-01T12:00:00.5Z"
    assert rfc3339(NOON + 1) == "2015-01-01T12:00:00.000001Z"


def test_a_report_of_a_simulated_world_says_so_in_every_form() -> None:
    report = build(evaluation(), [ACTIVITY], world="simulated")
    assert json.loads(as_json(report))["world"] == "simulated"
    assert [row["world"] for row in csv.DictReader(io.StringIO(as_csv(report)))] == ["simulated"]


def test_a_window_that_was_evaluated_earlier_has_its_own_moment() -> None:
    late = measurement("activity", 3.0, scope="all", platform="github", feature="review", window="7d")
    seen = evaluation()
    assert seen.front is not None
    report = build(evaluation(behind={"7d": seen.front - 60_000_000}), [ACTIVITY, late])
    moments = {row["window"]: row["as_of"] for row in csv.DictReader(io.StringIO(as_csv(report)))}
    assert moments["7d"] == rfc3339(seen.front - 60_000_000)
    assert moments[ACTIVITY.labels["window"]] == rfc3339(seen.front) == report.as_of
    assert json.loads(as_json(report))["behind"] == {"7d": moments["7d"]}
    assert "behind" not in as_json(build(seen, [ACTIVITY])), "where every window stands at the front nothing is said"
