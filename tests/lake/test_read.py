"""Questions to a lake: what can be asked, what is refused in one line, and in which forms the answer comes."""

import csv
import io
import json
from pathlib import Path

import duckdb
import pytest

from sinks.lake.folder import LakeError
from sinks.lake.read import QueryError, asked, first_rows, opened, write
from sinks.lake.tables import TABLES
from tests.lake.made import filled, refreshed, world


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return refreshed(filled(tmp_path_factory.mktemp("state"), world(n=2_000)))[0]


def refusal(lake: Path, sql: str, *, memory: str = "1GB") -> str:
    with pytest.raises(QueryError) as refused, opened(lake, memory=memory) as connection:
        first_rows(connection, asked(connection, sql), 10)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("sql", [
    "COPY (SELECT 1) TO '{outside}'",
    "COPY facts TO '{lake}/facts/x.parquet'",
    "ATTACH '{outside}'",
    "CREATE TABLE x AS SELECT 1",
    "DROP VIEW facts",
    "INSERT INTO facts SELECT * FROM facts",
    "SET enable_external_access = true",
    "PRAGMA database_list",
    "INSTALL httpfs",
    "LOAD httpfs",
    "EXPORT DATABASE '{outside}'",
    "CALL pragma_version()",
    "SELECT 1; SELECT 2",
    "",
    "-- nothing",
])  # fmt: skip
def test_what_is_no_single_question_is_refused(sql: str, lake: Path, tmp_path: Path) -> None:
    before = sorted(lake.rglob("*"))
    said = refusal(lake, sql.format(outside=tmp_path / "x", lake=lake))
    assert said.startswith("one SELECT is a question")
    assert sorted(lake.rglob("*")) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sql", [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('{outside}')",
    "SELECT * FROM '{outside}'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM read_text('{lake}/../../secret')",
    "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')",
    "SELECT * FROM sqlite_scan('{outside}', 'rows')",
    "SELECT getenv('HOME')",
    "SELECT * FROM lake",
    "WITH x AS (INSERT INTO facts SELECT * FROM facts RETURNING 1) SELECT * FROM x",
])  # fmt: skip
def test_nothing_outside_the_lake_can_be_read(sql: str, lake: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_text("word\nsecret\n")
    said = refusal(lake, sql.format(outside=outside, lake=lake))
    assert "root:" not in said


def test_what_there_is_not_is_told_with_what_there_is(lake: Path) -> None:
    assert refusal(lake, "SELECT * FROM fact").startswith(
        "there is no table fact; did you mean facts? There are facts, "
    )
    said = refusal(lake, "SELECT repo FROM facts WHERE NOT bot")
    assert said.startswith("there is no column repo; facts has time, id, platform, ")
    assert "releases" not in said
    assert refusal(lake, "SELECT f.repo FROM facts AS f").startswith("there is no column repo; facts has time, ")
    assert refusal(lake, "SELEC 1") == 'syntax error at or near "SELEC" (line 1: SELEC 1)'
    assert "sum(VARCHAR)" in refusal(lake, "SELECT sum(platform) FROM facts")


def test_a_question_that_needs_too_much_memory_says_so(lake: Path) -> None:
    greedy = "SELECT list(repeat(a.id::VARCHAR, 100)) FROM facts AS a, facts AS b"
    assert "needs more memory than --memory allows" in refusal(lake, greedy, memory="60MB")
    with pytest.raises(QueryError, match="no amount of memory"), opened(lake, memory="much"):
        pass


def test_a_lake_without_files_has_every_table_with_its_columns(tmp_path: Path) -> None:
    with opened(tmp_path) as connection:
        for name, columns in TABLES.items():
            found = connection.execute(f"SELECT * FROM {name}")
            assert [(column[0], str(column[1])) for column in found.description or []] == [
                (column.name, column.type) for column in columns
            ]
            assert found.fetchall() == []
    with pytest.raises(LakeError, match="there is no lake"), opened(tmp_path / "absent"):
        pass


def test_the_columns_of_a_full_lake_are_those_that_are_described(lake: Path) -> None:
    with opened(lake) as connection:
        for name, columns in TABLES.items():
            found = connection.execute(f"SELECT * FROM {name} LIMIT 0").description or []
            assert [(column[0], str(column[1])) for column in found] == [(c.name, c.type) for c in columns], name


_MIXED = """
SELECT * FROM (VALUES
    (TIMESTAMPTZ '2024-05-01 12:00:00+00', 18446744073709551615::UBIGINT, '=1+1', NULL, 1.5::DOUBLE, [1, 2]),
    (TIMESTAMPTZ '2024-05-01 12:00:00.25+00', 0, 'a "b", c' || chr(10) || 'd', 'x', -2, [])
) AS t(moment, hash, text, maybe, number, many)"""


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_an_answer_is_written_without_loss_in_every_form(form: str, lake: Path, tmp_path: Path) -> None:
    target = tmp_path / f"out.{form}"
    with opened(lake, target=str(target)) as connection:
        write(connection, asked(connection, _MIXED), form, str(target))
    if form == "csv":
        assert list(csv.reader(io.StringIO(target.read_text()))) == [
            ["moment", "hash", "text", "maybe", "number", "many"],
            ["2024-05-01T12:00:00Z", "18446744073709551615", "'=1+1", "", "1.5", "[1, 2]"],
            ["2024-05-01T12:00:00.250000Z", "0", 'a "b", c\nd', "x", "-2.0", "[]"],
        ]
    elif form == "json":
        rows = json.loads(target.read_text())
        assert rows[0] == {
            "moment": "2024-05-01T12:00:00Z", "hash": "18446744073709551615", "text": "=1+1", "maybe": None,
            "number": 1.5, "many": [1, 2],
        }  # fmt: skip
        assert rows[1]["text"] == 'a "b", c\nd'
    else:
        found = duckdb.sql(f"SELECT hash, text, maybe, number FROM '{target}'").fetchall()
        assert found == [(18446744073709551615, "=1+1", None, 1.5), (0, 'a "b", c\nd', "x", -2.0)]


def test_columns_of_one_name_are_told_apart(lake: Path) -> None:
    with opened(lake) as connection:
        names, numbers, rows = first_rows(connection, asked(connection, "SELECT 1 AS a, 'x' AS a"), 5)
    assert (len(set(names)), numbers, rows) == (2, [True, False], [("1", "x")])
