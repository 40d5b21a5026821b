"""The embedded broker: one process, one file, on loopback."""

import asyncio
import errno
import logging
import os
import resource
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from broker.bounds import INCOMING_BYTES, OUTGOING_BYTES, Pool, Turns
from broker.configs import MOST_PARTITIONS
from broker.connection import Connection
from broker.errors import BrokerError, LogUnusable, Malformed, PortTaken, Refused
from broker.file import unusable
from broker.groups import Groups
from broker.housekeeping import keep_house
from broker.listener import Listener
from broker.log import Log
from broker.notices import warn

_MOST_CONNECTIONS: Final = 1000
# File descriptors that are not for connections: the log's files, the event loop's, those of the process.
_RESERVED_FILES: Final = 24
_LEAST_CONNECTIONS: Final = 8
_YOUNG_SECONDS: Final = 1.0
LOOPBACK: Final = "127.0.0.1"
_TICK_SECONDS: Final = 0.25
_BREATH_SECONDS: Final = 0.005
_LAST_PORT: Final = 65_535
_LEAST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 86_400.0


class Broker:
    """A broker on one log file. `port` 0 takes a free one, which stands in `port` after `start`.

    `auto_create`: whether asking for an unknown topic creates it, with `partitions` partitions; `housekeeping`: seconds
    between two looks for what may leave the log; `initial_rebalance_delay`: seconds that an empty group waits for more
    members; `synchronous`: NORMAL, or FULL for an fsync at each commit.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        port: int = 0,
        auto_create: bool = False,
        partitions: int = 1,
        housekeeping: float = 5.0,
        initial_rebalance_delay: float = 0.0,
        synchronous: str = "NORMAL",
    ) -> None:
        """Opens the log. Raises LogInUse or LogUnusable, and BrokerError for an option that cannot be."""
        _check_options(port, partitions, housekeeping)
        # Without authentication it must not be heard beyond this machine.
        self.host = LOOPBACK
        self.port = port
        self.auto_create = auto_create
        self.partitions = partitions
        self.groups = Groups(initial_rebalance_delay)
        self.refused = 0
        self._housekeeping = housekeeping
        self.incoming = Pool(INCOMING_BYTES)
        self.outgoing = Pool(OUTGOING_BYTES)
        self.reading = Turns()
        self._connections: set[Connection] = set()
        self._cramped: set[Connection] = set()
        self._chores: list[asyncio.Task[None]] = []
        self._listener: Listener | None = None
        self.lost: asyncio.Future[None] | None = None
        self.log = Log(Path(path), synchronous)

    async def start(self) -> None:
        """Listens. Raises PortTaken, after which the log is closed. `lost` is done once the log's file is gone."""
        loop = asyncio.get_running_loop()
        try:
            self._listener = Listener(self.host, self.port, lambda: Connection(self), self._relieve)
        except OSError as error:
            self.log.close()
            raise _port_taken(self.host, self.port, error) from None
        self.port = self._listener.port
        self.lost = loop.create_future()
        self._chores = [loop.create_task(self._keep_house()), loop.create_task(self._expire())]

    async def stop(self) -> None:
        """Ends every connection and closes the log; what was answered is in the file."""
        if self._listener is not None:
            self._listener.close()
        tasks = [*self._chores, *(connection.task for connection in self._connections if connection.task is not None)]
        for connection in list(self._connections):
            connection.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.log.close()

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more; the most dispensable connection makes room."""
        if len(self._connections) >= _most_connections() and not self._relieve():
            self.refuse("too many connections")
            return False
        self._connections.add(connection)
        return True

    def _relieve(self) -> bool:
        """Close the most dispensable connection; False if all are at work."""
        ranked = [(rank, connection) for connection in self._connections if (rank := connection.rank()) is not None]
        if not ranked:
            return False
        _, connection = min(ranked, key=lambda each: each[0])
        self._cut(connection, "room for another connection")
        return True

    def _cut(self, connection: Connection, reason: str) -> None:
        self.refuse(reason)
        connection.abort()
        self.dismiss(connection)

    def make_room(self, connection: Connection, count: int) -> bool:
        """Whether `count` more bytes of a request may be held; large requests that do not come to their end make room.

        Without room the connection is told to go on as soon as there is some.
        """
        now = asyncio.get_running_loop().time()
        while self.incoming.held + count > self.incoming.size:
            begun = [
                (since, each)
                for each in self._connections
                if each is not connection and (since := each.begun()) is not None
            ]
            since, oldest = min(begun, key=lambda each: each[0], default=(now, connection))
            if now - since < _YOUNG_SECONDS:
                self._cramped.add(connection)
                return False
            self._cut(oldest, "an unfinished request holds memory that others need")
        return True

    def dismiss(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._cramped.discard(connection)

    def cannot_read(self, error: sqlite3.Error) -> None:
        warn(f"read {error}", str(unusable(self.log.store.path, error)))

    def refuse(self, reason: Malformed | str) -> None:
        """Count a connection that is closed because of what came over it."""
        self.refused += 1
        logging.getLogger(__name__).debug("connection refused: %s", reason)

    async def _keep_house(self) -> None:
        while True:
            more = False
            try:
                more = await keep_house(self.log)
            except Refused as refusal:
                warn("housekeeping", f"housekeeping: {refusal}")
            except sqlite3.Error as error:
                self.cannot_read(error)
            await asyncio.sleep(_BREATH_SECONDS if more else self._housekeeping)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.groups.expire()
            now = asyncio.get_running_loop().time()
            for connection in list(self._connections):
                if (reason := connection.late(now)) is not None:
                    self._cut(connection, reason)
            cramped, self._cramped = self._cramped, set()
            for connection in cramped:
                connection.resume()
            if self.lost is not None and not self.lost.done() and not self.log.store.present():
                self.lost.set_result(None)
            expired = self.log.transactions.expire()
            if expired is not None:
                with suppress(Refused):  # a full disk: tried again at the next tick
                    await expired


def _most_connections() -> int:
    """As many as the process may have open files for."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CONNECTIONS if files < 0 else max(min(_MOST_CONNECTIONS, files - _RESERVED_FILES), _LEAST_CONNECTIONS)


