"""A record of the topic `facts`: what one checkpoint of one partition adds, column by column.

Rows are what is counted: each thing that was done is one row with `n` = 1, and a credit that is withdrawn is the same
row once more with `n` = -1. With them come the turns of threads that credits follow from, names of repositories that
are new or changed, and the progress that the partition has reached. The sum of all records is the partition's state:
nothing else has to be kept.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.operators.names import Names
from agents.operators.progress import Progress
from agents.operators.threads import Threads
from streams.activity import Foreign

VERSION: Final = 1
# The key of every record.
KEY: Final = b"facts"

BOT: Final = 1
WATCHED: Final = 2
# The number of commits is stated, and 0 is a number.
STATED: Final = 4
# A merge credited to who opened the pull request: it follows from turns, and came in no activity of its own.
CREDITED: Final = 8
SIMULATED: Final = 16

Rows = NDArray[np.void]

# `time` in µs UTC; `id`, `repository`, `actor` and `base` are 64-bit hashes, `base` 0 where there is none; `project`
# counts from 1 in the record's own list, 0 is none; the small numbers stand in `streams.codes`.
ROW: Final = np.dtype(
    [
        ("time", "<i8"),
        ("id", "<u8"),
        ("repository", "<u8"),
        ("actor", "<u8"),
        ("base", "<u8"),
        ("commits", "<u4"),
        ("thread", "<u4"),
        ("project", "<u2"),
        ("code", "u1"),
        ("kind", "u1"),
        ("action", "u1"),
        ("flags", "u1"),
        ("affiliation", "u1"),
        ("artefact", "u1"),
        ("relation", "u1"),
        ("n", "i1"),
    ]
)
_COLUMNS: Final = ROW.names or ()
NO_ROWS: Final[Rows] = np.empty(0, ROW)
MOST_PROJECTS: Final = (1 << 16) - 1

_CONSTANT, _DENSE, _SPARSE = range(3)


class NoFacts(Foreign):
    """A record of the topic `facts` is none of ours, or says what cannot be; the text says why."""


class Facts(NamedTuple):
    """What one record says. `rows` of dtype ROW; `projects` are the names that their `project` counts from 1.

    `progress` is what the partition has reached; its `covered` holds what is new since the record before only
    (`Progress.follow`). A checkpoint that does not fit into one record is several of one transaction: all but the last
    have no progress (None).
    """

    rows: Rows
    projects: Sequence[str]
    threads: Threads
    names: Names
    progress: Progress | None


class _Record(msgspec.Struct, array_like=True):
    version: int
    count: int
    columns: list[tuple[int, bytes]]
    projects: list[str]
    threads: bytes
    names: bytes
    progress: Progress | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Record).decode


def pack_rows(rows: Rows) -> list[tuple[int, bytes]]:
    """Each column by itself: one value where all are the same, (places, values) where most are 0, else all values.

    >>> rows = np.zeros(100, ROW)
    >>> rows["n"], rows["time"], rows["commits"][7] = 1, range(100), 5
    >>> {name: (how, len(data)) for name, (how, data) in zip(ROW.names, pack_rows(rows)) if name in ("n", "time", "commits")}
    {'time': (1, 800), 'commits': (2, 8), 'n': (0, 1)}
    """
    return [_pack(np.ascontiguousarray(rows[name])) for name in _COLUMNS]


def _pack(column: NDArray[Any]) -> tuple[int, bytes]:
    if len(column) and (column == column[0]).all():
        return _CONSTANT, column[:1].tobytes()
    places = np.flatnonzero(column)
    if len(places) * (4 + column.itemsize) < column.nbytes:
        return _SPARSE, places.astype("<u4").tobytes() + column[places].tobytes()
    return _DENSE, column.tobytes()


def unpack_rows(count: int, columns: Sequence[tuple[int, bytes]]) -> Rows:
    """The rows of packed columns. Raises `NoFacts` where they do not fit together."""
    if len(columns) != len(_COLUMNS):
        raise NoFacts(f"{len(columns)} columns, not {len(_COLUMNS)}")
    if not 0 <= count < 1 << 31:
        raise NoFacts(f"{count} rows")
    rows = np.zeros(count, ROW)
    for name, (how, data) in zip(_COLUMNS, columns, strict=True):
        kind = ROW[name]
        try:
            if how == _SPARSE:
                places, rest = np.divmod(len(data), 4 + kind.itemsize)
                if rest:
                    raise ValueError("torn")
                rows[name][np.frombuffer(data, "<u4", places)] = np.frombuffer(data, kind, places, 4 * int(places))
            else:
                values = np.frombuffer(data, kind)
                if how not in (_CONSTANT, _DENSE) or len(values) != (count if how == _DENSE else min(1, count)):
                    raise ValueError("of another length")
                rows[name] = values if how == _DENSE or not count else values[0]
        except (ValueError, IndexError) as error:
            raise NoFacts(f"column {name}: {error}") from None
    return rows


def encode_facts(facts: Facts) -> bytes:
    """The record: MessagePack around raw little-endian columns; the same facts give the same bytes."""
    columns = pack_rows(facts.rows)
    threads, names = (
        facts.threads.snapshot() if len(facts.threads) else b"",
        facts.names.snapshot() if len(facts.names) else b"",
    )
    return _encode(_Record(VERSION, len(facts.rows), columns, list(facts.projects), threads, names, facts.progress))


def decode_facts(value: bytes | None) -> Facts:
    """The facts of a record. Raises `NoFacts`: nothing in the topic may stop its readers.

    >>> decode_facts(b"hello world")
    Traceback (most recent call last):
    agents.facts.NoFacts: not a record of facts
    """
    try:
        record = _decode(value or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise NoFacts("not a record of facts") from None
    if record.version != VERSION:
        raise NoFacts(f"facts of version {record.version}, not {VERSION}")
    rows = unpack_rows(record.count, record.columns)
    if len(rows) and int(rows["project"].max()) > len(record.projects):
        raise NoFacts("a row of a project that is not named")
    try:
        threads = Threads.restore(record.threads) if record.threads else Threads()
        names = Names.restore(record.names) if record.names else Names()
    except ValueError as error:
        raise NoFacts(str(error)) from None
    return Facts(rows, record.projects, threads, names, record.progress)


def read_facts(partition: int, key: bytes | None, value: bytes | None) -> Facts:
    """The facts of a record of a partition. Raises `NoFacts` for what no worker can have written there."""
    if key != KEY:
        raise NoFacts("a record with another key")
    return decode_facts(value)
