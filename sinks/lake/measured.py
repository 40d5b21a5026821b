"""The table `measurements`: what a board showed, one report for each hour."""

from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from sinks.covered import Coverages
from sinks.lake.folder import Lake
from sinks.lake.parquet_file import connected, how_written, quoted
from sinks.lake.tables import MEASUREMENTS
from sinks.report import Report

FILE: Final = "measurements/date={day:%Y-%m-%d}/measurements.parquet"
_HOUR: Final = timedelta(hours=1)


def keep(lake: Lake, report: Report) -> bool:
    """Write a report to its hour, within `lake.writing()`; an earlier one of that hour gives way. False for one of
    nothing. OSError where the disk is full.

    A window that was last evaluated in the hour before is left out: it stands there.
    """
    if report.as_of is None:
        return False
    as_of = datetime.fromisoformat(report.as_of)
    hour = as_of.replace(minute=0, second=0, microsecond=0)
    name = FILE.format(day=hour)
    columns = _columns(report, hour)
    if not len(columns["time"]):
        return False
    typed = ", ".join(f'CAST("{column.name}" AS {column.type}) AS "{column.name}"' for column in MEASUREMENTS)
    with connected(lake) as connection, lake.replacing(name) as target:
        connection.register("shown", columns)
        rows = "SELECT * REPLACE (make_timestamptz(time) AS time) FROM shown"
        if lake.is_whole(name):
            before = (
                f"SELECT * EXCLUDE (date) FROM read_parquet('{quoted(lake.path / name)}', hive_partitioning = true)"
            )
            outside = f"time < '{hour.isoformat()}' OR time >= '{(hour + _HOUR).isoformat()}'"
            rows = f"SELECT * FROM ({before}) WHERE {outside} UNION ALL BY NAME {rows}"
        how = how_written("measurements")
        connection.execute(f"COPY (SELECT {typed} FROM ({rows}) ORDER BY ALL) TO '{quoted(target)}' ({how})")
    return True


def _columns(report: Report, hour: datetime) -> dict[str, Any]:
    coverage = Coverages(report.measurements)
    moments = [datetime.fromisoformat(report.moment_of(row) or "") for row in report.measurements]
    own = [(at, row) for at, row in zip(moments, report.measurements, strict=True) if hour <= at < hour + _HOUR]
    labels = [column.name for column in MEASUREMENTS][2:-3]
    return {
        "time": np.array([round(at.timestamp() * 1_000_000) for at, _ in own], np.int64),
        "name": np.array([row.name for _, row in own], object),
        **{label: np.array([row.labels.get(label) for _, row in own], object) for label in labels},
        "value": np.array([row.value for _, row in own], np.float64),
        "coverage": np.ma.masked_invalid(np.array([coverage.of(row) for _, row in own], np.float64)),
        "world": np.array([report.world] * len(own), object),
    }
