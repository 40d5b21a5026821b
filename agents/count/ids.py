"""Ids that were met, by the day of their event time: recent days in memory, older ones in sorted files that are mapped
when they are asked.

The files are a cache. A folder that is lost or damaged is filled again from the topic `facts`.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from agents.operators.keys import NO_KEYS, Keys, Places, find
from streams.activity import DAY

# A run: magic, number of ids, checksum of the ids; then the ids, sorted, 8 bytes each.
_RUN: Final = struct.Struct("<4sIQ")
_MAGIC: Final = b"ids1"
# Late ids of a day that is in a file wait in memory until there are this many.
_LATE: Final = 4096
# A file of more runs is written anew as one.
_MOST_RUNS: Final = 8


class DamagedIds(Exception):
    """A file of ids is not what was written: the folder has to be made anew."""


class Growing:
    """A sorted array of ids that grows: new ids go to a small array, which joins the large one when it has an eighth of
    its size.
    """

    __slots__ = ("_large", "_small")

    def __init__(self) -> None:
        self._large, self._small = NO_KEYS, NO_KEYS

    def known(self, ids: Keys) -> NDArray[np.bool_]:
        """Which of the ids are here."""
        known = find(self._large, ids)[1]
        return known | find(self._small, ids)[1] if len(self._small) else known

    def add(self, ids: Keys) -> None:
        """Take up ids that are not here yet."""
        self._small = np.sort(np.concatenate((self._small, ids)), kind="stable")
        if len(self._small) > _LATE + len(self._large) // 8:
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
        self._folder = folder
        self._open: dict[int, Growing] = {}
        self._runs: dict[int, int] = {}

    def known(self, days: NDArray[np.int64], ids: Keys) -> NDArray[np.bool_]:
        """Which of the ids were met on their day. Raises `DamagedIds`."""
        known = np.zeros(len(ids), np.bool_)
        for day, places in _by_day(days):
            own = ids[places]
            if (held := self._open.get(day)) is not None:
                known[places] |= held.known(own)
            if day in self._runs:
                for run in self._read(day):
                    known[places] |= find(run, own)[1]
        return known

    def add(self, days: NDArray[np.int64], ids: Keys) -> None:
        """Take up ids that were not met before."""
        for day, places in _by_day(days):
            self._open.setdefault(day, Growing()).add(ids[places])

    def close(self, before: int, oldest: int) -> None:
        """Write the days before `before` to files where that is worth it; forget those before `oldest`. OSError if the
        disk is full: then nothing is lost, the ids stay in memory.
        """
        for day in [day for day in (*self._open, *self._runs) if day < oldest]:
            self._open.pop(day, None)
            if self._runs.pop(day, None):
                self._path(day).unlink(missing_ok=True)
        if self._folder is None:
            return
        for day in [
            day for day, held in self._open.items() if day < before and (day not in self._runs or len(held) >= _LATE)
        ]:
            self._write(day)

    def __len__(self) -> int:
        """Ids in memory."""
        return sum(map(len, self._open.values()))

    def _path(self, day: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{day}.ids"

    def _write(self, day: int) -> None:
        ids, runs = self._open[day].get(), self._runs.get(day, 0) + 1
        if runs > _MOST_RUNS:
            ids, runs = np.sort(np.concatenate((*self._read(day), ids)), kind="stable"), 1
        path = self._path(day)
        data = ids.astype("<u8", copy=False).tobytes()
        header = _RUN.pack(_MAGIC, len(ids), xxhash.xxh3_64_intdigest(data))
        before = path.read_bytes() if runs > 1 else b""
        temporary = path.with_suffix(".new")
        try:
            temporary.write_bytes(before + header + data)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._runs[day] = runs
        del self._open[day]

    def _read(self, day: int) -> Iterator[Keys]:
        """The runs of a day's file, mapped."""
        path = self._path(day)
        try:
            data = np.memmap(path, np.uint8, "r")
        except (OSError, ValueError) as error:
            raise DamagedIds(f"{path}: {error}") from None
        at = 0
        for _ in range(self._runs[day]):
            if at + _RUN.size > len(data):
                raise DamagedIds(f"{path} is cut off")
            magic, count, _ = _RUN.unpack_from(data.data, at)
            at += _RUN.size
            if magic != _MAGIC or at + 8 * count > len(data):
                raise DamagedIds(f"{path} is not what was written")
            yield data[at : at + 8 * count].view("<u8")
            at += 8 * count


def _by_day(days: NDArray[np.int64]) -> Iterator[tuple[int, Places]]:
    """Each day with the places where it stands."""
    if not len(days):
        return
    if (days == days[0]).all():
        yield int(days[0]), np.arange(len(days))
        return
    order = np.argsort(days, kind="stable")
    cuts = np.flatnonzero(np.diff(days[order])) + 1
    for places in np.split(order, cuts):
        yield int(days[places[0]]), places


def day_of(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """The days of times in µs."""
    return times // DAY
