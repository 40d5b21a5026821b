"""Bounds on memory that clients can make the broker use: one pool for requests, one for answers."""

import asyncio
from typing import Final

INCOMING_BYTES: Final = 128 << 20
OUTGOING_BYTES: Final = 64 << 20
_SHARE: Final = 8
_LEAST: Final = 64 << 10


class Pool:
    """A number of bytes that are held, up to `size`. `waiting`: events to set when some are given back."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.held = 0
        self.waiting: set[asyncio.Event] = set()

    def take(self, count: int) -> None:
        """Hold more bytes."""
        self.held += count

    def give_back(self, count: int) -> None:
        """Release bytes, and wake those that wait for some."""
        self.held -= count
        if count and self.held < self.size:
            for event in self.waiting:
                event.set()

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left."""
        return self.held >= self.size

    @property
    def pressed(self) -> bool:
        """Whether more than half is held: stalled clients then get less time."""
        return self.held * 2 > self.size

    def allowance(self) -> int:
        """Bytes that one answer may have now: a part of what is left, so that others get some too."""
        return 0 if self.exhausted else max((self.size - self.held) // _SHARE, _LEAST)


class Turns:
    """Lets one large read run in each turn of the event loop, so that many of them do not hold up small requests."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._free = True

    async def turn(self) -> None:
        """Return at once if this turn of the event loop is free, else after those that wait already, one turn each."""
        if self._free and not self._lock.locked():
            self._free = False
            asyncio.get_running_loop().call_soon(self._next)
            return
        async with self._lock:
            await asyncio.sleep(0)

    def _next(self) -> None:
        self._free = True
