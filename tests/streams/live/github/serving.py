"""A small GitHub for one test: it serves what the test says, in correct pages with ETags, and records the requests."""

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

from aiohttp import web

from streams.kafka.cursors import sound_key
from streams.live.common.clock import Clock
from streams.live.common.context import Context
from streams.live.common.health import Feeds
from streams.live.common.http import open_session
from streams.live.common.poll_result import PollResult
from streams.live.github.poller import GithubPoller
from streams.times import format_time
from streams.watchlist import Project, Watchlist
from tests.streams.made import KEY, event

ORG = "/orgs/allenai/events"
FEED = "github:" + ORG
POLL = 0.02


class Asked(NamedTuple):
    """A request: when (Unix time), for which page of what, with which headers, and how it was answered."""

    at: float
    path: str
    page: int
    headers: Mapping[str, str]
    status: int


Script = Callable[["ScriptedGithub", str, int], web.Response | None]


class ScriptedGithub:
    """Events by path, the first of a feed first; every other feed is empty. `script` may answer instead: (server, path,
    page).
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.feeds: dict[str, list[Any]] = {}
        self.script: Script | None = None
        self.asked: list[Asked] = []
        self.headers: dict[str, str] = {"X-Poll-Interval": str(POLL)}
        self.address = ""
        self._numbers = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, scale: float = 60.0) -> AsyncIterator[Self]:
        server = cls(Clock(scale, origin=time.time()))
        app = web.Application()
        app.router.add_get("/{path:.*}", server._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield server
        finally:
            await runner.cleanup()

    def happen(self, count: int, path: str = ORG, *, ago: float = 60.0, at: int | None = None) -> list[str]:
        """Add so many pushes at the head of a feed, which holds 300. Returns their ids."""
        moment = format_time((at if at is not None else self.clock.now() - int(ago * 1e6)) // 1_000_000 * 1_000_000)
        made = [event(number=self._numbers + i, created_at=moment) for i in range(1, count + 1)]
        self._numbers += count
        self.feeds[path] = (made[::-1] + self.feeds.get(path, []))[:300]
        return [each["id"] for each in made]

    def page(self, path: str, page: int, feed: list[Any] | None = None) -> tuple[bytes, dict[str, str]]:
        """A page as it is now: its body, its ETag and links."""
        feed = self.feeds.get(path, []) if feed is None else feed
        body = json.dumps(feed[100 * (page - 1) : 100 * page]).encode()
        headers = {"ETag": f'W/"{hashlib.sha256(body + path.encode() + bytes([page])).hexdigest()}"', **self.headers}
        if len(feed) > 100 * page:
            headers["Link"] = f'<{self.address}{path}?page={page + 1}>; rel="next"'
        return body, headers

    def polls(self, path: str = ORG, page: int = 1) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path and asked.page == page]

    async def _answer(self, request: web.Request) -> web.Response:
        path, page = request.path, int(request.query.get("page", 1))
        assert request.query.get("per_page") == ("100" if path.endswith(("/events", "/events/public")) else None)
        answer = self.script(self, path, page) if self.script else None
        if answer is None:
            body, headers = self.page(path, page)
            if request.headers.get("If-None-Match") == headers["ETag"]:
                answer = web.Response(status=304, headers=headers)
            else:
                answer = web.Response(body=body, headers=headers)
        self.asked.append(Asked(time.time(), path, page, dict(request.headers), answer.status))
        return answer


class MemoryOutlet:
    """Keeps poll results as a broker would while `hold` is set; the others are `waiting`. All cursors have keys that
    the next start reads.
    """

    def __init__(self) -> None:
        self.results: list[PollResult] = []
        self.cursors: dict[str, bytes] = {}
        self.hold: asyncio.Event = asyncio.Event()
        self.hold.set()
        self.waiting: list[PollResult] = []

    async def put(self, result: PollResult) -> None:
        self.waiting.append(result)
        await self.hold.wait()
        self.waiting.remove(result)
        for key in (*result.cursors, result.feed):
            sound_key(key.encode(), None)
        self.results.append(result)
        self.cursors |= {**result.cursors, result.feed: result.cursor}

    def of(self, feed: str = FEED) -> list[PollResult]:
        return [result for result in self.results if result.feed == feed]

    def ids(self, feed: str = FEED) -> list[str]:
        """Native ids of events as they were published; a merge's second activity is the same event."""
        activities = (activity for result in self.of(feed) for activity in result.activities)
        return [activity.id.rpartition(":")[2] for activity in activities if not activity.id.endswith(":accepted")]

    def published(self, feed: str = FEED) -> Counter[str]:
        return Counter(self.ids(feed))

    def gaps(self, feed: str = FEED) -> list[tuple[str, int, int]]:
        return [(gap.reason, gap.start, gap.end) for result in self.of(feed) for gap in result.gaps]


class Run(NamedTuple):
    """A running poller."""

    task: asyncio.Task[None]
    outlet: MemoryOutlet
    feeds: Feeds

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


WATCHED = Watchlist([Project("olmo", github=("allenai",))])


@asynccontextmanager
async def polling(server: Any, outlet: MemoryOutlet, **options: Any) -> AsyncIterator[Run]:
    """A poller and its server, with the cursors that its outlet holds."""
    feeds = Feeds()
    async with open_session("nomadwatch/0 (+https://example.invalid)") as session:
        api, token = options.pop("api", server.address), options.pop("token", "a-token")
        chosen = {"watchlist": WATCHED, "clock": server.clock, "interval_cap": 1.0, **options}
        context = Context(actor_key=KEY, outlet=outlet, cursors=dict(outlet.cursors), feeds=feeds, **chosen)
        poller = GithubPoller(api, token, session, context)
        run = Run(asyncio.create_task(poller.run()), outlet, feeds)
        try:
            yield run
            if run.task.done():
                run.task.result()
        finally:
            await run.kill()


async def until(condition: Callable[[], object], *, timeout: float = 20.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.005)
