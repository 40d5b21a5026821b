"""Who made the contribution that a merge accepted: the account that opened the pull request, if its opening arrived,
else the one that the line of the merge names.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from simulator.clock import DAY
from simulator.deed import Deed

REACH: Final = 31 * DAY


def credited(deeds: Iterable[Deed]) -> list[Deed]:
    """The deeds (each once), with each merge of a known opener credited once to that opener. Nothing else changes.

    >>> opened = Deed("1", "github", "review", 0, 5, "o/r", 7, thread=3, turn="opened")
    >>> merged = Deed("2", "github", "upkeep", DAY, 5, "o/r", 8, thread=3, turn="merged")
    >>> [(deed.id, deed.feature, deed.actor) for deed in credited([merged, opened])]
    [('2', 'upkeep', 8), ('1', 'review', 7), ('2:accepted', 'accepted', 7)]
    >>> [deed.id for deed in credited([merged, opened._replace(occurred_at=DAY - REACH - 1)])]
    ['2', '1']
    """
    others: list[Deed] = []
    openings: defaultdict[tuple[str, int, int], list[Deed]] = defaultdict(list)
    merges: dict[str, Deed] = {}
    named: dict[str, Deed] = {}
    for deed in deeds:
        if deed.thread is None or deed.turn != "accepted":
            others.append(deed)
        if deed.thread is None:
            continue
        if deed.turn == "opened":
            openings[deed.platform, deed.repository, deed.thread].append(deed)
        if deed.turn == "merged":
            identity = f"{deed.id}:accepted"
            merges[identity] = deed._replace(id=identity, feature="accepted", turn="accepted", commits=None)
        if deed.turn == "accepted":
            named[deed.id] = deed
    accepted = []
    for identity, merge in {**named, **merges}.items():
        assert merge.thread is not None, "only threads are merged"
        near = [
            opening
            for opening in openings[merge.platform, merge.repository, merge.thread]
            if abs(opening.occurred_at - merge.occurred_at) <= REACH
        ]
        if near:
            opening = min(near, key=lambda one: (one.occurred_at, one.actor, one.bot))
            accepted.append(merge._replace(actor=opening.actor, bot=opening.bot))
        elif identity in named:
            accepted.append(named[identity])
    return others + accepted
