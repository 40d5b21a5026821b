"""Appending: a produced batch is checked, deduplicated by its producer's sequence, and written to its partition."""

import asyncio
import json
from typing import Final

from broker.bulk import Buffer
from broker.errors import Code, Refused
from broker.log import PENDING, Log
from broker.records import OPENED_BYTES, Record, RecordBatch, checksum
from broker.topic import OFFSETS, Partition, Producer

# Records of a batch for a compacted topic, which keeps one row for each: a larger batch would hold up other clients.
# The clients' own limits are lower.
_MOST_RECORDS: Final = 20_000
_COST_BYTES: Final = 10_000
_MOST_PRODUCERS: Final = 1000


async def append(log: Log, name: str, number: int, data: Buffer, transaction: str | None = None) -> tuple[int, int]:
    """Append a batch to a partition; returns after the commit: (offset of its first record, start of the partition).

    Raises Refused.
    """
    return await (await take(log, name, number, data, transaction))


async def take(
    log: Log, name: str, number: int, data: Buffer, transaction: str | None = None
) -> "asyncio.Future[tuple[int, int]]":
    """Check a batch as Kafka does, and add it to the next commit; the future has the result of `append`.

    Every record is checked, compressed ones too. Raises Refused for a batch that is not accepted.
    """
    topic, _ = log.find(name, number)
    limit = topic.number("max.message.bytes")
    if len(data) > limit:
        raise Refused(Code.MESSAGE_TOO_LARGE, f"the batch has {len(data)} bytes, and {name} takes at most {limit}")
    batch = RecordBatch(data)
    batch.check_produced()
    if bool(transaction) != batch.transactional:
        raise Refused(
            Code.INVALID_RECORD, "a transactional batch needs a transactional id, and only that batch may have one"
        )
    if topic.compacted and batch.count > _MOST_RECORDS:
        raise Refused(
            Code.MESSAGE_TOO_LARGE,
            f"the batch has {batch.count} records, and a compacted topic takes at most {_MOST_RECORDS}",
        )
    await batch.open(max(2 * limit, OPENED_BYTES))
    await batch.check_records()
    records = None
    if topic.compacted:
        records = await batch.explode()
        if any(record.key is None for record in records):
            raise Refused(Code.INVALID_RECORD, "records of a compacted topic need a key")
    cost = len(data) // _COST_BYTES + (len(records) if records is not None else 1)
    return log.store.write(lambda: _append(log, name, number, batch, records, transaction), cost)


def _append(
    log: Log, name: str, number: int, batch: RecordBatch, records: list[Record] | None, transaction: str | None
) -> tuple[int, int]:
    topic, partition = log.find(name, number)
    if topic.compacted != (records is not None):
        raise Refused(Code.UNKNOWN_TOPIC_OR_PARTITION, "the topic was deleted and created again")
    if transaction:
        log.transactions.check_open(transaction, batch.producer_id, batch.epoch, partition)
    if batch.producer_id >= 0:
        repeated = _offset_if_repeated(partition, batch)
        if repeated is not None:
            return repeated, partition.first
    base = partition.end
    if base + batch.count > OFFSETS:
        raise Refused(Code.POLICY_VIOLATION, f"{name}-{number} has no offsets left: use another topic")
    partition.taken = max(partition.taken, log.clock())
    if records is None:
        data = batch.placed(base)
        log.store.execute(
            "INSERT INTO batches VALUES(?, ?, ?, ?)",
            (partition.row(base + batch.delta), batch.newest_stamp, partition.taken, data),
        )
        partition.size += len(data)
    else:
        part, taken, first = partition.id, partition.taken, partition.row(base)
        log.store.executemany(
            "INSERT INTO records VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    row,
                    part,
                    r.stamp,
                    taken,
                    PENDING if r.tombstone else None,
                    r.key,
                    r.tail,
                    checksum(row, r.stamp, r.tail),
                )
                for row, r in enumerate(records, first)
            ],
        )
    partition.end = base + batch.count
    log.touched.add(partition)
    if transaction:
        log.transactions.opened(transaction, partition, base)
    if batch.producer_id >= 0:
        _remember(log, partition, batch, base)
    return base, partition.first


def _remember(log: Log, partition: Partition, batch: RecordBatch, base: int) -> None:
    # The producer that has been silent for longest is forgotten first.
    producer = partition.producers.pop(batch.producer_id, None) or Producer(batch.epoch)
    partition.producers[batch.producer_id] = producer
    if len(partition.producers) > _MOST_PRODUCERS:
        silent = next(iter(partition.producers))
        del partition.producers[silent]
        log.store.execute("DELETE FROM producers WHERE part = ? AND id = ?", (partition.id, silent))
    if producer.epoch != batch.epoch:
        producer.epoch = batch.epoch
        producer.recent.clear()
    producer.recent.append((batch.sequence, batch.last_sequence, base))
    producer.seen = partition.taken
    log.store.execute(
        "INSERT OR REPLACE INTO producers VALUES(?, ?, ?, ?, ?)",
        (partition.id, batch.producer_id, batch.epoch, json.dumps(list(producer.recent)), producer.seen),
    )


def _offset_if_repeated(partition: Partition, batch: RecordBatch) -> int | None:
    """The offset of the batch that this one repeats; None for a new batch. Raises Refused for a wrong sequence.

    A producer that is unknown, or forgotten, may start at any sequence, as in Kafka.
    """
    producer = partition.producers.get(batch.producer_id)
    if producer is None:
        return None
    if batch.epoch < producer.epoch:
        raise Refused(Code.INVALID_PRODUCER_EPOCH, "this producer has a newer epoch")
    if batch.epoch > producer.epoch:
        if batch.sequence != 0:
            raise Refused(Code.OUT_OF_ORDER_SEQUENCE_NUMBER, "a new epoch starts at sequence 0")
        return None
    for first, last, offset in producer.recent:
        if (first, last) == (batch.sequence, batch.last_sequence):
            return offset
    expected = (producer.recent[-1][1] + 1) & 0x7FFFFFFF
    if batch.sequence != expected:
        raise Refused(Code.OUT_OF_ORDER_SEQUENCE_NUMBER, f"expected sequence {expected}, got {batch.sequence}")
    return None
