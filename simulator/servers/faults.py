"""Random faults between a server and its client, with a seed. They are counted, so that a test can say what
happened.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from email.utils import formatdate
from random import Random
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

KINDS: Final = {
    "dropped": "the connection ends before a byte of the answer",
    "cut": "the connection ends in the middle of the body",
    "error": "500, 502 or 503 instead of the answer",
    "truncated": "a body that ends too early and claims to be whole",
    "garbage": "a page of HTML with status 200",
    "stale": "an older answer to the same request, with its old ETag",
}

_GARBAGE: Final = (
    "<!DOCTYPE html>\n<html><head><title>Unicorn!</title></head>"
    "<body>This page is taking too long to load.</body></html>\n"
)
# This many older answers are kept for each request. A walk with cursors makes ever new requests.
_REMEMBERED: Final = 3
_REQUESTS: Final = 64
# Headers that belong to the body.
_OF_THE_BODY: Final = ("ETag", "Link", "Last-Modified", "Content-Type")


class Faults:
    """Faults with a rate each, all off until `set`; `skew` shifts the Date header by seconds. The kinds are in `KINDS`.

    An answer has at most one fault; the rates add up to at most 1. `counts` has the number of each kind.

    >>> faults = Faults(1)
    >>> faults.set(error=0.5, skew=90)
    >>> {kind: rate for kind, rate in faults.rates.items() if rate}, faults.skew
    ({'error': 0.5}, 90.0)
    """

    def __init__(self, seed: int = 0, wall: Callable[[], float] = time.time) -> None:
        self.rates = dict.fromkeys(KINDS, 0.0)
        self.skew = 0.0
        self.counts: Counter[str] = Counter()
        self._random = Random(f"faults/{seed}")
        self._wall = wall
        self._earlier: dict[tuple[str, str | None], deque[web.Response]] = {}

    def set(self, *, skew: float | None = None, **rates: float) -> None:
        """Change some rates. ValueError if a kind is unknown or the rates add up to more than 1."""
        wrong = rates.keys() - KINDS.keys()
        if wrong:
            raise ValueError(f"no such fault: {', '.join(sorted(wrong))}; there are {', '.join(KINDS)} and skew")
        wanted = self.rates | rates
        if min(wanted.values()) < 0 or sum(wanted.values()) > 1:
            raise ValueError("rates of faults lie between 0 and 1 and add up to at most 1")
        self.rates = wanted
        if skew is not None:
            self.skew = float(skew)

    def clear(self) -> None:
        """Switch everything off; the counts stay."""
        self.set(skew=0.0, **dict.fromkeys(KINDS, 0.0))

    @property
    def middleware(self) -> Middleware:
        """A middleware that must be outside of everything that makes answers."""

        @web.middleware
        async def befall(request: web.Request, handler: Handler) -> web.StreamResponse:
            answer = await handler(request)
            if not isinstance(answer, web.Response):
                return answer
            kind = self._draw()
            answer = await self._befallen(kind, request, answer) if kind else self._remember(request, answer)
            if self.skew and not answer.prepared:
                answer.headers["Date"] = formatdate(self._wall() + self.skew, usegmt=True)
                self.counts["skew"] += 1
            return answer

        return befall

    def _draw(self) -> str | None:
        if not any(self.rates.values()):
            return None
        draw = self._random.random()
        for kind, rate in self.rates.items():
            if draw < rate:
                return kind
            draw -= rate
        return None

    async def _befallen(self, kind: str, request: web.Request, answer: web.Response) -> web.Response:
        if kind == "stale":
            return self._stale(request, answer)
        body = _body(answer)
        if kind in ("cut", "truncated") and len(body) < 2:
            return answer
        self.counts[kind] += 1
        if kind == "error":
            status = self._random.choice((500, 502, 503))
            return web.json_response({"message": "Server Error"}, status=status)
        if kind == "garbage":
            return web.Response(text=_GARBAGE, content_type="text/html")
        if kind == "truncated":
            return _another(answer, body[: self._random.randrange(1, len(body))])
        if kind == "cut":
            # The headers announce the whole body; half of it is sent.
            begun = web.StreamResponse(status=answer.status, headers=answer.headers)
            begun.content_length = len(body)
            await begun.prepare(request)
            await begun.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
        return answer

    def _stale(self, request: web.Request, answer: web.Response) -> web.Response:
        earlier = self._earlier.get(_key(request))
        if answer.status not in (200, 304) or not earlier:
            return self._remember(request, answer)
        self.counts["stale"] += 1
        old = self._random.choice(earlier)
        if request.headers.get("If-None-Match") == old.headers.get("ETag", ""):
            return _another(old, b"", status=304, beside=answer)
        return _another(old, _body(old), beside=answer)

    def _remember(self, request: web.Request, answer: web.Response) -> web.Response:
        if answer.status == 200 and request.method == "GET":
            key = _key(request)
            kept = self._earlier[key] = self._earlier.pop(key, deque(maxlen=_REMEMBERED))
            if len(self._earlier) > _REQUESTS:
                del self._earlier[next(iter(self._earlier))]
            if not kept or kept[-1].headers.get("ETag") != answer.headers.get("ETag"):
                kept.append(_another(answer, _body(answer)))
        return answer


def _key(request: web.Request) -> tuple[str, str | None]:
    return request.path_qs, request.headers.get("Authorization")


def _body(answer: web.Response) -> bytes:
    body = answer.body
    return bytes(body) if isinstance(body, bytes | bytearray | memoryview) else b""


def _another(
    answer: web.Response, body: bytes, *, status: int | None = None, beside: web.Response | None = None
) -> web.Response:
    """The same answer with another body, or with the headers of the one `beside` it that do not belong to the body."""
    headers = dict((beside or answer).headers)
    for name in _OF_THE_BODY:
        headers.pop(name, None)
        if name in answer.headers:
            headers[name] = answer.headers[name]
    headers.pop("Content-Length", None)
    return web.Response(status=status or answer.status, headers=headers, body=body)
