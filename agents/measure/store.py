"""Where `measure` keeps the rows of facts: one SQLite file, read by hours of event time, with the places in the topic
that it stands for.

It is a copy of the topic `facts`. What it holds and the places that say so change in one transaction; after a crash it
is as old as its last one, and the topic tells the rest. A file that is damaged is found when it is opened, and made
anew from the topic. Where the topic no longer reaches back as far, this is the only copy.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np
import xxhash
import zstandard

from agents.facts import NO_ROWS, WATCHED, NoFacts, Rows, pack_rows, unpack_rows
from agents.measure.names import NAMES_SCHEMA, NamedRepository, NameTable
from streams.activity import HOUR

logger = logging.getLogger("nomadwatch.store")

VERSION: Final = 2
# In the data folder.
_PLACE: Final = ("measure", "facts.sqlite")
# An hour's blobs of fewer rows are joined when there are this many of them: a row is written a few times at most.
_SMALL: Final = 20_000
_MOST_SMALL: Final = 64
# Rows that wait in memory while the disk is full; more of them end the process, and the topic keeps them.
MOST_UNWRITTEN: Final = 5_000_000
# Seconds after which a disk that was full is tried again.
RETRY: Final = 10.0
# Seconds to wait for a lock of somebody who reads or copies the file.
LOCKED: Final = 30.0
# Errors of SQLite that say nothing of what the file holds.
_NO_DAMAGE: Final = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOMEM,
}
_SCHEMA: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE rows (hour INTEGER, seq INTEGER, n INTEGER, watched_only INTEGER, checksum INTEGER, data BLOB,
    PRIMARY KEY (hour, seq)) WITHOUT ROWID;
CREATE TABLE places (partition INTEGER PRIMARY KEY, next INTEGER, digest INTEGER, progress BLOB);
CREATE TABLE projects (number INTEGER PRIMARY KEY, name TEXT UNIQUE);
{NAMES_SCHEMA}"""
_PUT_PLACE: Final = "INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode
_SIGN: Final = 1 << 63


class DamagedStore(Exception):
    """The file is not what was written; the text says how. It is to be made anew from the topic."""


class Place(NamedTuple):
    """Up to where the store holds a partition of the topic: the offset that comes next, a digest of the record before
    it, and the partition's progress as that record states it.
    """

    next: int
    digest: int
    progress: bytes


