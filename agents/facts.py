"""A record of the topic `facts`: what one checkpoint of one partition adds, column by column.

Rows are what is counted: each thing that was done is one row with `n` = 1, and a credit that is withdrawn is the same
row once more with `n` = -1. With them come names of repositories that are new or changed, and the progress that the
partition has reached. The sum of all records is the partition's state: nothing else has to be kept.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents import packing
from agents.fact_parts import (
    KNOWN_CODES,
    PackedNames,
    PackedProgress,
    pack_names,
    pack_progress,
    unpack_names,
    unpack_progress,
)
from agents.operators.names import Names
from agents.operators.progress import Progress
from agents.operators.threads import ACCEPTED, Threads
from streams.activity import AFFILIATIONS, ARTEFACTS, LATEST, Foreign
from streams.codes import ACTIONS, KINDS, RELATIONS

VERSION: Final = 2
# The key of every record.
KEY: Final = b"facts"

BOT: Final = 1
WATCHED: Final = 2
# The number of commits is stated, and 0 is a number.
STATED: Final = 4
# A merge credited to who opened the pull request: it follows from turns, and came in no activity of its own.
CREDITED: Final = 8
SIMULATED: Final = 16
_FLAGS: Final = BOT | WATCHED | STATED | CREDITED | SIMULATED

Rows = NDArray[np.void]

# `time` in µs UTC; `id`, `repository`, `actor` and `base` are 64-bit hashes, `base` 0 where there is none; `project`
# counts from 1 in the record's own list, 0 is none; the small numbers stand in `streams.codes`. `thread` is 0 where
# there is none.
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
# The eight columns of one byte as one number: few combinations occur.
SMALL: Final = np.dtype([("large", "V50"), ("small", "<u8")])
assert SMALL.itemsize == ROW.itemsize
NO_ROWS: Final[Rows] = np.empty(0, ROW)
MOST_PROJECTS: Final = (1 << 16) - 1

# How each column is packed. Fewer rows than _FEW are written as they are: packing them costs more than it saves.
_PACKERS: Final = {
    "time": packing.pack_integers,
    "id": packing.pack_raw,
    "repository": packing.pack_runs,
    "actor": packing.pack_table,
    "base": packing.pack_sparse,
    "commits": packing.pack_sparse,
    "thread": packing.pack_sparse,
    "project": packing.pack_sparse,
    "small": packing.pack_table,
}
_PLACE: Final = struct.Struct("<QIBB?")
_FEW: Final = 24
_MOST_ROWS: Final = 1 << 24
# The broker takes records of 8 MB.
MOST_BYTES: Final = 6 << 20
_LIMITS: Final = (
    ("kind", len(KINDS)),
    ("action", len(ACTIONS)),
    ("flags", _FLAGS + 1),
    ("affiliation", len(AFFILIATIONS)),
    ("artefact", len(ARTEFACTS)),
    ("relation", len(RELATIONS)),
)


class NoFacts(Foreign):
    """A record of the topic `facts` that no worker can have written; the text says why."""


class Facts(NamedTuple):
    """What one record says. `rows` of dtype ROW; `projects` are the names that their `project` counts from 1.

    `threads` has the turns that are no rows: contributions that a source names as accepted (openings and merges follow
    from rows). `progress` is what the partition has reached; its `covered` holds what is new since the record before
    only (`Progress.follow`). A checkpoint that does not fit into one record is several of one transaction: all but the
    last have no progress (None).
    """

    rows: Rows
    projects: Sequence[str]
    threads: Threads
    names: Names
    progress: Progress | None


def renumbered(facts: Facts, number: Callable[[str], int]) -> Rows:
    """The rows with other numbers of projects: `number` gives each name's. The record's own rows stay as they are."""
    if not facts.projects or not len(facts.rows):
        return facts.rows
    rows = facts.rows.copy()
    rows["project"] = np.array([0, *map(number, facts.projects)], np.uint16)[rows["project"]]
    return rows


class MergePlace(NamedTuple):
    """What must be known of a merge to count the contribution that it accepts: `Turn.place`."""

    repository: int
    thread: int
    code: int
    artefact: int
    simulated: bool
    project: str

    def pack(self) -> bytes:
        """The bytes of a turn's place."""
        return _PLACE.pack(*self[:-1]) + self.project.encode()

    @classmethod
    def unpack(cls, place: bytes) -> Self:
        """The place of a turn. Raises ValueError if it is none."""
        if len(place) < _PLACE.size:
            raise ValueError("a turn without a place")
        repository, thread, code, artefact, simulated = _PLACE.unpack_from(place)
        return cls(repository, thread, code, artefact, simulated, place[_PLACE.size :].decode())


class _Record(msgspec.Struct, array_like=True):
    version: int
    partition: int
    count: int
    columns: list[tuple[int, bytes]]
    projects: list[str]
    threads: bytes
    names: PackedNames | None
    progress: PackedProgress | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Record).decode


def pack_rows(rows: Rows) -> list[tuple[int, bytes]]:
    """The columns of rows, each packed by itself; rows of one repository side by side take fewest bytes.

    >>> rows = np.zeros(100, ROW)
    >>> rows["n"], rows["time"], rows["commits"][7] = 1, range(100), 5
    >>> [len(data) for _, data in pack_rows(rows)]
    [113, 8, 8, 8, 8, 18, 4, 2, 8]
    """
    if len(rows) < _FEW:
        return [(packing.RAW, rows.tobytes())]
    small = rows.view(SMALL)["small"]
    return [pack(np.ascontiguousarray(small if name == "small" else rows[name])) for name, pack in _PACKERS.items()]


