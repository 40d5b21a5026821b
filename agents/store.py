"""Where `measure` keeps the rows of facts: one SQLite file, read by hours of event time, with the offsets of the topic
that it holds.

It is a copy of the topic `facts`. What it holds and the offsets that say so change in one transaction; after a crash it
is as old as its last one, and the topic tells the rest. A file that is damaged is found when it is opened, and made
anew from the topic.
"""

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np
import xxhash
import zstandard

from agents.facts import NO_ROWS, NoFacts, Rows, pack_rows, unpack_rows
from streams.activity import HOUR

logger = logging.getLogger("nomadwatch.store")

VERSION: Final = 1
# An hour's blobs of fewer rows are joined when there are this many of them: a row is written a few times at most.
_SMALL: Final = 20_000
_MOST_SMALL: Final = 64
# Rows that wait in memory while the disk is full; more of them end the process, and the topic keeps them.
MOST_UNWRITTEN: Final = 5_000_000
_SCHEMA: Final = """
CREATE TABLE rows (hour INTEGER, seq INTEGER, n INTEGER, checksum INTEGER, data BLOB, PRIMARY KEY (hour, seq)) WITHOUT ROWID;
CREATE TABLE offsets (partition INTEGER PRIMARY KEY, next INTEGER);
CREATE TABLE names (repository INTEGER PRIMARY KEY, minute INTEGER, name TEXT);
CREATE TABLE projects (number INTEGER PRIMARY KEY, name TEXT UNIQUE);
"""
_NEWER_NAME: Final = """
INSERT INTO names VALUES (?, ?, ?) ON CONFLICT (repository) DO UPDATE SET minute = excluded.minute, name = excluded.name
WHERE (excluded.minute, excluded.name) > (minute, name)
"""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode
_SIGN: Final = 1 << 63


class DamagedStore(Exception):
    """The file is not what was written; the text says how. It is to be made anew from the topic."""


class OtherVersion(DamagedStore):
    """The file was written by another version."""


class NamedRepository(NamedTuple):
    """What a repository (its hash) was called in a minute since the epoch."""

    repository: int
    minute: int
    name: str


