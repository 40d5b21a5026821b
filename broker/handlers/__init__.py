"""One function for each request: `async (broker, request) -> response`; None if the client wants no response."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from broker.handlers import cluster, groups, records, topics, transactions
from broker.wire import APIS, Request

if TYPE_CHECKING:
    from broker.server import Broker

Handler = Callable[["Broker", Request], Awaitable[Any]]

_BY_NAME: Final[dict[str, Handler]] = {
    "Produce": records.produce,
    "Fetch": records.fetch,
    "ListOffsets": records.list_offsets,
    "DeleteRecords": records.delete_records,
    "Metadata": cluster.metadata,
    "ApiVersions": cluster.api_versions,
    "DescribeCluster": cluster.describe_cluster,
    "FindCoordinator": cluster.find_coordinator,
    "JoinGroup": groups.join,
    "SyncGroup": groups.sync,
    "Heartbeat": groups.heartbeat,
    "LeaveGroup": groups.leave,
    "OffsetCommit": groups.commit_offsets,
    "OffsetFetch": groups.fetch_offsets,
    "ListGroups": groups.list_groups,
    "DescribeGroups": groups.describe,
    "DeleteGroups": groups.delete,
    "InitProducerId": transactions.init_producer_id,
    "AddPartitionsToTxn": transactions.add_partitions,
    "AddOffsetsToTxn": transactions.add_offsets,
    "EndTxn": transactions.end,
    "CreateTopics": topics.create,
    "DeleteTopics": topics.delete,
    "CreatePartitions": topics.create_partitions,
    "DescribeConfigs": topics.describe_settings,
    "AlterConfigs": topics.alter_settings,
    "IncrementalAlterConfigs": topics.alter_settings_by_steps,
}

HANDLERS: Final[dict[int, Handler]] = {key: _BY_NAME[name] for key, (name, _, _) in APIS.items()}
