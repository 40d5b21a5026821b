"""Requests of idempotent and transactional producers."""

from typing import TYPE_CHECKING, Any, Final

from kafka.protocol.producer import (
    AddOffsetsToTxnResponse,
    AddPartitionsToTxnResponse,
    EndTxnResponse,
    InitProducerIdResponse,
)

from broker.errors import Code, Refused
from broker.wire import Request

if TYPE_CHECKING:
    from broker.server import Broker

_LONGEST_TIMEOUT_MS: Final = 900_000
_LONGEST_ID: Final = 1000


def _code(refusal: Refused, *, knows_fenced: bool) -> int:
    """The error code of a refusal. Newer versions of the requests have their own code for a fenced producer."""
    if knows_fenced and refusal.code == Code.INVALID_PRODUCER_EPOCH:
        return int(Code.PRODUCER_FENCED)
    return int(refusal.code)


async def init_producer_id(broker: "Broker", request: Request) -> Any:
    response = InitProducerIdResponse(throttle_time_ms=0, error_code=0, producer_id=-1, producer_epoch=-1)
    body = request.body
    try:
        if body.transactional_id is None:
            response.producer_id = await broker.log.store.write(broker.log.new_producer_id)
            response.producer_epoch = 0
            return response
        if not 0 < len(body.transactional_id) <= _LONGEST_ID:
            raise Refused(Code.INVALID_REQUEST)
        if not 0 < body.transaction_timeout_ms <= _LONGEST_TIMEOUT_MS:
            raise Refused(Code.INVALID_TRANSACTION_TIMEOUT)
        had = (body.producer_id, body.producer_epoch) if request.version >= 3 else (-1, -1)
        response.producer_id, response.producer_epoch = await broker.log.transactions.begin_epoch(
            body.transactional_id, body.transaction_timeout_ms, *had
        )
    except Refused as refusal:
        response.error_code = _code(refusal, knows_fenced=request.version >= 4)
    return response


async def add_partitions(broker: "Broker", request: Request) -> Any:
    """Adds all partitions or none: if one is unknown, the others are answered as not attempted."""
    body = request.body
    places = [(topic.name, number) for topic in body.v3_and_below_topics for number in topic.partitions]
    codes = {place: _unknown(broker, place) for place in places}
    if any(codes.values()):
        codes = {place: code or int(Code.OPERATION_NOT_ATTEMPTED) for place, code in codes.items()}
    else:
        try:
            await broker.log.transactions.add(
                body.v3_and_below_transactional_id,
                body.v3_and_below_producer_id,
                body.v3_and_below_producer_epoch,
                places,
            )
        except Refused as refusal:
            codes = dict.fromkeys(codes, _code(refusal, knows_fenced=request.version >= 2))
    result = AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult
    topics = [
        result(
            name=topic.name,
            results_by_partition=[
                result.AddPartitionsToTxnPartitionResult(
                    partition_index=number, partition_error_code=codes[topic.name, number]
                )
                for number in topic.partitions
            ],
        )
        for topic in body.v3_and_below_topics
    ]
    return AddPartitionsToTxnResponse(throttle_time_ms=0, results_by_topic_v3_and_below=topics)


def _unknown(broker: "Broker", place: tuple[str, int]) -> int:
    try:
        broker.log.find(*place)
    except Refused as refusal:
        return int(refusal.code)
    return 0


async def end(broker: "Broker", request: Request) -> Any:
    body = request.body
    code = 0
    try:
        await broker.log.transactions.end(
            body.transactional_id, body.producer_id, body.producer_epoch, commit=body.committed
        )
    except Refused as refusal:
        code = _code(refusal, knows_fenced=request.version >= 2)
    return EndTxnResponse(throttle_time_ms=0, error_code=code)


async def add_offsets(broker: "Broker", request: Request) -> Any:
    """Always refused, as offsets in transactions are not supported.

    The error code refuses the group, not the producer, so that the client may abort and continue. The transaction is
    aborted here already: on this error aiokafka forgets its partitions and sends no abort, and its next transaction
    would commit what this one left open.
    """
    body = request.body
    code = int(Code.GROUP_AUTHORIZATION_FAILED)
    try:
        await broker.log.transactions.end(body.transactional_id, body.producer_id, body.producer_epoch, commit=False)
    except Refused as refusal:
        if refusal.code != Code.INVALID_TXN_STATE:
            code = _code(refusal, knows_fenced=request.version >= 2)
    return AddOffsetsToTxnResponse(throttle_time_ms=0, error_code=code)
