"""Consumer groups by the classic protocol: join, sync, heartbeat, leave. Members are kept in memory only.

After a restart of the broker all members are unknown: they join again and continue from the committed offsets, which
are in the log. A member whose connection closes while it waits to join is dropped at once. Static membership is
refused. Source: https://kafka.apache.org/protocol
"""

import asyncio
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final

from broker.errors import Code, MemberIdRequired, Refused
from broker.group import (
    COMPLETING,
    EMPTY,
    LONGEST_SESSION_SECONDS,
    PREPARING,
    STABLE,
    ConsumerGroup,
    Joined,
    Member,
    protocols_of,
)

LEAST_SESSION_SECONDS: Final = 6.0
_LONGEST_PENDING_SECONDS: Final = 60.0
_LONGEST_ID: Final = 1000
_LONGEST_CLIENT: Final = 100
_MOST_GROUPS: Final = 10_000
_MOST_MEMBERS: Final = 500
# Metadata and assignments of all members together.
_MOST_BYTES: Final = 64 << 20


class Groups:
    """All groups. `initial_delay`: seconds for which the first rebalance of an empty group waits for more members."""

    def __init__(self, initial_delay: float = 0.0) -> None:
        self.groups: dict[str, ConsumerGroup] = {}
        self._initial_delay = initial_delay

    # Rebalances.

    async def join(self, request: Any, version: int, client: str) -> Joined:
        """Join a group; returns when all members have joined. Raises MemberIdRequired or Refused."""
        group = self._group_to_join(request)
        member = group.members.get(request.member_id)
        others = [each.protocols for each in group.members.values() if each is not member]
        offered = protocols_of(request)
        if others and (request.protocol_type != group.type or not set(offered).intersection(*others)):
            raise Refused(Code.INCONSISTENT_GROUP_PROTOCOL)
        if sum(each.size for each in self._members()) + sum(len(data) for data in offered.values()) > _MOST_BYTES:
            raise Refused(Code.GROUP_MAX_SIZE_REACHED, "the members of all groups take too much memory")
        if member is None:
            member = self._new_member(group, request, version, client)
        else:
            unchanged = member.protocols == offered
            member.renew(request)
            if unchanged and (group.state == COMPLETING or (group.state == STABLE and member.id != group.leader)):
                return Joined(group, member)
        group.members[member.id] = member
        group.type = request.protocol_type
        if member.joining is not None:
            member.joining.cancel()
        future = member.joining = asyncio.get_running_loop().create_future()
        if group.state != PREPARING:
            self._prepare(group)
        self._complete_if_all_joined(group)
        try:
            joined: Joined = await future
            return joined
        finally:
            if member.joining is future:  # cancelled: the connection is closed
                member.joining = None
                self._remove(group, member.id)

    def _members(self) -> Iterator[Member]:
        for group in self.groups.values():
            yield from group.members.values()

    def _group_to_join(self, request: Any) -> ConsumerGroup:
        check_id(request.group_id)
        if not LEAST_SESSION_SECONDS <= request.session_timeout_ms / 1000 <= LONGEST_SESSION_SECONDS:
            raise Refused(Code.INVALID_SESSION_TIMEOUT)
        if getattr(request, "group_instance_id", None):
            raise Refused(Code.UNSUPPORTED_VERSION, "static members are not supported")
        if not request.protocols or not request.protocol_type:
            raise Refused(Code.INCONSISTENT_GROUP_PROTOCOL)
        group = self.groups.get(request.group_id)
        if group is None:
            if request.member_id:
                raise Refused(Code.UNKNOWN_MEMBER_ID)
            if len(self.groups) >= _MOST_GROUPS and not self._drop_one_without_members():
                raise Refused(Code.POLICY_VIOLATION, "too many groups")
            group = self.groups[request.group_id] = ConsumerGroup(request.group_id)
        return group

    def _drop_one_without_members(self) -> bool:
        """Forget the oldest group without members; False if there is none."""
        for id, group in self.groups.items():
            if not group.members:
                group.call_after(None)
                del self.groups[id]
                return True
        return False

    def _new_member(self, group: ConsumerGroup, request: Any, version: int, client: str) -> Member:
        if request.member_id and group.pending.pop(request.member_id, None) is None:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        if len(group.members) + len(group.pending) >= _MOST_MEMBERS:
            raise Refused(Code.GROUP_MAX_SIZE_REACHED, f"a group has at most {_MOST_MEMBERS} members")
        if not request.member_id and version >= 4:
            member_id = _unguessable_id(client)
            group.pending[member_id] = time.monotonic() + min(
                request.session_timeout_ms / 1000, _LONGEST_PENDING_SECONDS
            )
            raise MemberIdRequired(member_id)
        return Member(request.member_id or _unguessable_id(client), client, request)

    def _prepare(self, group: ConsumerGroup) -> None:
        """Begin a rebalance: members that wait for the result of the last one have to join again."""
        wait = (
            self._initial_delay if group.state == EMPTY else max(member.rebalance for member in group.members.values())
        )
        group.gathering = group.state == EMPTY and self._initial_delay > 0
        for member in group.members.values():
            member.answer_sync(Refused(Code.REBALANCE_IN_PROGRESS))
        group.state = PREPARING
        group.call_after(wait, self._complete)

    def _complete_if_all_joined(self, group: ConsumerGroup) -> None:
        if (
            group.state == PREPARING
            and not group.gathering
            and all(member.joining for member in group.members.values())
        ):
            self._complete(group)

    def _complete(self, group: ConsumerGroup) -> None:
        """Complete the rebalance: those who joined are the new generation."""
        group.call_after(None)
        group.members = {id: member for id, member in group.members.items() if member.joining}
        group.generation += 1
        if not group.members:
            group.empty()
            return
        if group.leader not in group.members:
            group.leader = next(iter(group.members))
        members = list(group.members.values())
        common = set.intersection(*(set(member.protocols) for member in members))
        votes = [next(name for name in member.protocols if name in common) for member in members]
        group.protocol = max(votes, key=votes.count)
        group.state = COMPLETING
        for member in members:
            member.seen = time.monotonic()
            member.assignment = b""
            member.answer_join(Joined(group, member))
        group.call_after(max(member.rebalance for member in members), self._drop_late)

    def _drop_late(self, group: ConsumerGroup) -> None:
        """Drop the members that have not asked for their assignment."""
        for id in [id for id, member in group.members.items() if member.syncing is None]:
            self._remove(group, id)

    async def sync(self, request: Any) -> tuple[ConsumerGroup, bytes]:
        """A member's assignment; returns when the leader has sent it. Raises Refused."""
        group, member = self._check(request.group_id, request.member_id, request.generation_id)
        if group.state == PREPARING:
            raise Refused(Code.REBALANCE_IN_PROGRESS)
        if group.state == COMPLETING:
            if member.syncing is not None:
                member.syncing.cancel()
            future = member.syncing = asyncio.get_running_loop().create_future()
            if member.id == group.leader:
                self._assign(group, request.assignments)
            await future
        return group, member.assignment

    def _assign(self, group: ConsumerGroup, assignments: Any) -> None:
        for id, assignment in [(each.member_id, bytes(each.assignment)) for each in assignments]:
            if id in group.members:
                group.members[id].assignment = assignment
        group.state = STABLE
        group.call_after(None)
        for member in group.members.values():
            member.seen = time.monotonic()
            member.answer_sync(None)

    # Members.

    def _check(self, group_id: str, member_id: str, generation: int) -> tuple[ConsumerGroup, Member]:
        group = self.groups.get(group_id)
        if group is None:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        return group, group.member(member_id, generation)

    def heartbeat(self, request: Any) -> None:
        """Note a member as alive. Raises Refused if it is unknown or has to join again."""
        group, _ = self._check(request.group_id, request.member_id, request.generation_id)
        if group.state == PREPARING:
            raise Refused(Code.REBALANCE_IN_PROGRESS)

    def leave(self, group_id: str, member_id: str) -> None:
        """Remove a member. Raises Refused if it is unknown."""
        group = self.groups.get(group_id)
        if group is None:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        if member_id not in group.members and group.pending.pop(member_id, None) is None:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        self._remove(group, member_id)

    def _remove(self, group: ConsumerGroup, id: str) -> None:
        member = group.members.pop(id, None)
        if member is None:
            return
        member.answer_join(Refused(Code.UNKNOWN_MEMBER_ID))
        member.answer_sync(Refused(Code.UNKNOWN_MEMBER_ID))
        if not group.members:
            group.empty()
            group.generation += 1
            group.call_after(None)
        elif group.state == PREPARING:
            self._complete_if_all_joined(group)
        else:
            self._prepare(group)

    def expire(self) -> None:
        """Drop members that have been silent for their session timeout, and groups without members."""
        now = time.monotonic()
        for group in list(self.groups.values()):
            group.pending = {id: until for id, until in group.pending.items() if until > now}
            for member in list(group.members.values()):
                if member.joining is None and now - member.seen > member.session:
                    self._remove(group, member.id)
            if not group.members and not group.pending:
                del self.groups[group.id]  # its offsets stay in the log

    def check_commit(self, request: Any) -> None:
        """Raises Refused unless the sender may commit offsets.

        It may if it is a member of this generation, or if the group has no members and it names none.
        """
        if len(request.group_id) > _LONGEST_ID:
            raise Refused(Code.INVALID_GROUP_ID)
        group = self.groups.get(request.group_id)
        if request.generation_id_or_member_epoch < 0 and not request.member_id:
            if group is not None and group.members:
                raise Refused(Code.UNKNOWN_MEMBER_ID)
            return
        group, _ = self._check(request.group_id, request.member_id, request.generation_id_or_member_epoch)
        if group.state == COMPLETING:
            raise Refused(Code.REBALANCE_IN_PROGRESS)


def check_id(id: str) -> None:
    """Raises Refused for an invalid group id."""
    if not 0 < len(id) <= _LONGEST_ID:
        raise Refused(Code.INVALID_GROUP_ID, f"a group id has 1 to {_LONGEST_ID} characters")


def _unguessable_id(client: str) -> str:
    return f"{client[:_LONGEST_CLIENT] or 'member'}-{uuid.uuid4()}"
