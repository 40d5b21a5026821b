"""How much memory clients can make the broker take: a pool for requests that come in, one for answers that go out."""

import asyncio
from typing import Final

INCOMING_BYTES: Final = 128 << 20
OUTGOING_BYTES: Final = 64 << 20
_SHARE: Final = 8
_LEAST: Final = 64 << 10


class Pool:
    """Bytes that are held, and events of those who wait for some to be given back."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.held = 0
        self.waiting: set[asyncio.Event] = set()

    def take(self, count: int) -> None:
        self.held += count

    def give_back(self, count: int) -> None:
        self.held -= count
        if count and self.held < self.size:
            for event in self.waiting:
                event.set()

    @property
    def exhausted(self) -> bool:
        return self.held >= self.size

    @property
    def pressed(self) -> bool:
        """More than half is held: who does not move on has less time."""
        return self.held * 2 > self.size

    def allowance(self) -> int:
        """Bytes that one answer may have now: a part of what is left, so that something is left for the next; 0 if
        nothing is.
        """
        return 0 if self.exhausted else max((self.size - self.held) // _SHARE, _LEAST)


class Turns:
    """One at a time in each turn of the event loop: a hundred who read much at once must not hold up those who ask for
    little.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._free = True

    async def turn(self) -> None:
        """At once if nobody had this turn of the event loop; otherwise in line, a turn each."""
        if self._free and not self._lock.locked():
            self._free = False
            asyncio.get_running_loop().call_soon(self._next)
            return
        async with self._lock:
            await asyncio.sleep(0)

    def _next(self) -> None:
        self._free = True
