"""A GitHub on loopback whose clock a test sets, and a client that makes one request after another."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from simulator.servers.clock import WorldClock
from simulator.servers.faults import Faults
from simulator.servers.github import GithubServer

NOON = 1_790_000_000.0
TOKEN = "valid-token"


class Wall:
    """A clock that moves only when it is told to."""

    def __init__(self, time: float = NOON) -> None:
        self.time = time

    def __call__(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.json]


class Client:
    """Makes requests with or without a token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, server: GithubServer, wall: Wall) -> None:
        self.session = session
        self.url = url
        self.server = server
        self.wall = wall

    async def get(self, path: str, token: str | None = TOKEN, **headers: str) -> Answer:
        """A path, or a whole address from a Link header."""
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            own["Authorization"] = f"Bearer {token}"
        async with self.session.get(
            path if "://" in path else self.url + path, headers=own, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, (await response.read()).decode())

    async def whole(self, feed: str) -> list[str]:
        """The ids on all pages, by following the links."""
        ids: list[str] = []
        path: str | None = f"{feed}?per_page=100"
        while path:
            answer = await self.get(path)
            assert answer.status == 200
            ids += answer.ids
            path = links(answer).get("next")
        return ids


def links(answer: Answer) -> dict[str, str]:
    """{relation: address} of the Link header."""
    parts = [part.partition(">; rel=") for part in answer.headers.get("Link", "").split(", ") if part]
    return {relation.strip('"'): address.lstrip("<") for address, _, relation in parts}


@asynccontextmanager
async def serving(seed: int = 1, *, scale: float = 1.0, **options: Any) -> AsyncIterator[Client]:
    """A server and a client of it; `options` are the server's."""
    wall = Wall()
    settings: dict[str, Any] = {"token": TOKEN, "rate": 10.0, "repositories": 300, "people": 400} | options
    server = GithubServer(seed, WorldClock(scale, NOON, wall), Faults(seed, wall), **settings)
    url = await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(session, url, server, wall)
    finally:
        await server.stop()
