"""Keeps a data folder private: it holds the key of people's hashes and, by default, dead letters with their names."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077
# What this program keeps in a data folder, which may hold other files as well.
_OURS: Final = (
    *("lock", "state.json*", "actor.key*", "broker.db*"),
    *(f"{folder}{within}" for folder in ("faust", "count", "measure", "lake") for within in ("/**/*", "")),
)


def keep_private() -> None:
    """Let only the owner read what this process writes from now on."""
    os.umask(_OTHERS)


def tighten(folder: Path) -> None:
    """Remove the permissions of other users from files of an earlier version. Files of other users stay as they are."""
    for pattern in _OURS:
        for path in folder.glob(pattern):
            # The file may belong to another user, or be deleted already.
            with suppress(PermissionError, FileNotFoundError):
                mode = path.lstat().st_mode
                if mode & _OTHERS and not stat.S_ISLNK(mode):
                    path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def exposure(folder: Path) -> str | None:
    """A line with advice if other users have permissions on a folder; None if not."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & _OTHERS:
        return None
    return f"the data folder {folder} is open to other users of this machine (mode {mode:04o}): chmod 700 {folder}"
