"""The events: everyone gets the newest state, nobody a backlog, and memory stays bounded, over real sockets."""

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from sinks.events import Hub
from tests.sinks.made import NOON

MEGABYTE = 1_000_000


class Browser:
    """One who listens; `events` are (event, id, data) as they come, ids None where there is none."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.status = 0

    async def head(self) -> None:
        self.status = int((await self._reader.readuntil(b"\r\n\r\n")).split()[1])

    async def event(self) -> tuple[str, str | None, str]:
        """The next event; the chunks' lengths between events are skipped."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(30):
            while True:
                line = (await self._reader.readuntil(b"\n")).decode().rstrip("\r\n")
                name, colon, value = line.partition(": ")
                if colon:
                    fields[name] = value
                elif "event" in fields:
                    return fields["event"], fields.get("id"), fields["data"]

    async def states(self, until: str) -> list[str]:
        """The data of the states up to this one."""
        found: list[str] = []
        while not found or found[-1] != until:
            event, _, data = await self.event()
            if event == "state":
                found.append(data)
        return found

    async def ended(self) -> bool:
        """Whether the server ends the stream; what still comes is passed over."""
        async with asyncio.timeout(30):
            try:
                while await self._reader.read(65536):
                    pass
            except ConnectionError:
                pass
        return True

    def leave(self) -> None:
        self._writer.transport.abort()


class Hall:
    """A hub that listens on a port, and its browsers."""

    def __init__(self, hub: Hub, port: int) -> None:
        self.hub = hub
        self._port = port
        self._browsers: list[Browser] = []

    async def enter(self, *, last: str | None = None, small: bool = False) -> Browser:
        """Begin to listen; a `small` one takes little at once."""
        connection = socket.socket()
        connection.setblocking(False)
        if small:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self._port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=8192 if small else MEGABYTE)
        said = "" if last is None else f"Last-Event-ID: {last}\r\n"
        writer.write(f"GET /live/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{said}\r\n".encode())
        browser = Browser(reader, writer)
        self._browsers.append(browser)
        await browser.head()
        return browser

    def leave(self) -> None:
        for browser in self._browsers:
            browser.leave()


@asynccontextmanager
async def hall(hub: Hub) -> AsyncIterator[Hall]:
    app = web.Application()
    app.router.add_get("/live/events", hub.listen)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    opened = Hall(hub, runner.addresses[0][1])
    try:
        async with asyncio.timeout(60):
            yield opened
    finally:
        opened.leave()
        hub.close()
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_listener_gets_the_time_the_newest_state_and_then_each_change() -> None:
    async def main() -> None:
        async with hall(Hub(now=lambda: NOON)) as opened:
            opened.hub.publish(b'{"n":1}')
            opened.hub.publish(b'{"n":2}')
            browser = await opened.enter()
            assert browser.status == 200
            assert await browser.event() == ("beat", None, f'{{"at":{NOON}}}')
            assert await browser.event() == ("state", opened.hub.newest_id, '{"n":2}')
            opened.hub.publish(b'{"n":3}')
            assert await browser.event() == ("state", opened.hub.newest_id, '{"n":3}')

    asyncio.run(main())


def test_before_the_first_state_there_are_signs_of_life_alone() -> None:
    async def main() -> None:
        async with hall(Hub(beat=0.01)) as opened:
            browser = await opened.enter()
            assert [(await browser.event())[0] for _ in range(4)] == ["beat"] * 4
            opened.hub.publish(b"{}")
            assert await browser.states("{}") == ["{}"]

    asyncio.run(main())


def test_who_comes_back_with_the_newest_id_does_not_get_it_again() -> None:
    async def main() -> None:
        async with hall(Hub()) as opened:
            opened.hub.publish(b'{"n":1}')
            seen, other = opened.hub.newest_id, Hub()
            other.publish(b'{"n":1}')
            assert other.newest_id != seen, "another run of the server has other ids"
            knowing = await opened.enter(last=seen)
            foreign = await opened.enter(last=other.newest_id)
            assert await foreign.states('{"n":1}') == ['{"n":1}']
            opened.hub.publish(b'{"n":2}')
            assert await knowing.states('{"n":2}') == ['{"n":2}']

    asyncio.run(main())


def test_who_reads_slowly_skips_what_has_passed_and_gets_the_newest() -> None:
    async def main() -> None:
        async with hall(Hub()) as opened:
            browser = await opened.enter(small=True)
            for n in range(400):
                opened.hub.publish(b'{"n":%d,"filling":"%s"}' % (n, b"x" * 50_000))
                await asyncio.sleep(0)
            last = '{"n":399,"filling":"' + "x" * 50_000 + '"}'
            browser._reader._limit = MEGABYTE  # type: ignore[attr-defined]  # from now on it reads in earnest
            found = await browser.states(last)
            assert found[-1] == last
            assert len(found) < 40, "a backlog was sent"

    asyncio.run(main())


def test_two_hundred_browsers_that_do_not_read_stay_within_bounded_memory() -> None:
    async def main() -> None:
        async with hall(Hub()) as opened:
            for _ in range(200):
                await opened.enter(small=True)
            await until(lambda: opened.hub.listening == 200)
            tracemalloc.start()
            try:
                for n in range(150):
                    opened.hub.publish(b'{"n":%d,"filling":"%s"}' % (n, b"x" * 30_000))
                    await asyncio.sleep(0)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            # All of it for all of them were 900 MB.
            assert peak < 200 * 0.4 * MEGABYTE
            assert opened.hub.dropped == 0
            reading = await opened.enter()
            await reading.states('{"n":149,"filling":"' + "x" * 30_000 + '"}')

    asyncio.run(main())


def test_one_too_many_is_sent_away_and_may_come_when_another_has_left() -> None:
    async def main() -> None:
        async with hall(Hub(most=2, beat=0.01)) as opened:
            first, _ = await opened.enter(), await opened.enter()
            third = await opened.enter()
            assert (third.status, opened.hub.refused, opened.hub.listening) == (503, 1, 2)
            first.leave()
            await until(lambda: opened.hub.listening == 1)
            assert (await opened.enter()).status == 200
            assert opened.hub.refused == 1

    asyncio.run(main())


def test_who_reads_nothing_at_all_is_dropped_and_counted() -> None:
    async def main() -> None:
        async with hall(Hub(patience=0.2, beat=0.05)) as opened:
            await opened.enter(small=True)
            while opened.hub.dropped == 0:
                opened.hub.publish(b"x" * 100_000)
                await asyncio.sleep(0.01)
            await until(lambda: opened.hub.listening == 0)
            assert opened.hub.dropped == 1

    asyncio.run(main())


def test_a_closed_hub_lets_everyone_go_and_nobody_in() -> None:
    async def main() -> None:
        async with hall(Hub()) as opened:
            browser = await opened.enter()
            opened.hub.close()
            assert await browser.ended()
            assert (await opened.enter()).status == 503
            await until(lambda: opened.hub.listening == 0)

    asyncio.run(main())
