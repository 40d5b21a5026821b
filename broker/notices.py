"""Warnings, at most one of a kind in a minute: repeated failures must not fill a disk with messages."""

import logging
import time
from typing import Final

_QUIET_SECONDS: Final = 60.0
_MOST_KINDS: Final = 256

_said: dict[str, tuple[float, int]] = {}


def warn(kind: str, text: str, logger: str = "broker") -> bool:
    """Log a warning unless one of its kind was logged within the last minute. True if it was logged."""
    now = time.monotonic()
    at, missed = _said.get(kind, (-_QUIET_SECONDS, 0))
    if now - at < _QUIET_SECONDS:
        _said[kind] = (at, missed + 1)
        return False
    if len(_said) >= _MOST_KINDS:
        _said.clear()
    _said[kind] = (now, 0)
    logging.getLogger(logger).warning("%s%s", text, f" ({missed} more of this kind before)" if missed else "")
    return True
