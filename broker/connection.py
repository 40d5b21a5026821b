"""One client's connection: frames in, answers out in the same order, one request at a time."""

import asyncio
import sqlite3
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from broker.bulk import SLACK, Buffer
from broker.configs import MOST_PRODUCE_BYTES
from broker.errors import Malformed
from broker.handlers import HANDLERS
from broker.notices import warn
from broker.wire import FETCH, JOIN_GROUP, PRODUCE, SYNC_GROUP, decode_request, encode_response

if TYPE_CHECKING:
    from broker.server import Broker

_CHUNK_BYTES: Final = 16 << 10
_FIRST_BYTES: Final = 256 << 10
_GROUP_BYTES: Final = 1 << 20
_OTHER_BYTES: Final = 256 << 10
_WRITE_BYTES: Final = 256 << 10
_MOST_QUEUED: Final = 8
_QUEUED_BYTES: Final = 1 << 20
_LEAST_FRAME: Final = 8
PATIENCE_SECONDS: Final = 30.0
# While memory is short: who does not take an answer, or does not finish a request, has this long.
_PRESSED_SECONDS: Final = 5.0
# As Kafka's connections.max.idle.ms.
_IDLE_SECONDS: Final = 600.0
_WAITING: Final = (FETCH, JOIN_GROUP, SYNC_GROUP)
_LARGEST: Final = {PRODUCE: MOST_PRODUCE_BYTES, JOIN_GROUP: _GROUP_BYTES, SYNC_GROUP: _GROUP_BYTES}


