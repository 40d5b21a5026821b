"""Bounds on HTTP connections: nobody who sends or reads slowly keeps others out, whatever the number.

aiohttp closes a connection whose request head is not complete in time (`HEAD_WITHIN`). What it has no bound for is
here: the number of connections, and answers that are not read.
"""

import asyncio
import resource
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

# Seconds until the head of a request must be whole, counted from the connection or from the answer before.
HEAD_WITHIN: Final = 20.0
# Seconds until an answer must have been read.
READ_WITHIN: Final = 60.0
# Bytes of answers that wait to be read, of all connections.
UNREAD: Final = 64 << 20
_MOST: Final = 512
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"


def most_connections() -> int:
    """How many connections a process may hold: half of its file descriptors at most, for it needs others."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(8, min(_MOST, soft // 2))


class Visitors:
    """Makes the protocol of each connection, from what makes aiohttp's.

    A connection is `waiting` unless its request is with a handler: for a request, or for its reader. Beyond `most`
    connections the one that has waited longest is closed in favour of a new one, and a new one is refused (503) only
    where none waits. Beyond `unread` bytes the oldest answers that wait are given up, and each after `read_within`
    seconds. `closed` counts all of these.
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
        # In the order in which they began to wait.
        self._waiting: dict[_Visitor, None] = {}

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return _Visitor(self, self._protocol())

    @web.middleware
    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Tell apart who waits and who is being answered."""
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
        """Let a connection in, unless everybody is being answered."""
        if len(self._all) >= self._most and not self._close_oldest():
            self.closed += 1
            return False
        self._all[visitor.transport] = visitor
        self._waiting[visitor] = None
        return True

    def leave(self, visitor: "_Visitor") -> None:
        """A connection has ended."""
        self._all.pop(visitor.transport, None)
        self._waiting.pop(visitor, None)

    def close(self, visitor: "_Visitor") -> None:
        """End a connection now, whatever is still to be sent."""
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
    """No request here has a body: one that comes is not kept, and ends the connection (413)."""
    if request.body_exists:
        raise web.HTTPRequestEntityTooLarge(0, 1, text="no request here has a body\n", headers={"Connection": "close"})
    return await handler(request)


class _Visitor(asyncio.Protocol):
    """One connection: everything goes on to aiohttp's protocol."""

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
        """Another request has come, or the connection has ended."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size():
            self._visitors.close(self)
