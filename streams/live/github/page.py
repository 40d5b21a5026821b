"""One page of a feed: requested with its last ETag. Each kind of failure is an exception named by the reaction
wanted.
"""

import logging
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

import aiohttp
import msgspec
import xxhash

from streams.activity import DAY
from streams.elements import LARGEST_ELEMENT, elements
from streams.errors import DeadLetter
from streams.github_payloads import UNDECODABLE
from streams.live.common.clock import Clock
from streams.live.common.health import FeedHealth
from streams.live.common.http import MOST_MOVES, Answer, Gone, Oversized, RefusedToken, Unreachable, fetch, off_loop
from streams.live.github.limits import GithubLimits, is_limit, poll_interval
from streams.live.github.refusal import REFUSALS, FeedRefused, refusal_of
from streams.times import Times
from streams.values import clean

_LOG: Final = logging.getLogger("nomadwatch.streams")
SIZE: Final = 100
PAGES: Final = 3
# All pages of a feed together hold at most this many events.
_MOST_EVENTS: Final = PAGES * SIZE
_GONE: Final = (404, 410)
_TOKEN_WANTED: Final = "refused (401): it asks for a token; set GITHUB_TOKEN"


class Limited(Exception):
    """No feed may ask anything for a while."""


class Shown(NamedTuple):
    """An event on a page: the hash of its id (of its bytes if it has none), and its time (µs; None if it has no valid
    one).
    """

    hash: int
    time: int | None
    raw: bytes
    page: int
    line: int
    received: int


@dataclass(frozen=True, slots=True)
class FeedPage:
    """`shown` is None if nothing has changed. `asked` and `received` are µs of the station's clock. `last`: no page
    follows.

    `requests` is how many requests it took: one more for each redirect.
    """

    number: int
    shown: list[Shown] | None
    etag: str | None
    asked: int
    received: int
    last: bool
    requests: int = 1


class _Answered(NamedTuple):
    """An answer, when it was asked for and when it came (µs), and how many requests that took."""

    answer: Answer
    asked: int
    received: int
    requests: int


class _IdStub(msgspec.Struct):
    id: str | int
    created_at: str | None = None


_decode_stub: Final = msgspec.json.Decoder(_IdStub).decode


