"""Which names of repositories a partition has published: a name goes out when it is new or changed, and again after a
week.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agents.operators.keys import NO_KEYS, Keys, find

# Minutes after which a name that is still in use is published again: less than the topic is kept for.
AGAIN: Final = 7 * 24 * 60
_AMBIGUOUS: Final = 0
# Changes wait in a small table until there are this many, or an eighth of all.
_WAITING: Final = 2048


def _hash(name: str) -> int:
    """32 bits of a name, the same within this process only; never _AMBIGUOUS."""
    return hash(name) & 0xFFFF_FFFF or 1


class PublishedNames:
    """Of each repository the hash of its newest name, the minute when it was last met, and the minute of its last
    publication.

    The newest name wins, of one minute the greatest, as in `Names`; what is older than what is known is not published.

    >>> names = PublishedNames()
    >>> keys = np.array([16, 16, 32], np.uint64)
    >>> names.take(keys, np.array([100, 101, 100]), ["old/name", "new/name", "other/name"])
    [1, 2]
    >>> names.take(keys, np.array([100, 102, 100 + AGAIN]), ["old/name", "new/name", "other/name"])
    [2]
    """

    def __init__(self) -> None:
        self._keys: Keys = NO_KEYS
        # (hash of the name, last met, last published)
        self._known: NDArray[np.uint32] = np.empty((0, 3), np.uint32)
        self._fresh: dict[int, tuple[int, int, int]] = {}

    def __len__(self) -> int:
        return len(self._keys) + len(self._fresh)

    def take(self, keys: Keys, minutes: NDArray[np.int64], names: Sequence[str]) -> list[int]:
        """The places of the names to publish, of side by side repositories, minutes and names, in no order."""
        if not len(keys):
            return []
        hashes = np.fromiter(map(_hash, names), np.uint32, len(names))
        order = np.lexsort((minutes, keys))
        last = np.append(keys[order][1:] != keys[order][:-1], True)
        places = order[last]
        held, known = find(self._keys, keys[places])
        # One name in all its rows, and the one that is known, published lately: only the time changes. This is nearly
        # all of them.
        again = keys[order][1:] == keys[order][:-1]
        differs = again & (hashes[order][1:] != hashes[order][:-1])
        many = np.unique(keys[order][1:][differs])
        several = np.isin(keys[places], many)
        usual = known & ~several
        at = held[usual]
        own = places[usual]
        same = (self._known[at, 0] == hashes[own]) & (minutes[own] < self._known[at, 2].astype(np.int64) + AGAIN)
        # A repository in the small table is judged there.
        same &= ~np.isin(keys[own], np.fromiter(self._fresh, np.uint64, len(self._fresh)))
        self._known[at[same], 1] = np.maximum(self._known[at[same], 1], minutes[own[same]].astype(np.uint32))
        rest = set(keys[places].tolist()) - set(keys[own[same]].tolist())
        if not rest:
            return []
        found: list[int] = []
        by_key: dict[int, list[int]] = {}
        for place in order.tolist():
            if (key := int(keys[place])) in rest:
                by_key.setdefault(key, []).append(place)
        for key, own_places in by_key.items():
            place = max(own_places, key=lambda p: (int(minutes[p]), names[p]))
            found += self._judge(key, place, int(minutes[place]), int(hashes[place]))
        if len(self._fresh) > _WAITING + len(self._keys) // 8:
            self._join()
        return found

    def _judge(self, key: int, place: int, minute: int, name: int) -> list[int]:
        """The place, if the newest name of a repository (its hash) has to go out."""
        known = self._get(key)
        if known is None:
            self._fresh[key] = (name, minute, minute)
            return [place]
        was, met, published = known
        if minute < met:
            return []
        if name != was:
            # Of two names in one minute the greatest wins, and only its hash is known: whatever comes next goes out
            # again.
            self._fresh[key] = (_AMBIGUOUS if minute == met else name, minute, minute)
            return [place]
        due = minute >= published + AGAIN
        self._fresh[key] = (name, minute, minute if due else published)
        return [place] if due else []

    def _get(self, key: int) -> tuple[int, int, int] | None:
        if (fresh := self._fresh.get(key)) is not None:
            return fresh
        places, found = find(self._keys, np.array([key], np.uint64))
        if not found[0]:
            return None
        name, met, published = self._known[places[0]].tolist()
        return name, met, published

    def restore(self, keys: Keys, minutes: NDArray[np.int64], published: Sequence[tuple[int, int, str]]) -> None:
        """Take up what an earlier run did: the repositories of its rows with their minutes, and (repository, minute,
        name) of its names.
        """
        for key, minute, name in published:
            known, own = self._get(key), _hash(name)
            if known is not None and known[2] == minute and known[0] != own:
                own = _AMBIGUOUS
            self._fresh[key] = (own, minute if known is None else max(minute, known[1]), minute)
        for key, minute in zip(keys.tolist(), minutes.tolist(), strict=True):
            if (known := self._get(key)) is not None and known[1] < minute:
                self._fresh[key] = (known[0], minute, known[2])
        if len(self._fresh) > _WAITING + len(self._keys) // 8:
            self._join()

    def forget(self, before: int) -> None:
        """Drop what was last published before a minute: if it comes back, its name goes out again."""
        self._join()
        kept = self._known[:, 2] >= before
        if not kept.all():
            self._keys, self._known = self._keys[kept], self._known[kept]

    def _join(self) -> None:
        if not self._fresh:
            return
        keys = np.fromiter(self._fresh, np.uint64, len(self._fresh))
        values = np.array(list(self._fresh.values()), np.uint32).reshape(-1, 3)
        stays = ~np.isin(self._keys, keys)
        keys, values = np.concatenate((self._keys[stays], keys)), np.concatenate((self._known[stays], values))
        order = np.argsort(keys, kind="stable")
        self._keys, self._known, self._fresh = keys[order], values[order], {}
