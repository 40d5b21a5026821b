"""The bytes that a client has sent: complete frames in order, and a buffer for the frame that is arriving."""

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

from broker.bulk import SLACK
from broker.configs import MOST_PRODUCE_BYTES
from broker.errors import Malformed
from broker.wire import JOIN_GROUP, PRODUCE, SYNC_GROUP

CHUNK_BYTES: Final = 16 << 10
_FIRST_BYTES: Final = 256 << 10
_GROUP_BYTES: Final = 1 << 20
_OTHER_BYTES: Final = 256 << 10
_MOST_QUEUED: Final = 8
_QUEUED_BYTES: Final = 1 << 20
_LEAST_FRAME: Final = 8
_LARGEST: Final = {PRODUCE: MOST_PRODUCE_BYTES, JOIN_GROUP: _GROUP_BYTES, SYNC_GROUP: _GROUP_BYTES}

Frame = bytearray | memoryview


class Inbox:
    """Bytes are received straight into the frame that they belong to, and memory is taken for bytes that have arrived.

    `make_room` is asked for more bytes when the buffer of a large frame grows; False: not now. `changed` is called when
    the number of bytes that are held changes. `begun`: since when (loop time) a frame is incomplete.
    """

    def __init__(self, make_room: Callable[[int], bool], changed: Callable[[], None]) -> None:
        self.frames: deque[Frame] = deque()
        self.begun: float | None = None
        self._make_room = make_room
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(CHUNK_BYTES + SLACK)
        self._room = CHUNK_BYTES
        self._filled = 0
        self._need = 0

    def space(self) -> memoryview:
        """Where the next bytes belong."""
        return memoryview(self._buffer)[self._filled : self._room]

    def receive(self, count: int) -> None:
        """Note that bytes have arrived in `space`."""
        self._filled += count
        self.begun = self.begun or self._loop.time()

    @property
    def full(self) -> bool:
        """Whether there is no space: the client has to wait."""
        return self._filled == self._room

    @property
    def large(self) -> bool:
        """Whether the incomplete frame holds much memory."""
        return self._room > CHUNK_BYTES

    @property
    def held(self) -> int:
        """Bytes that are held beyond the first small buffer."""
        return sum(map(len, self.frames)) + (self._room if self.large else 0)

    def read(self) -> None:
        """Queue the complete frames, up to a few, and make room for the rest of the last one. Raises Malformed."""
        while self._filled >= 4 and len(self.frames) < _MOST_QUEUED and sum(map(len, self.frames)) < _QUEUED_BYTES:
            self._need = self._need or 4 + self._checked_length()
            if self._filled < self._need:
                break
            self._queue_frame()
        if self.full and self._filled < self._need:
            self._grow()

    def reset(self) -> None:
        """Drop the bytes of the incomplete frame."""
        self._filled = self._need = 0

    def release(self) -> None:
        """Drop the buffer: reference cycles would keep it until the next garbage collection."""
        self._buffer = bytearray()
        self._filled = self._need = self._room = 0
        self.begun = None

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
        if need > CHUNK_BYTES // 2:  # hand the buffer over as it is, and start a new one with what follows
            frame = memoryview(self._buffer)[4:need]
            self._resize(max(CHUNK_BYTES, len(rest)), rest)
        else:
            frame = memoryview(bytearray(self._buffer[4 : need + SLACK]))[:-SLACK]
            self._buffer[: len(rest)] = bytes(rest)
        self._filled = len(rest)
        self.begun = self._loop.time() if self._filled else None
        self.frames.append(frame)
        self._changed()

    def _grow(self) -> None:
        """Take room for more of the frame, if there is some."""
        size = min(self._need, max(_FIRST_BYTES, 2 * self._filled))
        if self._make_room(size - self._filled):
            self._resize(size, memoryview(self._buffer)[: self._filled])
            self._changed()

    def _resize(self, room: int, kept: memoryview) -> None:
        buffer = bytearray(room + SLACK)
        buffer[: len(kept)] = kept
        self._buffer, self._room = buffer, room
