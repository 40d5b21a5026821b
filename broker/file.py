"""The SQLite file: opened exclusively, checked for missing pages and lost commits, its errors put in words."""

import os
import sqlite3
import struct
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from broker.errors import BrokerError, LogInUse, LogUnusable

_APPLICATION_ID: Final = 0x6B6C6F67
_PAGE_BYTES: Final = 8192
_CACHE_KIB: Final = 16_384
_WAL_LIMIT_BYTES: Final = 64 << 20
_BUSY_SECONDS: Final = 0.5
_MAGIC: Final = b"SQLite format 3\0"
_LARGEST_PAGE: Final = 65_536
# Partitions with a larger number are not marked.
MOST_MARKED: Final = 100_000

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topics(name TEXT PRIMARY KEY, settings TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partitions(
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, number INTEGER,
    first INTEGER, end INTEGER, cleaned INTEGER, size INTEGER, taken INTEGER);
CREATE TABLE IF NOT EXISTS batches(id INTEGER PRIMARY KEY, stamp INTEGER, taken INTEGER, data BLOB);
CREATE TABLE IF NOT EXISTS records(
    id INTEGER PRIMARY KEY, part INTEGER, stamp INTEGER, taken INTEGER, horizon INTEGER, key BLOB, tail BLOB,
    checksum INTEGER);
CREATE INDEX IF NOT EXISTS records_by_key ON records(part, key);
CREATE INDEX IF NOT EXISTS tombstones ON records(part, horizon) WHERE horizon IS NOT NULL;
CREATE TABLE IF NOT EXISTS producers(
    part INTEGER, id INTEGER, epoch INTEGER, recent TEXT, seen INTEGER, PRIMARY KEY(part, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offsets(
    member_group TEXT, topic TEXT, number INTEGER, offset INTEGER, note TEXT,
    PRIMARY KEY(member_group, topic, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transactions(
    id TEXT PRIMARY KEY, producer INTEGER, epoch INTEGER, fenced_epoch INTEGER, timeout INTEGER, since INTEGER,
    state TEXT, parts TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open_ranges(
    part INTEGER, first INTEGER, last INTEGER, transaction_id TEXT, PRIMARY KEY(part, first)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped(part INTEGER PRIMARY KEY);
"""


def open_file(path: Path, synchronous: str) -> sqlite3.Connection:
    """Open the log, or create it. Raises LogInUse or LogUnusable."""
    try:
        cut = _cut_short(path)
        database = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
    except OSError as error:
        raise LogUnusable(
            f"{path} cannot be read ({error.strerror}): choose a file that can be read and written"
        ) from None
    except sqlite3.Error as error:
        raise unusable(path, error) from None
    try:
        _prepare(database, synchronous, path)
        if cut and database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise LogUnusable(_damaged(path, cut))
    except sqlite3.Error as error:
        database.close()
        if cut:
            raise LogUnusable(_damaged(path, cut)) from None
        raise unusable(path, error) from None
    except BrokerError:
        database.close()
        raise
    return database


def _cut_short(path: Path) -> str:
    """In words, what the file's header says is missing at its end; empty if nothing is.

    Missing pages may be in the write-ahead log, if a broker died while it moved them from there.
    """
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        head = file.read(100)
    if len(head) < 100 or not head.startswith(_MAGIC):
        return ""
    page, pages = struct.unpack_from(">H", head, 16)[0], struct.unpack_from(">I", head, 28)[0]
    whole, size = (page if page > 1 else _LARGEST_PAGE) * pages, path.stat().st_size
    if size >= whole:
        return ""
    words = f"it is truncated: {size} of {whole} bytes are left"
    log = path.with_name(path.name + "-wal")
    if not log.is_file() or not log.stat().st_size:
        raise LogUnusable(_damaged(path, words))
    return words


def _prepare(database: sqlite3.Connection, synchronous: str, path: Path) -> None:
    execute = database.execute
    execute(f"PRAGMA page_size={_PAGE_BYTES}")
    # Set before the first access, so that a second broker fails here and SQLite needs no shared-memory file.
    execute("PRAGMA locking_mode=EXCLUSIVE")
    (application,) = execute("PRAGMA application_id").fetchone()
    (objects,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
    if objects and application != _APPLICATION_ID:
        raise LogUnusable(f"{path} is a database of another program: choose another file")
    execute("PRAGMA journal_mode=WAL")
    execute(f"PRAGMA synchronous={synchronous}")
    execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    execute(f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}")
    # Do not overwrite freed pages with zeros: deleting would cost as much as writing.
    execute("PRAGMA secure_delete=OFF")
    execute("PRAGMA temp_store=MEMORY")  # needs no file
    execute("BEGIN EXCLUSIVE")
    for statement in _SCHEMA.split(";"):
        execute(statement)
    if not any(column[1] == "checksum" for column in execute("PRAGMA table_info(records)")):
        execute("ALTER TABLE records ADD COLUMN checksum INTEGER")  # records of an earlier version have none
    execute(f"PRAGMA application_id={_APPLICATION_ID}")
    execute("COMMIT")


def _forbidden(path: Path) -> bool:
    """Whether the permissions of the file or its folder keep this user out."""
    places = ((path, os.R_OK | os.W_OK), (path.parent, os.W_OK | os.X_OK))
    return any(place.exists() and not os.access(place, wanted) for place, wanted in places)


def unusable(path: Path, error: sqlite3.Error) -> BrokerError:
    """An error of SQLite as one line for the user."""
    text = str(error)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LogInUse(f"{path} is in use by another broker: stop that broker, or choose another file")
    if code == sqlite3.SQLITE_NOTADB:
        return LogUnusable(
            f"{path} is not a log of this broker ({text}): choose another file, or remove it to start with an empty log"
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return LogUnusable(_damaged(path, text))
    if _read_only(path):
        return LogUnusable(f"{path} cannot be written: its file system is mounted read-only; choose a file elsewhere")
    if _forbidden(path):
        return LogUnusable(
            f"{path} cannot be read and written by this user: change the permissions of the file and its folder"
        )
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and not _room(path)):
        return LogUnusable(f"{path} cannot be written ({text}): free some space on its disk")
    if code == sqlite3.SQLITE_IOERR:
        return LogUnusable(
            f"{path} cannot be read or written ({text}): free some space on its disk, or check the disk for errors"
        )
    return LogUnusable(f"{path} cannot be used ({text}): choose a file in a folder that exists and is writable")


def _damaged(path: Path, text: str) -> str:
    return f"{path} is damaged ({text}): restore a copy of it, or remove it to start with an empty log"


def _read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _room(path: Path) -> bool:
    try:
        return os.statvfs(path.parent).f_bavail > 0
    except OSError:
        return True


class Mark:
    """The end of each partition, in a file beside the log: eight bytes at eight times the partition's number.

    When the log is opened, the marks show whether it lost commits: after a power cut, or because its write-ahead log
    was removed or truncated, or an older copy was restored. Marks survive the death of the process. A missing mark
    proves nothing.
    """

    def __init__(self, path: Path) -> None:
        """Open the marks of a log. Raises LogUnusable."""
        self.path = path.with_name(path.name + "-mark")
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            data = os.pread(self._file, 8 * MOST_MARKED, 0)
        except OSError as error:
            raise LogUnusable(
                f"{self.path} cannot be used ({error.strerror}): choose a file in a folder that can be written"
            ) from None
        self._ends = array("q", data[: len(data) // 8 * 8])

    @property
    def count(self) -> int:
        """One more than the largest partition number that was ever marked."""
        return len(self._ends)

    def end(self, partition: int) -> int:
        """The end of a partition at its last commit; 0 if unknown."""
        return self._ends[partition] if partition < len(self._ends) else 0

    def set(self, ends: Mapping[int, int]) -> None:
        """Mark the ends of partitions, by number. Raises OSError if they cannot be written."""
        known = self._ends
        marked = [number for number, end in ends.items() if number >= len(known) or known[number] != end]
        if not marked:
            return
        first, last = min(marked), min(max(marked), MOST_MARKED - 1)
        if last >= len(known):
            known.extend([0] * (last + 1 - len(known)))
        for number in marked:
            if number <= last:
                known[number] = ends[number]
        os.pwrite(self._file, known[first : last + 1].tobytes(), 8 * first)

    def close(self) -> None:
        os.close(self._file)
