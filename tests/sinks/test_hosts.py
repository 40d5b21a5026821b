"""Which hosts a request may name, on a running sink: pages of other sites must not read it (DNS rebinding)."""

import asyncio

import pytest

from sinks.hosts import Hosts
from sinks.server import serve
from tests.sinks.raw_http import Raw, ask
from tests.streams.brokers import TOPICS

NOWHERE = "127.0.0.1:1"
PATHS = ("/", "/metrics", "/healthz", "/live/events", "/live/history?scope=all&window=1h&feature=review", "/nowhere")
LOOPBACK = [
    "localhost",
    "LocalHost:9108",
    "localhost.",
    "localhost.:80",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.8.9.1",
    "[::1]",
    "[::1]:9108",
    "127.0.0.1:",
]
FOREIGN = [
    "evil.example", "evil.example:9108", "localhost.evil.example", "127.0.0.1.evil.example", "evil.localhost",
    "10.0.0.5", "0.0.0.0", "[::]", "[fe80::1]:9108", "", ":9108", "localhost:9108:1", "localhost@evil.example", "[::1",
    "::1", "evil.example,localhost",
    "local host", "2130706433", "localhost..", "localhost:evil", "\xff", "127.0.0.1/../evil",
]  # fmt: skip


class Running:
    """A sink, without a broker, that is asked for under some hosts."""

    def __init__(self, host: str = "127.0.0.1", allow: tuple[str, ...] = ()) -> None:
        self._host, self._allow = host, allow
        self._stop = asyncio.Event()

    async def __aenter__(self) -> int:
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serving = serve(
            NOWHERE, TOPICS, self._host, 0, allow_hosts=self._allow, ready=listening.set_result, stop=self._stop
        )
        self._running = asyncio.create_task(serving)
        return await listening

    async def __aexit__(self, *exception: object) -> None:
        self._stop.set()
        await self._running


def get(host: str, path: str = "/page.css", version: str = "1.1") -> str:
    return f"GET {path} HTTP/{version}\r\nHost: {host}\r\n\r\n"


@pytest.mark.parametrize("path", PATHS)
def test_a_foreign_host_gets_nothing_on_any_path_whatever_the_method(path: str) -> None:
    async def main() -> None:
        async with Running() as port:
            for method in ("GET", "HEAD", "OPTIONS", "POST"):
                assert await ask(port, f"{method} {path} HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n") == 421
                assert (
                    await ask(port, f"{method} {path} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1\r\n\r\nx")
                    == 421
                )

    asyncio.run(main())


def test_loopback_by_every_name_and_with_every_port_is_answered_and_nothing_else() -> None:
    async def main() -> None:
        async with Running() as port:
            assert {host: await ask(port, get(host)) for host in LOOPBACK} == dict.fromkeys(LOOPBACK, 200)
            found = {host: await ask(port, get(host)) for host in FOREIGN}
            # What is no HTTP at all is refused by the parser.
            assert set(found.values()) <= {400, 421}, found
            assert [host for host, status in found.items() if status == 400] == []

    asyncio.run(main())


def test_no_host_two_hosts_and_an_address_as_target_do_not_get_by() -> None:
    async def main() -> None:
        async with Running() as port:
            assert await ask(port, "GET /page.css HTTP/1.1\r\n\r\n") == 400
            assert await ask(port, "GET /page.css HTTP/1.0\r\n\r\n") == 421
            assert await ask(port, get("localhost", version="1.0")) == 200
            assert await ask(port, get("localhost\r\nHost: evil.example")) == 400
            assert await ask(port, get("localhost", f"http://evil.example:{port}/page.css")) == 421
            assert await ask(port, get("evil.example", f"http://localhost:{port}/page.css")) == 421
            assert await ask(port, get("localhost", f"http://localhost:{port}/page.css")) == 200
            assert await ask(port, get("localhost", "//evil.example/page.css")) == 404

    asyncio.run(main())


def test_the_answer_to_a_foreign_host_says_what_to_do_and_repeats_nothing() -> None:
    async def main() -> None:
        async with Running() as port:
            connection = await Raw.open(port)
            await connection.send("GET / HTTP/1.1\r\nHost: <script>alert(1)</script>\r\nConnection: close\r\n\r\n")
            answer = await connection.rest()
            assert b"421 " in answer.splitlines()[0]
            assert b"start it with --allow-host NAME" in answer
            assert b"script>" not in answer
            assert b"Content-Security-Policy" in answer
            connection.close()

    asyncio.run(main())


def test_further_names_are_answered_when_they_are_given() -> None:
    async def main() -> None:
        async with Running(allow=("Monitor.Example.org", "10.0.0.5")) as port:
            hosts = [
                "monitor.example.org",
                "MONITOR.example.org.:443",
                "10.0.0.5",
                "www.monitor.example.org",
                "10.0.0.6",
                "localhost",
            ]
            assert [await ask(port, get(host)) for host in hosts] == [200, 200, 200, 421, 421, 200]

    asyncio.run(main())


def test_a_sink_on_every_interface_answers_for_addresses_but_for_no_further_name() -> None:
    async def main() -> None:
        async with Running("0.0.0.0") as port:
            hosts = ["127.0.0.1", "192.168.1.5:9108", "[fd00::5]", "0.0.0.0", "localhost", "evil.example"]
            assert [await ask(port, get(host)) for host in hosts] == [200, 200, 200, 200, 200, 421]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["http://monitor.example.org", "monitor.example.org:80", "", "a b", "[::1", "*"])
def test_what_is_no_host_name_is_told(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not a host name; write it without http:// and without a port$"):
        Hosts([name])
