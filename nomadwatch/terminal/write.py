"""Writes reports to a file or to stdout."""

import sys
from pathlib import Path
from typing import Final

from nomadwatch.errors import Misuse
from nomadwatch.terminal import output
from nomadwatch.terminal.console import console
from sinks.parquet import as_parquet, is_available
from sinks.report import Report, as_csv, as_json

STDOUT: Final = "-"
# Suffixes of other formats: a file with one of them would contain JSON.
_OTHER_FORMS: Final = (
    *(
        "xlsx",
        "xls",
        "xlsm",
        "xlsb",
        "ods",
        "numbers",
        "tsv",
        "tab",
        "html",
        "htm",
        "pdf",
        "md",
        "xml",
        "yaml",
        "yml",
        "toml",
    ),
    *("ndjson", "jsonl", "feather", "arrow", "orc", "avro", "dta", "sav", "rds", "sqlite", "db", "duckdb"),
    *("gz", "zst", "zip", "bz2", "xz", "7z", "tar"),
)
# The width of tables that are not written to a terminal.
_WIDTH: Final = 120


def form_of(target: str) -> str:
    """The format of a file by its suffix: `csv`, `parquet`, else `json`. Raises Misuse for other formats.

    >>> form_of("out.parquet"), form_of("out.CSV"), form_of("report"), form_of("-")
    ('parquet', 'csv', 'json', 'json')
    >>> form_of("out.xlsx")
    Traceback (most recent call last):
    nomadwatch.errors.Misuse: out.xlsx: reports are not written as xlsx; let the name end in .csv, .parquet or .json
    """
    form = Path(target).suffix.removeprefix(".").lower()
    if form in _OTHER_FORMS:
        raise Misuse(f"{target}: reports are not written as {form}; let the name end in .csv, .parquet or .json")
    return form if form in ("csv", "parquet") else "json"


def check_target(target: str | None, form: str = "json") -> None:
    """Check before the work that a report can be written.

    Raises Misuse for a wrong target, Failure if it cannot be written.
    """
    if form == "parquet" and not is_available():
        raise Misuse("Parquet needs pyarrow: pip install pyarrow (the extra nomadwatch[parquet]), or take csv or json")
    if target in (None, STDOUT):
        if form == "parquet" and sys.stdout.isatty():
            raise Misuse("Parquet is not text: name a file (--output report.parquet), or use a pipe")
        return
    path = Path(str(target))
    problem = None
    if path.is_dir():
        problem = "it is a folder"
    elif not path.absolute().parent.is_dir():
        problem = f"there is no folder {path.absolute().parent}"
    if problem is not None:
        raise Misuse(f"the report cannot be written to {path} ({problem}); name another file")
    output.check(path, f"the report cannot be written to {path}")


def write_report(report: Report, target: str | None, form: str, window: str | None = None) -> None:
    """Write a report as `table`, `json`, `csv` or `parquet`, to a file or to stdout."""
    if form == "table":
        text = _table(report, window, to_stdout=target in (None, STDOUT))
        if text is None:
            return
        content = text.encode()
    elif form == "parquet":
        content = as_parquet(report)
    else:
        content = (as_json(report) if form == "json" else as_csv(report)).encode()
    if target in (None, STDOUT):
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    with output.whole(Path(str(target)), f"the report cannot be written to {target}") as file:
        file.write(content)


def _table(report: Report, window: str | None, to_stdout: bool) -> str | None:
    """The table as text; None if it was written to stdout, with colours on a terminal."""
    import io

    from sinks.table import render

    if to_stdout:
        console(width=None if sys.stdout.isatty() else _WIDTH).print(render(report, window))
        sys.stdout.flush()
        return None
    file = io.StringIO()
    console(file=file, width=_WIDTH).print(render(report, window))
    return file.getvalue()
