"""Housekeeping removes rows past their retention, superseded rows of compacted topics, rows of deleted topics, and
producers that have been silent for a day.

It works in slices of about 2 MB between other work, because SQLite visits every page that it frees. Ages count from
arrival.
"""

from collections.abc import Iterable
from typing import Final

from broker.configs import DAY_MS
from broker.errors import Refused
from broker.log import PENDING, Log
from broker.notices import warn
from broker.records import checksum, key_of
from broker.topic import OFFSETS, SHIFT, Partition, Topic

_SLICE_ROWS: Final = 500
_SLICE_BYTES: Final = 2 << 20
_MOST_SUPERSEDED: Final = 2000
# The key, and the part of the record that holds it too, to compare them. Lengths are varints of up to ten bytes.
_HEAD: Final = "substr(records.tail, 1, length(records.key) + 20), records.key"
_CHECKED: Final = "records.stamp, records.tail, records.key, records.checksum"


async def keep_house(log: Log) -> bool:
    """Do one slice of each kind of work. True if more is left."""
    more = await log.store.write(lambda: _remove_dropped(log))
    for name in list(log.topics):
        for number in range(len(log.topics[name].partitions) if name in log.topics else 0):
            try:
                more |= await log.store.write(lambda name=name, number=number: _tidy(log, name, number))  # type: ignore[misc]
            except Refused as refusal:  # go on with the other partitions
                warn(f"housekeeping {name}-{number}", f"housekeeping of {name}-{number}: {refusal}")
    await log.store.write(lambda: _forget_producers(log))
    return more


def _tidy(log: Log, name: str, number: int) -> bool:
    topic = log.topics.get(name)
    if topic is None:
        return False
    partition = topic.partitions[number]
    more = _compact(log, topic, partition) if topic.compacted else False
    return _retain(log, topic, partition) or more


def _remove_dropped(log: Log) -> bool:
    """Remove rows of a deleted partition. True if more may be left."""
    row = log.store.execute("SELECT part FROM dropped LIMIT 1").fetchone()
    if row is None:
        return False
    (part,) = row
    removed = 0
    for table, column in (("batches", "data"), ("records", "tail")):
        query = f"SELECT id, length({column}) FROM {table} WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        rows = log.store.execute(query, (part << SHIFT, (part + 1) << SHIFT, _SLICE_ROWS)).fetchall()
        removed += _remove(log, table, _slice(rows))
    if not removed:
        log.store.execute("DELETE FROM producers WHERE part = ?", (part,))
        log.store.execute("DELETE FROM dropped WHERE part = ?", (part,))
    return True


def _slice(rows: Iterable[tuple[int, int]]) -> list[int]:
    """The first ids of (id, bytes), up to the size of a slice."""
    ids: list[int] = []
    size = 0
    for id, length in rows:
        ids.append(id)
        size += length
        if size > _SLICE_BYTES:
            break
    return ids


def _remove(log: Log, table: str, ids: list[int]) -> int:
    log.store.executemany(f"DELETE FROM {table} WHERE id = ?", [(id,) for id in ids])
    return len(ids)


def _retain(log: Log, topic: Topic, partition: Partition) -> bool:
    """Remove the oldest rows: before the start of the partition, older than retention.ms, or beyond retention.bytes.

    retention.bytes applies to ordinary topics only. True if more may be left.
    """
    now = log.clock()
    age, size = topic.number("retention.ms"), topic.number("retention.bytes")
    table, column = topic.table
    query = f"SELECT id, taken, length({column}) FROM {table} WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
    rows = log.store.execute(query, (partition.row(0), partition.row(partition.stable), _SLICE_ROWS)).fetchall()
    lost = 0
    ids: list[int] = []
    first = partition.first
    for id, taken, length in rows:
        too_old = topic.deleting and 0 <= age < now - taken
        too_many = topic.deleting and not topic.compacted and 0 <= size < partition.size - lost
        if not (id & OFFSETS < partition.first or too_old or too_many):
            break
        ids.append(id)
        lost += length
        first = max(first, (id & OFFSETS) + 1)
        if lost > _SLICE_BYTES:
            break
    if ids:
        _remove(log, table, ids)
        partition.first = first
        if not topic.compacted:
            partition.size -= lost
        log.touched.add(partition)
    return len(ids) == _SLICE_ROWS or lost > _SLICE_BYTES


