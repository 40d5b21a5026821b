"""Consumer groups by the classic protocol: join, synchronise, heartbeat, leave. Members live in memory, committed
offsets in the log.

After a restart of the broker each member is unknown, joins again and goes on from the committed offsets. A member whose
connection goes while it waits to join is dropped at once. Static membership is refused. Source:
https://kafka.apache.org/protocol
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

from broker.errors import Code, MemberIdRequired, Refused

LEAST_SESSION_SECONDS: Final = 6.0
_LONGEST_SESSION_SECONDS: Final = 1800.0
_LONGEST_PENDING_SECONDS: Final = 60.0
_LONGEST_ID: Final = 1000
_LONGEST_CLIENT: Final = 100
_MOST_GROUPS: Final = 10_000
_MOST_MEMBERS: Final = 500
# What all members together have told of themselves and been assigned.
_MOST_BYTES: Final = 64 << 20

EMPTY: Final = "Empty"
PREPARING: Final = "PreparingRebalance"
COMPLETING: Final = "CompletingRebalance"
STABLE: Final = "Stable"
DEAD: Final = "Dead"


class Member:
    """One member; `joining` and `syncing` are the answers that it waits for. Times in seconds."""

    def __init__(self, id: str, client: str, request: Any) -> None:
        self.id = id
        self.client = client
        self.joining: asyncio.Future[Joined] | None = None
        self.syncing: asyncio.Future[None] | None = None
        self.assignment = b""
        self.renew(request)

    def renew(self, request: Any) -> None:
        self.session = request.session_timeout_ms / 1000
        # Version 0 of the request has no rebalance timeout: the session's stands for it.
        rebalance = request.rebalance_timeout_ms if request.rebalance_timeout_ms >= 0 else request.session_timeout_ms
        self.rebalance = min(rebalance / 1000, _LONGEST_SESSION_SECONDS)
        self.protocols = _protocols(request)
        self.seen = time.monotonic()

    @property
    def size(self) -> int:
        return len(self.assignment) + sum(len(name) + len(data) for name, data in self.protocols.items())


class Joined:
    """The answer to a member that joined; only the leader learns the others' metadata."""

    def __init__(self, group: "Group", member: Member) -> None:
        self.generation = group.generation
        self.type = group.type
        self.protocol = group.protocol
        self.leader = group.leader or ""
        self.member_id = member.id
        leads = group.leader == member.id
        self.members = [(each.id, each.protocols[group.protocol]) for each in group.members.values()] if leads else []


class Group:
    """A group's generation. `pending`: ids given out and not used yet, until when; `gathering`: the first members are
    still awaited.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.state = EMPTY
        self.generation = 0
        self.members: dict[str, Member] = {}
        self.pending: dict[str, float] = {}
        self.leader: str | None = None
        self.protocol = ""
        self.type = ""
        self.gathering = False
        self.timer: asyncio.TimerHandle | None = None

    def member(self, id: str, generation: int) -> Member:
        """The member, now seen alive. Raises Refused for another generation's."""
        member = self.members.get(id)
        if member is None:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        if generation != self.generation:
            raise Refused(Code.ILLEGAL_GENERATION)
        member.seen = time.monotonic()
        return member

    def call_after(self, seconds: float | None, call: Callable[["Group"], None] | None = None) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if seconds is not None and call is not None:
            self.timer = asyncio.get_running_loop().call_later(seconds, call, self)

    def empty(self) -> None:
        self.state = EMPTY
        self.leader = None
        self.protocol = ""


