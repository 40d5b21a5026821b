"""The offsets that consumer groups have committed; they are in the file only."""

import asyncio
from collections.abc import Mapping

from broker.store import LogStore


class Offsets:
    """Committed offsets by group. A method that changes them returns a future that is done after the commit."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def commit(self, group: str, rows: list[tuple[str, int, int, str | None]]) -> "asyncio.Future[None]":
        """Commit offsets of a group; `rows`: (topic, partition, offset, note)."""

        def job() -> None:
            self._store.executemany(
                "INSERT OR REPLACE INTO offsets VALUES(?, ?, ?, ?, ?)", [(group, *row) for row in rows]
            )

        return self._store.write(job)

    def committed(self, group: str) -> Mapping[tuple[str, int], tuple[int, str | None]]:
        """(offset, note) by (topic, partition) of a group."""
        rows = self._store.execute("SELECT topic, number, offset, note FROM offsets WHERE member_group = ?", (group,))
        return {(topic, number): (offset, note) for topic, number, offset, note in rows.fetchall()}

    def groups(self) -> list[str]:
        """The groups that have committed offsets."""
        return [group for (group,) in self._store.execute("SELECT DISTINCT member_group FROM offsets").fetchall()]

    def forget(self, group: str) -> "asyncio.Future[None]":
        """Delete the offsets of a group."""

        def job() -> None:
            self._store.execute("DELETE FROM offsets WHERE member_group = ?", (group,))

        return self._store.write(job)
