"""An event that other processes wait for, and that happens once. A process may be killed while it waits.

`multiprocessing.Event` does not allow that: `set` waits until all waiters have woken up, and a dead one never does.
Here a waiter reads from a pipe to which nothing is written; `set` closes the writing end, and does not wait.
"""

import asyncio
import multiprocessing
from multiprocessing.connection import Connection


class Latch:
    """Pass `waiter` to the processes that wait, at each start; they wait with `opened`."""

    def __init__(self) -> None:
        self.waiter, self._writer = multiprocessing.Pipe(duplex=False)

    def set(self) -> None:
        """Release all processes that wait or will wait. Does not block."""
        self._writer.close()

    def close(self) -> None:
        """Close both ends of the pipe."""
        self._writer.close()
        self.waiter.close()


async def opened(waiter: Connection) -> None:
    """Return when the latch is set, or when the process that would set it has ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(waiter.fileno(), ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(waiter.fileno())
