"""Reads the lake by SQL: the tables as names, and nothing else within reach: no file outside the lake, no network, no
extension, nothing written but the file that the caller names.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sinks.cells import FORMULA
from sinks.lake.folder import LakeError
from sinks.lake.tables import BY_DAY, TABLES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

MEMORY: Final = "1GB"
FORMS: Final = ("csv", "json", "parquet")
_HOW: Final = {
    "csv": "FORMAT csv, HEADER true",
    "json": "FORMAT json, ARRAY true",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}
# Variables of Python are no tables, either.
_CLOSED: Final = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
_SECONDS: Final = "%Y-%m-%dT%H:%M:%S"
_WRONG_TABLE: Final = re.compile(r"Table with name (\S+) does not exist")
_WRONG_COLUMN: Final = re.compile(r'(?:Referenced column|column named|have a column named) "([^"]+)"')


class QueryError(LakeError):
    """The question cannot be answered; the text is one line that says why."""


@contextmanager
def opened(lake: Path, *, memory: str = MEMORY, target: str | None = None) -> Iterator["DuckDBPyConnection"]:
    """A connection with a view for each table of the lake in a folder, and with no way out of that folder; `target` is
    a path that may be written. Raises LakeError where there is no lake, QueryError for a `memory` that is no size.
    """
    import duckdb

    if not lake.is_dir():
        raise LakeError(f"there is no lake in {lake}")
    try:
        connection = duckdb.connect(config={**_CLOSED, "memory_limit": memory})
    except duckdb.Error:
        raise QueryError(f"{memory!r} is no amount of memory; write it as 2GB or 500MB") from None
    with connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in TABLES:
            connection.execute(f"CREATE VIEW {name} AS {_view(lake, name)}")
        connection.execute(f"SET allowed_directories = ['{_quoted(lake)}/']")
        if target is not None:
            connection.execute(f"SET allowed_paths = ['{target.replace(chr(39), chr(39) * 2)}']")
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        yield connection


def _view(lake: Path, name: str) -> str:
    """SQL of a table: its files, or no row where there is none."""
    pattern = f"{name}/date=*/*.parquet" if name in BY_DAY else f"{name}/*.parquet"
    if next(lake.glob(pattern), None) is None:
        columns = ", ".join(f'CAST(NULL AS {column.type}) AS "{column.name}"' for column in TABLES[name])
        return f"SELECT {columns} WHERE false"
    # What is measured grows with the catalogue: older files lack its newer labels.
    how = ", hive_partitioning = true, hive_types = {'date': DATE}" if name in BY_DAY else ""
    more = ", union_by_name = true" if name == "measurements" else ""
    return f"SELECT * FROM read_parquet('{_quoted(lake)}/{pattern}'{how}{more})"


def asked(connection: "DuckDBPyConnection", sql: str) -> "DuckDBPyRelation":
    """What a question asks for, not read yet. Raises QueryError for what is not one SELECT."""
    import duckdb

    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryError("one SELECT is a question; nothing in the lake can be changed by it")
        relation = connection.sql(sql)
    except duckdb.Error as error:
        raise QueryError(in_words(error, sql)) from None
    if relation is None:
        raise QueryError("one SELECT is a question; nothing in the lake can be changed by it")
    return relation


def write(connection: "DuckDBPyConnection", relation: "DuckDBPyRelation", form: str, target: str) -> None:
    """Write the rows to a file or a pipe, as `csv`, `json` (one array) or `parquet`. Raises QueryError; OSError where
    the target cannot be written.

    Times are RFC 3339. In CSV no text is one that a spreadsheet takes for a formula; in JSON hashes are texts, for
    JavaScript cannot hold their 64 bits.
    """
    import duckdb

    try:
        relation.create_view("asked")
        columns = "*" if form == "parquet" else _as_text(connection, form)
        place = target.replace("'", "''")
        connection.execute(f"COPY (SELECT {columns} FROM asked) TO '{place}' ({_HOW[form]}, USE_TMP_FILE false)")
    except duckdb.IOException as error:
        raise OSError(str(error).splitlines()[0]) from None
    except duckdb.Error as error:
        raise QueryError(in_words(error)) from None


def first_rows(
    connection: "DuckDBPyConnection", relation: "DuckDBPyRelation", most: int
) -> tuple[list[str], list[bool], list[tuple[Any, ...]]]:
    """The names of the columns, which of them are numbers, and at most so many rows as texts. Raises QueryError."""
    import duckdb

    try:
        relation.create_view("asked")
        named = connection.table("asked")
        numbers = [_is_number(str(kind)) for kind in named.types]
        rows = connection.execute(f"SELECT {_as_text(connection, 'table')} FROM asked LIMIT {most:d}").fetchall()
    except duckdb.Error as error:
        raise QueryError(in_words(error)) from None
    return named.columns, numbers, rows


def _as_text(connection: "DuckDBPyConnection", form: str) -> str:
    named = connection.table("asked")
    return ", ".join(_shown(name, str(kind), form) for name, kind in zip(named.columns, named.types, strict=True))


def _shown(name: str, kind: str, form: str) -> str:
    """SQL of a column as the form has it."""
    column = '"' + name.replace('"', '""') + '"'
    shown = column
    if kind.startswith("TIMESTAMP"):
        zone = "Z" if "TIME ZONE" in kind else ""
        moment = f"{column} AT TIME ZONE 'UTC'" if zone else f"CAST({column} AS TIMESTAMP)"
        whole, more = (f"strftime({moment}, '{_SECONDS}{decimals}{zone}')" for decimals in ("", ".%f"))
        shown = f"CASE WHEN date_trunc('second', {moment}) = {moment} THEN {whole} ELSE {more} END"
    elif kind == "VARCHAR" and form == "csv":
        marks = "".join(FORMULA).replace("\\", "\\\\").replace("-", "\\-")
        shown = f"CASE WHEN regexp_matches({column}, '^[{marks}]') THEN '''' || {column} ELSE {column} END"
    elif form == "table" or (form == "json" and kind == "UBIGINT"):
        shown = f"CAST({column} AS VARCHAR)"
    return f"{shown} AS {column}"


def _is_number(kind: str) -> bool:
    return kind.startswith(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "U", "FLOAT", "DOUBLE", "DECIMAL"))


def in_words(error: Exception, sql: str = "") -> str:
    """An error of DuckDB in one line, with what there is instead of a table or column that there is not.

    >>> in_words(Exception("Catalog Error: Table with name fact does not exist!"))
    'there is no table fact; did you mean facts? There are facts, repositories, projects, releases, measurements'
    """
    text = str(error)
    if found := _WRONG_TABLE.search(text):
        near = get_close_matches(found[1], TABLES, n=1)
        meant = f"did you mean {near[0]}? There are" if near else "there are"
        return f"there is no table {found[1]}; {meant} {', '.join(TABLES)}"
    if found := _WRONG_COLUMN.search(text):
        used = [name for name in TABLES if re.search(rf"\b{name}\b", sql, re.IGNORECASE)] or list(TABLES)
        listed = "; ".join(f"{name} has {', '.join(column.name for column in TABLES[name])}" for name in used)
        return f"there is no column {found[1]}; {listed}"
    kind, _, rest = text.partition("\n")[0].partition(": ")
    said = (rest or kind).rstrip(".!")
    if kind == "Out of Memory Error":
        return f"the answer needs more memory than --memory allows ({said}): ask for less, or allow more"
    line = re.search(r"LINE (\d+): (.*)", text) if sql else None
    return f"{said} (line {line[1]}: {line[2].strip()[:80]})" if line else said


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
