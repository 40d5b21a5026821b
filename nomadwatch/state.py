"""The data folder of a station or a replay: for one process at a time, with the actor key and what later runs need."""

import errno
import fcntl
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

import msgspec

from nomadwatch.connect import LOOPBACK, reserve
from nomadwatch.errors import Failure, Misuse
from nomadwatch.failures import cannot, no_room
from nomadwatch.private import FILE_MODE, FOLDER_MODE, exposure, tighten
from streams import platforms
from streams.activity import PLATFORMS

_LOG: Final = logging.getLogger(__name__)
KEY_BYTES: Final = 32
_LEAST_KEY: Final = 16
_MOST_KEY: Final = 64
# With less free disk space, SQLite and the checkpoints may fail to write.
LEAST_ROOM: Final = 16 << 20
# How a data folder is laid out: 1 held panes, 2 holds facts.
LAYOUT: Final = 2
Kind: TypeAlias = Literal["replay", "live station", "demonstration"]


def log_of(folder: str | Path) -> Path:
    """The embedded broker's log in a data folder."""
    return Path(folder) / "broker.db"


class Kept(msgspec.Struct, kw_only=True):
    """What a later run needs to know. `kind`: whose state it is. `broker`: empty for the embedded one, last on `port`.

    `page_host` and `page_port`: where a station last served its page, as this machine reaches it; empty and 0 before.
    """

    layout: int = LAYOUT
    # Empty if an earlier version wrote it, which had no kinds: it becomes the kind that it is used as.
    kind: Kind | Literal[""] = ""
    broker: str = ""
    prefix: str = ""
    partitions: int
    port: int = 0
    # The clock of a station whose time runs faster: by what factor, and since when (s since 1970).
    time_scale: float = 1.0
    time_origin: float = 0.0
    page_host: str = ""
    page_port: int = 0
    # In the order of their numbers, which are in stored rows. Earlier versions did not keep them and had these two.
    platforms: tuple[str, ...] = ("github", "huggingface")


