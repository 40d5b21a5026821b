"""Merges, credited to the account that opened the pull request.

Today's payloads of a merge do not say who opened the pull request; the opening did. So openings, merges, and what the
source itself names as accepted are joined by thread. The credit follows from the set of these turns alone, not from
their order (docs/decisions/0006-accepted.md).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
import xxhash

from agents.operators.grains import ACCEPTED as REACH
from agents.operators.threads import ACCEPTED, MERGED, OPENED, Threads, Turn, distinct
from streams.activity import PLATFORMS, Activity

_ACTIONS: Final = {"opened": OPENED, "merged": MERGED, "accepted": ACCEPTED}
_SPREAD: Final = 0x9E37_79B9_7F4A_7C15
_KEY_BITS: Final = (1 << 64) - 1
_LAST_OPENING: Final = OPENED << 1 | 1
# Turns are packed, and old ones dropped, when so many wait, or an eighth of all.
_WAITING: Final = 4096


class Credit(NamedTuple):
    """Whose contribution a merge accepted, and when (µs)."""

    at: int
    actor: int
    bot: bool


class Change(NamedTuple):
    """A credit that a batch gives, or gives to another: of the merge whose accepted contribution has the hashed id, in
    the thread.
    """

    thread: int
    id: int
    before: Credit | None
    after: Credit


class _Place(msgspec.Struct, array_like=True):
    """Where a merge was: what its accepted contribution is counted by."""

    platform: str
    repo_id: int
    repo: str
    artefact: str
    project: str | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Place).decode


def turns_of(activities: Sequence[Activity], ids: Sequence[int]) -> list[Turn]:
    """The turns of threads among activities, whose ids' hashes are given."""
    pulls = [(activity, key) for activity, key in zip(activities, ids, strict=True) if activity.kind == "pull_request"]
    return [
        _turn(activity, key) for activity, key in pulls if activity.thread is not None and activity.action in _ACTIONS
    ]


def _turn(activity: Activity, key: int) -> Turn:
    action = _ACTIONS[activity.action or ""]
    # The repository's id is a hash; a thread's number, spread over 64 bits, makes another one of it.
    thread = (activity.repo_id ^ (activity.thread or 0) * _SPREAD) & _KEY_BITS
    kind = action << 1 | activity.bot
    if action == OPENED:
        return Turn(thread, key, kind, activity.occurred_at, activity.actor)
    if action == MERGED:
        key = xxhash.xxh3_64_intdigest(f"{activity.id}:accepted".encode())
    place = _Place(activity.platform, activity.repo_id, activity.repo, activity.artefact, activity.project)
    return Turn(thread, key, kind, activity.occurred_at, activity.actor, _encode(place))


def credited(turns: Collection[Turn]) -> dict[int, Credit]:
    """The credits for the merges of one thread: {id of the accepted contribution: credit}. Merges whose opener is
    unknown are absent.

    The opener is the account that opened the thread within 31 days of the merge, the first one if there are several;
    otherwise the one that the source names. The opening comes first, because a source that does not state the opener
    can only guess from the owner of the branch.
    """
    if all(turn.kind <= _LAST_OPENING for turn in turns):
        return {}
    merges: dict[int, int] = {}
    named: dict[int, tuple[int, bool]] = {}
    openings: list[Turn] = []
    for turn in distinct(turns):
        if turn.kind <= _LAST_OPENING:
            openings.append(turn)
            continue
        # The time of the merge itself comes before the time that its accepted contribution states.
        merges.setdefault(turn.id, turn.at)
        if turn.action == ACCEPTED:
            named.setdefault(turn.id, (turn.actor, turn.bot))
    found: dict[int, Credit] = {}
    for key, at in merges.items():
        near = [(opening.at, opening.actor, opening.bot) for opening in openings if abs(at - opening.at) <= REACH]
        author = min(near)[1:] if near else named.get(key)
        if author is not None:
            found[key] = Credit(at, *author)
    return found


class Credits:
    """The turns that the panes of a partition hold, the older ones without their places, and what follows from new
    ones.
    """

    def __init__(self, held: Iterable[Threads] = ()) -> None:
        self._threads = Threads.merged([threads.without_places() for threads in held])

    def named(self, turns: Collection[Turn]) -> set[int]:
        """Ids of those of the accepted contributions among the turns that the source has named before."""
        held = self._threads.find({turn.thread for turn in turns})
        return {turn.id for own in held.values() for turn in own if turn.action == ACCEPTED} & {
            turn.id for turn in turns
        }

    def take(self, turns: Collection[Turn], oldest: int | None) -> list[Change]:
        """Take up turns; what they change, if nothing older than a moment (µs, None: any) is known any more."""
        fresh: dict[int, list[Turn]] = {}
        for turn in turns:
            fresh.setdefault(turn.thread, []).append(turn)
        held = self._threads.find(fresh.keys())
        for turn in turns:
            self._threads.put(turn)
        changes: list[Change] = []
        for thread, new in fresh.items():
            old = _since(oldest, held.get(thread, []))
            before, after = credited(old), credited(old + new)
            changes += [
                Change(thread, key, before.get(key), credit)
                for key, credit in after.items()
                if before.get(key) != credit
            ]
        if oldest is not None and self._threads.waiting > _WAITING + len(self._threads.packed.threads) // 8:
            self._threads.forget(oldest)
            self._threads = self._threads.without_places()
        return changes


def accepted(place: bytes, credit: Credit) -> Activity:
    """The accepted contribution of a merge as the activity that a source would have stated (its id is known as a hash
    only).
    """
    where = _decode(place)
    return Activity(
        id="",
        platform=where.platform,
        kind="pull_request",
        action="accepted",
        occurred_at=credit.at,
        ingested_at=credit.at,
        repo_id=where.repo_id,
        repo=where.repo,
        owner="",
        actor=credit.actor,
        bot=credit.bot,
        artefact=where.artefact,
        project=where.project,
    )


def is_place(place: bytes) -> bool:
    """Whether it is what a turn says of where it was."""
    try:
        where = _decode(place)
    except (msgspec.MsgspecError, ValueError):
        return False
    return where.platform in PLATFORMS and 0 <= where.repo_id <= _KEY_BITS


def _since(oldest: int | None, turns: list[Turn]) -> list[Turn]:
    return turns if oldest is None or not turns else [turn for turn in turns if turn.at >= oldest]
