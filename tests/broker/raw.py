"""A Kafka client that sends exactly what it is told: one connection, one request at a time, kafka-python's messages as
codec.
"""

import socket
import struct
from typing import Any, Self

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from kafka.protocol import admin, consumer, metadata, producer

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def message(path: str, **fields: Any) -> Any:
    """`CreateTopicsRequest.CreatableTopic` with fields."""
    first, *rest = path.split(".")
    found = next(getattr(module, first) for module in (metadata, producer, consumer, admin) if hasattr(module, first))
    for name in rest:
        found = getattr(found, name)
    return found(**fields)


def batch(
    *values: bytes | None,
    key: bytes | None = None,
    producer: tuple[int, int] = (-1, -1),
    sequence: int = -1,
    stamp: int = 1_700_000_000_000,
    codec: str = "none",
    transactional: bool = False,
) -> bytes:
    """A record batch; its records' stamps follow each other by a millisecond."""
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], transactional, *producer, sequence, 1 << 26)
    for number, value in enumerate(values):
        builder.append(number, stamp + number, key, value, [])
    return bytes(builder.build())


# Where a field of a batch's header stands, and its format.
_FIELDS = {
    "base": (0, ">q"),
    "attributes": (21, ">h"),
    "delta": (23, ">i"),
    "first_stamp": (27, ">q"),
    "newest_stamp": (35, ">q"),
    "producer_id": (43, ">q"),
    "epoch": (51, ">h"),
    "sequence": (53, ">i"),
    "count": (57, ">i"),
}
HEAD_BYTES = 61


def altered(data: bytes, records: bytes | None = None, **fields: int) -> bytes:
    """A batch with other header fields, or other packed records, and with a length and a checksum that hold."""
    changed = bytearray(data if records is None else data[:HEAD_BYTES] + records)
    struct.pack_into(">i", changed, 8, len(changed) - 12)
    for name, value in fields.items():
        position, form = _FIELDS[name]
        struct.pack_into(form, changed, position, value)
    struct.pack_into(">I", changed, 17, calc_crc32c(memoryview(bytes(changed))[21:]))
    return bytes(changed)


