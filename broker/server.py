"""The embedded broker: one process with one log file, on loopback."""

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
# File descriptors that connections may not use: for the log, the event loop and the process.
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
    """A broker on one log file. `port` 0 takes a free one; after `start`, `port` is the port that was taken.

    `auto_create`: whether a request for an unknown topic creates it, with `partitions` partitions. `housekeeping`:
    seconds between two clean-ups. `initial_rebalance_delay`: seconds for which an empty group waits for more members.
    `synchronous`: NORMAL, or FULL for an fsync at every commit.
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
        """Open the log. Raises LogInUse or LogUnusable, and BrokerError for an invalid option."""
        _check_options(port, partitions, housekeeping)
        # There is no authentication, so it must not be reachable from other machines.
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
        """Start to listen. Closes the log and raises PortTaken if that fails.

        `lost` is done once the log file is gone.
        """
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
        """Close every connection and the log. Everything that was acknowledged is in the file."""
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
        """Whether a new connection is admitted. At the limit the most dispensable one is closed for it."""
        if len(self._connections) >= _most_connections() and not self._relieve():
            self.refuse("too many connections")
            return False
        self._connections.add(connection)
        return True

    def _relieve(self) -> bool:
        """Close the most dispensable connection; False if all of them are busy."""
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
        """Whether `count` more bytes of a request may be held. Large requests that stay unfinished are cut off for it.

        If there is no room, the connection is resumed as soon as there is some.
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
        """Forget a connection that is closed."""
        self._connections.discard(connection)
        self._cramped.discard(connection)

    def cannot_read(self, error: sqlite3.Error) -> None:
        """Warn that the log cannot be read."""
        warn(f"read {error}", str(unusable(self.log.store.path, error)))

    def refuse(self, reason: Malformed | str) -> None:
        """Count a connection that is closed because of what the client sent."""
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
                with suppress(Refused):  # the disk is full: tried again at the next tick
                    await expired


def _most_connections() -> int:
    """The number of connections that the limit on open files allows."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CONNECTIONS if files < 0 else max(min(_MOST_CONNECTIONS, files - _RESERVED_FILES), _LEAST_CONNECTIONS)


def _check_options(port: int, partitions: int, housekeeping: float) -> None:
    if not 0 <= port <= _LAST_PORT:
        raise BrokerError(f"port {port} is out of range: choose 1 to {_LAST_PORT}, or 0 for a free one")
    if not 1 <= partitions <= MOST_PARTITIONS:
        raise BrokerError(f"{partitions} partitions are out of range: choose 1 to {MOST_PARTITIONS}")
    if not _LEAST_PAUSE <= housekeeping <= _LONGEST_PAUSE:
        raise BrokerError(
            f"a clean-up every {housekeeping:g} seconds is out of range: choose {_LEAST_PAUSE:g} to {_LONGEST_PAUSE:g}"
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
    """Run a broker until `stop` is set or SIGTERM or SIGINT arrives. `ready` is called with the port once it listens.

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
                f"{path} was removed or replaced while the broker ran, so its content is lost: start again with "
                "a new log"
            )
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
        await broker.stop()
