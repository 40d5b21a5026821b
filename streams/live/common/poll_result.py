"""What a poll found, and where it goes: the contract between the pollers and the outlet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from streams.activity import Activity, Cover

# Why a feed has not seen everything.
GAP_REASONS: Final = ("overflow", "stale", "limited", "failed", "down", "quota")


class Gap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row of the ledger, a record of the topic `gaps`: from `start` to `end` (µs UTC) a feed may have missed
    something.

    `reason`: `overflow` (more happened between two polls than a feed holds), `stale` (it showed old pages), `limited`
    (the server's ban or a spent quota), `failed` (it did not answer), `down` (the station did not run), `quota` (the
    budget was too small to look in time). The feed `archive` of a replay has one reason of its own: `hour_doubtful`
    (far fewer events than in the hours around it).
    """

    feed: str
    start: int
    end: int
    reason: str


encode_gap: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class PollResult:
    """What a poll of one feed found; when all of it is on the broker, its cursor is saved.

    `activities` are those that this feed had not shown before; `letters` are records for the topic `dead-letters`.
    `complete_to` (µs) is the feed's mark: nothing older is expected from it. `covered` are the stretches that it saw
    whole, or of which it saw a `share` (0 to 1) because it does not reach all that it looks at. `cursor` is where it
    goes on. `cursors` are further ones by their keys (a feed of thousands of repositories writes only those that
    changed), saved with it.
    """

    feed: str
    platform: str
    cursor: bytes
    activities: list[Activity] = field(default_factory=list)
    dead_letters: list[bytes] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    covered: list[Cover] = field(default_factory=list)
    share: float = 1.0
    complete_to: int | None = None
    cursors: Mapping[str, bytes] = field(default_factory=dict)


class Outlet(Protocol):
    """Where finds go."""

    async def put(self, result: PollResult) -> None:
        """Returns when the broker has committed the find: everything in it, and the cursor. Only then may a feed
        forget.
        """
