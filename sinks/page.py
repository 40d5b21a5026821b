"""The live page: its HTML, its files, the stream of states, the recent past, and downloads.

It loads nothing from elsewhere.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from sinks.board import Board, wall_clock
from sinks.events import MOST, Hub
from sinks.figures import SCOPES, Figures, figures_of
from sinks.history import History
from sinks.report import rfc3339
from sinks.sheet import figures_csv, history_csv
from streams import platforms
from streams.activity import FEATURES
from streams.platform import Platform
from streams.windows import WINDOWS

STATIC: Final = Path(__file__).parent / "static"
# Path → (file, content type).
FILES: Final = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    **{f"/{script.name}": (script.name, "text/javascript") for script in sorted(STATIC.glob("*.js"))},
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
    "/vendor/uplot/uPlot.esm.js": ("vendor/uplot/uPlot.esm.js", "text/javascript"),
    "/vendor/uplot/uPlot.min.css": ("vendor/uplot/uPlot.min.css", "text/css"),
    "/vendor/uplot/LICENSE": ("vendor/uplot/LICENSE", "text/plain"),
}
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_EACH: Final = re.compile(r"<!-- each platform -->(.*?)<!-- end -->", re.DOTALL)
_PLACEHOLDER: Final = re.compile(r"\{([a-z]+)\}")
# The number of platform colours in page.css; further platforms reuse them from the first on.
_COLOURS: Final = 6
# Seconds between two checks of the board.
_LOOK_EVERY: Final = 1.0


class LivePage:
    """Follows the board: once a second it records the past and publishes the state to at most `listeners` browsers.

    `now` in µs UTC.
    """

    def __init__(self, board: Board, now: Callable[[], int] = wall_clock, listeners: int = MOST) -> None:
        self.history = History()
        self.hub = Hub(most=listeners, now=now)
        self._board = board
        self._seen: object = None
        self._files = {
            path: _File(index_html() if path == "/" else (STATIC / name).read_bytes(), kind)
            for path, (name, kind) in FILES.items()
        }

    def mount(self, app: web.Application) -> None:
        """Add the page to an application, and the security headers to every answer."""
        for path, file in self._files.items():
            app.router.add_get(path, file.answer)
        app.router.add_get("/live/events", self.hub.listen)
        app.router.add_get("/live/history", self._past)
        app.router.add_get("/live/history.csv", self._past_as_csv)
        app.router.add_get("/live/figures.csv", self._figures_as_csv)
        app.on_response_prepare.append(_harden)
        app.on_shutdown.append(self._shut_down)

    async def run(self) -> None:
        """Follow the board until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_EVERY)

    def look(self) -> None:
        """Publish the state of the board if it has changed."""
        evaluation = self._board.evaluation
        reports = tuple((report.role, report.evaluated_at) for report in self._board.reports)
        seen = (evaluation and evaluation.evaluated_at, self._board.is_stale, reports)
        if seen == self._seen:
            return
        self._seen = seen
        figures = figures_of(self._board)
        self.history.add(figures)
        self.hub.publish(msgspec.json.encode(figures))

    async def _past(self, request: web.Request) -> web.Response:
        body = msgspec.json.encode(self.history.past(*_choice(request)))
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def _figures_as_csv(self, request: web.Request) -> web.Response:
        scope, window, feature = _choice(request)
        figures, world = figures_of(self._board), self._board.world
        return self._csv(
            figures_csv(figures, scope, window, feature, world), figures, "figures", scope, window, feature
        )

    async def _past_as_csv(self, request: web.Request) -> web.Response:
        scope, window, feature = _choice(request)
        past, figures = self.history.past(scope, window, feature), figures_of(self._board)
        span = request.query.get("span", "seconds")
        if span not in ("seconds", "minutes"):
            raise web.HTTPBadRequest(text="span must be seconds or minutes\n")
        coverage = {
            platform: known[window] for platform, known in figures.coverage.get(scope, {}).items() if window in known
        }
        text = history_csv(getattr(past, span), coverage, scope, window, feature, self._board.world)
        return self._csv(text, figures, "lines", scope, window, feature)

    def _csv(self, text: str, figures: Figures, *words: str) -> web.Response:
        """A download. Its name says what is in it, and the world unless that is the real one."""
        moment = (rfc3339(figures.front) or "nothing")[:19].replace(":", "")
        world = [] if self._board.world == "real" else [self._board.world]
        name = "-".join(["nomadwatch", *world, *words, moment]) + ".csv"
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(text=text, content_type="text/csv", charset="utf-8", headers=headers)

    async def _shut_down(self, app: web.Application) -> None:
        self.hub.close()


def _choice(request: web.Request) -> tuple[str, str, str]:
    """(scope, window, feature) of a request; 400 for unknown ones."""
    asked = tuple(request.query.get(name, "") for name in ("scope", "window", "feature"))
    if any(value not in known for value, known in zip(asked, (SCOPES, WINDOWS, FEATURES), strict=True)):
        raise web.HTTPBadRequest(
            text="give a scope, a window and a feature, as in ?scope=watched&window=24h&feature=contribution\n"
        )
    scope, window, feature = asked
    return scope, window, feature


def index_html(of: Sequence[Platform] = platforms.ALL) -> bytes:
    """The page. The part between `<!-- each platform -->` and `<!-- end -->` is repeated for each platform."""
    template = (STATIC / "index.html").read_text("utf-8")
    return _EACH.sub(lambda found: "".join(_parts(found[1], of)), template).encode()


def _parts(template: str, of: Sequence[Platform]) -> Iterator[str]:
    for number, platform in enumerate(of):
        values = {
            "id": platform.id,
            "title": platform.title,
            "name": platform.name,
            "number": str(number % _COLOURS),
            "site": platform.site,
            "folders": msgspec.json.encode(platform.folders).decode(),
            "joint": "" if number == 0 else " and " if number == len(of) - 1 else ", ",
        }
        yield _PLACEHOLDER.sub(lambda found, values=values: escape(values[found[1]]), template)  # type: ignore[misc]


class _File:
    """A file in memory, with an ETag: a browser gets it again only if it has changed."""

    def __init__(self, body: bytes, kind: str) -> None:
        self._body = body
        self._kind = kind
        self._tag = hashlib.sha256(self._body).hexdigest()[:16]

    async def answer(self, request: web.Request) -> web.Response:
        known = any(tag.value == self._tag for tag in request.if_none_match or ())
        response = (
            web.Response(status=304)
            if known
            else web.Response(body=self._body, content_type=self._kind, charset="utf-8")
        )
        response.etag = self._tag
        response.headers["Cache-Control"] = "no-cache"
        return response


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
