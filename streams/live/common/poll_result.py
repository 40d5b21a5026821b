"""The result of a poll, and where it goes: the contract between the pollers and the outlet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from streams.activity import Activity, Cover

# Why a feed has not seen everything.
GAP_REASONS: Final = ("overflow", "stale", "limited", "failed", "down", "quota")


class Gap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record of the topic `gaps` (the ledger): from `start` to `end` (µs UTC) a feed may have missed something.

    `reason`: `overflow` (more happened between two polls than a feed holds), `stale` (the server showed old pages),
    `limited` (a backoff or a spent quota), `failed` (the server did not answer), `down` (the station did not run),
    `quota` (the quota was too small to poll in time). The feed `archive` of a replay has one reason of its own,
    `hour_doubtful` (far fewer events than in the hours around it).
    """

    feed: str
    start: int
    end: int
    reason: str


encode_gap: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class PollResult:
    """The result of a poll of one feed. Its cursor is saved when the broker has all of it.

    `activities`: those that this feed had not shown before. `dead_letters`: records of the topic `dead-letters`.
    `complete_to` (µs): the feed's watermark; nothing older is expected from it. `covered`: the stretches that it saw
    completely, or a `share` (0 to 1) of which it saw because it does not reach all its sources. `cursor`: where the
    feed goes on. `cursors`: further ones by their keys, saved with it (a feed of thousands of repositories writes only
    those that changed).
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
    """Where poll results go."""

    async def put(self, result: PollResult) -> None:
        """Returns when the broker has stored the whole result and its cursor. Only then may a feed forget it."""
