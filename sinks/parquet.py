"""The report as Parquet, for analysis: one typed row for each measurement, with the coverage of its window.

Every label of the catalogue is a column, even if the report does not use it, so that all files have one schema and can
be read together. Needs pyarrow: the extra `parquet`.
"""

import importlib.util
import io
from datetime import datetime
from typing import Any, Final

import msgspec

from agents.catalogue import CATALOGUE
from sinks.covered import Coverages
from sinks.report import Report

SUFFIX: Final = ".parquet"
# Key of the file's metadata that holds the report without its measurements, as JSON.
HEAD: Final = b"nomadwatch"
# Health of feeds, constants, and the program itself are on `/metrics`, never in a report.
_ELSEWHERE: Final = ("H", "I", "P")


def is_available() -> bool:
    """Whether pyarrow is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def label_columns() -> list[str]:
    """The labels that a measurement of a report can have, sorted."""
    return sorted({label for row in CATALOGUE if row.group not in _ELSEWHERE for label in row.labels})


def as_parquet(report: Report) -> bytes:
    """Columns `as_of` and `watermark` (µs UTC), `name`, every label (text, null where a metric has none), `value` and
    `coverage` (float64), `world` (`real` or `simulated`).

    `coverage`: the share of the row's window that was seen, of a comparison of platforms the lower one; null without a
    window. The rows have the order of the JSON, and the file is compressed with zstd. Raises ModuleNotFoundError
    without pyarrow.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = report.measurements
    moment, words = pa.timestamp("us", tz="UTC"), pa.dictionary(pa.int32(), pa.string())
    coverage = Coverages(rows)
    columns: dict[str, Any] = {
        "as_of": pa.array([_moment(report.moment_of(row)) for row in rows], moment),
        "watermark": pa.array([_moment(report.watermark)] * len(rows), moment),
        "name": pa.array([row.name for row in rows], pa.string()).cast(words),
    }
    for label in label_columns():
        columns[label] = pa.array([row.labels.get(label) for row in rows], pa.string()).cast(words)
    columns["value"] = pa.array([row.value for row in rows], pa.float64())
    columns["coverage"] = pa.array([coverage.of(row) for row in rows], pa.float64())
    columns["world"] = pa.array([report.world] * len(rows), pa.string()).cast(words)
    head = msgspec.json.encode(msgspec.structs.replace(report, measurements=[]))
    table = pa.table(columns).replace_schema_metadata({HEAD: head})
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
