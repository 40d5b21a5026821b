"""Accepts connections. asyncio's own server logs a traceback for every attempt while no file descriptor is free."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Final

from broker.notices import warn

_BACKLOG: Final = 512
_AT_ONCE: Final = 8
_PAUSE_SECONDS: Final = 0.25
_SHORTAGE: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """Listens on a port. `relieve` is called when file descriptors or buffers run out: it should close a connection."""

    def __init__(
        self, host: str, port: int, connect: Callable[[], asyncio.BaseProtocol], relieve: Callable[[], object]
    ) -> None:
        """Start to listen. Raises OSError."""
        self._socket = socket.create_server((host, port), backlog=_BACKLOG)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._connect = connect
        self._relieve = relieve
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for task in self._connecting:
            task.cancel()

    def _listen(self) -> None:
        self._later = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        # Connections that are not admitted yet hold file descriptors as well.
        for _ in range(_AT_ONCE - len(self._connecting)):
            try:
                accepted, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                self._back_off(error)
                return
            accepted.setblocking(False)
            task = self._loop.create_task(self._hand_over(accepted))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _hand_over(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._connect, accepted)
        except OSError as error:
            accepted.close()
            self._back_off(error)

    def _back_off(self, error: OSError) -> None:
        """Pause accepting: connections in the backlog would wake the event loop again and again."""
        why = os.strerror(error.errno) if error.errno in _SHORTAGE else error
        warn(
            "accept",
            f"a connection cannot be accepted ({why}), and others wait: close clients, or raise the limit (ulimit -n)",
        )
        self._relieve()
        if self._later is None:
            self._loop.remove_reader(self._socket)
            self._later = self._loop.call_later(_PAUSE_SECONDS, self._listen)
