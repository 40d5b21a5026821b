"""Ids that were met, by the day of their event time: recent days in memory, older ones in sorted files that are mapped.

The files are a cache: what they hold has been committed to the topic `facts`. A file is never changed once it is there.
"""

import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from agents.operators.keys import NO_KEYS, Keys, Places, find
from streams.activity import DAY

# Days with fewer ids stay in memory, and late ids of a day that is in a file until there are this many.
_WORTH: Final = 4096
# A day of more files is written anew as one.
_MOST_FILES: Final = 8


class DamagedIds(Exception):
    """A file of ids is damaged: the folder must be rebuilt."""


class IdFile(NamedTuple):
    """A file of sorted ids of eight bytes: its day, its name in the folder, how many there are (`size`), their
    checksum.
    """

    day: int
    name: str
    size: int
    checksum: int


class Growing:
    """A sorted array of ids that grows: new ids go to a small array, which joins the large one when it has an eighth of
    its size.
    """

    __slots__ = ("_large", "_small")

    def __init__(self, ids: Keys = NO_KEYS) -> None:
        self._large, self._small = ids, NO_KEYS

    def known(self, ids: Keys) -> NDArray[np.bool_]:
        """Which of the ids are here; rising ones are found fastest."""
        known = find(self._large, ids)[1]
        return known | find(self._small, ids)[1] if len(self._small) else known

    def add(self, ids: Keys) -> None:
        """Add ids that are not here yet."""
        # Sorted parts behind each other: that is what a stable sort is fast at.
        self._small = np.sort(np.concatenate((self._small, ids)), kind="stable")
        if len(self._small) > _WORTH + len(self._large) // 8:
            self.get()

    def get(self) -> Keys:
        """All ids, sorted."""
        if len(self._small):
            self._large, self._small = np.sort(np.concatenate((self._large, self._small)), kind="stable"), NO_KEYS
        return self._large

    def __len__(self) -> int:
        return len(self._large) + len(self._small)


class Ids:
    """The ids of one partition. `known` and `add` take days (event time in µs ÷ DAY) and ids side by side.

    With a folder `close` writes old days to files; without one everything stays in memory.

    >>> ids = Ids()
    >>> days, keys = np.array([3, 4]), np.array([70, 80], np.uint64)
    >>> ids.add(days, keys)
    >>> ids.known(np.array([3, 3, 4]), np.array([70, 80, 80], np.uint64)).tolist()
    [True, False, True]
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._open: dict[int, Growing] = {}
        self._files: dict[int, list[IdFile]] = {}
        self._mapped: dict[str, Keys] = {}

    def known(self, days: NDArray[np.int64], ids: Keys) -> NDArray[np.bool_]:
        """Which of the ids are known for their day. Raises `DamagedIds`."""
        known = np.zeros(len(ids), np.bool_)
        for day, places in _by_day(days):
            own = ids[places]
            if (held := self._open.get(day)) is not None:
                known[places] |= held.known(own)
            for file in self._files.get(day, ()):
                known[places] |= find(self._map(file), own)[1]
        return known

    def add(self, days: NDArray[np.int64], ids: Keys) -> None:
        """Take up ids that were not met before, rising."""
        for day, places in _by_day(days):
            self._open.setdefault(day, Growing()).add(ids[places])

    def forget(self, oldest: int) -> None:
        """Drop the days before `oldest`. Their files are left to `sweep`."""
        for day in [day for day in self._open if day < oldest]:
            del self._open[day]
        for day in [day for day in self._files if day < oldest]:
            del self._files[day]

    def close(self, before: int) -> None:
        """Write the days before `before` to files where that is worth it. Only for ids that have been committed. Raises
        OSError if the disk is full: then nothing is lost, the ids stay in memory.
        """
        self._mapped.clear()
        for day in [day for day, held in self._open.items() if day < before and len(held) >= _WORTH]:
            self._write(day)

    def held(self) -> tuple[dict[int, Keys], list[IdFile]]:
        """What is in memory by day, and the files: together all ids."""
        return {day: held.get() for day, held in self._open.items()}, [
            file for files in self._files.values() for file in files
        ]

    def restore(self, held: dict[int, Keys], files: Iterable[IdFile]) -> None:
        """Take up what `held` gave. Raises `DamagedIds` where a file is not what was written."""
        self._open = {day: Growing(ids) for day, ids in held.items()}
        for file in files:
            ids = self._map(file)
            if xxhash.xxh3_64_intdigest(ids.tobytes()) != file.checksum:
                raise DamagedIds(f"{self._path(file.name)} is not what was written")
            self._files.setdefault(file.day, []).append(file)
        self._mapped.clear()

    def sweep(self) -> None:
        """Remove the files that are none of ours any more."""
        assert self.folder is not None
        kept = {file.name for files in self._files.values() for file in files}
        for path in self.folder.glob("*.ids*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def __len__(self) -> int:
        """Ids in memory."""
        return sum(map(len, self._open.values()))

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / name

    def _write(self, day: int) -> None:
        ids, files = self._open[day].get(), self._files.get(day, [])
        if len(files) >= _MOST_FILES:
            ids, files = np.sort(np.concatenate((*map(self._map, files), ids)), kind="stable"), []
        data = ids.astype("<u8", copy=False).tobytes()
        checksum = xxhash.xxh3_64_intdigest(data)
        path = self._path(f"{day}-{checksum:016x}.ids")
        temporary = path.with_suffix(".ids.new")
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._files[day] = [*files, IdFile(day, path.name, len(ids), checksum)]
        del self._open[day]

    def _map(self, file: IdFile) -> Keys:
        mapped = self._mapped.get(file.name)
        if mapped is None:
            path = self._path(file.name)
            try:
                with path.open("rb") as opened:
                    data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                raise DamagedIds(f"{path}: {error}") from None
            if len(data) != 8 * file.size:
                raise DamagedIds(f"{path} has {len(data)} bytes, not {8 * file.size}")
            mapped = self._mapped[file.name] = np.frombuffer(data, "<u8")
        return mapped


def _by_day(days: NDArray[np.int64]) -> Iterator[tuple[int, Places | slice]]:
    """Each day with the places where it stands, in their order."""
    if not len(days):
        return
    first = int(days[0])
    if first == int(days.min()) == int(days.max()):
        yield first, slice(None)
        return
    order = np.argsort(days, kind="stable")
    cuts = np.flatnonzero(np.diff(days[order])) + 1
    for places in np.split(order, cuts):
        yield int(days[places[0]]), places


def day_of(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """The days of times in µs."""
    return times // DAY