def default_folder() -> Path:
    """The default data folder of a live station (in the XDG base directory for state)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "nomadwatch"


class InUse(Failure):
    """The data folder is in use by another process."""


class State:
    """An open data folder. Without a path, it is a temporary folder, which `close` removes.

    It also reserves the ports of servers. Raises Misuse for a folder that cannot be used, Failure for one in use.
    """

    def __init__(self, path: str = "", *, tell: bool = True) -> None:
        """With `tell`, a warning is logged if other users of the machine may read the folder."""
        self.temporary = not path
        self.path = Path(tempfile.mkdtemp(prefix="nomadwatch-")) if self.temporary else Path(path).absolute()
        try:
            self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise Misuse(
                f"the data folder {self.path} cannot be used ({error.strerror}); name another with --data-dir"
            ) from None
        except OSError as error:
            raise cannot(error, f"the data folder {self.path} cannot be used") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise InUse(
                f"the data folder {self.path} is in use by another process; wait until it ends, or name another folder"
            ) from None
        tighten(self.path)
        if tell and (exposed := exposure(self.path)) is not None:
            _LOG.warning("%s", exposed)
        self.kept = read_kept(self.path)
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the folder; a temporary one is removed."""
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        for held in self._held:
            held.close()
        os.close(self._lock)

    def keep(self, kept: Kept) -> None:
        """Keep for later runs, with the present platforms."""
        kept.platforms = PLATFORMS
        self.kept = kept
        self._write("state.json", msgspec.json.format(msgspec.json.encode(kept)) + b"\n")

    def check_kind(self, kind: Kind) -> None:
        """Raises Misuse if the folder holds the state of another kind, or of other platforms."""
        if self.kept is None:
            return
        if self.kept.kind not in (kind, ""):
            raise Misuse(f"{self.path} holds the state of a {self.kept.kind}; name another --data-dir")
        known = self.kept.platforms
        if PLATFORMS[: len(known)] != known:
            raise Misuse(
                f"{self.path} holds the state of the platforms {', '.join(known)}: "
                f"{platforms.VARIABLE} must name those "
                "that are not built in, in this order, and may add others behind them"
            )

    def broker_port(self) -> int:
        """Reserve the port of the embedded broker while the folder is open: the last one, or a free one if that is in
        use.
        """
        assert self.kept is not None
        self.kept.port = self.hold_port(self.kept.port)
        self.keep(self.kept)
        return self.kept.port

    def hold_port(self, port: int = 0, host: str = LOOPBACK) -> int:
        """Reserve a port while the folder is open: this one, or a free one if it is 0 or in use. Raises OSError."""
        try:
            held = reserve(port, host)
        except OSError:
            held = reserve(0, host)
        number = int(held.getsockname()[1])
        if sys.platform == "linux":
            self._held.append(held)
        else:  # on other systems the server could not listen
            held.close()
        return number

    def actor_key(self, given: str) -> bytes:
        """The key of the actors' hashes: the given one, else the one in the folder, which is created at random.

        It has 16 to 64 bytes: a shorter key can be guessed, and BLAKE2b takes no longer one. Raises Misuse.
        """
        if given:
            if not _LEAST_KEY <= len(given.encode()) <= _MOST_KEY:
                what = (
                    "shorter than 16 bytes and can be guessed"
                    if len(given.encode()) < _LEAST_KEY
                    else "longer than 64 bytes"
                )
                raise Misuse(
                    f"the actor key is {what}; set NOMADWATCH_ACTOR_KEY to the output of "
                    "openssl rand -hex 32, or unset it"
                )
            return given.encode()
        path = self.path / "actor.key"
        with suppress(FileNotFoundError):
            try:
                kept = bytes.fromhex(path.read_text("ascii"))
            except ValueError:
                kept = b""
            if not _LEAST_KEY <= len(kept) <= _MOST_KEY:
                raise Misuse(
                    f"{path} does not contain a key; restore it from a backup, or start again with another --data-dir"
                )
            return kept
        key = secrets.token_bytes(KEY_BYTES)
        self._write("actor.key", key.hex().encode())
        return key

    def time_origin(self, scale: float) -> float:
        """Since when (s since 1970) a clock of this speed has run on this folder; now, if there was none.

        It must not run back.
        """
        assert self.kept is not None
        if self.kept.time_scale != scale or not self.kept.time_origin:
            self.kept.time_scale, self.kept.time_origin = scale, time.time()
            self.keep(self.kept)
        return self.kept.time_origin

    def room(self) -> int:
        """Free bytes on the disk of the folder."""
        return shutil.disk_usage(self.path).free

    def check_room(self) -> None:
        """Raises Failure if nothing can be written: the folder is gone or read-only, or its disk is full."""
        try:
            gone = os.fstat(self._lock).st_nlink == 0
            read_only = os.statvfs(self.path).f_flag & os.ST_RDONLY
            room = self.room()
        except FileNotFoundError:
            gone = True
        if gone:
            raise Failure(
                f"the data folder {self.path} was removed; run the same command again to start with a new one"
            )
        if read_only:
            raise cannot(
                OSError(errno.EROFS, os.strerror(errno.EROFS)), f"the data folder {self.path} cannot be written"
            )
        if room < LEAST_ROOM:
            raise no_room(str(self.path))

    def _write(self, name: str, content: bytes) -> None:
        """Write a file completely or not at all. Raises Failure."""
        partial = self.path / f"{name}.partial"
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path / name)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            self.check_room()
            raise cannot(error, f"{self.path / name} cannot be written") from None


def read_kept(path: Path) -> Kept | None:
    """What a data folder keeps, even while another process uses it; None if there is nothing yet.

    Raises Misuse, also for a folder of another layout.
    """
    try:
        content: Any = (path / "state.json").read_bytes()
        # Earlier versions wrote no layout.
        layout = msgspec.json.decode(content, type=dict[str, Any]).get("layout", 1)
        kept = msgspec.json.decode(content, type=Kept)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Misuse(
            f"{path / 'state.json'} cannot be read ({reason}); restore it or name another --data-dir"
        ) from None
    if layout != LAYOUT:
        raise Misuse(
            f"{path} holds the state of another version of nomadwatch (layout {layout}, not {LAYOUT}), which this one "
            "cannot read; name another --data-dir to begin anew, or delete the folder"
        )
    return kept
