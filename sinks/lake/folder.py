"""The lake's folder: which files it has, what each was made from, and how one takes the place of another.

A file is written under another name, synced and renamed: a crash leaves the old one or the new one. `manifest.json`
says of each file its size, its checksum and, of a day, the rows of each hour that it was made from.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import xxhash

from sinks.lake.tables import BY_DAY, VERSION

MANIFEST: Final = "manifest.json"
_LOCK: Final = ".lock"
_PARTIAL: Final = ".partial"
# What a damaged file is renamed to where nothing can make it anew.
DAMAGED: Final = ".damaged"
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_CHUNK: Final = 1 << 22


class LakeError(Exception):
    """The lake cannot be used as it is; the text says why, and what to do."""


class Busy(LakeError):
    """Another process writes the lake."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """What a file was when it was written. `hours`: of a day's facts, {hour (s since 1970): rows in the store}."""

    size: int
    checksum: str
    hours: dict[int, int] = {}


class _Manifest(msgspec.Struct, kw_only=True):
    version: int
    files: dict[str, File] = {}


class Lake:
    """A lake in a folder, to be read by many and written by one at a time."""

    def __init__(self, path: Path) -> None:
        """Raises LakeError where the folder holds a lake of another version."""
        self.path = path
        self.files: dict[str, File] = {}
        self.reload()

    def reload(self) -> None:
        """Read the manifest again; without a readable one nothing is known of any file."""
        self.files = {}
        with suppress(FileNotFoundError, NotADirectoryError):
            try:
                manifest = msgspec.json.decode((self.path / MANIFEST).read_bytes(), type=_Manifest)
            except msgspec.MsgspecError:
                return
            if manifest.version != VERSION:
                raise LakeError(
                    f"the lake in {self.path} is of version {manifest.version}, and this program writes version "
                    f"{VERSION}: move the folder away; what the store still holds is written again"
                )
            self.files = manifest.files

    @contextmanager
    def writing(self, patience: float = 0.0) -> Iterator[None]:
        """Be the only one who writes; waits for another for `patience` seconds, then raises Busy. Removes what a
        killed writer left.
        """
        _make(self.path)
        number = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        try:
            _lock(number, self.path, patience)
            self.reload()
            for left in self.path.rglob(f"*{_PARTIAL}"):
                left.unlink(missing_ok=True)
            shutil.rmtree(self.spill, ignore_errors=True)
            yield
        finally:
            os.close(number)

    @contextmanager
    def replacing(self, name: str, hours: Mapping[int, int] | None = None) -> Iterator[Path]:
        """A path to write to; it takes the place of the file `name` (relative, with `/`) when the block has ended."""
        target = self.path / name
        _make(target.parent)
        partial = self.partial(name)
        try:
            yield partial
            _seal(partial)
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self.adopt(name, hours or {})

    def adopt(self, name: str, hours: Mapping[int, int]) -> None:
        """Take a file up as it is."""
        path = self.path / name
        self.files[name] = File(size=path.stat().st_size, checksum=checksum_of(path), hours=dict(hours))
        self._write_manifest()

    def partial(self, name: str, part: int | None = None) -> Path:
        """Where something is written that readers must not see yet."""
        target = self.path / name
        return target.with_name(f".{target.name}{'' if part is None else f'.{part}'}{_PARTIAL}")

    @property
    def spill(self) -> Path:
        """Where a writer may put what does not fit into its memory."""
        return self.path / ".spill"

    def _write_manifest(self) -> None:
        partial = self.partial(MANIFEST)
        partial.write_bytes(msgspec.json.encode(_Manifest(version=VERSION, files=self.files)))
        _seal(partial)
        partial.replace(self.path / MANIFEST)

    def is_whole(self, name: str, *, thoroughly: bool = False) -> bool:
        """Whether a file is there with the size, or (`thoroughly`) with the content, that it was written with."""
        file = self.files.get(name)
        try:
            if file is None or (self.path / name).stat().st_size != file.size:
                return False
            return not thoroughly or checksum_of(self.path / name) == file.checksum
        except OSError:
            return False

    def damaged(self, *, thoroughly: bool) -> list[str]:
        """The files of the manifest that are gone or not what was written; `thoroughly`: every byte is read."""
        return [name for name in sorted(self.files) if not self.is_whole(name, thoroughly=thoroughly)]

    def unknown(self) -> list[str]:
        """Parquet files where the lake's are that the manifest does not name: readers see them."""
        own = [path for table in BY_DAY for path in self.path.glob(f"{table}/date=*/*.parquet")]
        names = [path.relative_to(self.path).as_posix() for path in own]
        return sorted(name for name in names if name not in self.files)

    def set_aside(self, name: str) -> None:
        """Take a damaged file out of the readers' way; its name gets an end more."""
        with suppress(FileNotFoundError):
            (self.path / name).replace(self.path / (name + DAMAGED))
        self.files.pop(name, None)
        self._write_manifest()


def checksum_of(path: Path) -> str:
    """128 bits of a file's content, in hexadecimal digits."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _make(folder: Path) -> None:
    """A folder and those above it, for the owner only."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def _seal(path: Path) -> None:
    """For the owner only, and on the disk."""
    path.chmod(_FILE_MODE)
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _lock(number: int, path: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise Busy(f"another process is writing the lake in {path}") from None
            time.sleep(0.05)
