"""Group commit. What was acknowledged survives the death of the process; a power cut may lose the newest commits."""

import asyncio
import logging
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from broker.errors import BrokerError, Code, Refused
from broker.file import Mark, open_file, unusable
from broker.notices import warn

T = TypeVar("T")

SYNCHRONOUS: Final = ("NORMAL", "FULL")
# The cost of a job is the number of its rows. All small jobs that wait share a transaction; only a few large ones do,
# so that no client waits long.
_SMALL: Final = 100
_MOST_LARGE: Final = 2_000


class Job(NamedTuple):
    """A call to make within a transaction, and the future of its result."""

    call: Callable[[], Any]
    future: "asyncio.Future[Any]"
    cost: int


class StoredState(Protocol):
    """State in memory that is backed by the file."""

    def load(self) -> None:
        """Read the state from the file: at the start, and after a failed transaction."""

    def save(self) -> None:
        """Write what the jobs changed in memory only. Called at the end of each transaction."""

    def publish(self) -> None:
        """Wake readers. Called after each commit."""


class LogStore:
    """The log file. Jobs that are written in one turn of the event loop share a transaction.

    They are answered after its commit.
    """

    def __init__(self, path: Path, synchronous: str = "NORMAL") -> None:
        """Open the file. Raises LogInUse or LogUnusable."""
        if synchronous not in SYNCHRONOUS:
            raise BrokerError(f"synchronous is {synchronous!r}: choose {' or '.join(SYNCHRONOUS)}")
        self.path = path
        self.database = open_file(path, synchronous)
        self.execute = self.database.execute
        self.executemany = self.database.executemany
        self.state: StoredState | None = None
        self.stale = False
        self._small: deque[Job] = deque()
        self._large: deque[Job] = deque()
        self._scheduled = False
        try:
            self.mark = Mark(path)
        except BrokerError:
            self.database.close()
            raise
        self._identity = _identity(path)

    def present(self) -> bool:
        """Whether the file is still at its path. What is written to a file that was removed or replaced is lost."""
        return _identity(self.path) == self._identity

    def write(self, call: Callable[[], T], cost: int = 1) -> "asyncio.Future[T]":
        """Run `call` in one of the next transactions; `cost` is about the number of rows that it writes.

        `call` must check before it changes anything: if it raises Refused, the other jobs are committed all the same.
        It may be called again if another job of its transaction fails.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        (self._small if cost <= _SMALL else self._large).append(Job(call, future, cost))
        self._schedule()
        return future

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush_and_go_on)

    def _flush_and_go_on(self) -> None:
        self._scheduled = False
        self.flush()
        if self._large:
            self._schedule()

    def flush(self) -> None:
        """Run one transaction: all small jobs that wait, and at least one large job.

        If the file fails (full disk, I/O error), nothing is changed, and each job is answered with an error after which
        clients retry. If one job fails, the others are run without it.
        """
        jobs = list(self._small)
        self._small.clear()
        cost = 0
        while self._large and (not cost or cost + self._large[0].cost <= _MOST_LARGE):
            cost += self._large[0].cost
            jobs.append(self._large.popleft())
        if jobs:
            self._answer(self._outcomes(jobs))

    def _outcomes(self, jobs: list[Job]) -> list[tuple[Job, Any, Refused | None]]:
        outcomes: list[tuple[Job, Any, Refused | None]] = []
        try:
            self._transact(jobs, outcomes)
            return outcomes
        except (sqlite3.OperationalError, sqlite3.InternalError, OSError) as error:  # the file failed
            return self._failed(jobs, error, Code.KAFKA_STORAGE_ERROR)
        except sqlite3.DatabaseError as error:
            if type(error) is sqlite3.DatabaseError:  # damaged
                return self._failed(jobs, error, Code.KAFKA_STORAGE_ERROR)
            alone = self._failed(jobs, error, Code.UNKNOWN_SERVER_ERROR)
        except Exception as error:
            if len(jobs) == 1 and warn(
                f"job {type(error).__name__}", f"a write failed: {type(error).__name__}: {error}"
            ):
                logging.getLogger(__name__).debug("where it failed", exc_info=True)
            alone = self._failed(jobs, error, Code.UNKNOWN_SERVER_ERROR)
        if len(jobs) == 1:
            return alone
        return [outcome for job in jobs for outcome in self._outcomes([job])]

    @staticmethod
    def _answer(outcomes: list[tuple[Job, Any, Refused | None]]) -> None:
        for job, result, refusal in outcomes:
            if job.future.done():
                continue
            if refusal is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(refusal)

    def _transact(self, jobs: list[Job], outcomes: list[tuple[Job, Any, Refused | None]]) -> None:
        assert self.state is not None
        if self.stale:
            self._reload()
        self.execute("BEGIN IMMEDIATE")
        for job in jobs:
            try:
                outcomes.append((job, job.call(), None))
            except Refused as refusal:
                outcomes.append((job, None, refusal))
        self.state.save()
        self.execute("COMMIT")
        self.state.publish()

    def _failed(self, jobs: list[Job], error: Exception, code: Code) -> list[tuple[Job, Any, Refused | None]]:
        self.stale = True
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, sqlite3.Error):
            text = str(unusable(self.path, error))
        if code == Code.KAFKA_STORAGE_ERROR:
            warn(f"write {text}", text)
        try:
            if self.database.in_transaction:
                self.execute("ROLLBACK")
            self._reload()
        except sqlite3.Error as unreadable:  # read again before the next transaction
            warn(f"read {unreadable}", str(unusable(self.path, unreadable)))
        return [(job, None, Refused(code, text)) for job in jobs]

    def _reload(self) -> None:
        assert self.state is not None
        self.state.load()
        self.stale = False

    def close(self) -> None:
        """Run the jobs that wait, and close the file."""
        while self._small or self._large:
            self.flush()
        self.abandon()

    def abandon(self) -> None:
        """Close the file without running the jobs that wait."""
        self.database.close()
        self.mark.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
