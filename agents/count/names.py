"""The names of repositories that a partition has published. A name is published when it is new or changed, and again
after a week.
"""

from collections.abc import Sequence
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from agents.operators.keys import NO_KEYS, Keys, find

# Minutes after which a name in use is published again; shorter than the retention of the topic.
AGAIN: Final = 7 * 24 * 60
_AMBIGUOUS: Final = 0
# New repositories wait in a small table until there are this many, or an eighth of all.
_WAITING: Final = 2048

Table = NDArray[np.uint32]
_NOTHING: Final[Table] = np.empty((0, 3), np.uint32)


def hash_of(name: str) -> int:
    """32 bits of a name; never _AMBIGUOUS."""
    return crc32(name.encode()) or 1


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
        # Two sorted tables, a large one and a small one with what is new; of each the columns hash, met, published.
        self._keys: list[Keys] = [NO_KEYS, NO_KEYS]
        self._known: list[Table] = [_NOTHING, _NOTHING]

    def __len__(self) -> int:
        return sum(map(len, self._keys))

    def take(self, keys: Keys, minutes: NDArray[np.int64], names: Sequence[str]) -> list[int]:
        """The places of the names to publish, of side by side repositories, minutes and names, in no order."""
        if not len(keys):
            return []
        hashes = np.fromiter(map(hash_of, names), np.uint32, len(names))
        order = np.argsort(keys, kind="stable")
        # Repositories that are called in several ways here are judged one by one.
        again = keys[order][1:] == keys[order][:-1]
        differs = again & (hashes[order][1:] != hashes[order][:-1])
        several = np.isin(keys, keys[order][1:][differs]) if differs.any() else np.zeros(len(keys), np.bool_)
        unknown = np.ones(len(keys), np.bool_)
        judged = several.copy()
        for own, known in zip(self._keys, self._known, strict=True):
            at, found = find(own, keys)
            unknown &= ~found
            found &= ~several
            at = at[found]
            same = (known[at, 0] == hashes[found]) & (minutes[found] < known[at, 2].astype(np.int64) + AGAIN)
            # Nearly all are called as they were: only the time changes.
            np.maximum.at(known[:, 1], at[same], minutes[found][same].astype(np.uint32))
            judged[np.flatnonzero(found)[~same]] = True
        published = self._judge_all(keys, minutes, names, hashes, np.flatnonzero(judged))
        unknown &= ~several
        if unknown.any():
            published += self._take_new(keys, minutes, hashes, order[unknown[order]])
        return published

    def _take_new(self, keys: Keys, minutes: NDArray[np.int64], hashes: Table, places: NDArray[np.intp]) -> list[int]:
        """The places of the newest of repositories that were never met, called in one way each; `places` by key."""
        starts = np.flatnonzero(np.concatenate(([True], keys[places][1:] != keys[places][:-1])))
        newest = np.maximum.reduceat(minutes[places], starts)
        first = places[starts]
        chosen: list[int]
        self._insert(keys[first], np.stack((hashes[first], newest, newest), axis=1).astype(np.uint32))
        if len(first) == len(places):
            chosen = first.tolist()
            return chosen
        # Of several places of one repository the one that has the newest minute.
        is_newest = minutes[places] == np.repeat(newest, np.diff(starts, append=len(places)))
        those = places[is_newest]
        chosen = those[np.concatenate(([True], keys[those][1:] != keys[those][:-1]))].tolist()
        return chosen

    def _insert(self, keys: Keys, known: Table) -> None:
        """Add repositories that are in neither table, sorted."""
        keys, known = np.concatenate((self._keys[1], keys)), np.concatenate((self._known[1], known))
        order = np.argsort(keys, kind="stable")
        self._keys[1], self._known[1] = keys[order], known[order]
        if len(keys) > _WAITING + len(self._keys[0]) // 8:
            self._join()

    def _judge_all(
        self, keys: Keys, minutes: NDArray[np.int64], names: Sequence[str], hashes: Table, places: NDArray[np.intp]
    ) -> list[int]:
        by_key: dict[int, list[int]] = {}
        for place in places.tolist():
            by_key.setdefault(int(keys[place]), []).append(place)
        found: list[int] = []
        for key, own in by_key.items():
            place = max(own, key=lambda p: (int(minutes[p]), names[p]))
            if self._judge(key, int(minutes[place]), int(hashes[place])):
                found.append(place)
        return found

    def _judge(self, key: int, minute: int, name: int) -> bool:
        """Whether the newest name of a repository (its hash) has to go out."""
        known = self._get(key)
        if known is None:
            self._set(key, (name, minute, minute))
            return True
        was, met, published = known
        if minute < met:
            return False
        if name != was:
            # Of two names in one minute the greatest wins, and only its hash is known: the next one goes out again.
            self._set(key, (_AMBIGUOUS if minute == met else name, minute, minute))
            return True
        due = minute >= published + AGAIN
        self._set(key, (name, minute, minute if due else published))
        return due

    def _place(self, key: int) -> tuple[int, int] | None:
        for table, keys in enumerate(self._keys):
            place = int(keys.searchsorted(np.uint64(key)))
            if place < len(keys) and int(keys[place]) == key:
                return table, place
        return None

    def _get(self, key: int) -> tuple[int, int, int] | None:
        if (where := self._place(key)) is None:
            return None
        name, met, published = self._known[where[0]][where[1]].tolist()
        return name, met, published

    def _set(self, key: int, known: tuple[int, int, int]) -> None:
        if (where := self._place(key)) is None:
            self._insert(np.array([key], np.uint64), np.array([known], np.uint32))
        else:
            self._known[where[0]][where[1]] = known

    def learn(self, keys: Keys, minutes: NDArray[np.int64], published: Sequence[tuple[int, int, str]]) -> None:
        """Take up what an earlier run did: (repository, minute, name) of the names it published, in their order, and
        the repositories of its rows with their minutes.
        """
        new: dict[int, tuple[int, int, int]] = {}
        for key, minute, name in published:
            known, own = new.get(key) or self._get(key), hash_of(name)
            if known is not None and known[2] == minute and known[0] != own:
                own = _AMBIGUOUS
            new[key] = (own, minute if known is None else max(minute, known[1]), minute)
        if new:
            own_keys = np.fromiter(new, np.uint64, len(new))
            values = np.array(list(new.values()), np.uint32)
            absent = np.ones(len(own_keys), np.bool_)
            for table in range(2):
                at, found = find(self._keys[table], own_keys)
                self._known[table][at[found]] = values[found]
                absent &= ~found
            if absent.any():
                order = np.argsort(own_keys[absent])
                self._insert(own_keys[absent][order], values[absent][order])
        for table in range(2):
            at, found = find(self._keys[table], keys)
            np.maximum.at(self._known[table][:, 1], at[found], minutes[found].astype(np.uint32))

    def forget(self, before: int) -> None:
        """Drop what was last published before a minute: if it comes back, its name goes out again."""
        self._join()
        kept = self._known[0][:, 2] >= before
        if not kept.all():
            self._keys[0], self._known[0] = self._keys[0][kept], self._known[0][kept]

    def held(self) -> tuple[Keys, Table]:
        """Everything: the sorted keys, and hash, met, published of each."""
        self._join()
        return self._keys[0], self._known[0]

    def restore(self, keys: Keys, known: Table) -> None:
        """Restore what `held` returned."""
        self._keys, self._known = [keys, NO_KEYS], [known.copy(), _NOTHING]

    def _join(self) -> None:
        if not len(self._keys[1]):
            return
        keys, known = np.concatenate(self._keys), np.concatenate(self._known)
        order = np.argsort(keys, kind="stable")
        self._keys, self._known = [keys[order], NO_KEYS], [known[order], _NOTHING]