def unpack_rows(count: int, columns: Sequence[tuple[int, bytes]]) -> Rows:
    """The rows of packed columns. Raises `NoFacts` where they do not fit together."""
    if not 0 <= count < _MOST_ROWS:
        raise NoFacts(f"{count} rows")
    try:
        if count < _FEW:
            ((how, data),) = columns
            return packing.unpack(how, data, count, ROW)
        rows = np.empty(count, ROW)
        small = rows.view(SMALL)
        for name, (how, data) in zip(_PACKERS, columns, strict=True):
            kind = SMALL[name] if name == "small" else ROW[name]
            (small if name == "small" else rows)[name] = packing.unpack(how, data, count, kind)
    except ValueError as error:
        raise NoFacts(f"columns that do not fit: {error}") from None
    return rows


def encode_facts(facts: Facts, partition: int = 0) -> bytes:
    """The record: MessagePack around packed columns; the same facts give the same bytes. Rows are sorted by repository,
    those of one in their order.
    """
    rows = facts.rows
    if len(rows) > 1:
        rows = rows[np.argsort(rows["repository"], kind="stable")]
    threads = facts.threads.snapshot() if len(facts.threads) else b""
    return _encode(
        _Record(
            VERSION,
            partition,
            len(rows),
            pack_rows(rows),
            list(facts.projects),
            threads,
            pack_names(rows["repository"], facts.names) if len(facts.names) else None,
            pack_progress(facts.progress) if facts.progress is not None else None,
        )
    )


def encode_in_parts(facts: Facts, partition: int, most: int = MOST_BYTES) -> list[bytes]:
    """The record, or several where it had more than `most` bytes: all but the last without progress."""
    value = encode_facts(facts, partition)
    if len(value) <= most or len(facts.rows) + len(facts.threads) < 2:
        return [value]
    order = np.argsort(facts.rows["repository"], kind="stable")
    first, second = np.array_split(facts.rows[order], 2)
    turns, in_first = facts.threads.get(), set(first["repository"].tolist())
    halves = [(Threads(), Names()), (Threads(), Names())]
    for place, turn in enumerate(turns):
        halves[place % 2][0].put(turn)
    for key, minute, name in facts.names.get_all():
        # With the first of its repository's rows, if it has one here.
        halves[key not in in_first][1].put(key, minute, name)
    return [
        *encode_in_parts(Facts(first, facts.projects, *halves[0], None), partition, most),
        *encode_in_parts(Facts(second, facts.projects, *halves[1], facts.progress), partition, most),
    ]


def decode_facts(value: bytes | None) -> Facts:
    """The facts of a record. Raises `NoFacts`: nothing in the topic may stop its readers.

    >>> decode_facts(b"hello world")
    Traceback (most recent call last):
    agents.facts.NoFacts: not a record of facts
    """
    return _facts(_read(value))


def read_facts(partition: int, key: bytes | None, value: bytes | None) -> Facts:
    """The facts of a record of a partition. Raises `NoFacts` for what no worker can have written there."""
    if key != KEY:
        raise NoFacts("a record with another key")
    record = _read(value)
    if record.partition != partition:
        raise NoFacts(f"facts of partition {record.partition} in partition {partition}")
    return _facts(record)


def _read(value: bytes | None) -> _Record:
    try:
        record = _decode(value or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise NoFacts("not a record of facts") from None
    if record.version != VERSION:
        raise NoFacts(f"facts of version {record.version}, not {VERSION}")
    return record


def _facts(record: _Record) -> Facts:
    rows = unpack_rows(record.count, record.columns)
    _check_rows(rows, len(record.projects))
    try:
        threads = Threads.restore(record.threads) if record.threads else Threads()
        _check_threads(threads)
        names = unpack_names(rows["repository"], record.names) if record.names is not None else Names()
        progress = unpack_progress(record.progress) if record.progress is not None else None
    except (ValueError, OverflowError, IndexError, KeyError) as error:
        raise NoFacts(str(error)) from None
    return Facts(rows, record.projects, threads, names, progress)


def _check_rows(rows: Rows, projects: int) -> None:
    if not len(rows):
        return
    sound = (
        int(rows["time"].min()) >= 0
        and int(rows["time"].max()) < LATEST
        and int(rows["project"].max()) <= projects
        and bool(KNOWN_CODES[rows["code"]].all())
        and all(int(rows[name].max()) < limit for name, limit in _LIMITS)
        and bool((np.abs(rows["n"]) == 1).all())
        and bool(((rows["flags"] & WATCHED > 0) == (rows["project"] > 0)).all())
    )
    if not sound:
        raise NoFacts("a row with a time, a number or a code that cannot be")


def _check_threads(threads: Threads) -> None:
    packed = threads.pack()
    if (packed.ends[1:] < packed.ends[:-1]).any():
        raise NoFacts("texts that end before they begin")
    times = packed.times
    if ((packed.kinds >> 1) != ACCEPTED).any() or (times < 0).any() or (times >= LATEST).any():
        raise NoFacts("a turn that cannot be")
    for turn in threads.get():
        place = MergePlace.unpack(turn.place)
        if not KNOWN_CODES[place.code] or place.artefact >= len(ARTEFACTS):
            raise NoFacts("a turn of a place that cannot be")
