"""The HTTP server: the live page for people, `/metrics` for Prometheus, `/healthz` for supervisors."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Literal

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware
from aiokafka.errors import KafkaError
from prometheus_client.aiohttp import make_aiohttp_handler

from sinks import about, meanings
from sinks.board import Board, wall_clock
from sinks.events import MOST
from sinks.hosts import LOOPBACK, Hosts
from sinks.page import LivePage
from sinks.prometheus import MOST as MOST_SERIES
from sinks.prometheus import BoardCollector, registry_of
from sinks.report import rfc3339
from sinks.topic import TopicReader
from sinks.visitors import HEAD_WITHIN, Visitors, most_connections, without_body
from streams.errors import in_words
from streams.kafka.topics import Topics

logger = logging.getLogger(__name__)

PORT: Final = 9108
# Seconds before the topic is opened again, after the broker was lost.
_AGAIN_AFTER: Final = 1.0
_STOP_WITHIN: Final = 5.0


class CannotListen(Exception):
    """The server cannot listen on its address. `setting` is the one to correct: the host or the port."""

    def __init__(self, message: str, setting: Literal["host", "port"]) -> None:
        super().__init__(message)
        self.setting: Final = setting


class Health(msgspec.Struct, kw_only=True):
    """The answer of `/healthz`. `roles`: when each role last reported.

    Left out were: `unreadable` records, `repeated` series, and names that are not in the catalogue (`strangers`).
    """

    status: Literal["starting", "ok", "stale"]
    evaluated_at: str | None
    front: str | None
    series: int
    roles: dict[str, str | None]
    unreadable: int
    repeated: int
    strangers: list[str]


class Sink:
    """Follows the topic `measurements` and answers requests from its board."""

    def __init__(
        self, bootstrap: str, topic: str, now: Callable[[], int] = wall_clock, *, simulated: bool = False
    ) -> None:
        self.board = Board(live=True, simulated=simulated, now=now)
        self.collector = BoardCollector(self.board, now, MOST_SERIES - about.SERIES)
        self.page = LivePage(self.board, now, listeners=min(MOST, most_connections() // 2))
        self._bootstrap = bootstrap
        self._topic = topic

    async def run(self) -> None:
        """Follow the topic and update the page, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.follow())
            group.create_task(self.page.run())

    async def follow(self) -> None:
        """Read the topic until cancelled. While the broker is away, the board keeps its state and becomes stale."""
        while True:
            try:
                async with TopicReader.open(self._bootstrap, self._topic) as reader:
                    # Series that were deleted in the meantime may have left no tombstone: fill the board again, without
                    # showing an empty one.
                    records = await reader.read_to_end()
                    self.board.clear()
                    while True:
                        self.board.take(records)
                        records = await reader.read()
            except (KafkaError, OSError) as error:
                logger.info("%s cannot be read (%s); trying again", self._topic, in_words(error))
            await asyncio.sleep(_AGAIN_AFTER)

    def app(self, *middlewares: Middleware) -> web.Application:
        """The application with all pages, behind middlewares."""
        app = web.Application(middlewares=middlewares)
        registry = registry_of(self.collector)
        about.register(registry, self.board)
        app.router.add_get("/metrics", make_aiohttp_handler(registry))
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/features", meanings.answer)
        self.page.mount(app)
        return app

    async def _healthz(self, request: web.Request) -> web.Response:
        health = self.health()
        status = 200 if health.status == "ok" else 503
        return web.Response(
            body=msgspec.json.format(msgspec.json.encode(health)), status=status, content_type="application/json"
        )

    def health(self) -> Health:
        """The state of this process."""
        evaluation = self.board.evaluation
        return Health(
            status="starting" if evaluation is None else "stale" if self.board.is_stale else "ok",
            evaluated_at=rfc3339(evaluation.evaluated_at if evaluation else None),
            front=rfc3339(evaluation.front if evaluation else None),
            series=len(self.board.shown),
            roles={report.role: rfc3339(report.evaluated_at) for report in self.board.reports},
            unreadable=self.board.guard.passed,
            repeated=self.collector.repeated,
            strangers=sorted(self.collector.strangers),
        )


async def serve(
    bootstrap: str,
    topics: Topics,
    host: str = LOOPBACK,
    port: int = PORT,
    *,
    allow_hosts: Iterable[str] = (),
    ready: Callable[[int], None],
    stop: asyncio.Event,
    now: Callable[[], int] = wall_clock,
    simulated: bool = False,
) -> None:
    """Serve until `stop` is set; `ready` is called with the port (0: a free one) once it listens. Raises CannotListen.

    Requests must name loopback, `host` or one of `allow_hosts`. `simulated`: the figures are known to come from a
    simulated world.
    """
    sink = Sink(bootstrap, topics.measurements, now, simulated=simulated)
    hosts = Hosts([host, *allow_hosts])
    visitors = Visitors(lambda: _protocol(runner))
    app = sink.app(visitors.serve, hosts.admit, without_body)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=1.0,
        keepalive_timeout=HEAD_WITHIN,
        # Wait this long for the rest of a body that is not read, so that a client that still sends gets the answer.
        lingering_time=2.0,
        auto_decompress=False,
    )
    await runner.setup()
    following: asyncio.Task[None] | None = None
    listening: asyncio.Server | None = None
    try:
        try:
            listening = await asyncio.get_running_loop().create_server(visitors, host, port)
        except OSError as error:
            raise _cannot_listen(host, port, error) from None
        following = asyncio.create_task(sink.run())
        stopping = asyncio.create_task(stop.wait())
        ready(listening.sockets[0].getsockname()[1])
        await asyncio.wait([following, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if following.done():
            await following  # only a bug ends it
    finally:
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(following, _STOP_WITHIN)
        if listening is not None:
            listening.close()
        await runner.cleanup()


def _protocol(runner: web.AppRunner) -> asyncio.Protocol:
    assert runner.server is not None
    return runner.server()


def _cannot_listen(host: str, port: int, error: OSError) -> CannotListen:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return CannotListen(f"{host} is not an address of this machine", "host")
    reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
    return CannotListen(f"port {port} of {host} {reason}", "port")
