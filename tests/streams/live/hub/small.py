"""A small Hub over HTTP with correct answers: repositories, commits, threads and likers, a quota, and faults on
demand.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from aiohttp import web

from streams.activity import Activity
from streams.live.common.clock import Clock
from streams.live.common.context import Context
from streams.live.common.health import Feeds
from streams.live.common.http import open_session
from streams.live.common.ledger import MARGIN
from streams.live.common.poll_result import Gap, PollResult
from streams.live.hub.poller import REPOSITORIES, HubPoller
from streams.times import format_time
from streams.watchlist import Project, Watchlist
from tests.streams.made import KEY

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
WATCHLIST = Watchlist(
    [Project("olmo", huggingface=("allenai",)), Project("smollm", huggingface=("huggingfacetb/smol*",))]
)


def now() -> int:
    return round(time.time() * 1e6)


def ago(seconds: float) -> str:
    return format_time(now() - round(seconds * 1e6))


def sha(number: int) -> str:
    return f"{number:02x}" * 20


@dataclass
class Repo:
    """A repository: what the listing states, its commits (newest first), threads by number, and likers."""

    name: str
    kind: str = "models"
    created: str = "2022-03-02T23:29:04.000Z"
    tags: list[str] = field(default_factory=list)
    native: str | None = "?"
    modified: str = ""
    downloads: int = 0
    gated: bool | str = False
    commits: list[dict[str, Any]] = field(default_factory=list)
    threads: dict[int, dict[str, Any]] = field(default_factory=dict)
    likers: list[str] = field(default_factory=list)

    def listed(self) -> dict[str, Any]:
        row = {
            "_id": f"id-of-{self.kind}-{self.name}" if self.native == "?" else self.native,
            "id": self.name,
            "author": self.name.partition("/")[0],
            "sha": self.commits[0]["id"] if self.commits else None,
            "lastModified": self.modified or (self.commits[0]["date"] if self.commits else "2023-01-01T00:00:00.000Z"),
            "createdAt": self.created,
            "likes": len(self.likers),
            "downloads": self.downloads,
            "downloadsAllTime": 10 * self.downloads,
            "gated": self.gated,
            "tags": self.tags,
        }
        return {name: value for name, value in row.items() if value is not None}

    def commit(self, number: int, seconds: float, *authors: str) -> None:
        """A commit so many seconds ago; the newest first."""
        people = [{"user": author} for author in authors]
        self.commits.insert(
            0, {"id": sha(number), "date": ago(seconds), "authors": people, "title": "t", "message": ""}
        )

    def open(
        self, number: int, seconds: float, author: str | None, *, pull: bool = False, body: str = "it is broken"
    ) -> None:
        """A thread opened so many seconds ago."""
        person = (
            {"name": author, "type": "user", "isHf": False, "isOwner": False, "isOrgMember": False} if author else None
        )
        moment = ago(seconds)
        opening = {"id": f"event-{number}-0", "type": "comment", "createdAt": moment, "data": {"latest": {"raw": body}}}
        thread = {
            "num": number,
            "title": f"Thread {number}",
            "createdAt": moment,
            "status": "open",
            "isPullRequest": pull,
        }
        self.threads[number] = {**thread, "events": [opening]}
        if person:
            self.threads[number]["author"] = opening["author"] = person

    def happen(self, number: int, seconds: float, author: str | None, status: str | None = None, **flags: bool) -> None:
        """A comment in a thread, or a change of its status."""
        thread = self.threads[number]
        event: dict[str, Any] = {"id": f"event-{number}-{len(thread['events'])}", "createdAt": ago(seconds)}
        event |= (
            {"type": "status-change", "data": {"status": status}}
            if status
            else {"type": "comment", "data": {"latest": {"raw": "x"}}}
        )
        if author:
            event["author"] = {"name": author, "type": "user", **flags}
        thread["events"].append(event)
        thread["status"] = status or thread["status"]


@dataclass
class SmallHub:
    """The server; `answer` may replace an answer: it gets the request and returns one, or None."""

    repos: list[Repo] = field(default_factory=list)
    quota: float = 1_000_000
    window: float = 300
    page: int = 3
    requests: list[tuple[float, str]] = field(default_factory=list)
    answer: Callable[[web.Request], web.StreamResponse | None] = lambda request: None
    endpoint: str = ""
    spent: Counter[int] = field(default_factory=Counter)

    def repo(self, name: str, **options: Any) -> Repo:
        self.repos.append(Repo(name, **options))
        return self.repos[-1]

    def asked(self, part: str) -> int:
        """The number of requests whose path contains a text."""
        return sum(part in path for _, path in self.requests)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        moment = time.time()
        self.requests.append((moment, request.path_qs))
        window = int(moment // self.window)
        self.spent[window] += 1
        left = max(0.0, self.quota - self.spent[window])
        headers = {
            "RateLimit": f'"api";r={left:.1f};t={(window + 1) * self.window - moment:.3f}',
            "RateLimit-Policy": f'"fixed window";"api";q={self.quota:.1f};w={self.window:.1f}',
        }
        response = self.answer(request)
        if response is None:
            response = web.Response(status=429) if self.spent[window] > self.quota else self.respond(request)
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response

    def respond(self, request: web.Request) -> web.StreamResponse:
        kind, *rest = request.path.removeprefix("/api/").split("/")
        if not rest:
            rows = [repo.listed() for repo in self.repos if repo.kind == kind]
            if author := request.query.get("author"):
                rows = [row for row in rows if row["author"] == author]
            rows.sort(key=lambda row: row["lastModified"], reverse=request.query.get("sort") == "lastModified")
            return self.paged(request, rows)
        repo = next((repo for repo in self.repos if (repo.kind, repo.name) == (kind, "/".join(rest[:2]))), None)
        if repo is None:
            return web.json_response({"error": "Repository not found"}, status=404)
        match rest[2:]:
            case []:
                return web.json_response(repo.listed())
            case ["commits", "main"]:
                return self.paged(request, repo.commits)
            case ["likers"]:
                return self.paged(request, [{"user": user, "fullname": "?"} for user in repo.likers])
            case ["discussions"]:
                threads = [
                    {**thread, "numComments": sum(event["type"] == "comment" for event in thread["events"])}
                    for _, thread in sorted(repo.threads.items(), reverse=True)
                ]
                rows = [{name: value for name, value in thread.items() if name != "events"} for thread in threads]
                start = int(request.query.get("p", 0)) * self.page
                return web.json_response(
                    {"discussions": rows[start : start + self.page], "count": len(rows), "start": start}
                )
            case ["discussions", number] if int(number) in repo.threads:
                return web.json_response(repo.threads[int(number)])
        return web.json_response({"error": "Not found"}, status=404)

    def paged(self, request: web.Request, rows: list[dict[str, Any]]) -> web.StreamResponse:
        start = int(request.query.get("cursor", 0))
        headers = {}
        if start + self.page < len(rows):
            following = request.url.update_query(cursor=str(start + self.page))
            headers["Link"] = f'<{following}>; rel="next"'
        return web.json_response(rows[start : start + self.page], headers=headers)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["SmallHub"]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.endpoint = str(site.name) if not runner.addresses else f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


class Kept:
    """An outlet that keeps what it gets, as the broker would: cursors by key."""

    def __init__(self, cursors: dict[str, bytes] | None = None) -> None:
        self.results: list[PollResult] = []
        self.cursors = dict(cursors or {})
        self.open = asyncio.Event()
        self.open.set()

    async def put(self, result: PollResult) -> None:
        await self.open.wait()
        self.results.append(result)
        self.cursors[result.feed] = result.cursor
        self.cursors.update(result.cursors)

    @property
    def activities(self) -> list[Activity]:
        return [activity for result in self.results for activity in result.activities]

    @property
    def gaps(self) -> list[Gap]:
        return [gap for result in self.results for gap in result.gaps]

    def of(self, kind: str) -> list[Activity]:
        return [activity for activity in self.activities if activity.kind == kind]

    def marks(self, feed: str) -> list[int]:
        return [result.complete_to for result in self.results if result.feed == feed and result.complete_to is not None]


class Station:
    """A running poller on a small Hub."""

    def __init__(self, hub: SmallHub, kept: Kept, session: aiohttp.ClientSession, **options: Any) -> None:
        self.feeds = Feeds()
        self.kept = kept
        self.hub = hub
        token = options.pop("token", "hf_test")
        settings: dict[str, Any] = {"watchlist": WATCHLIST, "interval_cap": 0.2, "clock": Clock(), **options}
        context = Context(actor_key=KEY, outlet=kept, cursors=dict(kept.cursors), feeds=self.feeds, **settings)
        self.poller = HubPoller(hub.endpoint, token, session, context)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for a condition while the poller runs. If the poller ends, this ends too."""
        running = asyncio.create_task(self.poller.run())
        try:
            async with asyncio.timeout(20):
                while not true():
                    if running.done():
                        running.result()
                        raise AssertionError("the poller ended")
                    await asyncio.sleep(0.005)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def rounds(self, count: int = 2) -> None:
        """Run until each kind of request was made so many times more, and what the watched repositories showed
        meanwhile is known.
        """
        before = self.hub.asked("/discussions?"), self.hub.asked("sort=lastModified")
        begun = now()
        await self.until(
            lambda: (
                self.hub.asked("/discussions?") >= before[0] + count * max(1, len(self.hub.repos))
                and self.hub.asked("sort=lastModified") >= before[1] + 3 * count
                and self.kept.marks(REPOSITORIES)[-1:] > [begun - MARGIN]
            )
        )


@asynccontextmanager
async def station(hub: SmallHub, kept: Kept | None = None, **options: Any) -> AsyncIterator[Station]:
    """A station on a served small Hub."""
    async with hub.serve(), open_session("tests") as session:
        yield Station(hub, kept or Kept(), session, **options)


__all__ = ["Kept", "Repo", "SmallHub", "Station", "ago", "now", "replace", "station"]
