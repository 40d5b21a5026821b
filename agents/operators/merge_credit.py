"""Whom a merge is credited to: a rule over the turns of one thread, whatever their order.

Today's payloads do not say who opened what is merged; the opening said so when it happened. So openings, merges and
what a source itself names as accepted are joined by thread.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from agents.operators.reach import ACCEPTED as REACH
from agents.operators.threads import ACCEPTED, OPENED, Turn, distinct

_LAST_OPENING: Final = OPENED << 1 | 1


class Credit(NamedTuple):
    """Whose contribution a merge accepted, and when (µs)."""

    at: int
    actor: int
    bot: bool


def credited(turns: Collection[Turn]) -> dict[int, Credit]:
    """Whom the merges of one thread are credited to: {id of the accepted contribution: credit}, without those of
    unknown openers.

    The opener is who opened the thread within 31 days of the merge, of several the first; else whom the source names.
    The opening is believed first: where a payload does not state the opener, the source can only guess from the
    branch's owner.
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
        # The merge's own time goes before that of what it accepted.
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