class Raw:
    """A connection to HOST:PORT."""

    def __init__(self, address: str) -> None:
        host, port = address.split(":")
        self._socket = socket.create_connection((host, int(port)), 30)
        self._correlation = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, name: str, version: int, **fields: Any) -> Any:
        self.send(name, version, **fields)
        return self.receive(name, version)

    def send(self, name: str, version: int, **fields: Any) -> None:
        request = message(name + "Request", **fields)
        self._correlation += 1
        request.API_VERSION = version
        request.with_header(correlation_id=self._correlation, client_id="raw")
        self._socket.sendall(request.encode(version=version, header=True, framed=True))

    def receive(self, name: str, version: int) -> Any:
        """The answer to the oldest request that has none yet; raises TimeoutError after 30 seconds."""
        (length,) = struct.unpack(">i", self._receive(4))
        answer = self._receive(length)
        response = type(message(name + "Response"))
        tags = response.flexible_version_q(version) and name != "ApiVersions"
        return response.decode(answer[5 if tags else 4 :], version=version)

    def _receive(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            piece = self._socket.recv(length - len(received))
            if not piece:
                raise ConnectionError("closed")
            received += piece
        return received

    # What the tests ask again and again.

    def create(
        self, topic: str, partitions: int = 1, replicas: int = 1, *, validate_only: bool = False, **settings: Any
    ) -> int:
        """The error code. Settings are named with underscores for dots."""
        configs = [
            message(
                "CreateTopicsRequest.CreatableTopic.CreatableTopicConfig", name=name.replace("_", "."), value=str(value)
            )
            for name, value in settings.items()
        ]
        wanted = message(
            "CreateTopicsRequest.CreatableTopic",
            name=topic,
            num_partitions=partitions,
            replication_factor=replicas,
            assignments=[],
            configs=configs,
        )
        return int(
            self.call("CreateTopics", 5, topics=[wanted], timeout_ms=10_000, validate_only=validate_only)
            .topics[0]
            .error_code
        )

    def metadata(self, topic: str, *, create: bool = False) -> Any:
        wanted = [message("MetadataRequest.MetadataRequestTopic", name=topic)]
        return self.call("Metadata", 5, topics=wanted, allow_auto_topic_creation=create).topics[0]

    def produce(
        self, topic: str, data: bytes, partition: int = 0, transactional_id: str | None = None
    ) -> tuple[int, int]:
        """(error code, offset)."""
        piece = message("ProduceRequest.TopicProduceData.PartitionProduceData", index=partition, records=data)
        wanted = message("ProduceRequest.TopicProduceData", name=topic, partition_data=[piece])
        answer = self.call(
            "Produce", 7, transactional_id=transactional_id, acks=-1, timeout_ms=10_000, topic_data=[wanted]
        )
        found = answer.responses[0].partition_responses[0]
        return found.error_code, found.base_offset

    def offset(self, topic: str, stamp: int, *, partition: int = 0, committed: bool = False) -> tuple[int, int, int]:
        """(error code, offset, stamp); stamp -1 asks for the end, -2 for the start."""
        piece = message(
            "ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition",
            partition_index=partition,
            current_leader_epoch=-1,
            timestamp=stamp,
        )
        wanted = [message("ListOffsetsRequest.ListOffsetsTopic", name=topic, partitions=[piece])]
        answer = self.call("ListOffsets", 5, replica_id=-1, isolation_level=int(committed), topics=wanted)
        found = answer.topics[0].partitions[0]
        return found.error_code, found.offset, found.timestamp

    def begin_fetch(self, topic: str, offset: int, wait_ms: int, least_bytes: int = 1) -> None:
        piece = message(
            "FetchRequest.FetchTopic.FetchPartition",
            partition=0,
            current_leader_epoch=-1,
            fetch_offset=offset,
            log_start_offset=-1,
            partition_max_bytes=1 << 20,
        )
        self.send(
            "Fetch",
            10,
            replica_id=-1,
            max_wait_ms=wait_ms,
            min_bytes=least_bytes,
            max_bytes=1 << 20,
            isolation_level=0,
            session_id=0,
            session_epoch=-1,
            topics=[message("FetchRequest.FetchTopic", topic=topic, partitions=[piece])],
            forgotten_topics_data=[],
        )

    def end_fetch(self) -> tuple[int, bytes]:
        """(error code, batches)."""
        found = self.receive("Fetch", 10).responses[0].partitions[0]
        return found.error_code, bytes(found.records or b"")

    def producer_id(self) -> int:
        return int(self.call("InitProducerId", 1, transactional_id=None, transaction_timeout_ms=1000).producer_id)

    def join(
        self,
        group: str,
        member: str = "",
        metadata: bytes = b"m",
        protocols: tuple[str, ...] = ("range",),
        timeout_ms: int = 6000,
    ) -> Any:
        """Joins, with the id that the broker asks for, until the session or the rebalance has taken as long."""
        offered = [
            message("JoinGroupRequest.JoinGroupRequestProtocol", name=name, metadata=metadata) for name in protocols
        ]
        fields: dict[str, Any] = {
            "group_id": group,
            "session_timeout_ms": timeout_ms,
            "rebalance_timeout_ms": timeout_ms,
            "member_id": member,
            "protocol_type": "consumer",
            "protocols": offered,
        }
        answer = self.call("JoinGroup", 4, **fields)
        if answer.error_code == 79:
            answer = self.call("JoinGroup", 4, **{**fields, "member_id": answer.member_id})
        return answer

    def sync(self, group: str, joined: Any, assignment: bytes = b"a") -> Any:
        given = message(
            "SyncGroupRequest.SyncGroupRequestAssignment", member_id=joined.member_id, assignment=assignment
        )
        return self.call(
            "SyncGroup",
            2,
            group_id=group,
            generation_id=joined.generation_id,
            member_id=joined.member_id,
            assignments=[given],
        )

    def heartbeat(self, group: str, joined: Any) -> int:
        answer = self.call(
            "Heartbeat", 2, group_id=group, generation_id=joined.generation_id, member_id=joined.member_id
        )
        return int(answer.error_code)

    def commit(self, group: str, topic: str, offset: int, generation: int = -1, member: str = "") -> int:
        """The error code."""
        piece = message(
            "OffsetCommitRequest.OffsetCommitRequestTopic.OffsetCommitRequestPartition",
            partition_index=0,
            committed_offset=offset,
            committed_leader_epoch=-1,
            committed_metadata="",
        )
        wanted = [message("OffsetCommitRequest.OffsetCommitRequestTopic", name=topic, partitions=[piece])]
        answer = self.call(
            "OffsetCommit", 6, group_id=group, generation_id_or_member_epoch=generation, member_id=member, topics=wanted
        )
        return int(answer.topics[0].partitions[0].error_code)

    def committed(self, group: str, topic: str) -> int:
        wanted = [message("OffsetFetchRequest.OffsetFetchRequestTopic", name=topic, partition_indexes=[0])]
        return int(self.call("OffsetFetch", 5, group_id=group, topics=wanted).topics[0].partitions[0].committed_offset)