class Groups:
    """All groups. `initial_delay`: seconds that an empty group's first rebalance waits for more members."""

    def __init__(self, initial_delay: float = 0.0) -> None:
        self.groups: dict[str, Group] = {}
        self._initial_delay = initial_delay

    # Joining and synchronising.

    async def join(self, request: Any, version: int, client: str) -> Joined:
        """Waits until the group has gathered. Raises MemberIdRequired or Refused."""
        group = self._group_to_join(request)
        member = group.members.get(request.member_id)
        others = [each.protocols for each in group.members.values() if each is not member]
        offered = _protocols(request)
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
            if member.joining is future:  # cancelled: its connection is gone
                member.joining = None
                self._remove(group, member.id)

    def _members(self) -> Iterator[Member]:
        for group in self.groups.values():
            yield from group.members.values()

    def _group_to_join(self, request: Any) -> Group:
        check_id(request.group_id)
        if not LEAST_SESSION_SECONDS <= request.session_timeout_ms / 1000 <= _LONGEST_SESSION_SECONDS:
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
            group = self.groups[request.group_id] = Group(request.group_id)
        return group

    def _drop_one_without_members(self) -> bool:
        """Forget the oldest group that only has given out ids; False if there is none."""
        for id, group in self.groups.items():
            if not group.members:
                group.call_after(None)
                del self.groups[id]
                return True
        return False

    def _new_member(self, group: Group, request: Any, version: int, client: str) -> Member:
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

    def _prepare(self, group: Group) -> None:
        """Begin a rebalance: whoever waits for the last one's result is sent back."""
        wait = (
            self._initial_delay if group.state == EMPTY else max(member.rebalance for member in group.members.values())
        )
        group.gathering = group.state == EMPTY and self._initial_delay > 0
        for member in group.members.values():
            _answer_sync(member, Refused(Code.REBALANCE_IN_PROGRESS))
        group.state = PREPARING
        group.call_after(wait, self._complete)

    def _complete_if_all_joined(self, group: Group) -> None:
        if (
            group.state == PREPARING
            and not group.gathering
            and all(member.joining for member in group.members.values())
        ):
            self._complete(group)

    def _complete(self, group: Group) -> None:
        """End the gathering: a new generation of those who joined."""
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
            _answer_join(member, Joined(group, member))
        group.call_after(max(member.rebalance for member in members), self._drop_late)

    def _drop_late(self, group: Group) -> None:
        """Whoever has not asked for an assignment by now is dropped."""
        for id in [id for id, member in group.members.items() if member.syncing is None]:
            self._remove(group, id)

    async def sync(self, request: Any) -> tuple[Group, bytes]:
        """Waits for the leader's assignment; the leader brings it."""
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

    def _assign(self, group: Group, assignments: Any) -> None:
        for id, assignment in [(each.member_id, bytes(each.assignment)) for each in assignments]:
            if id in group.members:
                group.members[id].assignment = assignment
        group.state = STABLE
        group.call_after(None)
        for member in group.members.values():
            member.seen = time.monotonic()
            _answer_sync(member, None)

    # Life and death.

    def _check(self, group_id: str, member_id: str, generation: int) -> tuple[Group, Member]:
        group = self.groups.get(group_id)
        if group is None:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        return group, group.member(member_id, generation)

    def heartbeat(self, request: Any) -> None:
        group, _ = self._check(request.group_id, request.member_id, request.generation_id)
        if group.state == PREPARING:
            raise Refused(Code.REBALANCE_IN_PROGRESS)

    def leave(self, group_id: str, member_id: str) -> None:
        group = self.groups.get(group_id)
        if group is None:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        if member_id not in group.members and group.pending.pop(member_id, None) is None:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        self._remove(group, member_id)

    def _remove(self, group: Group, id: str) -> None:
        member = group.members.pop(id, None)
        if member is None:
            return
        _answer_join(member, Refused(Code.UNKNOWN_MEMBER_ID))
        _answer_sync(member, Refused(Code.UNKNOWN_MEMBER_ID))
        if not group.members:
            group.empty()
            group.generation += 1
            group.call_after(None)
        elif group.state == PREPARING:
            self._complete_if_all_joined(group)
        else:
            self._prepare(group)

    def expire(self) -> None:
        """Drop members that were not heard of for their session timeout; also while others wait to join."""
        now = time.monotonic()
        for group in list(self.groups.values()):
            group.pending = {id: until for id, until in group.pending.items() if until > now}
            for member in list(group.members.values()):
                if member.joining is None and now - member.seen > member.session:
                    self._remove(group, member.id)
            if not group.members and not group.pending:
                del self.groups[group.id]  # what is left are its offsets, in the log

    def check_commit(self, request: Any) -> None:
        """Raises Refused unless the sender may commit offsets: a member of this generation, or anybody while there are
        no members.
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
    """Raises Refused for what cannot be a group's id."""
    if not 0 < len(id) <= _LONGEST_ID:
        raise Refused(Code.INVALID_GROUP_ID, f"a group's id has 1 to {_LONGEST_ID} characters")


def _protocols(request: Any) -> dict[str, bytes]:
    return {protocol.name: bytes(protocol.metadata) for protocol in request.protocols}


def _unguessable_id(client: str) -> str:
    return f"{client[:_LONGEST_CLIENT] or 'member'}-{uuid.uuid4()}"


def _answer_join(member: Member, answer: Joined | Refused) -> None:
    future, member.joining = member.joining, None
    if future is None or future.done():
        return
    if isinstance(answer, Refused):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _answer_sync(member: Member, refusal: Refused | None) -> None:
    future, member.syncing = member.syncing, None
    if future is None or future.done():
        return
    if refusal is None:
        future.set_result(None)
    else:
        future.set_exception(refusal)
