"""Results: files that are written completely or not at all, and standard output with errors.

If output cannot be written, the command ends with exit code 1 and one line; if its reader has gone (`| head`), it ends
silently.

"""

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from nomadwatch.errors import Failure

_STDOUT: Final = 1
_STDERR: Final = 2


class ReaderGone(Failure):
    """The reader of standard output has closed it."""


class _Stdout(io.FileIO):
    """Standard output. The first error is raised as a Failure, so that code that suppresses OSError of connections does
    not hide it.
    """

    _failed = False

    def write(self, data: Any) -> Any:
        if self._failed:
            return len(data)
        try:
            return super().write(data)
        except OSError as error:
            self._failed = True
            if isinstance(error, BrokenPipeError):
                raise ReaderGone("the output is not read") from None
            raise _cannot(error, "standard output cannot be written") from None


class _Stderr(io.FileIO):
    """Standard error. If it cannot be written, nobody can be told."""

    def write(self, data: Any) -> Any:
        with suppress(OSError):
            return super().write(data)
        return len(data)


def prepare() -> None:
    """Set up standard output and error. A closed one counts as one that cannot be written."""
    for number in (_STDOUT, _STDERR):
        if not _is_open(number):
            # Otherwise the next opened file would get this number. It is open for reading only, so that writing fails.
            os.open(os.devnull, os.O_RDONLY)
    sys.stdout = _text(_Stdout(_STDOUT, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Stderr(_STDERR, "w", closefd=False), sys.stderr, line_buffering=True)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _text(raw: io.FileIO, like: Any, line_buffering: bool | None = None) -> io.TextIOWrapper:
    lines = raw.isatty() if line_buffering is None else line_buffering
    encoding, errors = (like.encoding, like.errors) if like is not None else ("utf-8", "backslashreplace")
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors=errors, line_buffering=lines)


@contextmanager
def whole(path: Path, what: str) -> Iterator[BinaryIO]:
    """Write a file that replaces `path` when the block has ended and everything is on the disk.

    Devices and pipes are written directly. Raises Failure, whose line begins with `what` ("x cannot be written").
    """
    try:
        if _is_special(path):
            with path.open("wb") as direct:
                yield direct
            return
        path = path.resolve()
        number, partial = _partial(path)
        try:
            with os.fdopen(number, "wb") as file:
                os.fchmod(file.fileno(), _mode(path))
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise _cannot(error, what) from None


def check(path: Path, what: str) -> None:
    """Raises Failure if a file cannot be written, before the work begins."""
    try:
        if _is_special(path):
            path.open("wb", buffering=0).close()
            return
        number, partial = _partial(path.resolve())
        os.close(number)
        partial.unlink()
    except OSError as error:
        raise _cannot(error, what) from None


def _partial(path: Path) -> tuple[int, Path]:
    """A new file beside `path`, open for writing."""
    from tempfile import mkstemp

    number, name = mkstemp(prefix=f".{path.name[:100]}.", suffix=".partial", dir=path.parent)
    return number, Path(name)


def _is_special(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, or of a new file."""
    with suppress(FileNotFoundError):
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, if the file system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _cannot(error: OSError, what: str) -> Failure:
    from nomadwatch.failures import cannot

    return cannot(error, what)