def _compact(log: Log, topic: Topic, partition: Partition) -> bool:
    """Remove rows that a newer row of the same key supersedes. True if more may be left.

    The newer row must be committed and older than min.compaction.lag.ms, so that readers have time to read the older
    one. A tombstone is removed delete.retention.ms after it has removed older rows. The last row is never removed.
    """
    now = log.clock()
    settled = now - topic.number("min.compaction.lag.ms")
    query = f"SELECT id, taken, {_HEAD} FROM records WHERE id > ? AND id < ? ORDER BY id LIMIT ?"
    span = (partition.row(0) + partition.cleaned, partition.row(partition.stable), _SLICE_ROWS)
    newer: list[int] = []
    for id, taken, head, key in log.store.execute(query, span).fetchall():
        if taken > settled:
            continue
        if not _sound(log, partition, id, 0, head, key, None):
            return False
        newer.append(id)
    if newer:
        stretch = (newer[0], newer[-1])
        # Join with the newest row of each key only: a key with many rows would be joined with itself.
        superseded = log.store.execute(
            f"SELECT old.id, length(old.tail), {_HEAD.replace('records.', 'old.')}"
            " FROM (SELECT part, key, max(id) AS id FROM records WHERE id BETWEEN ? AND ? GROUP BY key) new"
            " JOIN records old ON old.part = new.part AND old.key = new.key AND old.id < new.id LIMIT ?",
            (*stretch, _MOST_SUPERSEDED),
        ).fetchall()
        ids = _slice((id, length) for id, length, *_ in superseded)
        if not all(_sound(log, partition, id, 0, head, key, None) for id, _, head, key in superseded[: len(ids)]):
            return False
        _remove(log, "records", ids)
        if len(ids) < len(superseded) or len(superseded) == _MOST_SUPERSEDED:
            return True
        log.store.execute(
            f"UPDATE records SET horizon = ? WHERE id BETWEEN ? AND ? AND horizon = {PENDING}", (now, *stretch)
        )
        partition.cleaned = newer[-1] & OFFSETS
        log.touched.add(partition)
    expired = log.store.execute(
        f"SELECT id, {_CHECKED} FROM records WHERE part = ? AND horizon BETWEEN 0 AND ? AND id < ? LIMIT ?",
        (partition.id, now - topic.number("delete.retention.ms"), partition.row(partition.end) - 1, _SLICE_ROWS),
    ).fetchall()
    if not all(_sound(log, partition, id, *checked) and key_of(checked[1])[1] for id, *checked in expired):
        return False
    _remove(log, "records", [id for id, *_ in expired])
    return len(newer) == _SLICE_ROWS or len(expired) == _SLICE_ROWS


def _sound(
    log: Log, partition: Partition, id: int, stamp: int, tail: bytes, key: bytes | None, kept: int | None
) -> bool:
    """Whether a record and the key stored beside it are undamaged; warns if not. Damage would remove another record.

    The two keys are compared, and the checksum too if `kept` is given; the start of the tail is enough for the keys.
    """
    try:
        sound = key_of(tail)[0] == key and (kept is None or checksum(id, stamp, tail) == kept)
    except (IndexError, TypeError, ValueError):
        sound = False
    if not sound:
        log.damaged(partition, id & OFFSETS)
    return sound


def _forget_producers(log: Log) -> None:
    """Remove the sequences of producers that have been silent for a day."""
    before = log.clock() - DAY_MS
    log.store.execute("DELETE FROM producers WHERE seen < ?", (before,))
    for partition in log.by_id.values():
        for id in [id for id, producer in partition.producers.items() if producer.seen < before]:
            del partition.producers[id]
