"""HTTP as a client could send it, right or wrong: over a socket, byte by byte."""

import asyncio
import socket
from typing import Self


class Raw:
    """A connection on which bytes are sent as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, *, receive: int | None = None) -> Self:
        """Connect; `receive` is how many bytes the system takes before they are read."""
        connection = socket.socket()
        connection.setblocking(False)
        if receive is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=connection, limit=receive or 65536))

    async def send(self, text: str) -> None:
        """Send the text as Latin-1."""
        self._writer.write(text.encode("latin-1"))
        await self._writer.drain()

    async def status(self) -> int:
        """Of the next answer; -1 if the connection ends before it comes."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return -1
        return int(head.split()[1])

    async def rest(self) -> bytes:
        """Everything until the server ends the connection."""
        found = b""
        try:
            while part := await self.reader.read(65536):
                found += part
        except ConnectionError:
            pass
        return found

    def close(self) -> None:
        """End the connection."""
        self._writer.transport.abort()


async def ask(port: int, text: str) -> int:
    """The status of the answer to a text on a connection of its own."""
    connection = await Raw.open(port)
    try:
        async with asyncio.timeout(30):
            await connection.send(text)
            return await connection.status()
    finally:
        connection.close()