class Connection(asyncio.BufferedProtocol):
    """Bytes are received straight into the frame that they belong to.

    Memory is taken for bytes that have come, not for a declared length, and from a pool that all connections share. A
    client that sends ahead waits in its own socket: a few requests are read, not more.
    """

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker
        self._buffer = bytearray(_CHUNK_BYTES + SLACK)
        self._room = _CHUNK_BYTES
        self._filled = 0
        self._need = 0
        self._frames: deque[bytearray | memoryview] = deque()
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
        # Moments of the loop's clock: the last sign of life, the begin of an unfinished frame, of an answer that is not
        # taken.
        self.since = self._loop.time()
        self._begun: float | None = None
        self._writing: float | None = None
        self._spoke = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._broker.admit(self):
            transport.abort()
            return
        self.task = self._loop.create_task(self._serve())

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled : self._room]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        self._begun = self._begun or self._loop.time()
        self._read()

    def _read(self) -> None:
        """Queue the frames that are complete, up to a few; make room for the rest of the last one."""
        try:
            while (
                self._filled >= 4 and len(self._frames) < _MOST_QUEUED and sum(map(len, self._frames)) < _QUEUED_BYTES
            ):
                self._need = self._need or 4 + self._checked_length()
                if self._filled < self._need:
                    break
                self._queue_frame()
        except Malformed as malformed:
            self._broker.refuse(malformed)
            self._filled = self._need = 0
            self._close()
            return
        if self._filled == self._room and self._filled < self._need:
            self._grow()
        if self._filled == self._room:
            self._pause()

    def _checked_length(self) -> int:
        (length,) = struct.unpack_from(">i", self._buffer)
        if not _LEAST_FRAME <= length <= MOST_PRODUCE_BYTES:
            raise Malformed(f"a frame of {length} bytes")
        if self._filled >= 6:
            (key,) = struct.unpack_from(">h", self._buffer, 4)
            if length > _LARGEST.get(key, _OTHER_BYTES):
                raise Malformed(f"{length} bytes for a request of kind {key}")
        return int(length)

    def _queue_frame(self) -> None:
        need, self._need = self._need, 0
        rest = memoryview(self._buffer)[need : self._filled]
        if need > _CHUNK_BYTES // 2:  # handed over as it is; what follows begins a new buffer
            frame = memoryview(self._buffer)[4:need]
            self._resize(max(_CHUNK_BYTES, len(rest)), rest)
        else:
            frame = memoryview(bytearray(self._buffer[4 : need + SLACK]))[:-SLACK]
            self._buffer[: len(rest)] = bytes(rest)
        self._filled = len(rest)
        self._begun = self._loop.time() if self._filled else None
        self._frames.append(frame)
        self._spoke = True
        self._account()
        self._arrived.set()

    def _grow(self) -> None:
        """Room for more of the frame, if the pool has some: else the connection waits until it has."""
        size = min(self._need, max(_FIRST_BYTES, 2 * self._filled))
        if self._broker.make_room(self, size - self._filled):
            self._resize(size, memoryview(self._buffer)[: self._filled])
            self._account()

    def _resize(self, room: int, kept: memoryview) -> None:
        buffer = bytearray(room + SLACK)
        buffer[: len(kept)] = kept
        self._buffer, self._room = buffer, room

    def _account(self) -> None:
        """What the pool knows of this connection: its buffer, its queue, the request in hand."""
        held = self._in_hand + sum(map(len, self._frames)) + (self._room if self._room > _CHUNK_BYTES else 0)
        self._broker.incoming.take(max(held - self._held, 0))
        self._broker.incoming.give_back(max(self._held - held, 0))
        self._held = held

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on reading, if there is room."""
        self._read()
        if (
            self._paused
            and self._filled < self._room
            and self._transport is not None
            and not self._transport.is_closing()
        ):
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
        """The peer is gone. Frames that are here are still served (acks=0), but nothing waits for it any more."""
        self._ended = True
        self._arrived.set()
        if self.task is not None and self._key in _WAITING:
            self.task.cancel()

    def _forget(self) -> None:
        """Let go of what was received: cycles with the task would keep it until the next collection of garbage."""
        if self.task is None or self.task.done() or self._transport is None or self._transport.is_closing():
            self._buffer = bytearray()
            self._filled = self._need = self._room = 0
            self._begun = None
        self._account()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # The broker's side.

    def rank(self) -> tuple[int, float] | None:
        """How dispensable the connection is when there are too many, the smallest first; None while it is at work.

        First those that never asked anything, then those without a request, then those that wait for something to come.
        """
        if self._key in _WAITING:
            return 2, self.since
        if self._key is not None or self._frames or self._writing is not None:
            return None
        return int(self._spoke), self.since

    def late(self, now: float) -> str | None:
        """Why the connection has to go: what it did not do in time."""
        pressed = self._broker.incoming.pressed and self._held > _CHUNK_BYTES
        if (
            self._begun is not None
            and not self._frames
            and now - self._begun > (_PRESSED_SECONDS if pressed else PATIENCE_SECONDS)
        ):
            return "a frame does not end"
        if self._writing is not None and now - self._writing > (
            _PRESSED_SECONDS if self._broker.outgoing.pressed else PATIENCE_SECONDS
        ):
            return "an answer is not taken"
        if (
            self._key is None
            and not self._frames
            and now - self.since > (_IDLE_SECONDS if self._spoke else PATIENCE_SECONDS)
        ):
            return "nothing is asked"
        return None

    def begun(self) -> float | None:
        """Since when a frame that holds much memory is unfinished."""
        return self._begun if self._room > _CHUNK_BYTES else None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        if self.task is not None:
            self.task.cancel()
        self._frames.clear()
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
                if self._frames:  # others have their turn
                    await asyncio.sleep(0)
        except Malformed as malformed:
            self._broker.refuse(malformed)
        except (
            AttributeError,
            OverflowError,
            TypeError,
            ValueError,
            struct.error,
        ) as error:  # a value that the codec let through
            self._broker.refuse(repr(error))
        except sqlite3.Error as error:
            self._broker.cannot_read(error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours ends this connection, not the broker
            warn(f"request {type(error).__name__}", f"a request failed: {error!r}")
        finally:
            self._close()

    async def _next_frame(self) -> bytearray | memoryview | None:
        while not self._frames:
            self.resume()
            if self._frames:
                break
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._frames.popleft()
        self._in_hand = len(frame)
        return frame

    async def _answer(self, frame: bytearray | memoryview) -> None:
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
            # From here on nothing new is awaited: a peer that has closed its side may still take the answer.
            self._key = -1
            await self._write(pieces)
        finally:
            self._key = None
            self._in_hand = 0
            self._account()

    async def _write(self, pieces: list[Buffer]) -> None:
        """In chunks, each after the last one was taken: the transport would copy what its socket does not take."""
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
