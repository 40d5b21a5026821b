"""Requests of members of consumer groups, and about groups."""

from typing import TYPE_CHECKING, Any, Final

from kafka.protocol.admin import DeleteGroupsResponse, DescribeGroupsResponse, ListGroupsResponse
from kafka.protocol.consumer import (
    HeartbeatResponse,
    JoinGroupResponse,
    LeaveGroupResponse,
    OffsetCommitResponse,
    OffsetFetchResponse,
    SyncGroupResponse,
)

from broker.errors import Code, MemberIdRequired, Refused
from broker.group import DEAD, EMPTY, STABLE, ConsumerGroup
from broker.wire import Request

if TYPE_CHECKING:
    from broker.server import Broker


# As Kafka's offset.metadata.max.bytes.
_LONGEST_NOTE: Final = 4096


async def join(broker: "Broker", request: Request) -> Any:
    response = JoinGroupResponse(
        throttle_time_ms=0,
        error_code=0,
        generation_id=-1,
        protocol_type=None,
        protocol_name="",
        leader="",
        skip_assignment=False,
        member_id=request.body.member_id,
        members=[],
    )
    try:
        joined = await broker.groups.join(request.body, request.version, request.client)
    except MemberIdRequired as required:
        response.error_code, response.member_id = int(required.code), required.member_id
        return response
    except Refused as refusal:
        response.error_code = int(refusal.code)
        return response
    response.generation_id = joined.generation
    response.protocol_type = joined.type
    response.protocol_name = joined.protocol
    response.leader = joined.leader
    response.member_id = joined.member_id
    response.members = [
        JoinGroupResponse.JoinGroupResponseMember(member_id=id, group_instance_id=None, metadata=metadata)
        for id, metadata in joined.members
    ]
    return response


async def sync(broker: "Broker", request: Request) -> Any:
    try:
        _, assignment = await broker.groups.sync(request.body)
    except Refused as refusal:
        return SyncGroupResponse(throttle_time_ms=0, error_code=int(refusal.code), assignment=b"")
    return SyncGroupResponse(throttle_time_ms=0, error_code=0, assignment=assignment)


async def heartbeat(broker: "Broker", request: Request) -> Any:
    code = Code.NONE
    try:
        broker.groups.heartbeat(request.body)
    except Refused as refusal:
        code = refusal.code
    return HeartbeatResponse(throttle_time_ms=0, error_code=int(code))


async def leave(broker: "Broker", request: Request) -> Any:
    """From version 3 on, several members may leave in one request; each gets an answer."""
    several = request.version >= 3
    leaving = [member.member_id for member in request.body.members] if several else [request.body.member_id]
    answers = []
    for member_id in leaving:
        code = Code.NONE
        try:
            broker.groups.leave(request.body.group_id, member_id)
        except Refused as refusal:
            code = refusal.code
        answers.append(
            LeaveGroupResponse.MemberResponse(member_id=member_id, group_instance_id=None, error_code=int(code))
        )
    return LeaveGroupResponse(throttle_time_ms=0, error_code=0 if several else answers[0].error_code, members=answers)


async def commit_offsets(broker: "Broker", request: Request) -> Any:
    body = request.body
    code = Code.NONE
    try:
        broker.groups.check_commit(body)
    except Refused as refusal:
        code = refusal.code
    rows: list[tuple[str, int, int, str | None]] = []
    topics = []
    for topic in body.topics:
        partitions = []
        for partition in topic.partitions:
            own = code
            try:
                broker.log.find(topic.name, partition.partition_index)
                if len(partition.committed_metadata or "") > _LONGEST_NOTE:
                    raise Refused(Code.OFFSET_METADATA_TOO_LARGE)
                rows.append(
                    (topic.name, partition.partition_index, partition.committed_offset, partition.committed_metadata)
                )
            except Refused as refusal:
                own = own or refusal.code
            partitions.append(
                OffsetCommitResponse.OffsetCommitResponseTopic.OffsetCommitResponsePartition(
                    partition_index=partition.partition_index, error_code=int(own)
                )
            )
        topics.append(OffsetCommitResponse.OffsetCommitResponseTopic(name=topic.name, partitions=partitions))
    if rows and not code:
        try:
            await broker.log.offsets.commit(body.group_id, rows)
        except Refused as refusal:
            for answer in (partition for topic in topics for partition in topic.partitions):
                answer.error_code = answer.error_code or int(refusal.code)
    return OffsetCommitResponse(throttle_time_ms=0, topics=topics)