def _check_options(port: int, partitions: int, housekeeping: float) -> None:
    if not 0 <= port <= _LAST_PORT:
        raise BrokerError(f"port {port} does not exist: choose one from 1 to {_LAST_PORT}, or 0 for a free one")
    if not 1 <= partitions <= MOST_PARTITIONS:
        raise BrokerError(f"{partitions} partitions: a topic has 1 to {MOST_PARTITIONS}")
    if not _LEAST_PAUSE <= housekeeping <= _LONGEST_PAUSE:
        raise BrokerError(
            f"housekeeping every {housekeeping:g} seconds: choose {_LEAST_PAUSE:g} to {_LONGEST_PAUSE:g} seconds"
        )


def _port_taken(host: str, port: int, error: OSError) -> PortTaken:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"port {port} of {host} is in use: choose another with --port, or --port 0 for a free one")
    return PortTaken(
        f"cannot listen on {host}:{port} ({error.strerror}): choose another with --port, or --port 0 for a free one"
    )


async def serve(
    path: str | os.PathLike[str],
    port: int = 0,
    *,
    ready: Callable[[int], None] | None = None,
    stop: asyncio.Event | None = None,
    auto_create: bool = False,
    partitions: int = 1,
    housekeeping: float = 5.0,
    initial_rebalance_delay: float = 0.0,
    synchronous: str = "NORMAL",
) -> None:
    """Run a broker until `stop` is set, or SIGTERM or SIGINT comes. `ready` is called with the port once it listens.
    Raises BrokerError.
    """
    stop = stop or asyncio.Event()
    broker = Broker(
        path,
        port=port,
        auto_create=auto_create,
        partitions=partitions,
        housekeeping=housekeeping,
        initial_rebalance_delay=initial_rebalance_delay,
        synchronous=synchronous,
    )
    await broker.start()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        if ready is not None:
            ready(broker.port)
        assert broker.lost is not None
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait((stopped, broker.lost), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if broker.lost.done():
            raise LogUnusable(
                f"{path} was removed or replaced while the broker ran; what it held is gone: start again for a new one"
            )
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
        await broker.stop()
