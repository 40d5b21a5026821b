"""Bounds on HTTP connections: slow clients, however many, must not keep others out.

aiohttp closes a connection whose request head is not complete in time (`HEAD_WITHIN`). The bounds that it lacks are
here: on the number of connections, and on answers that are not read.
"""

import asyncio
import resource
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

# Seconds until the head of a request must be complete, from the connection or from the last answer on.
HEAD_WITHIN: Final = 20.0
# Seconds until an answer must have been read.
READ_WITHIN: Final = 60.0
# Bytes of unread answers, of all connections together.
UNREAD: Final = 64 << 20
_MOST: Final = 512
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"


def most_connections() -> int:
    """The number of connections that a process may hold: at most half of its file descriptors, as it needs others."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(8, min(_MOST, soft // 2))


class Visitors:
    """Makes the protocol of each connection around aiohttp's, which `protocol` makes.

    A connection waits, unless a handler works on its request: for a request, or for the client to read the answer.
    Beyond `most` connections, the one that has waited longest is closed for a new one; if none waits, the new one gets
    503. Beyond `unread` bytes, the oldest unread answers are given up, and every answer is after `read_within` seconds.
    `closed` counts all of these.
    """

    def __init__(
        self,
        protocol: Callable[[], asyncio.Protocol],
        *,
        most: int | None = None,
        unread: int = UNREAD,
        read_within: float = READ_WITHIN,
    ) -> None:
        self.closed = 0
        self.read_within = read_within
        self._protocol = protocol
        self._most = most_connections() if most is None else most
        self._unread = unread
        self._all: dict[asyncio.BaseTransport, _Visitor] = {}
        # In the order in which they started to wait.
        self._waiting: dict[_Visitor, None] = {}

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return _Visitor(self, self._protocol())

    @web.middleware
    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note which connections wait and which are being answered."""
        visitor = self._all.get(request.transport) if request.transport is not None else None
        if visitor is not None:
            self._waiting.pop(visitor, None)
            visitor.stop_watching()
        try:
            return await handler(request)
        finally:
            if visitor is not None and visitor.transport in self._all:
                self._waiting[visitor] = None
                visitor.watch_reading()
                asyncio.get_running_loop().call_soon(self._bound_unread)

    def enter(self, visitor: "_Visitor") -> bool:
        """Admit a connection; False if all others are being answered."""
        if len(self._all) >= self._most and not self._close_oldest():
            self.closed += 1
            return False
        self._all[visitor.transport] = visitor
        self._waiting[visitor] = None
        return True

    def leave(self, visitor: "_Visitor") -> None:
        """Forget a connection that has ended."""
        self._all.pop(visitor.transport, None)
        self._waiting.pop(visitor, None)

    def close(self, visitor: "_Visitor") -> None:
        """Close a connection at once, even if data is unsent."""
        self.closed += 1
        self.leave(visitor)
        visitor.transport.abort()

    def _close_oldest(self) -> bool:
        oldest = next(iter(self._waiting), None)
        if oldest is not None:
            self.close(oldest)
        return oldest is not None

    def _bound_unread(self) -> None:
        unread = {visitor: size for visitor in self._waiting if (size := visitor.transport.get_write_buffer_size())}
        excess = sum(unread.values()) - self._unread
        for visitor, size in unread.items():
            if excess <= 0:
                return
            self.close(visitor)
            excess -= size


@web.middleware
async def without_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests with a body (413), and close the connection: no request needs one."""
    if request.body_exists:
        raise web.HTTPRequestEntityTooLarge(
            0, 1, text="requests must not have a body\n", headers={"Connection": "close"}
        )
    return await handler(request)


class _Visitor(asyncio.Protocol):
    """A connection; everything is passed on to aiohttp's protocol."""

    transport: asyncio.Transport

    def __init__(self, visitors: Visitors, inner: asyncio.Protocol) -> None:
        self._visitors = visitors
        self._inner = inner
        self._admitted = False
        self._watching: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._admitted = self._visitors.enter(self)
        if self._admitted:
            self._inner.connection_made(transport)
        else:
            transport.write(_BUSY)
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._admitted:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        if self._admitted:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._admitted:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_watching()
        self._visitors.leave(self)
        if self._admitted:
            self._inner.connection_lost(exc)

    def watch_reading(self) -> None:
        """Close the connection if its answer is not read in time."""
        self._watching = asyncio.get_running_loop().call_later(self._visitors.read_within, self._give_up)

    def stop_watching(self) -> None:
        """Stop to watch: another request has arrived, or the connection has ended."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size():
            self._visitors.close(self)