class GithubPages:
    """Requests pages of all feeds. `token` may be empty."""

    def __init__(
        self, api: str, token: str, session: aiohttp.ClientSession, limits: GithubLimits, clock: Clock
    ) -> None:
        self.limits = limits
        self._api = api.rstrip("/")
        self._session = session
        self._clock = clock
        self._times = Times()
        self._refused = RefusedToken("github", "GITHUB_TOKEN")
        self._token = bool(token)
        self._headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    async def get(self, path: str, number: int, etag: str | None, health: FeedHealth) -> tuple[FeedPage, float | None]:
        """A page, and the seconds of real time until page 1 may be asked for again, if they are stated. Call it within
        `limits.poll`.

        Raises `Limited`, `Gone`, `FeedRefused`, `Oversized`, and `Unreachable` for everything else. Each puts the
        reason into `health`.
        """
        asked = await self._ask(f"{path}?per_page={SIZE}&page={number}", etag, health, first=number == 1)
        return await self._read(asked, number, etag, health), poll_interval(asked.answer)

    async def repository(self, name: str, health: FeedHealth) -> bytes:
        """What GitHub states about a repository. Raises as `get` does."""
        return await self._stated(f"/repos/{name}", health)

    async def repository_by_id(self, native: int | str, health: FeedHealth) -> bytes:
        """What GitHub states about the repository with an id. Raises as `get` does."""
        return await self._stated(f"/repositories/{native}", health)

    async def _stated(self, path: str, health: FeedHealth) -> bytes:
        async with self.limits.poll():
            answer = (await self._ask(path, None, health, first=True)).answer
        if answer.status in _GONE:
            raise Gone
        self._check(answer, health)
        health.polls["new"] += 1
        return answer.body

    async def _ask(self, path: str, etag: str | None, health: FeedHealth, *, first: bool) -> _Answered:
        """Redirects are followed here, not by the session: each costs a request of the quota and waits for its turn."""
        health.state = self.limits.state or health.state
        address = f"{self._api}{path}"
        headers = self._headers if etag is None else {**self._headers, "If-None-Match": etag}
        for moves in range(MOST_MOVES + 1):
            await self.limits.turn(first=first and moves == 0)
            asked = self._clock.now()
            try:
                answer = await fetch(self._session, address, headers=headers)
            except Oversized as error:
                raise _failed(health, error) from error
            except Unreachable as error:
                raise _failed(health, f"failing: {error}") from error
            received = self._clock.now()
            self.limits.note(answer)
            health.remaining = self.limits.remaining
            if is_limit(answer):
                health.polls["limited"] += 1
                await self.limits.refuse(answer)
                health.state = self.limits.backoff.state
                _LOG.warning("github: %s", health.state)
                raise Limited
            self.limits.allow()
            if answer.moved_to is None:
                return _Answered(answer, asked, received, moves + 1)
            address = answer.moved_to
        raise _failed(health, "failing: too many redirects")

    def _check(self, answer: Answer, health: FeedHealth) -> None:
        """Raise the failure that an answer stands for. A 200 or a rate limit is none."""
        if answer.status in REFUSALS:
            raise _failed(health, FeedRefused(refusal_of(answer)))
        if answer.status == 401:
            # Only a token that was sent can be refused.
            raise _failed(health, self._refused.say() if self._token else FeedRefused(_TOKEN_WANTED))
        if answer.status != 200:
            raise _failed(health, answer.failure)

    async def _read(self, got: _Answered, number: int, etag: str | None, health: FeedHealth) -> FeedPage:
        answer, asked, received, requests = got
        if answer.status == 304 and etag is not None:
            health.polls["unchanged"] += 1
            return FeedPage(number, None, etag, asked, received, last=False, requests=requests)
        if answer.status in _GONE:
            health.polls["failed"] += 1
            health.state = f"not found: {answer.status}"
            raise Gone
        self._check(answer, health)
        try:
            shown = await off_loop(len(answer.body), self._shown, answer.body, number, received)
        except UNDECODABLE as error:
            raise _failed(health, "failing: broken answer") from error
        except DeadLetter as error:
            what = f"a page has more than {_MOST_EVENTS} events, or is too nested to count them"
            raise _failed(health, Oversized(what, f"page={number}", answer.body)) from error
        health.polls["new"] += 1
        last = number == PAGES or _is_last(answer, len(shown))
        return FeedPage(number, shown, answer.headers.get("ETag"), asked, received, last, requests)

    def _shown(self, body: bytes, page: int, received: int) -> list[Shown]:
        found = elements(body, _MOST_EVENTS)
        return [self._show(bytes(raw), page, line, received) for line, raw in enumerate(found, 1)]

    def _show(self, raw: bytes, page: int, line: int, received: int) -> Shown:
        stub = _stub_of(raw)
        if stub is None:
            return Shown(xxhash.xxh3_64_intdigest(raw), None, raw, page, line, received)
        try:
            time = self._times[stub.created_at or ""]
        except DeadLetter:
            time = None
        identity = str(stub.id).encode()
        if time is not None:
            # An event in the future becomes a dead letter, or comes from a wrong clock. It must not make all later
            # events look old.
            time = None if time > received + DAY else min(time, received)
        return Shown(xxhash.xxh3_64_intdigest(identity), time, raw, page, line, received)


def _stub_of(raw: bytes) -> _IdStub | None:
    """What identifies an event, or None if it cannot be decoded even without invalid characters."""
    if len(raw) > LARGEST_ELEMENT:
        return None
    try:
        return _decode_stub(raw)
    except UNDECODABLE:
        pass
    try:
        return _decode_stub(clean(raw))
    except UNDECODABLE:
        return None


def _failed(health: FeedHealth, failure: str | Unreachable) -> Unreachable:
    """Count a failure and show it: a state in words, or an exception whose text is one."""
    health.polls["failed"] += 1
    health.state = str(failure)
    return Unreachable(failure) if isinstance(failure, str) else failure


def _is_last(answer: Answer, length: int) -> bool:
    """Whether no page follows: as the links say; without links, if the page is not full."""
    links = ", ".join(answer.headers.getall("Link", []))
    return not re.search(r'rel="?next"?', links) if links else length < SIZE