class Store:
    """The rows of all partitions. `read` gives them in the order in which they were appended within each hour.

    What is appended waits in memory, and is read like the rest, until `write`. A full disk stops the writing only.
    """

    def __init__(self, path: str | os.PathLike[str], *, existing: bool = False) -> None:
        """`existing`: it is not made where it is absent. Raises `DamagedStore`."""
        self._path = path
        self._unwritten: list[Rows] = []
        self._unwritten_places: dict[int, Place] = {}
        self._retry_at: float | None = None
        if existing and not os.path.exists(path):
            raise DamagedStore(f"{path} does not exist")
        self._db = sqlite3.connect(path, timeout=LOCKED, isolation_level=None)
        try:
            with self._damage():
                self._open()
        except BaseException:
            self._db.close()
            raise

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """Raises `DamagedStore` where SQLite finds the file damaged."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            # The low byte is the error, the rest its details.
            if (error.sqlite_errorcode or 0) & 0xFF in _NO_DAMAGE:
                raise
            raise DamagedStore(f"{self._path}: {error}") from None

    def _open(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and version != VERSION:
            raise DamagedStore(f"{self._path} is of version {version}, not {VERSION}")
        self._db.execute("PRAGMA journal_mode=WAL")
        # A crash of the machine may take the last transactions with it, places and rows together: the topic has them.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA cache_size=-4000")
        if not tables:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        self._names = NameTable(self._db)
        self._pack, self._unpack = zstandard.ZstdCompressor(level=1), zstandard.ZstdDecompressor()
        (self._seq,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM rows").fetchone()
        self._small = dict(self._db.execute("SELECT hour, count(*) FROM rows WHERE n < ? GROUP BY hour", (_SMALL,)))
        self._projects = {name: number for number, name in self._db.execute("SELECT number, name FROM projects")}
        places = self._db.execute("SELECT partition, next, digest, progress FROM places")
        self._places = {partition: Place(after, digest, progress) for partition, after, digest, progress in places}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what waits in memory is left to the topic."""
        self._db.close()

    def check(self) -> None:
        """Compare every blob with its checksum. Raises `DamagedStore`."""
        with self._damage():
            for hour, seq, checksum, data in self._db.execute("SELECT hour, seq, checksum, data FROM rows"):
                if checksum_of(data) != checksum:
                    raise DamagedStore(f"{self._path}: rows {seq} of hour {hour} are not what was written")

    @property
    def places(self) -> Mapping[int, Place]:
        """By partition: what rows and names stand for, those that wait in memory included."""
        return self._places

    @property
    def topic(self) -> str | None:
        """The topic that the store is a copy of; None while it is empty."""
        found = self._db.execute("SELECT value FROM meta WHERE key = 'topic'").fetchone()
        return found[0] if found else None

    @topic.setter
    def topic(self, name: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('topic', ?)", (name,))

    @property
    def projects(self) -> list[str]:
        """The names that the numbers of projects in rows count from 1."""
        return list(self._projects)

    def project(self, name: str) -> int:
        """The number of a project here; the same for ever."""
        number: int = self._projects.setdefault(name, len(self._projects) + 1)
        return number

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return sum(map(len, self._unwritten))

    @property
    def is_written(self) -> bool:
        """Whether the file holds everything that was appended."""
        return not self._unwritten_places

    def append(self, rows: Rows, places: Mapping[int, Place], names: Sequence[NamedRepository] = ()) -> None:
        """Add rows (their `project` is a number of this store), and the places that they lead to."""
        if len(rows):
            self._unwritten.append(rows)
        self._names.add(names)
        self._places.update(places)
        self._unwritten_places.update(places)

    def write(self) -> None:
        """Write what waits. A disk that is full is told, and tried again after a while. Raises MemoryError if too many
        rows wait.
        """
        if self.is_written or (self._retry_at is not None and time.monotonic() < self._retry_at):
            return
        try:
            self._write()
        except sqlite3.OperationalError as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if self.waiting > MOST_UNWRITTEN:
                raise MemoryError(
                    f"{self._path} cannot be written ({error}), and too many rows wait in memory"
                ) from None
            if self._retry_at is None:
                logger.warning(
                    "%s cannot be written (%s): what is new waits in memory; make room on the disk", self._path, error
                )
            self._retry_at = time.monotonic() + RETRY
            return
        if self._retry_at is not None:
            self._retry_at = None
            logger.warning("%s is written again", self._path)

    def _write(self) -> None:
        rows = np.concatenate([NO_ROWS, *self._unwritten])
        self._db.execute("BEGIN IMMEDIATE")
        seq, small = self._seq + 1, dict(self._small)
        for hour, own in _by_hour(rows):
            self._put(hour, seq, own)
            small[hour] = small.get(hour, 0) + (len(own) < _SMALL)
            if small[hour] >= _MOST_SMALL:
                self._join(hour)
                small[hour] = 0
        self._db.executemany(_PUT_PLACE, [(number, *place) for number, place in self._unwritten_places.items()])
        self._names.write()
        self._db.executemany(
            "INSERT OR IGNORE INTO projects VALUES (?, ?)", [(n, name) for name, n in self._projects.items()]
        )
        self._db.execute("COMMIT")
        self._seq, self._small = seq, small
        self._unwritten, self._unwritten_places = [], {}
        self._names.written()

    def _put(self, hour: int, seq: int, rows: Rows, *, watched_only: bool = False) -> None:
        data = self._pack.compress(_encode(pack_rows(rows)))
        self._db.execute(
            "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", (hour, seq, len(rows), watched_only, checksum_of(data), data)
        )

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
        parts = [self._rows(*row) for row in self._select(query, begin // HOUR, -(-end // HOUR))] + self._unwritten
        # What lies within as a whole is not copied once more.
        parts = [part for each in parts if len(part := _within(each, begin, end))]
        return np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else NO_ROWS

    def _select(self, query: str, *values: int) -> Iterator[tuple[int, int, bytes]]:
        with self._damage():
            yield from self._db.execute(query, values)

    def _rows(self, n: int, checksum: int, data: bytes) -> Rows:
        if checksum_of(data) != checksum:
            raise DamagedStore(f"{self._path}: rows are not what was written")
        try:
            return unpack_rows(n, _decode(self._unpack.decompress(data)))
        except (NoFacts, msgspec.MsgspecError, zstandard.ZstdError) as error:
            raise DamagedStore(f"{self._path}: {error}") from None

    def hours(self) -> dict[int, int]:
        """The number of rows of each hour (µs) that has some, rising."""
        found = {hour * HOUR: n for hour, n in self._db.execute("SELECT hour, sum(n) FROM rows GROUP BY hour")}
        for rows in self._unwritten:
            for hour, own in _by_hour(rows):
                found[hour * HOUR] = found.get(hour * HOUR, 0) + len(own)
        return dict(sorted(found.items()))

    def names(self, repositories: Sequence[int], minute: int | None = None) -> dict[int, str]:
        """{repository: its name} of those that have one; see `NameTable.find`."""
        return self._names.find(repositories, minute)

    def forget(self, before: int, before_watched: int) -> None:
        """Drop the hours that end before a moment (µs), of rows of the watchlist before an earlier one, and the
        names that were in use then.
        """
        hour, oldest = before // HOUR, before_watched // HOUR
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM rows WHERE hour < ?", (min(hour, oldest),))
            whole = "SELECT DISTINCT hour FROM rows WHERE hour < ? AND NOT watched_only"
            for (each,) in self._db.execute(whole, (hour,)).fetchall():
                self._keep_watched(each)
            self._names.forget(before, before_watched)
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            # No room to make room: what should go stays for now.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            logger.info("%s: %s", self._path, error)
            return
        self._small = {each: n for each, n in self._small.items() if each >= hour}

    def _keep_watched(self, hour: int) -> None:
        found = self._db.execute(
            "SELECT seq, n, checksum, data FROM rows WHERE hour = ? ORDER BY seq", (hour,)
        ).fetchall()
        rows = np.concatenate([self._rows(n, checksum, data) for _, n, checksum, data in found])
        self._db.execute("DELETE FROM rows WHERE hour = ?", (hour,))
        kept = rows[rows["flags"] & WATCHED > 0]
        if len(kept):
            self._put(hour, found[-1][0], kept, watched_only=True)


def store_path(data_dir: str) -> Path:
    """The file of the store in a data folder."""
    return Path(data_dir, *_PLACE)


def _by_hour(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Each hour with its rows, in their order."""
    if not len(rows):
        return
    hours = rows["time"] // HOUR
    if (hours == hours[0]).all():
        yield int(hours[0]), rows
        return
    order = np.argsort(hours, kind="stable")
    rows, hours = rows[order], hours[order]
    cuts = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), len(rows)]
    for begin, end in pairwise(cuts):
        yield int(hours[begin]), rows[begin:end]


def _within(rows: Rows, begin: int, end: int) -> Rows:
    own = (rows["time"] >= begin) & (rows["time"] < end)
    return rows if own.all() else rows[own]


def checksum_of(data: bytes) -> int:
    """64 bits of some bytes, as SQLite takes them."""
    return _signed(xxhash.xxh3_64_intdigest(data))


def _signed(number: int) -> int:
    """An unsigned 64-bit number as SQLite's."""
    return number - (1 << 64) if number >= _SIGN else number
