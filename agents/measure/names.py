"""The names of repositories in the store: each with the minute in which it was met, so that a past hour has its own."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from streams.activity import DAY, MINUTE
from streams.codes import HASH_MASK

# A repository (its hash without a code, signed), a minute since the epoch, what it was called then, and whether it was
# in the watchlist.
NamedRepository = tuple[int, int, str, bool]

NAMES_SCHEMA: Final = """
CREATE TABLE names (repository INTEGER, minute INTEGER, name TEXT, watched INTEGER, PRIMARY KEY (repository, minute))
    WITHOUT ROWID;
"""
# Of one minute the greatest name wins.
_PUT: Final = """
INSERT INTO names VALUES (?, ?, ?, ?) ON CONFLICT (repository, minute) DO UPDATE
SET name = max(name, excluded.name), watched = max(watched, excluded.watched)
"""
# A name goes out again while its repository is active, at least this often (agents.count.names).
_AGAIN: Final = 8 * DAY
# Names that are remembered once they were asked for.
_REMEMBERED: Final = 50_000
_SIGN: Final = 1 << 63


class NameTable:
    """The table of names in a store's file, and the names that wait to be written."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._unwritten: list[NamedRepository] = []
        # By signed keys without a code: (minute, name), rising.
        self._found: dict[int, list[tuple[int, str]]] = {}

    def add(self, names: Iterable[NamedRepository]) -> None:
        """Take up names; they are found at once."""
        before = len(self._unwritten)
        self._unwritten += names
        if self._found:
            for key in self._found.keys() & {name[0] for name in self._unwritten[before:]}:
                del self._found[key]

    def write(self) -> None:
        """Write what waits, in the transaction that is open."""
        # In the order of the table: each page is touched once.
        self._db.executemany(_PUT, sorted(self._unwritten))

    def written(self) -> None:
        """The transaction is over."""
        self._unwritten = []

    def find(self, repositories: Sequence[int], minute: int | None = None) -> dict[int, str]:
        """{repository: its name} of those that have one, whatever stands in the place of a code: the newest, or what it
        was called in a minute. Where only later names are known, the first of them.
        """
        keys = {repository: _signed(repository & HASH_MASK) for repository in repositories}
        if len(self._found) > _REMEMBERED:
            self._found.clear()
        self._remember([key for key in keys.values() if key not in self._found])
        return {repository: _chosen(own, minute) for repository, key in keys.items() if (own := self._found.get(key))}

    def _remember(self, keys: Sequence[int]) -> None:
        if not keys:
            return
        found: dict[int, list[tuple[int, str]]] = {key: [] for key in keys}
        for begin in range(0, len(keys), 500):
            some = keys[begin : begin + 500]
            query = f"SELECT repository, minute, name FROM names WHERE repository IN ({','.join('?' * len(some))})"
            for key, met, name in self._db.execute(query, some):
                found[key].append((met, name))
        for key, met, name, _ in self._unwritten:
            if key in found:
                found[key].append((met, name))
        self._found |= {key: sorted(own) for key, own in found.items()}

    def forget(self, before: int, before_watched: int) -> None:
        """Drop the names that were last in use before a moment (µs), those of the watchlist before an earlier one; in
        the transaction that is open.
        """
        minutes = [(moment - _AGAIN) // MINUTE for moment in (before_watched, before)]
        self._db.execute("DELETE FROM names WHERE minute < CASE WHEN watched THEN ? ELSE ? END", minutes)


def _chosen(names: Sequence[tuple[int, str]], minute: int | None) -> str:
    """The newest name up to a minute, else the first after it."""
    until = names if minute is None else [own for own in names if own[0] <= minute]
    return until[-1][1] if until else max(name for met, name in names if met == names[0][0])


def _signed(number: int) -> int:
    """An unsigned 64-bit number as SQLite's."""
    return number - (1 << 64) if number >= _SIGN else number
