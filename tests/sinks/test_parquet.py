"""The report as Parquet, read back by DuckDB, which has no part in writing it."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from agents.catalogue import CATALOGUE
from sinks.parquet import as_parquet, label_columns
from sinks.report import Report, as_json, build
from tests.sinks.made import evaluation, measurement

GITHUB = {"scope": "all", "platform": "github", "window": "24h"}
HUB = {**GITHUB, "platform": "huggingface"}
ROWS = [
    measurement("window_coverage_ratio", 0.5, **GITHUB),
    measurement("window_coverage_ratio", 0.25, **HUB),
    measurement("window_coverage_ratio", 0.75, **{**GITHUB, "scope": "watched"}),
    measurement("activity", 13576.0, feature="contribution", **GITHUB),
    measurement("mann_whitney_p", 1.2345678901234567e-300, scope="all", feature="exchange", window="24h"),
    measurement("mann_whitney_p", 0.5, scope="watched", feature="exchange", window="24h"),
    measurement(
        "project_activity", 3.0, project="olmo", platform="github", artefact="software", feature="review", window="24h"
    ),
    measurement("activities_total", 2.0**53, scope="all", platform="github", feature="review", actor="bot"),
]


def table(report: Report, folder: Path) -> Any:
    path = folder / "report.parquet"
    path.write_bytes(as_parquet(report))
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection.read_parquet(str(path))


def rows_of(report: Report, folder: Path) -> list[dict[str, Any]]:
    read = table(report, folder)
    return [dict(zip(read.columns, row, strict=True)) for row in read.fetchall()]


def test_read_back_it_is_the_json_report(tmp_path: Path) -> None:
    report = build(evaluation(), ROWS, files=2)
    rows = rows_of(report, tmp_path)
    found = [
        {
            "name": row["name"],
            "labels": {label: row[label] for label in label_columns() if row[label] is not None},
            "value": row["value"],
        }
        for row in rows
    ]
    stated = json.loads(as_json(report))
    assert found == stated["measurements"]
    assert {row["as_of"].isoformat() for row in rows} == {"2015-01-01T11:59:59.999999+00:00"}
    assert {row["watermark"].isoformat() for row in rows} == {"2015-01-01T12:00:00+00:00"}
    head = duckdb.execute(
        "SELECT value FROM parquet_kv_metadata(?) WHERE key = 'nomadwatch'", [str(tmp_path / "report.parquet")]
    ).fetchone()
    assert head is not None
    assert json.loads(head[0]) == {**stated, "measurements": []}


def test_the_coverage_of_its_window_stands_beside_each_value(tmp_path: Path) -> None:
    coverage = {
        (row["name"], row["scope"], row["platform"]): row["coverage"]
        for row in rows_of(build(evaluation(), ROWS), tmp_path)
    }
    assert coverage["nomadwatch_activity", "all", "github"] == 0.5
    assert coverage["nomadwatch_mann_whitney_p", "all", None] == 0.25, "of both platforms the lesser"
    assert coverage["nomadwatch_mann_whitney_p", "watched", None] is None, "the Hub's is not known"
    assert coverage["nomadwatch_project_activity", None, "github"] == 0.75, "a project is watched"
    assert coverage["nomadwatch_activities_total", "all", "github"] is None, "a total has no window"


@pytest.mark.parametrize("rows", [ROWS, []])
def test_columns_are_typed_and_the_same_for_every_report(rows: list[Any], tmp_path: Path) -> None:
    read = table(build(evaluation(), rows), tmp_path)
    times = dict.fromkeys(("as_of", "watermark"), "TIMESTAMP WITH TIME ZONE")
    texts = dict.fromkeys(("name", *label_columns(), "world"), "VARCHAR")
    numbers = dict.fromkeys(("value", "coverage"), "DOUBLE")
    assert dict(zip(read.columns, map(str, read.types), strict=True)) == {**times, **texts, **numbers}
    measured = {label for row in CATALOGUE if row.group in ("A", "B") for label in row.labels}
    assert measured <= set(label_columns())
    path = str(tmp_path / "report.parquet")
    assert duckdb.execute("SELECT DISTINCT compression FROM parquet_metadata(?)", [path]).fetchall() in (
        [("ZSTD",)],
        [],
    )


def test_a_report_of_nothing_is_valid_and_without_rows(tmp_path: Path) -> None:
    assert rows_of(build(None, []), tmp_path) == []
