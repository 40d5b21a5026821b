"""Transactions, as far as checkpoints need them: records of several partitions become visible together or not at all.

The rows of an open transaction are in the log already, and the table `open_ranges` lists them. Readers of committed
records, compaction and retention stop at the first open offset. A commit deletes the ranges; an abort, a newer epoch
and a timeout delete the rows as well.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from broker.configs import DAY_MS
from broker.errors import Code, Refused
from broker.topic import Partition

if TYPE_CHECKING:
    from broker.log import Log

_LAST_EPOCH: Final = 32_766
_MOST_IDS: Final = 10_000
_FORGOTTEN_AFTER_MS: Final = 7 * DAY_MS
_EMPTY: Final = "Empty"
_ONGOING: Final = "Ongoing"
_COMMITTED: Final = "CompleteCommit"
_ABORTED: Final = "CompleteAbort"


@dataclass(slots=True, eq=False)
class Transaction:
    """The newest epoch of a transactional id, and its current transaction. Times in ms.

    `fenced_epoch`: the epoch that a timeout has fenced, or -1.
    """

    id: str
    producer_id: int
    epoch: int = -1
    fenced_epoch: int = -1
    timeout: int = 0
    since: int = 0
    state: str = _EMPTY
    parts: set[int] = field(default_factory=set)


class Transactions:
    """The transactional ids of a log."""

    def __init__(self, log: "Log") -> None:
        self._log = log
        self._by_id: dict[str, Transaction] = {}

    def load(self) -> None:
        """Read the state from the file."""
        execute = self._log.store.execute
        columns = "id, producer, epoch, fenced_epoch, timeout, since, state, parts"
        self._by_id = {row[0]: _loaded(*row) for row in execute(f"SELECT {columns} FROM transactions").fetchall()}
        now = self._log.clock()
        for transaction in self._by_id.values():  # an earlier version had a clock that could be set back
            transaction.since = min(transaction.since, now)
        query = "SELECT part, transaction_id, min(first) FROM open_ranges GROUP BY part, transaction_id"
        for part, transaction, first in execute(query).fetchall():
            self._log.by_id[part].open[transaction] = first

    # Called by an append.

    def check_open(self, id: str, producer_id: int, epoch: int, partition: Partition) -> None:
        """Raises Refused unless this producer may write to this partition now."""
        if partition.id not in self._current(id, producer_id, epoch).parts:
            raise Refused(Code.INVALID_TXN_STATE, "the partition is not part of an open transaction")

    def opened(self, id: str, partition: Partition, base: int) -> None:
        """Note that the rows from `base` to the end of the partition belong to the open transaction."""
        partition.open.setdefault(id, base)
        self._log.store.execute(
            "INSERT INTO open_ranges VALUES(?, ?, ?, ?)", (partition.id, base, partition.end - 1, id)
        )

    # Requests.

    def begin_epoch(self, id: str, timeout: int, producer_id: int, epoch: int) -> "asyncio.Future[tuple[int, int]]":
        """Start a new epoch of the id: (producer id, epoch). Transactions of earlier epochs are aborted.

        `producer_id` and `epoch`: those that the caller had, or -1.
        """

        def job() -> tuple[int, int]:
            transaction = self._by_id.get(id)
            if producer_id >= 0:
                if transaction is None or transaction.producer_id != producer_id:
                    raise Refused(Code.INVALID_PRODUCER_ID_MAPPING)
                if epoch not in (transaction.epoch, transaction.fenced_epoch):
                    raise Refused(Code.INVALID_PRODUCER_EPOCH)
            if transaction is None:
                if len(self._by_id) >= _MOST_IDS:
                    raise Refused(
                        Code.POLICY_VIOLATION,
                        f"this broker keeps at most {_MOST_IDS} transactional ids, each for a week",
                    )
                transaction = self._by_id[id] = Transaction(id, self._log.new_producer_id())
            if transaction.state == _ONGOING:
                self._end(transaction, commit=False)
            if transaction.epoch >= _LAST_EPOCH:
                transaction.producer_id = self._log.new_producer_id()
                transaction.epoch = -1
            transaction.epoch += 1
            transaction.fenced_epoch = -1
            transaction.timeout = timeout
            transaction.since = self._log.clock()
            transaction.state = _EMPTY
            self._save(transaction)
            return transaction.producer_id, transaction.epoch

        return self._log.store.write(job)

    def add(self, id: str, producer_id: int, epoch: int, places: list[tuple[str, int]]) -> "asyncio.Future[None]":
        """Add partitions to the transaction; the first of them begins it."""

        def job() -> None:
            parts = {self._log.find(*place)[1].id for place in places}
            transaction = self._current(id, producer_id, epoch)
            if transaction.state != _ONGOING:
                transaction.state = _ONGOING
                transaction.since = self._log.clock()
            transaction.parts |= parts
            self._save(transaction)

        return self._log.store.write(job)

    def end(self, id: str, producer_id: int, epoch: int, *, commit: bool) -> "asyncio.Future[None]":
        """Commit or abort. A repeated request succeeds again, as the first answer may have been lost."""

        def job() -> None:
            transaction = self._current(id, producer_id, epoch)
            if transaction.state == (_COMMITTED if commit else _ABORTED):
                return
            if transaction.state != _ONGOING:
                raise Refused(Code.INVALID_TXN_STATE, f"{id} is {transaction.state}")
            self._end(transaction, commit=commit)

        return self._log.store.write(job)

    def expire(self) -> "asyncio.Future[None] | None":
        """Abort transactions past their timeout, and fence their producers, as Kafka does.

        Forgets ids that have been unused for a week.
        """
        now = self._log.clock()
        late = [
            t.id
            for t in self._by_id.values()
            if now - t.since > (t.timeout if t.state == _ONGOING else _FORGOTTEN_AFTER_MS)
        ]
        if not late:
            return None

        def job() -> None:
            for transaction in filter(None, map(self._by_id.get, late)):
                if transaction.state == _ONGOING:
                    transaction.fenced_epoch = transaction.epoch
                    transaction.epoch += 1
                    self._end(transaction, commit=False)
                elif now - transaction.since > _FORGOTTEN_AFTER_MS:
                    del self._by_id[transaction.id]
                    self._log.store.execute("DELETE FROM transactions WHERE id = ?", (transaction.id,))

        return self._log.store.write(job)

    def _current(self, id: str, producer_id: int, epoch: int) -> Transaction:
        transaction = self._by_id.get(id)
        if transaction is None or transaction.producer_id != producer_id:
            raise Refused(Code.INVALID_PRODUCER_ID_MAPPING, "this producer does not own the transactional id")
        if transaction.epoch != epoch:
            raise Refused(Code.INVALID_PRODUCER_EPOCH, f"epoch {epoch} of {id} is fenced by epoch {transaction.epoch}")
        return transaction

    def _end(self, transaction: Transaction, *, commit: bool) -> None:
        if not commit:
            self._remove_rows(transaction)
        execute = self._log.store.execute
        for part in transaction.parts:
            execute("DELETE FROM open_ranges WHERE part = ? AND transaction_id = ?", (part, transaction.id))
            partition = self._log.by_id.get(part)
            if partition is not None:
                partition.open.pop(transaction.id, None)
                self._log.touched.add(partition)
        transaction.state = _COMMITTED if commit else _ABORTED
        transaction.parts = set()
        self._save(transaction)

    def _remove_rows(self, transaction: Transaction) -> None:
        execute = self._log.store.execute
        query = "SELECT part, first, last FROM open_ranges WHERE transaction_id = ?"
        for part, first, last in execute(query, (transaction.id,)).fetchall():
            partition = self._log.by_id[part]
            span = (partition.row(first), partition.row(last))
            (size,) = execute(
                "SELECT coalesce(sum(length(data)), 0) FROM batches WHERE id BETWEEN ? AND ?", span
            ).fetchone()
            partition.size -= size
            execute("DELETE FROM batches WHERE id BETWEEN ? AND ?", span)
            execute("DELETE FROM records WHERE id BETWEEN ? AND ?", span)

    def _save(self, transaction: Transaction) -> None:
        t = transaction
        row = (t.id, t.producer_id, t.epoch, t.fenced_epoch, t.timeout, t.since, t.state, json.dumps(sorted(t.parts)))
        self._log.store.execute("INSERT OR REPLACE INTO transactions VALUES(?, ?, ?, ?, ?, ?, ?, ?)", row)


def _loaded(
    id: str, producer: int, epoch: int, fenced_epoch: int, timeout: int, since: int, state: str, parts: str
) -> Transaction:
    return Transaction(id, producer, epoch, fenced_epoch, timeout, since, state, set(json.loads(parts)))
