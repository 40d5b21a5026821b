"""The sink over HTTP, on a real broker: before anything has arrived, without the broker, and with stale figures."""

import asyncio
import gzip
import platform
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka.errors import KafkaError

from agents.measurements import encode, series
from nomadwatch import __version__
from sinks.board import STALE_AFTER
from sinks.server import CannotListen, serve
from sinks.topic import Record, TopicReader
from streams.kafka.admin import create, delete
from tests.sinks.made import NOON, evaluation_record, measurement, record
from tests.sinks.publishing import polled, publish
from tests.sinks.raw_http import Raw
from tests.sinks.test_live_board import Clock
from tests.streams.brokers import TOPICS, Process, broker

COMMITS = measurement("commits", 5.0, scope="all", platform="github", window="1h")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with broker(tmp_path) as running:
        yield running


def measured(metrics: str) -> list[str]:
    """The lines of a scrape that are not about the program itself."""
    return [line for line in metrics.splitlines() if not line.startswith(("#", "nomadwatch_build_info{", "process_"))]


class Page:
    """A running sink, asked over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self.address = f"http://127.0.0.1:{port}"

    async def metrics(self) -> str:
        async with self._session.get(f"{self.address}/metrics") as answer:
            assert answer.status == 200
            return await answer.text()

    async def healthz(self) -> tuple[int, dict[str, Any]]:
        async with self._session.get(f"{self.address}/healthz") as answer:
            return answer.status, await answer.json()

    async def shows(self, text: str) -> None:
        """Wait until the metrics have this in them."""
        await until(lambda: self._has(text))

    async def hides(self, text: str) -> None:
        """Wait until the metrics no longer have this in them."""

        async def hidden() -> bool:
            return not await self._has(text)

        await until(hidden)

    async def _has(self, text: str) -> bool:
        return text in await self.metrics()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def sink(bootstrap: str, clock: Clock) -> AsyncIterator[Page]:
    """A sink on a free port; it must stop when it is asked to."""
    stop = asyncio.Event()
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(serve(bootstrap, TOPICS, port=0, ready=listening.set_result, stop=stop, now=clock))
    try:
        async with asyncio.timeout(90), aiohttp.ClientSession() as session:
            yield Page(session, await listening)
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await running


def test_it_is_unhealthy_until_an_evaluation_has_come_and_then_shows_it(process: Process) -> None:
    async def main() -> None:
        async with sink(process.bootstrap, Clock()) as page:
            status, said = await page.healthz()
            assert (status, said["status"], said["evaluated_at"]) == (503, "starting", None)
            assert measured(await page.metrics()) == []
            await publish(process.bootstrap, TOPICS, [polled(NOON)])
            await page.shows("nomadwatch_feed_polls_total{")
            assert (await page.healthz())[0] == 503
            await publish(process.bootstrap, TOPICS, [record(COMMITS), evaluation_record()])
            await page.shows('nomadwatch_commits{platform="github",scope="all",window="1h"} 5.0\n')
            assert await page.healthz() == (
                200,
                {
                    "status": "ok",
                    "evaluated_at": "2015-01-01T12:00:00Z",
                    "front": "2015-01-01T11:59:59.999999Z",
                    "series": 1,
                    "roles": {"streams": "2015-01-01T12:00:00Z"},
                    "unreadable": 0,
                    "repeated": 0,
                    "strangers": [],
                },
            )

    asyncio.run(main())


def test_metrics_name_the_build_the_world_and_the_process_from_the_first_scrape_on(process: Process) -> None:
    def build(text: str) -> dict[str, str]:
        (line,) = [line for line in text.splitlines() if line.startswith("nomadwatch_build_info{")]
        assert line.endswith("} 1.0")
        return dict(re.findall(r'(\w+)="([^"]*)"', line))

    async def main() -> None:
        async with sink(process.bootstrap, Clock()) as page:
            first = await page.metrics()
            assert build(first) == {"version": __version__, "python": platform.python_version(), "world": "real"}
            values = dict(line.split() for line in first.splitlines() if line.startswith("process_"))
            assert float(values["process_resident_memory_bytes"]) > 1e7
            assert abs(float(values["process_start_time_seconds"]) - time.time()) < 86_400
            assert values.keys() >= {
                "process_cpu_seconds_total",
                "process_open_fds",
                "process_max_fds",
                "process_virtual_memory_bytes",
            }
            await publish(process.bootstrap, TOPICS, [record(COMMITS), evaluation_record(simulated=True)])
            await page.shows('world="simulated"')
            assert build(await page.metrics())["world"] == "simulated"

    asyncio.run(main())


def test_it_answers_in_the_format_and_compression_that_was_asked_for(process: Process) -> None:
    async def main() -> None:
        await publish(process.bootstrap, TOPICS, [record(COMMITS), evaluation_record()])
        async with sink(process.bootstrap, Clock()) as page, aiohttp.ClientSession(auto_decompress=False) as raw:
            await page.shows("nomadwatch_commits{")

            async def ask(**headers: str) -> tuple[str, str | None, bytes]:
                async with raw.get(
                    f"{page.address}/metrics", headers=headers, skip_auto_headers=["Accept", "Accept-Encoding"]
                ) as answer:
                    return answer.headers["Content-Type"], answer.headers.get("Content-Encoding"), await answer.read()

            kind, coding, text = await ask()
            assert kind.startswith("text/plain; version=0.0.4")
            assert coding is None
            assert text.startswith(b"# HELP nomadwatch_commits ")
            assert b"# TYPE nomadwatch_duplicates_total counter\n" in text
            kind, coding, text = await ask(
                Accept="application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
            )
            assert kind.startswith("application/openmetrics-text; version=1.0.0")
            assert coding is None
            assert text.endswith(b"# EOF\n")
            assert b"# TYPE nomadwatch_duplicates counter\n" in text
            kind, coding, packed = await ask(**{"Accept-Encoding": "gzip"})
            assert coding == "gzip"
            assert gzip.decompress(packed).startswith(b"# HELP nomadwatch_commits ")

    asyncio.run(main())


def test_while_the_broker_is_away_it_serves_what_it_has_until_that_is_too_old_and_follows_again(
    process: Process,
) -> None:
    async def main() -> None:
        clock = Clock()
        async with sink(process.bootstrap, clock) as page:
            await publish(process.bootstrap, TOPICS, [record(COMMITS), evaluation_record()])
            await page.shows("nomadwatch_commits{")
            process.kill()
            assert "nomadwatch_commits{" in await page.metrics()
            clock.now += STALE_AFTER + 1
            assert "nomadwatch_commits{" not in await page.metrics()
            status, said = await page.healthz()
            assert (status, said["status"], said["series"]) == (503, "stale", 0)
            process.start()
            other = record(measurement("commits", 9.0, scope="watched"))
            await publish(process.bootstrap, TOPICS, [other, evaluation_record(evaluated_at=clock.now)])
            await page.shows('nomadwatch_commits{scope="watched"} 9.0\n')
            assert "nomadwatch_commits{platform" in await page.metrics()
            assert (await page.healthz())[1]["status"] == "ok"

    asyncio.run(main())


def test_it_may_start_before_the_broker(process: Process) -> None:
    async def main() -> None:
        await publish(process.bootstrap, TOPICS, [record(COMMITS), evaluation_record()])
        process.kill()
        async with sink(process.bootstrap, Clock()) as page:
            assert (await page.healthz())[0] == 503
            process.start()
            await page.shows("nomadwatch_commits{")

    asyncio.run(main())


def test_it_stops_while_the_broker_is_away(process: Process) -> None:
    async def main() -> None:
        process.kill()
        async with sink(process.bootstrap, Clock()) as page:
            assert (await page.healthz())[0] == 503

    asyncio.run(main())


def test_a_record_that_cannot_be_read_is_counted_and_passed(process: Process) -> None:
    async def main() -> None:
        key = series(COMMITS.name, COMMITS.labels)
        async with sink(process.bootstrap, Clock()) as page:
            await publish(
                process.bootstrap,
                TOPICS,
                [(key, b"{"), (b"health/x", encode({"role": "x"})), record(COMMITS), evaluation_record()],
            )
            await page.shows("nomadwatch_commits{")
            status, said = await page.healthz()
            assert (status, said["unreadable"]) == (200, 2)

    asyncio.run(main())


def test_a_tombstoned_series_goes(process: Process) -> None:
    async def main() -> None:
        async with sink(process.bootstrap, Clock()) as page:
            await publish(process.bootstrap, TOPICS, [record(COMMITS), evaluation_record()])
            await page.shows("nomadwatch_commits{")
            await publish(
                process.bootstrap, TOPICS, [(series(COMMITS.name, COMMITS.labels), None), evaluation_record()]
            )
            await page.hides("nomadwatch_commits{")

    asyncio.run(main())


def test_what_was_deleted_while_it_could_not_read_is_gone_when_it_reads_again(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    ill = False
    failed = asyncio.Event()

    def falling_ill(read: Callable[..., Awaitable[list[Record]]]) -> Callable[..., Awaitable[list[Record]]]:
        async def reading(*arguments: Any) -> list[Record]:
            if ill:
                failed.set()
                raise KafkaError("the topic cannot be read now")
            return await read(*arguments)

        return reading

    for name in ("read", "read_to_end"):
        monkeypatch.setattr(TopicReader, name, falling_ill(getattr(TopicReader, name)))

    async def main() -> None:
        nonlocal ill
        async with sink(process.bootstrap, Clock()) as page:
            await publish(process.bootstrap, TOPICS, [record(COMMITS), evaluation_record()])
            await page.shows("nomadwatch_commits{platform")
            ill = True
            # A read that has begun may last longer than all that follows.
            await failed.wait()
            await asyncio.to_thread(delete, process.bootstrap, TOPICS)
            await asyncio.to_thread(create, process.bootstrap, TOPICS)
            await publish(
                process.bootstrap, TOPICS, [record(measurement("commits", 9.0, scope="watched")), evaluation_record()]
            )
            assert "nomadwatch_commits{platform" in await page.metrics()
            ill = False
            await page.shows('nomadwatch_commits{scope="watched"} 9.0\n')
            assert "nomadwatch_commits{platform" not in await page.metrics()

    asyncio.run(main())


def test_a_topic_that_is_deleted_and_created_again_is_shown_anew(process: Process) -> None:
    async def main() -> None:
        async with sink(process.bootstrap, Clock()) as page:
            await publish(process.bootstrap, TOPICS, [record(COMMITS), evaluation_record(), evaluation_record()])
            await page.shows("nomadwatch_commits{platform")
            await asyncio.to_thread(delete, process.bootstrap, TOPICS)
            await asyncio.to_thread(create, process.bootstrap, TOPICS)
            await publish(
                process.bootstrap, TOPICS, [record(measurement("commits", 9.0, scope="watched")), evaluation_record()]
            )
            await page.shows('nomadwatch_commits{scope="watched"} 9.0\n')
            assert "nomadwatch_commits{platform" not in await page.metrics()

    asyncio.run(main())


def test_several_of_them_show_the_same(process: Process) -> None:
    async def main() -> None:
        async with sink(process.bootstrap, Clock()) as one, sink(process.bootstrap, Clock()) as other:
            await publish(process.bootstrap, TOPICS, [record(COMMITS), evaluation_record()])
            await one.shows("nomadwatch_commits{")
            await other.shows("nomadwatch_commits{")

    asyncio.run(main())


def test_a_taken_port_is_told_with_what_to_do() -> None:
    async def main(port: int) -> None:
        await serve("127.0.0.1:1", TOPICS, port=port, ready=lambda taken: None, stop=asyncio.Event())

    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(
            CannotListen,
            match=rf"^port {port} of 127.0.0.1 is in use$",
        ):
            asyncio.run(main(port))


def test_slow_heads_beyond_the_file_descriptors_keep_nobody_out_and_a_head_of_the_events_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda kind: (120, 120))

    async def main() -> None:
        async with sink("127.0.0.1:1", Clock()) as page:
            port = int(page.address.rpartition(":")[2])
            slow = [await Raw.open(port) for _ in range(300)]
            for connection in slow:
                await connection.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nA: ")
            status, said = await page.healthz()
            assert (status, said["status"]) == (503, "starting")
            assert measured(await page.metrics()) == []
            one = await Raw.open(port)
            for _ in range(3):
                await one.send("HEAD /live/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert await one.status() == 200
            for connection in (*slow, one):
                connection.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/page.js",
        "/metrics",
        "/healthz",
        "/live/events",
        "/live/history?scope=all&window=1h&feature=review",
        "/features",
    ],
)
def test_every_path_answers_head_without_a_body_and_refuses_other_methods(path: str) -> None:
    async def main() -> None:
        async with sink("127.0.0.1:1", Clock()) as page:
            one = await Raw.open(int(page.address.rpartition(":")[2]))
            for method in ("HEAD", "OPTIONS", "POST", "PUT", "DELETE", "HEAD"):
                last = "Connection: close\r\n" if method == "PUT" else ""
                await one.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{last}\r\n")
                head = await one.reader.readuntil(b"\r\n\r\n")
                assert int(head.split()[1]) in ((200, 503) if method == "HEAD" else (405,)), head
                if method == "PUT":
                    assert b"405: Method Not Allowed" in await one.rest()
                    break
                if method != "HEAD":
                    await one.reader.readexactly(len(b"405: Method Not Allowed"))
            one.close()

    asyncio.run(main())
