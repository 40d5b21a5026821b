"""The SQLite file under the log: opened for one broker alone, written by group commit.

Write-ahead logging with synchronous=NORMAL: what was answered survives the death of the process; a power cut may take the newest commits,
as a whole.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from broker.errors import BrokerError, Code, LogInUse, LogUnusable, Refused

T = TypeVar("T")

SYNCHRONOUS: Final = ("NORMAL", "FULL")
_APPLICATION_ID: Final = 0x6B6C6F67
_PAGE_BYTES: Final = 8192
_CACHE_KIB: Final = 16_384
_WAL_LIMIT_BYTES: Final = 64 << 20
_BUSY_SECONDS: Final = 0.5

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topics(name TEXT PRIMARY KEY, settings TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partitions(
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, number INTEGER,
    first INTEGER, end INTEGER, cleaned INTEGER, size INTEGER, taken INTEGER);
CREATE TABLE IF NOT EXISTS batches(id INTEGER PRIMARY KEY, stamp INTEGER, taken INTEGER, data BLOB);
CREATE TABLE IF NOT EXISTS records(
    id INTEGER PRIMARY KEY, part INTEGER, stamp INTEGER, taken INTEGER, horizon INTEGER, key BLOB, tail BLOB);
CREATE INDEX IF NOT EXISTS records_by_key ON records(part, key);
CREATE INDEX IF NOT EXISTS tombstones ON records(part, horizon) WHERE horizon IS NOT NULL;
CREATE TABLE IF NOT EXISTS producers(
    part INTEGER, id INTEGER, epoch INTEGER, recent TEXT, seen INTEGER, PRIMARY KEY(part, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offsets(
    member_group TEXT, topic TEXT, number INTEGER, offset INTEGER, note TEXT, PRIMARY KEY(member_group, topic, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transactions(
    id TEXT PRIMARY KEY, producer INTEGER, epoch INTEGER, fenced_epoch INTEGER, timeout INTEGER, since INTEGER,
    state TEXT, parts TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open_ranges(
    part INTEGER, first INTEGER, last INTEGER, transaction_id TEXT, PRIMARY KEY(part, first)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped(part INTEGER PRIMARY KEY);
"""


class State(Protocol):
    """What lives in memory and has its truth in the file."""

    def load(self) -> None:
        """Read everything anew: at the start, and after a transaction that failed."""

    def save(self) -> None:
        """Called in each transaction after its jobs: write what they changed in memory only."""

    def publish(self) -> None:
        """Called after each commit: readers may look."""


class Store:
    """The file. Jobs given to `write` in one turn of the event loop share one transaction and are answered after its commit."""

    def __init__(self, path: Path, synchronous: str = "NORMAL") -> None:
        """Raises LogInUse or LogUnusable."""
        if synchronous not in SYNCHRONOUS:
            raise BrokerError(f"synchronous is {synchronous!r}: choose {' or '.join(SYNCHRONOUS)}")
        self.path = path
        self.database = _open(path, synchronous)
        self.execute = self.database.execute
        self.executemany = self.database.executemany
        self.state: State | None = None
        self.stale = False
        self._jobs: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []

    def write(self, job: Callable[[], T]) -> "asyncio.Future[T]":
        """Run `job` in the next transaction. A job checks before it changes anything: raising Refused leaves the others' work in place."""
        loop = asyncio.get_running_loop()
        if not self._jobs:
            loop.call_soon(self.flush)
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.append((job, future))
        return future

    def flush(self) -> None:
        """One transaction of all jobs that wait.

        If it fails (full disk, I/O error) nothing of it happened, and each job is answered with a code after which clients try again.
        """
        jobs, self._jobs = self._jobs, []
        if not jobs:
            return
        outcomes: list[tuple[asyncio.Future[Any], Any, Refused | None]] = []
        try:
            self._transact(jobs, outcomes)
        except sqlite3.Error as error:
            outcomes = self._failed(jobs, error)
        except Exception as error:  # a mistake of ours in one job: the file and the others must not suffer from it
            logging.getLogger(__name__).exception("a write failed")
            outcomes = self._failed(jobs, error)
        for future, result, refusal in outcomes:
            if future.done():
                continue
            if refusal is None:
                future.set_result(result)
            else:
                future.set_exception(refusal)

    def _transact(self, jobs: list[tuple[Callable[[], Any], asyncio.Future[Any]]], outcomes: list[Any]) -> None:
        assert self.state is not None
        if self.stale:
            self._reload()
        self.execute("BEGIN IMMEDIATE")
        for job, future in jobs:
            try:
                outcomes.append((future, job(), None))
            except Refused as refusal:
                outcomes.append((future, None, refusal))
        self.state.save()
        self.execute("COMMIT")
        self.state.publish()

    def _failed(self, jobs: list[tuple[Callable[[], Any], asyncio.Future[Any]]], error: Exception) -> list[Any]:
        self.stale = True
        try:
            if self.database.in_transaction:
                self.execute("ROLLBACK")
            self._reload()
        except sqlite3.Error:  # not even readable now: tried again before the next transaction
            logging.getLogger(__name__).warning("the log cannot be read: %s", error)
        text = f"{type(error).__name__}: {error}"
        return [(future, None, Refused(Code.KAFKA_STORAGE_ERROR, text)) for _, future in jobs]

    def _reload(self) -> None:
        assert self.state is not None
        self.state.load()
        self.stale = False

    def close(self) -> None:
        self.flush()
        self.database.close()


def _open(path: Path, synchronous: str) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
    except sqlite3.Error as error:
        raise LogUnusable(f"{path} cannot be opened ({error}): choose a file in a folder that exists and can be written") from None
    try:
        _prepare(database, synchronous, path)
    except sqlite3.Error as error:
        database.close()
        raise _unusable(path, error) from None
    except BrokerError:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, synchronous: str, path: Path) -> None:
    execute = database.execute
    execute(f"PRAGMA page_size={_PAGE_BYTES}")
    # Exclusive before the first access: a second broker fails here, and SQLite needs no shared-memory file.
    execute("PRAGMA locking_mode=EXCLUSIVE")
    (application,) = execute("PRAGMA application_id").fetchone()
    (objects,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
    if objects and application != _APPLICATION_ID:
        raise LogUnusable(f"{path} is a database of another program: choose another file")
    execute("PRAGMA journal_mode=WAL")
    execute(f"PRAGMA synchronous={synchronous}")
    execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    execute(f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}")
    # Freed pages are not overwritten with zeros: deletion would cost as much as writing.
    execute("PRAGMA secure_delete=OFF")
    execute("BEGIN EXCLUSIVE")
    for statement in _SCHEMA.split(";"):
        execute(statement)
    execute(f"PRAGMA application_id={_APPLICATION_ID}")
    execute("COMMIT")


def _unusable(path: Path, error: sqlite3.Error) -> BrokerError:
    text = str(error)
    if "locked" in text:
        return LogInUse(f"{path} is in use by another broker: stop that one, or choose another file")
    if "full" in text or "disk I/O" in text:
        return LogUnusable(f"{path} cannot be written ({text}): make room on its disk")
    if "not a database" in text or "malformed" in text:
        return LogUnusable(f"{path} is no log of this broker ({text}): choose another file, or remove it to begin anew")
    return LogUnusable(f"{path} cannot be used ({text}): choose a file in a folder that exists and can be written")
