"""One consumer group: its members, its generation, and the answers that its members wait for."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from broker.errors import Code, Refused

LONGEST_SESSION_SECONDS: Final = 1800.0

# The states, by the names that clients know.
EMPTY: Final = "Empty"
PREPARING: Final = "PreparingRebalance"
COMPLETING: Final = "CompletingRebalance"
STABLE: Final = "Stable"
DEAD: Final = "Dead"


class Member:
    """A member of a group. `joining` and `syncing` are the answers that it waits for. Times in seconds."""

    def __init__(self, id: str, client: str, request: Any) -> None:
        self.id = id
        self.client = client
        self.joining: asyncio.Future[Joined] | None = None
        self.syncing: asyncio.Future[None] | None = None
        self.assignment = b""
        self.renew(request)

    def renew(self, request: Any) -> None:
        """Take over what a join request says."""
        self.session = request.session_timeout_ms / 1000
        # Version 0 of the request has no rebalance timeout; the session timeout is used instead.
        rebalance = request.rebalance_timeout_ms if request.rebalance_timeout_ms >= 0 else request.session_timeout_ms
        self.rebalance = min(rebalance / 1000, LONGEST_SESSION_SECONDS)
        self.protocols = protocols_of(request)
        self.seen = time.monotonic()

    @property
    def size(self) -> int:
        """Bytes of metadata and assignment."""
        return len(self.assignment) + sum(len(name) + len(data) for name, data in self.protocols.items())

    def answer_join(self, answer: "Joined | Refused") -> None:
        """Answer the join request that the member waits for, if there is one."""
        future, self.joining = self.joining, None
        if future is None or future.done():
            return
        if isinstance(answer, Refused):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def answer_sync(self, refusal: Refused | None) -> None:
        """Answer the sync request that the member waits for, if there is one."""
        future, self.syncing = self.syncing, None
        if future is None or future.done():
            return
        if refusal is None:
            future.set_result(None)
        else:
            future.set_exception(refusal)


class Joined:
    """The answer to a member that joined. Only the leader gets the metadata of the others."""

    def __init__(self, group: "ConsumerGroup", member: Member) -> None:
        self.generation = group.generation
        self.type = group.type
        self.protocol = group.protocol
        self.leader = group.leader or ""
        self.member_id = member.id
        leads = group.leader == member.id
        self.members = [(each.id, each.protocols[group.protocol]) for each in group.members.values()] if leads else []


class ConsumerGroup:
    """A group in its current generation. Times in seconds of the monotonic clock.

    `pending`: until when each member id that was given out may be used. `gathering`: the group waits for its first
    members.
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
        """A member, noted as alive. Raises Refused for an unknown member or another generation."""
        member = self.members.get(id)
        if member is None:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        if generation != self.generation:
            raise Refused(Code.ILLEGAL_GENERATION)
        member.seen = time.monotonic()
        return member

    def call_after(self, seconds: float | None, call: Callable[["ConsumerGroup"], None] | None = None) -> None:
        """Replace the group's timer. None: have none."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if seconds is not None and call is not None:
            self.timer = asyncio.get_running_loop().call_later(seconds, call, self)

    def empty(self) -> None:
        """Be a group without members."""
        self.state = EMPTY
        self.leader = None
        self.protocol = ""


def protocols_of(request: Any) -> dict[str, bytes]:
    """The assignment protocols that a join request offers, with the member's metadata."""
    return {protocol.name: bytes(protocol.metadata) for protocol in request.protocols}
