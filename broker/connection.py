"""A client's connection: frames in, answers out in the same order, one request at a time."""

import asyncio
import sqlite3
import struct
from typing import TYPE_CHECKING, Any, Final

from broker.bulk import Buffer
from broker.errors import Malformed
from broker.handlers import HANDLERS
from broker.inbox import CHUNK_BYTES, Frame, Inbox
from broker.notices import warn
from broker.wire import FETCH, JOIN_GROUP, SYNC_GROUP, decode_request, encode_response

if TYPE_CHECKING:
    from broker.server import Broker

_WRITE_BYTES: Final = 256 << 10
PATIENCE_SECONDS: Final = 30.0
# While memory is short, a client has this long to finish a request or to take an answer.
_PRESSED_SECONDS: Final = 5.0
# As Kafka's connections.max.idle.ms.
_IDLE_SECONDS: Final = 600.0
_WAITING: Final = (FETCH, JOIN_GROUP, SYNC_GROUP)


class Connection(asyncio.BufferedProtocol):
    """One client. Its memory comes from a pool that all connections share.

    A client that sends many requests at once waits in its socket: only a few are read ahead.
    """

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker
        self._inbox = Inbox(lambda count: broker.make_room(self, count), self._changed)
        self._in_hand = 0
        self._held = 0
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False
        self._ended = False
        self._key: int | None = None
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self.task: asyncio.Task[None] | None = None
        # Loop times: of the last sign of life, and since when an answer is not taken.
        self.since = self._loop.time()
        self._writing: float | None = None
        self._spoke = False

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._broker.admit(self):
            transport.abort()
            return
        self.task = self._loop.create_task(self._serve())

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._inbox.space()

    def buffer_updated(self, nbytes: int) -> None:
        self._inbox.receive(nbytes)
        self._read()

    def _read(self) -> None:
        try:
            self._inbox.read()
        except Malformed as malformed:
            self._broker.refuse(malformed)
            self._inbox.reset()
            self._close()
            return
        if self._inbox.full:
            self._pause()

    def _changed(self) -> None:
        """Frames were queued, or the buffer has grown."""
        if self._inbox.frames:
            self._spoke = True
            self._arrived.set()
        self._account()

    def _account(self) -> None:
        """Tell the pool what this connection holds: its buffer, its queue, and the request that is being served."""
        held = self._in_hand + self._inbox.held
        self._broker.incoming.take(max(held - self._held, 0))
        self._broker.incoming.give_back(max(self._held - held, 0))
        self._held = held

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Continue to read, if there is room."""
        self._read()
        if self._paused and not self._inbox.full and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        self._end()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._end()
        self._writable.set()
        self._broker.dismiss(self)
        self._forget()

    def _end(self) -> None:
        """The client has closed its side. Frames that have arrived are still served (acks=0); waiting requests end."""
        self._ended = True
        self._arrived.set()
        if self.task is not None and self._key in _WAITING:
            self.task.cancel()

    def _forget(self) -> None:
        """Release what was received, unless it is still being served."""
        if self.task is None or self.task.done() or self._transport is None or self._transport.is_closing():
            self._inbox.release()
        self._account()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # Called by the broker.

    def rank(self) -> tuple[int, float] | None:
        """How dispensable the connection is when there are too many, the smallest first; None while it is busy.

        First those that have never sent a request, then those without a request, then those whose request waits.
        """
        if self._key in _WAITING:
            return 2, self.since
        if self._key is not None or self._inbox.frames or self._writing is not None:
            return None
        return int(self._spoke), self.since

    def late(self, now: float) -> str | None:
        """Why the connection has to be closed: what the client did not do in time. None if it may stay."""
        pressed, begun = self._broker.incoming.pressed and self._held > CHUNK_BYTES, self._inbox.begun
        if (
            begun is not None
            and not self._inbox.frames
            and now - begun > (_PRESSED_SECONDS if pressed else PATIENCE_SECONDS)
        ):
            return "a request stays incomplete"
        if self._writing is not None and now - self._writing > (
            _PRESSED_SECONDS if self._broker.outgoing.pressed else PATIENCE_SECONDS
        ):
            return "an answer is not read"
        if (
            self._key is None
            and not self._inbox.frames
            and now - self.since > (_IDLE_SECONDS if self._spoke else PATIENCE_SECONDS)
        ):
            return "the connection is idle"
        return None

    def begun(self) -> float | None:
        """Since when a large frame is incomplete (loop time)."""
        return self._inbox.begun if self._inbox.large else None

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()
        if self.task is not None:
            self.task.cancel()
        self._inbox.frames.clear()
        self._forget()

    async def _serve(self) -> None:
        try:
            while True:
                frame = await self._next_frame()
                if frame is None:
                    return
                await self._answer(frame)
                del frame
                self.since = self._loop.time()
                if self._inbox.frames:  # let other connections run
                    await asyncio.sleep(0)
        except Malformed as malformed:
            self._broker.refuse(malformed)
        except (
            AttributeError,
            OverflowError,
            TypeError,
            ValueError,
            struct.error,
        ) as error:  # an invalid value that the codec accepted
            self._broker.refuse(repr(error))
        except sqlite3.Error as error:
            self._broker.cannot_read(error)
        except Exception as error:  # noqa: BLE001 - a bug ends this connection, not the broker
            warn(f"request {type(error).__name__}", f"a request failed: {error!r}")
        finally:
            self._close()

    async def _next_frame(self) -> Frame | None:
        while not self._inbox.frames:
            self.resume()
            if self._inbox.frames:
                break
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._inbox.frames.popleft()
        self._in_hand = len(frame)
        return frame

    async def _answer(self, frame: Frame) -> None:
        request = decode_request(frame)
        if self._ended and request.key in _WAITING:
            return
        self._key = request.key
        self.since = self._loop.time()
        try:
            response: Any = await HANDLERS[request.key](self._broker, request)
            if response is None or self._transport is None or self._transport.is_closing():
                return
            pieces = encode_response(request, response)
            del response
            # No longer waiting: a client that has closed its side may still read the answer.
            self._key = -1
            await self._write(pieces)
        finally:
            self._key = None
            self._in_hand = 0
            self._account()

    async def _write(self, pieces: list[Buffer]) -> None:
        """Write in chunks, each after the one before was taken: the transport copies what the socket does not take."""
        assert self._transport is not None
        size = sum(map(len, pieces))
        self._broker.outgoing.take(size)
        pieces.reverse()
        try:
            while pieces and not self._transport.is_closing():
                chunk = [pieces.pop()]
                length = len(chunk[0])
                while pieces and length + len(pieces[-1]) <= _WRITE_BYTES:
                    length += len(pieces[-1])
                    chunk.append(pieces.pop())
                self._transport.write(chunk[0] if len(chunk) == 1 else b"".join(chunk))
                del chunk
                if not self._writable.is_set():
                    self._writing = self._loop.time()
                    await self._writable.wait()
        finally:
            self._writing = None
            self._broker.outgoing.give_back(size)

    def _close(self) -> None:
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() and not self._writable.is_set():
            self._transport.abort()
        else:
            self._transport.close()
