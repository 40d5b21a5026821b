"""Server-sent events: every browser gets the newest state; a slow one skips the states in between.

Source: WHATWG HTML, 9.2 Server-sent events.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from typing import Final

from aiohttp import web

from sinks.board import wall_clock

logger = logging.getLogger(__name__)

# Browsers at the same time. One that does not read holds about 0.3 MB of buffers.
MOST: Final = 250
# Seconds between two signs of life, and after which a browser that reads nothing is dropped.
BEAT: Final = 5.0
PATIENCE: Final = 60.0
# Bytes that the system may buffer for a browser that does not read: more would be a backlog of old states.
_SOCKET_BUFFER: Final = 64 * 1024
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class Hub:
    """Sends the newest state to all listeners, from one copy and without queues.

    Every `beat` seconds it sends an event `beat` with the server's time, `{"at": µs}`. A listener that reads nothing
    for `patience` seconds is dropped (`dropped` counts them); beyond `most` listeners, new ones get 503 (`refused`).
    `now` in µs UTC.
    """

    def __init__(
        self, *, most: int = MOST, beat: float = BEAT, patience: float = PATIENCE, now: Callable[[], int] = wall_clock
    ) -> None:
        self.listening = 0
        self.dropped = 0
        self.refused = 0
        self._most = most
        self._beat = beat
        self._patience = patience
        self._now = now
        # Part of the ids, so that an id of an earlier run of the server never matches.
        self._run = secrets.token_hex(4)
        self._number = 0
        self._newest: bytes | None = None
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def newest_id(self) -> str:
        """The id of the newest state."""
        return f"{self._run}-{self._number}"

    def publish(self, state: bytes) -> None:
        """Send a new state: one line of JSON."""
        self._number += 1
        self._newest = b"id: %s\nevent: state\ndata: %s\n\n" % (self.newest_id.encode(), state)
        self._wake()

    def close(self) -> None:
        """End all streams, and refuse new ones."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """Serve one listener until it leaves.

        The newest state is not sent again to one whose `Last-Event-ID` is its id. HEAD is answered with the headers
        only.
        """
        if request.method == "HEAD":
            return web.Response(headers=_HEADERS)
        if self._closed or self.listening >= self._most:
            self.refused += 1
            return web.Response(
                status=503, headers={"Retry-After": "5"}, text="too many browsers are watching; try again later\n"
            )
        self.listening += 1
        try:
            return await self._serve(request)
        finally:
            self.listening -= 1

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=_HEADERS)
        response.force_close()
        transport = request.transport
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        try:
            await response.prepare(request)
            async with asyncio.timeout(self._patience):
                await response.write(b"retry: 2000\n\n" + self._sign())
            sent = request.headers.get("Last-Event-ID")
            while not self._closed:
                changed = self._changed
                if self._newest is not None and sent != self.newest_id:
                    sent, message = self.newest_id, self._newest
                elif await _comes(changed, self._beat):
                    continue
                else:
                    message = self._sign()
                async with asyncio.timeout(self._patience):
                    await response.write(message)
        except TimeoutError:
            self.dropped += 1
            logger.info("a browser that read nothing for %.0f s was dropped", self._patience)
            if transport is not None:
                transport.abort()
        except ConnectionError:
            pass  # the listener has left
        return response

    def _sign(self) -> bytes:
        return b'event: beat\ndata: {"at":%d}\n\n' % self._now()


async def _comes(event: asyncio.Event, within: float) -> bool:
    """Whether the event is set within a number of seconds."""
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True
