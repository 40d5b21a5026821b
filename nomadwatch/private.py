"""Keeps a data folder to its owner: in it stand the keys of people's hashes and, unless told otherwise, lines with
their names.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077
# What this program keeps in a data folder; it may be a folder that holds other things as well.
_OURS: Final = (
    *("lock", "state.json*", "actor.key*", "broker.db*"),
    *(f"{folder}{within}" for folder in ("faust", "count", "measure", "lake") for within in ("/**/*", "")),
)


def keep_private() -> None:
    """What this process writes from now on is for its owner only."""
    os.umask(_OTHERS)


def tighten(folder: Path) -> None:
    """Take what others may do from the files that an earlier version left in a folder. What is another user's stays as
    it is.
    """
    for pattern in _OURS:
        for path in folder.glob(pattern):
            # It may be another user's, or gone by now.
            with suppress(PermissionError, FileNotFoundError):
                mode = path.lstat().st_mode
                if mode & _OTHERS and not stat.S_ISLNK(mode):
                    path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def exposure(folder: Path) -> str | None:
    """A line on what others may do in a folder, with what to do; None where they may do nothing."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & _OTHERS:
        return None
    return f"the data folder {folder} is open to other users of this machine (mode {mode:04o}): chmod 700 {folder}"