async def fetch_offsets(broker: "Broker", request: Request) -> Any:
    known = broker.log.offsets.committed(request.body.group_id)
    if request.body.topics is None:
        wanted = sorted(known)
    else:
        wanted = [(topic.name, number) for topic in request.body.topics for number in topic.partition_indexes]
    by_topic: dict[str, list[Any]] = {}
    for name, number in wanted:
        offset, note = known.get((name, number), (-1, ""))
        answer = OffsetFetchResponse.OffsetFetchResponseTopic.OffsetFetchResponsePartition(
            partition_index=number,
            committed_offset=offset,
            committed_leader_epoch=-1,
            metadata=note or "",
            error_code=0,
        )
        by_topic.setdefault(name, []).append(answer)
    topics = [
        OffsetFetchResponse.OffsetFetchResponseTopic(name=name, partitions=answers)
        for name, answers in by_topic.items()
    ]
    return OffsetFetchResponse(throttle_time_ms=0, error_code=0, topics=topics)


def _state(broker: "Broker", id: str) -> tuple[str, ConsumerGroup | None]:
    group = broker.groups.groups.get(id)
    if group is not None:
        return group.state, group
    return (EMPTY if broker.log.offsets.committed(id) else DEAD), None


async def list_groups(broker: "Broker", request: Request) -> Any:
    wanted = request.body.states_filter if request.version >= 4 else None
    listed = []
    for id in sorted({*broker.groups.groups, *broker.log.offsets.groups()}):
        group = broker.groups.groups.get(id)
        state = group.state if group is not None else EMPTY
        if not wanted or state in wanted:
            listed.append(
                ListGroupsResponse.ListedGroup(
                    group_id=id, protocol_type=group.type if group else "", group_state=state
                )
            )
    return ListGroupsResponse(throttle_time_ms=0, error_code=0, groups=listed)


async def describe(broker: "Broker", request: Request) -> Any:
    described = []
    for id in dict.fromkeys(request.body.groups):
        state, group = _state(broker, id)
        described.append(
            DescribeGroupsResponse.DescribedGroup(
                error_code=0,
                group_id=id,
                group_state=state,
                protocol_type=group.type if group else "",
                protocol_data=group.protocol if group and state == STABLE else "",
                authorized_operations=set(),
                members=_members(group) if group else [],
            )
        )
    return DescribeGroupsResponse(throttle_time_ms=0, groups=described)


def _members(group: ConsumerGroup) -> list[Any]:
    return [
        DescribeGroupsResponse.DescribedGroup.DescribedGroupMember(
            member_id=member.id,
            group_instance_id=None,
            client_id=member.client,
            client_host="/127.0.0.1",
            member_metadata=member.protocols.get(group.protocol, b""),
            member_assignment=member.assignment,
        )
        for member in group.members.values()
    ]


async def delete(broker: "Broker", request: Request) -> Any:
    results = []
    for id in request.body.groups_names:
        code = Code.NONE
        try:
            await _delete(broker, id)
        except Refused as refusal:
            code = refusal.code
        results.append(DeleteGroupsResponse.DeletableGroupResult(group_id=id, error_code=int(code)))
    return DeleteGroupsResponse(throttle_time_ms=0, results=results)


async def _delete(broker: "Broker", id: str) -> None:
    state, group = _state(broker, id)
    if group is not None and group.members:
        raise Refused(Code.NON_EMPTY_GROUP)
    if state == DEAD:
        raise Refused(Code.GROUP_ID_NOT_FOUND)
    await broker.log.offsets.forget(id)
