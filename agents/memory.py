"""Returns free memory to the system, because glibc keeps it after large work (Linux only; elsewhere nothing)."""

import ctypes
import sys
import time
from typing import Final

_M_ARENA_MAX: Final = -8
_libc: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def one_arena() -> None:
    """Let all threads of this process allocate from one arena: free memory in one thread's arena is of no use to
    others.

    Threads that have an arena already keep it, so call this before threads start.
    """
    if _libc is not None and hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, 1)


def trim() -> None:
    """Return the free pages of the heap to the system. Takes some milliseconds."""
    if _libc is not None and hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


class Trimmer:
    """Trims after work, at most once in `every` seconds."""

    def __init__(self, every: float = 10.0) -> None:
        self._every = every
        self._last = float("-inf")

    def __call__(self) -> None:
        """Trim, unless that was done less than `every` seconds ago."""
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            trim()
