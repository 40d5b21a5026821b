"""The two messages that carry records, encoded and decoded without copying them: Produce and Fetch.

kafka-python's codec copies every field of bytes, which is most of the cost of a message with many kilobytes of records.
Layouts: https://kafka.apache.org/protocol#The_Messages_Produce and ..._Fetch, the versions before the flexible ones.
"""

import struct
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from broker.errors import Malformed

Buffer = bytes | bytearray | memoryview

# Elements of all lists of a request together.
MOST_ELEMENTS: Final = 10_000
# Bytes that follow each received frame in its buffer, for a parser that reads ahead.
SLACK: Final = 32

_SHORT: Final = struct.Struct(">h")
_INT: Final = struct.Struct(">i")
_ACKS_TIMEOUT: Final = struct.Struct(">hi")
_PRODUCED: Final = struct.Struct(">ihqq")
_LONGEST_TEXT: Final = 1000


class ProducedBatch(NamedTuple):
    """The records of a Produce request for one partition."""

    topic: str
    partition: int
    records: memoryview


class ProduceRequest(NamedTuple):
    """A Produce request, versions 3 to 8; `batches` are views of the frame."""

    transactional_id: str | None
    acks: int
    batches: list[ProducedBatch]


class ProducedPartition(NamedTuple):
    """The answer of a Produce response for one partition. Offsets are -1 if nothing was written."""

    topic: str
    partition: int
    error: int = 0
    text: str = ""
    offset: int = -1
    first: int = -1


class FetchedPartition(NamedTuple):
    """The answer of a Fetch response for one partition. Offsets are -1 if they are unknown."""

    topic: str
    partition: int
    error: int
    end: int = -1
    stable: int = -1
    first: int = -1
    records: list[Buffer] = []  # noqa: RUF012 - never changed


def decode_produce(body: memoryview) -> ProduceRequest:
    """A Produce request, versions 3 to 8. Raises struct.error or Malformed for bytes that are not one."""
    transactional_id, position = _text(body, 0)
    acks, _ = _ACKS_TIMEOUT.unpack_from(body, position)
    (topics,) = _INT.unpack_from(body, position + 6)
    position += 10
    elements = topics
    batches: list[ProducedBatch] = []
    for _ in range(topics):
        topic, position = _text(body, position)
        (partitions,) = _INT.unpack_from(body, position)
        position += 4
        elements += max(partitions, 0)
        if elements > MOST_ELEMENTS:
            raise Malformed(f"more than {MOST_ELEMENTS} elements")
        for _ in range(partitions):
            partition, length = struct.unpack_from(">ii", body, position)
            position += 8
            records = body[position : position + max(length, 0)]
            if len(records) < length:
                raise Malformed("the records are truncated")
            position += len(records)
            batches.append(ProducedBatch(topic or "", partition, records))
    return ProduceRequest(transactional_id, acks, batches)


def _text(body: memoryview, position: int) -> tuple[str | None, int]:
    (length,) = _SHORT.unpack_from(body, position)
    position += 2
    if length < 0:
        return None, position
    return bytes(body[position : position + length]).decode(), position + length


def encode_produce(version: int, partitions: list[ProducedPartition]) -> list[Buffer]:
    """A Produce response's body, versions 3 to 8; consecutive partitions of a topic are grouped."""
    pieces = []
    topics = 0
    for topic, group in groupby(partitions, key=attrgetter("topic")):
        topics += 1
        answers = list(group)
        name = topic.encode()
        pieces.append(_SHORT.pack(len(name)) + name + _INT.pack(len(answers)))
        for answer in answers:
            fields = _PRODUCED.pack(answer.partition, answer.error, answer.offset, -1)
            if version >= 5:
                fields += struct.pack(">q", answer.first)
            if version >= 8:  # no errors of single records, then the error message
                text = answer.text.encode()[:_LONGEST_TEXT]
                fields += _INT.pack(0) + (_SHORT.pack(len(text)) + text if text else _SHORT.pack(-1))
            pieces.append(fields)
    return [b"".join([_INT.pack(topics), *pieces, _INT.pack(0)])]


def encode_fetch(version: int, partitions: list[FetchedPartition]) -> list[Buffer]:
    """The pieces of a Fetch response's body, versions 4 to 11; consecutive partitions of a topic are grouped."""
    topics: list[list[FetchedPartition]] = []
    for partition in partitions:
        if not topics or topics[-1][0].topic != partition.topic:
            topics.append([])
        topics[-1].append(partition)
    # Throttle time; from version 7 on an error code, and session id 0, as there are no fetch sessions.
    head = struct.pack(">ihii", 0, 0, 0, len(topics)) if version >= 7 else struct.pack(">ii", 0, len(topics))
    pieces: list[Buffer] = [head]
    for group in topics:
        name = group[0].topic.encode()
        pieces.append(struct.pack(">h", len(name)) + name + _INT.pack(len(group)))
        for partition in group:
            fields = struct.pack(">ihqq", partition.partition, partition.error, partition.end, partition.stable)
            if version >= 5:
                fields += struct.pack(">q", partition.first)
            # No aborted transactions, as their records are deleted; from version 11 on no preferred replica.
            fields += struct.pack(">i", 0) if version < 11 else struct.pack(">ii", 0, -1)
            pieces.append(fields + _INT.pack(sum(map(len, partition.records))))
            pieces.extend(partition.records)
    return pieces
