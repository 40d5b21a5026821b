"""Gives memory that is free back to the system: glibc keeps what large work has used (Linux; elsewhere nothing is
done).
"""

import ctypes
import sys
import time
from typing import Final

_M_ARENA_MAX: Final = -8
_libc: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def one_arena() -> None:
    """Let all threads of this process allocate from one arena: free room in the arena of one thread serves no other.

    Threads that already have an arena of their own keep it: to be called before threads start.
    """
    if _libc is not None and hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, 1)


def trim() -> None:
    """Return the free pages of the heap; some milliseconds."""
    if _libc is not None and hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


class Trimmer:
    """Trims after work, at most once in `every` seconds."""

    def __init__(self, every: float = 10.0) -> None:
        self._every = every
        self._last = float("-inf")

    def __call__(self) -> None:
        """Trim, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            trim()
