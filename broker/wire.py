"""Requests and responses as bytes: the versions that are offered, and the headers. kafka-python encodes the bodies.

A request: length int32, api key int16, version int16, correlation id int32, client id string, [tags], body.
A response: length int32, correlation id int32, [tags], body. Only flexible versions have tags.
"""

import struct
from typing import Any, Final, NamedTuple

from kafka.protocol import admin, consumer, metadata, producer

from broker.bulk import Buffer, decode_produce
from broker.errors import Malformed
from broker.shape import check_shape

PRODUCE: Final = 0
FETCH: Final = 1
JOIN_GROUP: Final = 11
SYNC_GROUP: Final = 14
API_VERSIONS: Final = 18

# Key: (name, lowest version, highest version). The highest is the last one without mandatory topic ids or sessions.
APIS: Final[dict[int, tuple[str, int, int]]] = {
    PRODUCE: ("Produce", 3, 8),
    FETCH: ("Fetch", 4, 11),
    2: ("ListOffsets", 1, 7),
    3: ("Metadata", 0, 8),
    8: ("OffsetCommit", 2, 7),
    9: ("OffsetFetch", 1, 7),
    10: ("FindCoordinator", 0, 3),
    JOIN_GROUP: ("JoinGroup", 0, 5),
    12: ("Heartbeat", 0, 3),
    13: ("LeaveGroup", 0, 4),
    SYNC_GROUP: ("SyncGroup", 0, 4),
    15: ("DescribeGroups", 0, 4),
    16: ("ListGroups", 0, 4),
    API_VERSIONS: ("ApiVersions", 0, 3),
    19: ("CreateTopics", 2, 6),
    20: ("DeleteTopics", 1, 5),
    21: ("DeleteRecords", 0, 2),
    22: ("InitProducerId", 0, 4),
    24: ("AddPartitionsToTxn", 0, 3),
    25: ("AddOffsetsToTxn", 0, 3),
    26: ("EndTxn", 0, 3),
    32: ("DescribeConfigs", 1, 4),
    33: ("AlterConfigs", 0, 2),
    37: ("CreatePartitions", 0, 3),
    42: ("DeleteGroups", 0, 2),
    44: ("IncrementalAlterConfigs", 0, 1),
    60: ("DescribeCluster", 0, 1),
}

_HEAD: Final = struct.Struct(">hhih")


def _message(name: str) -> Any:
    return next(getattr(module, name) for module in (metadata, producer, consumer, admin) if hasattr(module, name))


REQUESTS: Final = {key: _message(name + "Request") for key, (name, _, _) in APIS.items()}
RESPONSES: Final = {key: _message(name + "Response") for key, (name, _, _) in APIS.items()}


class Request(NamedTuple):
    """A decoded request; `body` is None if its version is not offered."""

    key: int
    version: int
    correlation: int
    client: str
    body: Any


def decode_request(frame: Buffer) -> Request:
    """The request in a frame (without its length). Raises Malformed if the bytes are not one."""
    try:
        key, version, correlation, length = _HEAD.unpack_from(frame)
        if key not in APIS:
            raise Malformed(f"api key {key} is not offered")
        position = _HEAD.size + max(length, 0)
        client = bytes(frame[_HEAD.size : position]).decode()
        name, lowest, highest = APIS[key]
        if not lowest <= version <= highest:
            if key != API_VERSIONS:
                raise Malformed(f"{name} version {version} is not offered")
            return Request(key, version, correlation, client, None)
        body = memoryview(frame)[position:]
        if key == PRODUCE:
            return Request(key, version, correlation, client, decode_produce(body))
        if REQUESTS[key].flexible_version_q(version):
            if body[0]:
                raise Malformed("tagged header fields")
            body = body[1:]
        decoded = REQUESTS[key].decode(body, version=version)
        check_shape(REQUESTS[key], decoded, version)
        return Request(key, version, correlation, client, decoded)
    except Malformed:
        raise
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything for bytes from outside
        raise Malformed(f"{type(error).__name__}: {error}") from None


def encode_response(request: Request, response: Any) -> list[Buffer]:
    """The pieces of a response frame. `response`: a message of kafka-python, or the encoded pieces of the body.

    The response to ApiVersions never has tags in its header, so that a client of any version can read it.
    """
    if isinstance(response, list):
        pieces, tags = response, b""
    else:
        version = 0 if request.body is None else request.version
        pieces = [response.encode(version=version)]
        tags = b"\0" if request.key != API_VERSIONS and RESPONSES[request.key].flexible_version_q(version) else b""
    size = 4 + len(tags) + sum(map(len, pieces))
    head = struct.pack(">ii", size, request.correlation) + tags
    return [head, *pieces]
