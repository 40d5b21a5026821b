"""A server that sends the bytes that a test gives it, whether they are HTTP or not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Self

from streams.live.common.clock import Clock

# The answer to a path with its query, head and all; None closes the connection.
Script = Callable[[str], bytes]


class RawServer:
    """Answers each request by `script`; `asked` are the paths."""

    def __init__(self, script: Script, clock: Clock | None = None) -> None:
        self.script = script
        self.clock = clock or Clock()
        self.asked: list[str] = []
        self.address = ""

    @classmethod
    @asynccontextmanager
    async def open(cls, script: Script, clock: Clock | None = None) -> AsyncIterator[Self]:
        server = cls(script, clock)
        listening = await asyncio.start_server(server._serve, "127.0.0.1", 0)
        server.address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        try:
            yield server
        finally:
            listening.close()
            await listening.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split()[1].decode()
                self.asked.append(path)
                writer.write(self.script(path))
                await writer.drain()
        writer.close()


def raw(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """An answer with headers as they are."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body
