"""The store as it stood at one moment, for others than `measure`: read while its owner goes on writing."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zstandard

from agents.measure.names import NameTable
from agents.measure.store import VERSION, DamagedStore, Place, Store

# An owner that opens the file or folds its log holds it for moments only. Seconds.
_PATIENCE: Final = 10.0


class Snapshot(Store):
    """A store that was opened for reading: what its owner writes later is not seen, and nothing is written."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises FileNotFoundError where there is none, `DamagedStore`."""
        self._path = path
        self._unwritten, self._unwritten_places = [], {}
        if not Path(path).is_file():
            raise FileNotFoundError(2, "there is no store", os.fspath(path))
        self._db = sqlite3.connect(
            f"{Path(path).absolute().as_uri()}?mode=ro", _PATIENCE, isolation_level=None, uri=True
        )
        try:
            self._read_on()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise DamagedStore(f"{path}: {error}") from None
        except DamagedStore:
            self._db.close()
            raise

    def _read_on(self) -> None:
        # One transaction for everything: its first query chooses the moment.
        self._db.execute("BEGIN")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise DamagedStore(f"{self._path} is of version {version}, not {VERSION}")
        places = self._db.execute("SELECT partition, next, digest, progress FROM places")
        self._places = {partition: Place(after, digest, progress) for partition, after, digest, progress in places}
        self._projects = {name: number for number, name in self._db.execute("SELECT number, name FROM projects")}
        self._names = NameTable(self._db)
        self._unpack = zstandard.ZstdDecompressor()

    def all_names(self) -> Iterator[tuple[int, str]]:
        """(repository without a code, its newest name) of every one that has a name."""
        newest = "SELECT repository, name, max(minute) FROM names GROUP BY repository"
        for repository, name, _ in self._db.execute(newest):
            yield repository % (1 << 64), name