class Store:
    """The rows of all partitions. `read` gives them in the order in which they were appended within each hour.

    A full disk stops the writing only: rows wait in memory, are read like the others, and are written when there is
    room.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises `DamagedStore`."""
        self._path = path
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            raise DamagedStore(f"{path}: {error}") from None

    def _open(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None)
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and version != VERSION:
            self._db.close()
            raise OtherVersion(f"{self._path} is of version {version}, not {VERSION}")
        self._db.execute("PRAGMA journal_mode=WAL")
        # A crash of the machine may take the last transactions with it, offsets and rows together: the topic has them.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA cache_size=-4000")
        if not tables:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        self._pack, self._unpack = zstandard.ZstdCompressor(level=1), zstandard.ZstdDecompressor()
        (self._seq,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM rows").fetchone()
        self._small = dict(self._db.execute("SELECT hour, count(*) FROM rows WHERE n < ? GROUP BY hour", (_SMALL,)))
        self._projects = {name: number for number, name in self._db.execute("SELECT number, name FROM projects")}
        self._offsets: dict[int, int] = dict(self._db.execute("SELECT partition, next FROM offsets"))
        self._unwritten: list[Rows] = []
        self._unwritten_names: list[NamedRepository] = []
        self._told = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what waits in memory is left to the topic."""
        self._db.close()

    def check(self) -> None:
        """Compare every blob with its checksum. Raises `DamagedStore`."""
        try:
            for hour, seq, checksum, data in self._db.execute("SELECT hour, seq, checksum, data FROM rows"):
                if _checksum(data) != checksum:
                    raise DamagedStore(f"{self._path}: rows {seq} of hour {hour} are not what was written")
        except sqlite3.DatabaseError as error:
            raise DamagedStore(f"{self._path}: {error}") from None

    @property
    def offsets(self) -> Mapping[int, int]:
        """{partition: the next offset of its topic}: what rows and names stand for, those that wait in memory included."""
        return self._offsets

    @property
    def projects(self) -> list[str]:
        """The names that the numbers of projects in rows count from 1."""
        return list(self._projects)

    def project(self, name: str) -> int:
        """The number of a project here; the same for ever."""
        number: int = self._projects.setdefault(name, len(self._projects) + 1)
        return number

    def append(self, rows: Rows, offsets: Mapping[int, int], names: Iterable[NamedRepository] = ()) -> None:
        """Add rows (their `project` is a number of this store), and the offsets that they lead to. Raises MemoryError
        if too many wait.
        """
        self._unwritten.append(rows)
        self._unwritten_names += names
        self._offsets.update(offsets)
        try:
            self._write()
        except sqlite3.OperationalError as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if sum(map(len, self._unwritten)) > MOST_UNWRITTEN:
                raise MemoryError(
                    f"{self._path} cannot be written ({error}), and too many rows wait in memory"
                ) from None
            if not self._told:
                self._told = True
                logger.warning(
                    "%s cannot be written (%s): what is new waits in memory; make room on the disk", self._path, error
                )
            return
        if self._told:
            self._told = False
            logger.warning("%s is written again", self._path)

    def _write(self) -> None:
        rows = np.concatenate(self._unwritten)
        self._db.execute("BEGIN IMMEDIATE")
        seq, small = self._seq + 1, dict(self._small)
        for hour, own in _by_hour(rows):
            self._put(hour, seq, own)
            small[hour] = small.get(hour, 0) + (len(own) < _SMALL)
            if small[hour] >= _MOST_SMALL:
                self._join(hour)
                small[hour] = 0
        self._db.executemany("INSERT OR REPLACE INTO offsets VALUES (?, ?)", self._offsets.items())
        self._db.executemany(
            _NEWER_NAME, [(_signed(one.repository), one.minute, one.name) for one in self._unwritten_names]
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO projects VALUES (?, ?)", [(n, name) for name, n in self._projects.items()]
        )
        self._db.execute("COMMIT")
        self._seq, self._small = seq, small
        self._unwritten, self._unwritten_names = [], []

    def _put(self, hour: int, seq: int, rows: Rows) -> None:
        data = self._pack.compress(_encode(pack_rows(rows)))
        self._db.execute("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", (hour, seq, len(rows), _checksum(data), data))

    def _join(self, hour: int) -> None:
        """Write the small blobs of an hour as one."""
        found = self._db.execute(
            "SELECT seq, n, checksum, data FROM rows WHERE hour = ? AND n < ? ORDER BY seq", (hour, _SMALL)
        ).fetchall()
        rows = np.concatenate([self._rows(n, checksum, data) for _, n, checksum, data in found])
        self._db.executemany("DELETE FROM rows WHERE hour = ? AND seq = ?", [(hour, seq) for seq, *_ in found])
        self._put(hour, found[-1][0], rows)

    def read(self, begin: int, end: int) -> Rows:
        """The rows with `begin` ≤ time < `end` (µs). Raises `DamagedStore`."""
        query = "SELECT n, checksum, data FROM rows WHERE hour >= ? AND hour < ? ORDER BY hour, seq"
        try:
            found = self._db.execute(query, (begin // HOUR, -(-end // HOUR))).fetchall()
        except sqlite3.DatabaseError as error:
            raise DamagedStore(f"{self._path}: {error}") from None
        rows = np.concatenate([NO_ROWS, *(self._rows(*row) for row in found), *self._unwritten])
        return rows[(rows["time"] >= begin) & (rows["time"] < end)]

    def _rows(self, n: int, checksum: int, data: bytes) -> Rows:
        if _checksum(data) != checksum:
            raise DamagedStore(f"{self._path}: rows are not what was written")
        try:
            return unpack_rows(n, _decode(self._unpack.decompress(data)))
        except (NoFacts, msgspec.MsgspecError, zstandard.ZstdError) as error:
            raise DamagedStore(f"{self._path}: {error}") from None

    def names(self, repositories: Sequence[int]) -> dict[int, str]:
        """{repository: its newest name} of those that have one."""
        found: dict[int, tuple[int, str]] = {}
        for begin in range(0, len(repositories), 500):
            some = [_signed(repository) for repository in repositories[begin : begin + 500]]
            query = f"SELECT repository, minute, name FROM names WHERE repository IN ({','.join('?' * len(some))})"
            found |= {
                repository % (1 << 64): (minute, name) for repository, minute, name in self._db.execute(query, some)
            }
        wanted = set(repositories)
        for repository, minute, name in self._unwritten_names:
            if repository in wanted:
                found[repository] = max(found.get(repository, (minute, name)), (minute, name))
        return {repository: name for repository, (_, name) in found.items()}

    def hours(self) -> list[int]:
        """The hours (µs) that have rows, rising."""
        stored = {hour * HOUR for (hour,) in self._db.execute("SELECT DISTINCT hour FROM rows")}
        waiting = {hour * HOUR for rows in self._unwritten for hour, _ in _by_hour(rows)}
        return sorted(stored | waiting)

    def forget(self, before: int) -> None:
        """Drop the hours that end before a moment (µs)."""
        self._db.execute("DELETE FROM rows WHERE hour < ?", (before // HOUR,))
        self._small = {hour: n for hour, n in self._small.items() if hour >= before // HOUR}


def open_store(path: str | os.PathLike[str]) -> Store:
    """The store at a path; one that is damaged, or of another version, is removed with one line and begins empty."""
    try:
        store = Store(path)
        store.check()
    except DamagedStore as error:
        logger.warning("%s; it is read from the topic again", error)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{os.fspath(path)}{suffix}").unlink(missing_ok=True)
        store = Store(path)
    return store


def _by_hour(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Each hour with its rows, in their order."""
    if not len(rows):
        return
    hours = rows["time"] // HOUR
    order = np.argsort(hours, kind="stable")
    rows, hours = rows[order], hours[order]
    cuts = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), len(rows)]
    for begin, end in pairwise(cuts):
        yield int(hours[begin]), rows[begin:end]


def _checksum(data: bytes) -> int:
    return _signed(xxhash.xxh3_64_intdigest(data))


def _signed(number: int) -> int:
    """An unsigned 64-bit number as SQLite's."""
    return number - (1 << 64) if number >= _SIGN else number
