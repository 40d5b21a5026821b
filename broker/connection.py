"""One client's connection: frames in, answers out in the same order, one request at a time."""

import asyncio
import logging
import sqlite3
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from broker.configs import MOST_PRODUCE_BYTES
from broker.errors import Malformed
from broker.handlers import HANDLERS
from broker.wire import FETCH, JOIN_GROUP, PRODUCE, SYNC_GROUP, decode_request, encode_response

if TYPE_CHECKING:
    from broker.server import Broker

_CHUNK_BYTES: Final = 1 << 16
_FIRST_BYTES: Final = 1 << 18
_SMALL_BYTES: Final = 1 << 20
_MOST_QUEUED: Final = 8
_LEAST_FRAME: Final = 8
PATIENCE_SECONDS: Final = 30.0
_WAITING: Final = (FETCH, JOIN_GROUP, SYNC_GROUP)


class Connection(asyncio.BufferedProtocol):
    """Bytes are received straight into the frame that they belong to.

    Memory is taken for bytes that have come, not for a declared length.
    """

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker
        self._buffer = bytearray(_CHUNK_BYTES)
        self._filled = 0
        self._need = 0
        self._begun: float | None = None
        self._frames: deque[bytearray | memoryview] = deque()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False
        self._ended = False
        self._key: int | None = None
        self._transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._broker.admit(self):
            transport.abort()
            return
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        try:
            while self._take_frame():
                pass
        except Malformed as malformed:
            self._broker.refuse(malformed)
            self._close()

    def _take_frame(self) -> bool:
        """Queue the frame at the buffer's front if it is complete; else make room for the rest of it."""
        if self._filled < 4:
            self._begun = None if not self._filled else self._begun or asyncio.get_running_loop().time()
            return False
        if not self._need:
            self._need = 4 + self._checked_length()
        if self._filled >= self._need:
            self._queue_frame()
            return True
        self._begun = self._begun or asyncio.get_running_loop().time()
        if self._filled == len(self._buffer):
            larger = bytearray(min(self._need, max(_FIRST_BYTES, 2 * self._filled)))
            larger[: self._filled] = self._buffer
            self._buffer = larger
        return False

    def _checked_length(self) -> int:
        (length,) = struct.unpack_from(">i", self._buffer)
        if not _LEAST_FRAME <= length <= MOST_PRODUCE_BYTES:
            raise Malformed(f"a frame of {length} bytes")
        return int(length)

    def _queue_frame(self) -> None:
        need, self._need = self._need, 0
        (key,) = struct.unpack_from(">h", self._buffer, 4)
        if need > _SMALL_BYTES and key != PRODUCE:
            raise Malformed(f"{need} bytes for a request that is not Produce")
        rest = memoryview(self._buffer)[need : self._filled]
        if need > _CHUNK_BYTES // 2:  # handed over as it is; what follows begins a new buffer
            frame = memoryview(self._buffer)[4:need]
            self._buffer = bytearray(max(_CHUNK_BYTES, len(rest)))
            self._buffer[: len(rest)] = rest
        else:
            frame = memoryview(bytearray(self._buffer[4:need]))
            self._buffer[: len(rest)] = bytes(rest)
        self._filled = len(rest)
        self._begun = None
        self._frames.append(frame)
        self._arrived.set()
        if len(self._frames) >= _MOST_QUEUED and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._end()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._end()
        self._writable.set()

    def _end(self) -> None:
        """The peer is gone. Frames that are here are still served (acks=0), but nothing waits for it any more."""
        self._ended = True
        self._arrived.set()
        if self.task is not None and self._key in _WAITING:
            self.task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # The broker's side.

    def overdue(self, now: float) -> bool:
        """A frame was begun and did not come to its end in time."""
        return self._begun is not None and now - self._begun > PATIENCE_SECONDS

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        if self.task is not None:
            self.task.cancel()

    async def _serve(self) -> None:
        try:
            while True:
                frame = await self._next_frame()
                if frame is None:
                    return
                await self._answer(frame)
        except Malformed as malformed:
            self._broker.refuse(malformed)
        except TimeoutError:
            self._broker.refuse("an answer was not taken")
        except (
            AttributeError,
            OverflowError,
            TypeError,
            ValueError,
        ) as error:  # a null where the protocol forbids it, which the codec lets through
            self._broker.refuse(repr(error))
        except sqlite3.Error as error:
            logging.getLogger(__name__).warning("the log cannot be read: %s", error)
        finally:
            self._close()

    async def _next_frame(self) -> bytearray | memoryview | None:
        while not self._frames:
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._frames.popleft()
        if self._paused and not self._frames and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return frame

    async def _answer(self, frame: bytearray | memoryview) -> None:
        request = decode_request(frame)
        if self._ended and request.key in _WAITING:
            return
        self._key = request.key
        try:
            response: Any = await HANDLERS[request.key](self._broker, request)
        finally:
            self._key = None
        if response is None or self._transport is None or self._transport.is_closing():
            return
        self._transport.writelines(encode_response(request, response))
        if not self._writable.is_set():
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._writable.wait()

    def _close(self) -> None:
        self._broker.dismiss(self)
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() and not self._writable.is_set():
            self._transport.abort()
        else:
            self._transport.close()
