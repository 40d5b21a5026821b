"""Bounds on connections, over real sockets: slow heads, slow readers, bodies, and everybody else is still answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from sinks.events import Hub
from sinks.visitors import Visitors, most_connections, without_body
from tests.sinks.raw_http import Raw, ask

GET = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = "GET / HTTP/1.1\r\nHost: x\r\nA: "
# More than the system takes for one who does not read.
LARGE = b"x" * 12_000_000


class Place:
    """A server within bounds, with a small page, a large one and a stream."""

    def __init__(self, port: int, visitors: Visitors, hub: Hub) -> None:
        self.port, self.visitors, self.hub = port, visitors, hub
        self.opened: list[Raw] = []

    async def open(self, text: str, *, receive: int | None = None) -> Raw:
        connection = await Raw.open(self.port, receive=receive)
        self.opened.append(connection)
        await connection.send(text)
        return connection

    async def answers(self) -> bool:
        return await ask(self.port, GET.format("/")) == 200


@asynccontextmanager
async def place(*, head_within: float = 30.0, listeners: int = 250, **bounds: float) -> AsyncIterator[Place]:
    async def small(request: web.Request) -> web.Response:
        return web.Response(text="small")

    async def large(request: web.Request) -> web.Response:
        return web.Response(body=LARGE)

    hub = Hub(most=listeners)
    visitors = Visitors(lambda: runner.server(), **bounds)  # type: ignore[misc, arg-type]
    app = web.Application(middlewares=[visitors.serve, without_body])
    app.router.add_get("/", small)
    app.router.add_get("/large", large)
    app.router.add_get("/events", hub.listen)
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=0.1, keepalive_timeout=head_within, lingering_time=0.1
    )
    await runner.setup()
    listening = await asyncio.get_running_loop().create_server(visitors, "127.0.0.1", 0, backlog=1024)
    opened = Place(listening.sockets[0].getsockname()[1], visitors, hub)
    try:
        async with asyncio.timeout(60):
            yield opened
    finally:
        for connection in opened.opened:
            connection.close()
        hub.close()
        listening.close()
        await runner.cleanup()


async def until_closed(place: Place, count: int) -> None:
    while place.visitors.closed < count:
        await asyncio.sleep(0.01)


def test_more_slow_heads_than_there_may_be_connections_keep_nobody_out() -> None:
    async def main() -> None:
        async with place(most=20) as opened:
            slow = [await opened.open(HALF) for _ in range(60)]
            assert await opened.answers()
            assert opened.visitors.closed >= 40
            # Those who waited longest went first.
            assert await slow[0].rest() == b""
            await slow[-1].send("b\r\n\r\n")
            assert await slow[-1].status() == 200

    asyncio.run(main())


def test_a_head_that_is_not_whole_in_time_ends_the_connection_however_steadily_it_comes() -> None:
    async def main() -> None:
        async with place(head_within=0.3) as opened:
            slow = await opened.open(HALF)
            dribbling = asyncio.create_task(dribble(slow))
            assert await slow.rest() == b""
            dribbling.cancel()
            silent = await opened.open("")
            assert await silent.rest() == b""
            idle = await opened.open(GET.format("/"))
            assert (await idle.rest()).endswith(b"small"), "a connection that is kept alive ends too"

    async def dribble(connection: Raw) -> None:
        while True:
            await connection.send("a")
            await asyncio.sleep(0.01)

    asyncio.run(main())


def test_who_is_being_answered_is_not_closed_for_newcomers_and_where_all_are_a_newcomer_is_refused() -> None:
    async def main() -> None:
        async with place(most=5) as opened:
            streams = [await opened.open(GET.format("/events")) for _ in range(5)]
            assert [await stream.status() for stream in streams] == [200] * 5
            assert await ask(opened.port, GET.format("/")) == 503
            assert opened.hub.listening == 5
            streams[0].close()
            while opened.hub.listening == 5:
                await asyncio.sleep(0.01)
            assert await opened.answers()

    asyncio.run(main())


def test_answers_that_nobody_reads_are_given_up_from_the_oldest_beyond_a_number_of_bytes() -> None:
    async def main() -> None:
        async with place(unread=20_000_000) as opened:
            for _ in range(20):
                await opened.open(GET.format("/large"), receive=4096)
            await until_closed(opened, 15)
            reader = await opened.open(GET.format("/large"))
            assert await reader.status() == 200
            assert await reader.reader.readexactly(len(LARGE)) == LARGE
            assert await opened.answers()

    asyncio.run(main())


def test_an_answer_that_nobody_reads_is_given_up_in_time_and_one_that_is_read_is_not() -> None:
    async def main() -> None:
        async with place(read_within=0.3) as opened:
            deaf = await opened.open(GET.format("/large"), receive=4096)
            reader = await opened.open(GET.format("/large"))
            assert await reader.status() == 200
            assert await reader.reader.readexactly(len(LARGE)) == LARGE
            await until_closed(opened, 1)
            assert len(await deaf.rest()) < len(LARGE)
            await reader.send(GET.format("/"))
            assert await reader.status() == 200
            assert opened.visitors.closed == 1

    asyncio.run(main())


@pytest.mark.parametrize("head", ["Content-Length: 50000000", "Content-Length: 1", "Transfer-Encoding: chunked"])
def test_a_request_with_a_body_is_answered_at_once_and_ends_the_connection(head: str) -> None:
    async def main() -> None:
        async with place() as opened:
            for method in ("GET", "POST"):
                sender = await opened.open(f"{method} / HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n")
                assert await sender.status() == 413
                assert await sender.rest() == b"requests must not have a body\n"

    asyncio.run(main())


def test_many_requests_on_one_connection_are_answered_in_their_order() -> None:
    async def main() -> None:
        async with place(most=3) as opened:
            one = await opened.open(
                GET.format("/") * 99 + GET.format("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
            )
            assert (await one.rest()).count(b"HTTP/1.1 200 OK") == 100

    asyncio.run(main())


def test_a_process_with_few_file_descriptors_holds_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def limit(soft: int) -> int:
        monkeypatch.setattr("resource.getrlimit", lambda kind: (soft, soft))
        return most_connections()

    assert [limit(soft) for soft in (64, 256, 1024, 1_048_576, -1)] == [32, 128, 512, 512, 512]
