"""Reading: batches from an offset on, their size, and the first record since a time."""

from contextlib import closing
from typing import Final

from broker.bulk import Buffer
from broker.configs import LONGEST
from broker.errors import Code, Refused
from broker.log import Log
from broker.records import HEAD_BYTES, OPENED_BYTES, RecordBatch, StoredRecord, build, checksum, empty_control_batch
from broker.topic import OFFSETS, Partition, Topic

NEWEST_STAMP: Final = -3
_PROBED_ROWS: Final = 1000


def read(log: Log, topic: Topic, partition: Partition, offset: int, limit: int, upto: int) -> list[Buffer]:
    """Batches from `offset` on and before `upto`: about `limit` bytes, at least one batch.

    If offsets are missing at the end, an empty control batch that is not stored takes the reader to `upto`: readers
    wait until they have reached an offset, not for a record.
    """
    columns = "id, tail, stamp, checksum" if topic.compacted else "id, data, stamp, 0"
    table, _ = topic.table
    sound = _sound_record if topic.compacted else _sound_batch
    rows: list[tuple[int, bytes, int]] = []
    size = 0
    complete = True
    # A cursor that is read in part keeps SQLite from resetting the write-ahead log.
    query = f"SELECT {columns} FROM {table} WHERE id >= ? AND id < ? ORDER BY id"
    with closing(log.store.execute(query, (partition.row(offset), partition.row(upto)))) as cursor:
        for id, data, stamp, kept in cursor:
            size += len(data)
            if rows and size > limit:
                complete = False
                break
            if not sound(id, data, stamp, kept):
                log.damaged(partition, id & OFFSETS)
                if not rows:
                    raise Refused(Code.CORRUPT_MESSAGE, "a stored record is damaged")
                complete = False
                break
            rows.append((id, data, stamp))
    found: list[Buffer] = [row[1] for row in rows]
    if topic.compacted and rows:
        found = [build([StoredRecord(row & OFFSETS, stamp, tail) for row, tail, stamp in rows])]
    if complete and (not rows or rows[-1][0] != partition.row(upto - 1)):
        found.append(empty_control_batch(upto - 1))
    return found


def size_after(log: Log, name: str, number: int, offset: int, *, committed: bool) -> int:
    """About how many bytes a reader finds from `offset` on, from the lengths of the next rows. Raises Refused."""
    topic, partition = log.find(name, number)
    upto = partition.stable if committed else partition.end
    if not partition.first <= offset <= partition.end:
        raise Refused(Code.OFFSET_OUT_OF_RANGE)
    table, column = topic.table
    query = f"SELECT length({column}) FROM {table} WHERE id >= ? AND id < ? LIMIT ?"
    rows = log.store.execute(query, (partition.row(offset), partition.row(upto), _PROBED_ROWS)).fetchall()
    return sum(size for (size,) in rows) if len(rows) < _PROBED_ROWS else LONGEST


async def since(log: Log, topic: Topic, partition: Partition, stamp: int, upto: int) -> tuple[int, int]:
    """(offset, timestamp) of the first record at or after `stamp` (ms), or of the newest one for NEWEST_STAMP.

    (-1, -1) if there is none.
    """
    table, column = topic.table
    span = (partition.row(partition.first), partition.row(upto))
    if stamp == NEWEST_STAMP:
        (newest,) = log.store.execute(f"SELECT max(stamp) FROM {table} WHERE id >= ? AND id < ?", span).fetchone()
        if newest is None:
            return -1, -1
        stamp = newest
    query = f"SELECT id, stamp, {column} FROM {table} WHERE id >= ? AND id < ? AND stamp >= ? ORDER BY id LIMIT 1"
    row = log.store.execute(query, (*span, stamp)).fetchone()
    if row is None:
        return -1, -1
    if topic.compacted:
        return row[0] & OFFSETS, row[1]
    batch = RecordBatch(row[2], check=False)
    await batch.open(max(2 * topic.number("max.message.bytes"), OPENED_BYTES))
    offset, found = await batch.first_since(stamp)
    return max(offset, partition.first), found


def _sound_record(id: int, tail: Buffer, stamp: int, kept: int | None) -> bool:
    """Whether a record matches its checksum. Records of an earlier version have none and pass."""
    return kept is None or checksum(id, stamp, tail) == kept


def _sound_batch(id: int, data: Buffer, stamp: int, kept: int) -> bool:
    """Whether the header of a batch belongs to its row. Readers check its records by the producer's checksum."""
    if len(data) < HEAD_BYTES:
        return False
    batch = RecordBatch(data, check=False)
    return bool(batch.sound_length and batch.base + batch.delta == id & OFFSETS)
