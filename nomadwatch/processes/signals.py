"""Signals that ask a command to end: Ctrl-C, SIGTERM, SIGHUP. The first ends it in order, a second one at once."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

ASKING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# One request may arrive twice: for the process and for its group.
_AGAIN_AFTER: Final = 1.0


@contextmanager
def heeded(asked: asyncio.Event) -> Iterator[None]:
    """Set an event when a signal asks for the end; end this process at once when another one comes a second later.

    The handlers are Python's own, not the event loop's: they work while the loop is blocked. Ignored signals (as under
    nohup) stay ignored.
    """
    loop = asyncio.get_running_loop()
    first: float | None = None

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if first is not None and time.monotonic() - first >= _AGAIN_AFTER:
            os.write(
                sys.__stderr__.fileno() if sys.__stderr__ else 2, b"nomadwatch: interrupted twice, ended at once\n"
            )
            os._exit(1)  # the roles end with this process
        first = first or time.monotonic()
        loop.call_soon_threadsafe(asked.set)

    before: dict[int, Any] = {}
    for asking in ASKING:
        if signal.getsignal(asking) is not signal.SIG_IGN:
            before[asking] = signal.signal(asking, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
