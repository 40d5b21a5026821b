"""Requests about records: Produce, Fetch, ListOffsets, DeleteRecords."""

import asyncio
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from kafka.protocol.admin import DeleteRecordsResponse
from kafka.protocol.consumer import ListOffsetsResponse

from broker.appending import take
from broker.bulk import (
    Buffer,
    FetchedPartition,
    ProducedBatch,
    ProducedPartition,
    ProduceRequest,
    encode_fetch,
    encode_produce,
)
from broker.errors import Code, Malformed, Refused
from broker.reading import NEWEST_STAMP, read, since, size_after
from broker.wire import Request

if TYPE_CHECKING:
    from broker.server import Broker

_FETCH_BYTES: Final = 16 << 20
_WAIT_SECONDS: Final = 60.0
_AT_ONCE: Final = 50
_EARLIEST: Final = -2
_LATEST: Final = -1


async def produce(broker: "Broker", request: Request) -> list[Buffer] | None:
    """Appends the batches; each partition gets its own answer."""
    body: ProduceRequest = request.body
    appended = []
    for number, batch in enumerate(body.batches, 1):
        appended.append(await _append(broker, body, batch))
        if not number % _AT_ONCE:
            await asyncio.sleep(0)
    answers: list[ProducedPartition] = []
    for batch, outcome in zip(body.batches, appended, strict=True):
        try:
            if isinstance(outcome, Refused):
                raise outcome
            offset, first = await outcome
            answers.append(ProducedPartition(batch.topic, batch.partition, offset=offset, first=first))
        except Refused as refusal:
            answers.append(ProducedPartition(batch.topic, batch.partition, refusal.code, str(refusal)))
    return None if body.acks == 0 else encode_produce(request.version, answers)


async def _append(
    broker: "Broker", body: ProduceRequest, batch: ProducedBatch
) -> "asyncio.Future[tuple[int, int]] | Refused":
    try:
        if body.acks not in (-1, 0, 1):
            raise Refused(Code.INVALID_REQUIRED_ACKS, "acks must be -1, 0 or 1")
        return await take(broker.log, batch.topic, batch.partition, batch.records, body.transactional_id)
    except Refused as refusal:
        return refusal


def _check_once(places: list[tuple[str, int]]) -> None:
    if len(set(places)) < len(places):
        raise Malformed("a request names a partition twice")


async def fetch(broker: "Broker", request: Request) -> list[Buffer]:
    """Waits until there are `min_bytes`, for at most `max_wait_ms`. An error is answered at once.

    Records are read only when the pool for answers has room for them.
    """
    body = request.body
    deadline = asyncio.get_running_loop().time() + min(body.max_wait_ms / 1000, _WAIT_SECONDS)
    places = [(topic.topic, partition.partition) for topic in body.topics for partition in topic.partitions]
    _check_once(places)
    with broker.log.watching(places) as changed:
        try:
            while True:
                changed.clear()
                late = asyncio.get_running_loop().time() >= deadline
                broker.outgoing.waiting.discard(changed)
                left = min(max(body.max_bytes, 0), _FETCH_BYTES, broker.outgoing.allowance())
                if late or body.min_bytes <= 1 or _enough(broker, body, left):
                    await broker.reading.turn()
                    found = _read(broker, body, left)
                    if late or any(partition.error or partition.records for partition in found):
                        return encode_fetch(request.version, found)
                if not left:
                    broker.outgoing.waiting.add(changed)
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline):
                        await changed.wait()
        finally:
            broker.outgoing.waiting.discard(changed)


def _enough(broker: "Broker", body: Any, left: int) -> bool:
    """Whether there are `min_bytes`, or as many as may be sent, or an error. Reads lengths only."""
    size = 0
    committed = bool(body.isolation_level)
    for wanted_topic in body.topics:
        for wanted in wanted_topic.partitions:
            try:
                size += size_after(
                    broker.log, wanted_topic.topic, wanted.partition, wanted.fetch_offset, committed=committed
                )
            except (Refused, sqlite3.Error):
                return True
            if size >= min(body.min_bytes, left):
                return True
    return False


