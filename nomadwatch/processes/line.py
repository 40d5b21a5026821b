"""Messages from the process of a role to the main process, through a pipe.

The main process never waits for a role: it reads what has arrived, and keeps an incomplete message until its rest
arrives. A role that is killed or stopped within a message blocks nobody.
"""

import os
import pickle
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any, Final

Message = tuple[str, Any]
_LENGTH_BYTES: Final = 4
_CHUNK: Final = 1 << 16


class Mouth:
    """The role's end of the pipe. Threads may share it."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._lock = threading.Lock()

    def say(self, kind: str, body: object) -> None:
        """Send a message. Waits while the pipe is full. Raises OSError if the main process has ended."""
        content = pickle.dumps((kind, body))
        rest = memoryview(len(content).to_bytes(_LENGTH_BYTES) + content)
        with self._lock:
            while rest:
                rest = rest[os.write(self._line.fileno(), rest) :]


class Ear:
    """The main process's end of the pipe. `ended`: whether the other end is closed."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._held = bytearray()
        self.ended = False
        os.set_blocking(line.fileno(), False)

    def messages(self) -> Iterator[Message]:
        """The complete messages in up to 64 KiB of what has arrived."""
        try:
            came = os.read(self._line.fileno(), _CHUNK)
        except BlockingIOError:
            return
        self.ended = not came
        self._held += came
        while len(self._held) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._held[:_LENGTH_BYTES])
            if len(self._held) < end:
                return
            content = bytes(self._held[_LENGTH_BYTES:end])
            del self._held[:end]
            yield pickle.loads(content)

    def rest(self) -> Iterator[Message]:
        """The messages that a process has left in the pipe when it ended."""
        while not self.ended and self._line.poll():
            yield from self.messages()
