"""A server on loopback whose world goes on while it listens."""

import asyncio
from abc import ABC, abstractmethod
from typing import Final

from aiohttp import web

# Every answer says that its world is simulated: its measurements must say so too.
WORLD: Final = ("X-World", "simulated")
# Seconds between two advances of the world while there are no requests.
_BREATH: Final = 0.05


class Listening(ABC):
    """Starts and stops. Subclasses say what it answers and what happens."""

    def __init__(self) -> None:
        self._runner: web.AppRunner | None = None
        self._going_on: asyncio.Task[None] | None = None

    async def start(self, port: int = 0) -> str:
        """Listen on loopback, on a free port if 0. Returns the address."""
        await self._catch_up()
        application = self._application()
        application.on_response_prepare.append(_name_the_world)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self._going_on = asyncio.create_task(self._go_on())
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening and stop the world."""
        if self._going_on is not None:
            self._going_on.cancel()
            await asyncio.gather(self._going_on, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    @abstractmethod
    def _application(self) -> web.Application:
        """The application that answers."""

    @abstractmethod
    async def _catch_up(self) -> None:
        """Advance the world to the present in small steps, so that no request has to wait for many."""

    async def _go_on(self) -> None:
        while True:
            await self._catch_up()
            await asyncio.sleep(_BREATH)


async def _name_the_world(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[WORLD[0]] = WORLD[1]
