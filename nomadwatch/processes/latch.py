"""An event that happens once and that other processes wait for, any of which may be killed while it waits.

`multiprocessing.Event` does not allow that: `set` waits until every waiter has woken up, and a dead one never does.
Here a waiter reads from a pipe on which nothing is written. Setting the latch closes the writing end, which never waits
for anybody.
"""

import asyncio
import multiprocessing
from multiprocessing.connection import Connection


class Latch:
    """`waiter` is handed to the processes that wait, as often as they are started; `opened` waits for it there."""

    def __init__(self) -> None:
        self.waiter, self._writer = multiprocessing.Pipe(duplex=False)

    def set(self) -> None:
        """Let go everybody who waits or will wait. Does not block."""
        self._writer.close()

    def close(self) -> None:
        """Release both ends."""
        self._writer.close()
        self.waiter.close()


async def opened(waiter: Connection) -> None:
    """Return when the latch is set, or when the process that would set it is gone."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(waiter.fileno(), ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(waiter.fileno())
