"""Requests about the cluster, which is this broker alone: ApiVersions, Metadata, DescribeCluster, FindCoordinator."""

from typing import TYPE_CHECKING, Any, Final

from kafka.protocol.admin import DescribeClusterResponse
from kafka.protocol.metadata import ApiVersionsResponse, FindCoordinatorResponse, MetadataResponse

from broker.errors import Code, Refused
from broker.handlers.topics import check_name
from broker.wire import APIS, Request

if TYPE_CHECKING:
    from broker.server import Broker

NODE: Final = 1
CLUSTER: Final = "embedded"
_KNOWN_COORDINATORS: Final = (0, 1)


async def api_versions(broker: "Broker", request: Request) -> Any:
    """Answers unsupported versions of this request too, so that the client can choose another."""
    keys = [
        ApiVersionsResponse.ApiVersion(api_key=key, min_version=low, max_version=high)
        for key, (_, low, high) in APIS.items()
    ]
    code = Code.NONE if request.body is not None else Code.UNSUPPORTED_VERSION
    return ApiVersionsResponse(error_code=int(code), api_keys=keys, throttle_time_ms=0)


async def metadata(broker: "Broker", request: Request) -> Any:
    body = request.body
    everything = body.topics is None or (not body.topics and request.version == 0)
    names = list(broker.log.topics) if everything else list(dict.fromkeys(topic.name for topic in body.topics))
    create = broker.auto_create and (request.version < 4 or body.allow_auto_topic_creation)
    node = MetadataResponse.MetadataResponseBroker(node_id=NODE, host=broker.host, port=broker.port, rack=None)
    return MetadataResponse(
        throttle_time_ms=0,
        brokers=[node],
        cluster_id=CLUSTER,
        controller_id=NODE,
        authorized_operations=set(),
        topics=[await _describe(broker, name, create=create) for name in names],
    )


async def _describe(broker: "Broker", name: str, *, create: bool) -> Any:
    code = Code.NONE
    if name not in broker.log.topics:
        code = await _create(broker, name) if create else Code.UNKNOWN_TOPIC_OR_PARTITION
    topic = MetadataResponse.MetadataResponseTopic
    count = len(broker.log.topics[name].partitions) if name in broker.log.topics else 0
    partitions = [
        topic.MetadataResponsePartition(
            error_code=0,
            partition_index=number,
            leader_id=NODE,
            leader_epoch=0,
            replica_nodes=[NODE],
            isr_nodes=[NODE],
            offline_replicas=[],
        )
        for number in range(count)
    ]
    return topic(error_code=int(code), name=name, is_internal=False, authorized_operations=set(), partitions=partitions)


async def _create(broker: "Broker", name: str) -> Code:
    try:
        check_name(name)
        await broker.log.create(name, broker.partitions, {})
    except Refused as refusal:
        return Code.NONE if refusal.code == Code.TOPIC_ALREADY_EXISTS else refusal.code
    return Code.NONE


async def describe_cluster(broker: "Broker", request: Request) -> Any:
    node = DescribeClusterResponse.DescribeClusterBroker(broker_id=NODE, host=broker.host, port=broker.port, rack=None)
    return DescribeClusterResponse(
        throttle_time_ms=0,
        error_code=0,
        error_message=None,
        cluster_id=CLUSTER,
        controller_id=NODE,
        brokers=[node],
        authorized_operations=set(),
    )


async def find_coordinator(broker: "Broker", request: Request) -> Any:
    if request.version >= 1 and request.body.key_type not in _KNOWN_COORDINATORS:
        return FindCoordinatorResponse(
            throttle_time_ms=0,
            error_code=int(Code.INVALID_REQUEST),
            error_message="no such coordinator",
            node_id=-1,
            host="",
            port=-1,
        )
    return FindCoordinatorResponse(
        throttle_time_ms=0, error_code=0, error_message=None, node_id=NODE, host=broker.host, port=broker.port
    )