def _read(broker: "Broker", body: Any, left: int) -> list[FetchedPartition]:
    found: list[FetchedPartition] = []
    for wanted_topic in body.topics:
        for wanted in wanted_topic.partitions:
            try:
                answer = _read_partition(broker, wanted_topic.topic, wanted, left, committed=bool(body.isolation_level))
            except Refused as refusal:
                answer = FetchedPartition(wanted_topic.topic, wanted.partition, refusal.code)
            except sqlite3.Error as error:
                broker.cannot_read(error)
                answer = FetchedPartition(wanted_topic.topic, wanted.partition, Code.KAFKA_STORAGE_ERROR)
            left -= sum(map(len, answer.records))
            found.append(answer)
    return found


def _read_partition(broker: "Broker", name: str, wanted: Any, left: int, *, committed: bool) -> FetchedPartition:
    topic, partition = broker.log.find(name, wanted.partition)
    if not partition.first <= wanted.fetch_offset <= partition.end:
        return FetchedPartition(
            name, wanted.partition, Code.OFFSET_OUT_OF_RANGE, partition.end, partition.stable, partition.first
        )
    stable = partition.stable
    upto = stable if committed else partition.end
    records: list[Buffer] = []
    if wanted.fetch_offset < upto and left > 0:
        records = read(broker.log, topic, partition, wanted.fetch_offset, min(wanted.partition_max_bytes, left), upto)
    return FetchedPartition(name, wanted.partition, Code.NONE, partition.end, stable, partition.first, records)


async def list_offsets(broker: "Broker", request: Request) -> Any:
    committed = request.version >= 2 and bool(request.body.isolation_level)
    places = [
        (topic.name, partition.partition_index) for topic in request.body.topics for partition in topic.partitions
    ]
    _check_once(places)
    topics = []
    for topic in request.body.topics:
        partitions = []
        for wanted in topic.partitions:
            answer = ListOffsetsResponse.ListOffsetsTopicResponse.ListOffsetsPartitionResponse(
                partition_index=wanted.partition_index, error_code=0, timestamp=-1, offset=-1, leader_epoch=0
            )
            try:
                answer.offset, answer.timestamp = await _offset_at(broker, topic.name, wanted, committed=committed)
            except Refused as refusal:
                answer.error_code = int(refusal.code)
            partitions.append(answer)
        topics.append(ListOffsetsResponse.ListOffsetsTopicResponse(name=topic.name, partitions=partitions))
    return ListOffsetsResponse(throttle_time_ms=0, topics=topics)


async def _offset_at(broker: "Broker", name: str, wanted: Any, *, committed: bool) -> tuple[int, int]:
    topic, partition = broker.log.find(name, wanted.partition_index)
    upto = partition.stable if committed else partition.end
    if wanted.timestamp == _LATEST:
        return upto, -1
    if wanted.timestamp == _EARLIEST:
        return partition.first, -1
    if wanted.timestamp < 0 and wanted.timestamp != NEWEST_STAMP:
        raise Refused(Code.UNSUPPORTED_VERSION)
    return await since(broker.log, topic, partition, wanted.timestamp, upto)


async def delete_records(broker: "Broker", request: Request) -> Any:
    topics = []
    for wanted_topic in request.body.topics:
        partitions = []
        for wanted in wanted_topic.partitions:
            answer = DeleteRecordsResponse.DeleteRecordsTopicResult.DeleteRecordsPartitionResult(
                partition_index=wanted.partition_index, low_watermark=-1, error_code=0
            )
            try:
                topic, _ = broker.log.find(wanted_topic.name, wanted.partition_index)
                if not topic.deleting:
                    raise Refused(Code.POLICY_VIOLATION)
                answer.low_watermark = await broker.log.truncate(
                    wanted_topic.name, wanted.partition_index, wanted.offset
                )
            except Refused as refusal:
                answer.error_code = int(refusal.code)
            partitions.append(answer)
        topics.append(DeleteRecordsResponse.DeleteRecordsTopicResult(name=wanted_topic.name, partitions=partitions))
    return DeleteRecordsResponse(throttle_time_ms=0, topics=topics)
