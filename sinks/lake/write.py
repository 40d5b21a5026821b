"""Writes the lake: the days whose rows have changed since their files were made, then the tables that follow from all.

DuckDB is imported by who calls this: in a process of its own that ends (`nomadwatch.processes.lake_writer`).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from agents.facts import ROW, Rows
from sinks.lake.folder import Lake, LakeError
from sinks.lake.following import FOLLOWING, write_following
from sinks.lake.parquet_file import Said, connected, how_written, quoted
from sinks.lake.source import Source
from sinks.lake.tables import TABLES, VERSION, select_facts
from streams.activity import DAY, HOUR, SECOND

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FACTS: Final = "facts/date={day}/facts.parquet"
# Rows that are converted together.
TOGETHER: Final = 250_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Updated(msgspec.Struct, kw_only=True):
    """What an update did: days written, rows in them, and files that were damaged (`lost`: nothing could make them)."""

    days: list[str] = []
    rows: int = 0
    mended: list[str] = []
    lost: list[str] = []


def update(
    lake: Lake,
    source: Source,
    *,
    until: int | None = None,
    thoroughly: bool = False,
    tables: Collection[str] = tuple(TABLES),
) -> Updated:
    """Write the days that have changed, in order, within `lake.writing()`. OSError where the disk is full: each file
    is then the old or the new one.

    `until` (µs): days that end later are left alone. `thoroughly`: read every file first, and write anew what is not
    what was written. `tables`: of those that follow from all days, only these are brought up to date.
    """
    done = Updated()
    damaged = set(lake.damaged(thoroughly=thoroughly))
    with connected(lake) as connection:
        for name in lake.unknown():
            _adopt(connection, lake, name)
        for day, hours in _by_day(source.hours()).items():
            name = FACTS.format(day=day)
            if until is not None and max(hours) * SECOND // DAY * DAY + DAY > until:
                continue
            known = lake.files.get(name)
            if known is not None and not _is_newer(hours, known.hours, whole=name not in damaged):
                continue
            done.rows += _write_day(connection, lake, name, source, hours)
            done.days.append(day)
            if name in damaged:
                done.mended.append(name)
        for name in sorted(damaged - set(done.mended) - FOLLOWING.keys()):
            lake.set_aside(name)
            done.lost.append(name)
        try:
            write_following(connection, lake, source, tables, damaged)
        except _errors() as error:
            done.mended += sorted(name for name in damaged & FOLLOWING.keys() if lake.is_whole(name))
            if thoroughly:
                raise LakeError(f"the lake in {lake.path} cannot be read: {str(error).splitlines()[0]}") from None
        else:
            done.mended += sorted(name for name in damaged & FOLLOWING.keys() if lake.is_whole(name))
            return done
    # A file is damaged that has the size it was written with.
    more = update(lake, source, until=until, thoroughly=True, tables=tables)
    return Updated(
        days=[*done.days, *more.days],
        rows=done.rows + more.rows,
        mended=[*done.mended, *more.mended],
        lost=[*done.lost, *more.lost],
    )


def _errors() -> type[Exception]:
    """What DuckDB raises where a file is not what it should be; a full disk is an OSError by then."""
    import duckdb

    return duckdb.Error


def _adopt(connection: "DuckDBPyConnection", lake: Lake, name: str) -> None:
    """Take up a file that the manifest does not name: its writer was killed, or the manifest is lost. It says itself
    what it was made from; one that cannot be read is set aside.
    """
    import duckdb

    try:
        query = f"SELECT value FROM parquet_kv_metadata('{quoted(lake.path / name)}') WHERE key = 'nomadwatch'"
        (value,) = connection.execute(query).fetchone() or (b"{}",)
        said = msgspec.json.decode(value, type=Said)
        if said.version != VERSION:
            raise ValueError(f"of version {said.version}")
    except (duckdb.Error, ValueError):
        lake.set_aside(name)
        return
    lake.adopt(name, said.hours)


def _is_newer(hours: Mapping[int, int], known: Mapping[int, int], *, whole: bool) -> bool:
    """Whether a day has to be written of what the store has by hour.

    The rows of an hour only grow, until the store forgets it: a day of which an hour has fewer rows than its file was
    made from is no longer there as a whole, and its file stays.
    """
    if any(hours.get(hour, 0) < n for hour, n in known.items()):
        return False
    return not whole or any(known.get(hour, 0) < n for hour, n in hours.items())


def _by_day(hours: Mapping[int, int]) -> dict[str, dict[int, int]]:
    """{day: {hour (s): rows}}, rising."""
    days: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for hour, n in sorted(hours.items()):
        if n:
            days[(_EPOCH + timedelta(microseconds=hour)).strftime("%Y-%m-%d")][hour // SECOND] = n
    return days


def _write_day(
    connection: "DuckDBPyConnection", lake: Lake, name: str, source: Source, hours: Mapping[int, int]
) -> int:
    """Some hours at a time; where these are several parts, they are joined in the end. The number of rows."""
    connection.register("numbers", {
        "number": np.arange(1, len(source.projects) + 1), "name": np.array(list(source.projects), object)
    })  # fmt: skip
    how = how_written("facts", hours)
    select = select_facts("raw", "numbers")
    total = 0
    parts: list[Path] = []
    groups = list(_groups(hours))
    with lake.replacing(name, hours=hours) as target:
        try:
            for number, (begin, end) in enumerate(groups):
                rows = without_withdrawn(source.read(begin * SECOND, end * SECOND + HOUR))
                total += len(rows)
                rows = rows[np.argsort(rows["time"], kind="stable")]
                connection.register("raw", {column: np.ascontiguousarray(rows[column]) for column in ROW.names or ()})
                part = target if len(groups) == 1 else lake.partial(name, number)
                parts.append(part)
                connection.execute(f"COPY ({select}) TO '{quoted(part)}' ({how})")
            if len(groups) > 1:
                listed = ", ".join(f"'{quoted(part)}'" for part in parts)
                connection.execute(f"COPY (SELECT * FROM read_parquet([{listed}])) TO '{quoted(target)}' ({how})")
        finally:
            for part in parts:
                if part != target:
                    part.unlink(missing_ok=True)
    return total


def _groups(hours: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """(first, last) hour of stretches with about TOGETHER rows at most."""
    first, last, waiting = None, 0, 0
    for hour, n in hours.items():
        if first is not None and waiting + n > TOGETHER:
            yield first, last
            first, waiting = None, 0
        first = hour if first is None else first
        last, waiting = hour, waiting + n
    if first is not None:
        yield first, last


def without_withdrawn(rows: Rows) -> Rows:
    """The rows that stand: a credit that was withdrawn leaves together with its withdrawal, which is the same row with
    n = -1.

    What is withdrawn without having been given stays, with its n.
    """
    if not (rows["n"] < 0).any():
        return rows
    touched = np.isin(rows["id"], rows["id"][rows["n"] < 0])
    sums: Counter[bytes] = Counter()
    for row in rows[touched]:
        n = int(row["n"])
        row = row.copy()
        row["n"] = 1
        sums[row.tobytes()] += n
    standing = np.array([np.frombuffer(data, ROW)[0] for data in sums], ROW)
    standing["n"] = list(sums.values())
    return np.concatenate([rows[~touched], standing[standing["n"] != 0]])
