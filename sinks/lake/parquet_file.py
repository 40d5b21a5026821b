"""How a file of the lake is written by DuckDB, and what it says of itself."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from sinks.lake.folder import Lake
from sinks.lake.tables import VERSION

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY: Final = "400MB"


class Said(msgspec.Struct):
    """What a file says of itself in its metadata, under `nomadwatch`."""

    version: int
    table: str
    hours: dict[int, int] = {}


@contextmanager
def connected(lake: Lake) -> Iterator["DuckDBPyConnection"]:
    """DuckDB with little memory and one thread; a full disk is an OSError."""
    import duckdb

    with duckdb.connect(
        config={"threads": 1, "memory_limit": _MEMORY, "temp_directory": str(lake.spill)}
    ) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            yield connection
        except duckdb.IOException as error:
            raise OSError(str(error).splitlines()[0]) from None


def how_written(table: str, hours: Mapping[int, int] | None = None) -> str:
    """Options of COPY: packed, with what the file is in its metadata under `nomadwatch`."""
    text = msgspec.json.encode(Said(VERSION, table, dict(hours or {}))).decode().replace("'", "''")
    return f"FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, KV_METADATA {{nomadwatch: '{text}'}}"


def quoted(path: Path) -> str:
    """A path as it stands within quotation marks in SQL."""
    return str(path).replace("'", "''")
