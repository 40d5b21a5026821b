"""The local cache of one partition: its state as of one record of the topic `facts`, so that a restart reads only what
follows.

It is written from what has been committed and from nothing else, so it never holds more than its offset says. Whatever
is lost, damaged, of another topic or in another worker's hands is made anew from the topic.

    DATA/count/PARTITION/snapshot    everything but old ids, with the offset and the checksum of the last record it has
    DATA/count/PARTITION/*.ids       ids of old days (`agents.count.ids`), those that the snapshot names
    DATA/count/PARTITION/lock        held by the worker that uses the folder
"""

import fcntl
import logging
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import xxhash

from agents.count.ids import DamagedIds, IdFile
from agents.count.partition import Count
from agents.facts import ROW, Facts
from agents.operators.progress import Progress

logger = logging.getLogger("nomadwatch.count")

VERSION: Final = 1
_MAGIC: Final = b"nwcount\n"
_HEAD: Final = struct.Struct("<8sQ")
# It is written anew after this many rows, and more where it is large: a row makes _PER_ROW bytes be written at most.
_ROWS: Final = 50_000
_PER_ROW: Final = 64
# Or after this many records, of which a restart reads some thousand a second.
_RECORDS: Final = 1_000
# At the end of a worker this share of it is enough.
_AT_END: Final = 20
_MOST_FOLDERS: Final = 100


class Place(msgspec.Struct, frozen=True, array_like=True):
    """The last record that a state holds: its offset and the XXH3 of its value."""

    offset: int
    checksum: int


class _Snapshot(msgspec.Struct, array_like=True):
    version: int
    topic: str
    partition: int
    place: Place
    progress: Progress
    names: tuple[bytes, bytes]
    threads: bytes
    credits: tuple[bytes, bytes, list[str]]
    ids: dict[int, bytes]
    files: list[IdFile]
    watched: Progress | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Snapshot).decode


def checksum(value: bytes | None) -> int:
    """The checksum of a record's value."""
    return xxhash.xxh3_64_intdigest(value or b"")


class Cache:
    """The folder of one partition, for as long as this worker owns it.

    Where no folder can be had there is none: `folder` is None, and everything stays in memory.
    """

    def __init__(self, data_dir: str, topic: str, partition: int) -> None:
        self._topic, self._partition = topic, partition
        self.folder: Path | None = None
        self._lock = -1
        self._rows = self._records = self._size = 0
        self._failed = False
        try:
            self._open(Path(data_dir) / "count")
        except OSError as error:
            self._tell(error)

    def _open(self, parent: Path) -> None:
        """Take the first folder that no other worker holds: one that was stopped may hold its own for ever."""
        for attempt in range(_MOST_FOLDERS):
            folder = parent / (f"{self._partition}.{attempt}" if attempt else f"{self._partition}")
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            self.folder, self._lock = folder, lock
            return

    def close(self) -> None:
        """Let others have the folder."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock, self.folder = -1, None

    def load(self) -> tuple[Count, Place] | None:
        """The state that is kept, and the last record that it holds; None where there is none, or none that is whole
        and of this topic: that is told in one line.
        """
        if self.folder is None:
            return None
        try:
            return self._load(self.folder)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, DamagedIds, msgspec.MsgspecError) as error:
            self.refuse(error)
            return None

    def refuse(self, why: object) -> None:
        """Tell that what is kept cannot be used, and remove it."""
        logger.warning(
            "partition %d: the cache in %s cannot be used (%s); it is made anew from the topic %s",
            self._partition,
            self.folder,
            why,
            self._topic,
        )
        if self.folder is not None:
            for path in (self.folder / "snapshot", *self.folder.glob("*.ids*")):
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _load(self, folder: Path) -> tuple[Count, Place]:
        data = (folder / "snapshot").read_bytes()
        if len(data) < _HEAD.size:
            raise ValueError("it is cut off")
        magic, expected = _HEAD.unpack_from(data)
        body = memoryview(data)[_HEAD.size :]
        if magic != _MAGIC or xxhash.xxh3_64_intdigest(body) != expected:
            raise ValueError("it is not what was written")
        kept = _decode(body)
        if (kept.version, kept.topic, kept.partition) != (VERSION, self._topic, self._partition):
            raise ValueError(f"it is of version {kept.version}, topic {kept.topic}, partition {kept.partition}")
        count = Count(self._partition, folder)
        count.progress = kept.progress
        count.watched.waiting = kept.watched
        keys, known = kept.names
        count.names.restore(np.frombuffer(keys, "<u8"), np.frombuffer(known, "<u4").reshape(-1, 3))
        rows, numbers, projects = kept.credits
        count.credits.restore(kept.threads, np.frombuffer(rows, ROW), np.frombuffer(numbers, "<u4"), projects)
        ids = {day: np.frombuffer(own, "<u8") for day, own in kept.ids.items()}
        count.ids.restore(ids, kept.files)
        self._size = len(data)
        return count, kept.place

    def add(self, facts: Facts) -> None:
        """Note what has been committed."""
        self._rows += len(facts.rows)
        self._records += 1

    def is_due(self, *, at_end: bool = False) -> bool:
        """Whether it is worth to be written anew."""
        if self.folder is None:
            return False
        share = _AT_END if at_end else 1
        enough = self._rows * share >= _ROWS and self._rows * share * _PER_ROW >= self._size
        return enough or self._records * share >= _RECORDS

    def write(self, count: Count, place: Place) -> None:
        """Write the state as of the record that was committed last; nothing may have been counted since. A disk that is
        full is told, and stops nothing else.
        """
        if self.folder is None:
            return
        self._rows = self._records = 0
        temporary = self.folder / "snapshot.new"
        try:
            count.close_days()
            body = _encode(self._snapshot(count, place))
            head = _HEAD.pack(_MAGIC, xxhash.xxh3_64_intdigest(body))
            with temporary.open("wb") as file:
                file.writelines((head, body))
            os.replace(temporary, self.folder / "snapshot")
            count.ids.sweep()
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            self._tell(error)
            return
        self._size = len(head) + len(body)
        if self._failed:
            self._failed = False
            logger.warning("partition %d: its cache is written again", self._partition)

    def _snapshot(self, count: Count, place: Place) -> _Snapshot:
        keys, known = count.names.held()
        threads, rows, numbers, projects = count.credits.held()
        ids, files = count.ids.held()
        return _Snapshot(
            VERSION,
            self._topic,
            self._partition,
            place,
            count.progress,
            (keys.astype("<u8", copy=False).tobytes(), known.astype("<u4", copy=False).tobytes()),
            threads,
            (rows.tobytes(), numbers.astype("<u4", copy=False).tobytes(), projects),
            {day: own.astype("<u8", copy=False).tobytes() for day, own in ids.items()},
            files,
            count.watched.waiting,
        )

    def _tell(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            logger.warning(
                "partition %d: its cache in %s cannot be written (%s); counting goes on, a restart reads more of the "
                "topic: make room on the disk",
                self._partition,
                error.filename or self.folder,
                error.strerror or error,
            )
