"""GitHub's routes: what each path answers, who may ask, and the form of the answers."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Final, NamedTuple, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from simulator.population import Person, SimulatedRepository
from simulator.servers.clock import WorldClock
from simulator.servers.directory import Directory
from simulator.servers.faults import Faults
from simulator.servers.github_feeds import EVERYTHING, SimulatedFeed, SimulatedFeeds
from simulator.servers.github_limits import GithubServerLimits
from simulator.servers.github_pages import JSON, Cut, ServedPage, conditional, etag, failure, members, repository
from simulator.servers.ledger import OffenceLedger, Told

_RATE_LIMIT: Final = "/rate_limit"
_REMEMBERED: Final = 100_000
_AGENT_WANTED: Final = (
    "Request forbidden by administrative rules. Please make sure your request has a User-Agent header."
)
_TOO_FAR: Final = (
    "In order to keep the API fast for everyone, pagination is limited for this resource. "
    "Check the rel=last link relation in the Link response header to see how far back you can traverse."
)


_Named = TypeVar("_Named")


class Client(NamedTuple):
    """Who asks: a token, or an address without one."""

    name: str
    authorised: bool


class ServedRequest(NamedTuple):
    """A request that was answered: when (Unix time), for what, and with which status."""

    at: float
    path: str
    status: int


class GithubApi:
    """Serves feeds to clients with one of the `tokens`, or none.

    `poll_interval` (simulated s) and `latency` (real s) may change at any time.
    """

    def __init__(
        self,
        clock: WorldClock,
        feeds: SimulatedFeeds,
        directory: Directory,
        ledger: OffenceLedger,
        limits: GithubServerLimits,
        *,
        tokens: frozenset[str],
        seed: int,
    ) -> None:
        self.clock = clock
        self.feeds = feeds
        self.directory = directory
        self.ledger = ledger
        self.limits = limits
        self.poll_interval = 60.0
        self.latency = 0.0
        self.requests: deque[ServedRequest] = deque(maxlen=_REMEMBERED)
        self._tokens = tokens
        self._random = Random(f"requests/{seed}")

    def application(self, faults: Faults) -> web.Application:
        """All routes, with faults between them and the ledger."""
        app = web.Application(middlewares=[self._note, faults.middleware, self._guard])
        app.add_routes([web.get(path, handler) for path, handler in self._routes().items()])
        return app

    def feed(self, path: str) -> SimulatedFeed:
        """The feed of a path: /events, /orgs/NAME/events, /repos/OWNER/NAME/events or /users/NAME/events/public.
        KeyError if there is none.
        """
        know = self.directory
        match path.strip("/").split("/"):
            case ["events"]:
                return EVERYTHING
            case ["orgs", login, "events"] if organisation := know.organisation(login):
                return _organisation_feed(organisation)
            case ["organizations", number, "events"] if number.isdecimal():
                return _organisation_feed(know.organisations[int(number)])
            case ["users", login, "events", "public"] if person := know.user(login):
                return _user_feed(person)
            case ["user", number, "events", "public"] if number.isdecimal():
                return _user_feed(know.users[int(number)])
            case ["repos", owner, name, "events"] if found := know.repository(f"{owner}/{name}"):
                return self._repository_feed(found)
            case ["repositories", number, "events"] if number.isdecimal():
                return self._repository_feed(know.repositories[int(number)])
        raise KeyError(path)

    def _routes(self) -> dict[str, Callable[[web.Request], Awaitable[web.Response]]]:
        number = "{id:[0-9]{1,18}}"
        return {
            "/events": self._events,
            "/orgs/{login}/events": self._organisation_events,
            f"/organizations/{number}/events": self._organisation_events,
            "/orgs/{login}/public_members": self._public_members,
            "/repos/{owner}/{name}/events": self._repository_events,
            f"/repositories/{number}/events": self._repository_events,
            "/networks/{owner}/{name}/events": self._network_events,
            "/users/{login}/events/public": self._user_events,
            f"/user/{number}/events/public": self._user_events,
            "/repos/{owner}/{name}": self._repository,
            f"/repositories/{number}": self._repository,
            _RATE_LIMIT: self._rate_limit,
        }

    def _repository_feed(self, found: SimulatedRepository) -> SimulatedFeed:
        return SimulatedFeed("repository", found.id, f"/repos/{self.directory.first_names[found.id]}/events")

    async def _events(self, request: web.Request) -> web.Response:
        return self._page(request, EVERYTHING, "/events", 15)

    async def _organisation_events(self, request: web.Request) -> web.Response:
        found = _found(request, self.directory.organisations, self.directory.organisation)
        return self._page(request, _organisation_feed(found), f"/organizations/{found.id}/events")

    async def _user_events(self, request: web.Request) -> web.Response:
        found = _found(request, self.directory.users, self.directory.user)
        return self._page(request, _user_feed(found), f"/user/{found.id}/events/public")

    async def _repository_events(self, request: web.Request) -> web.Response:
        found = _found(request, self.directory.repositories, self.directory.repository)
        if _is_old_name(request, found):
            return self._elsewhere(request, found)
        return self._page(request, self._repository_feed(found), f"/repositories/{found.id}/events")

    async def _network_events(self, request: web.Request) -> web.Response:
        return self._elsewhere(request, _found(request, self.directory.repositories, self.directory.repository))

    def _elsewhere(self, request: web.Request, found: SimulatedRepository) -> web.Response:
        """The redirect for an old name, or for a network, to where the repository is."""
        path = f"/repositories/{found.id}" + ("/events" if request.path.endswith("/events") else "")
        return failure(
            301, "Moved Permanently", {"Location": str(request.url.with_path(path).with_query(request.query))}
        )

    def _page(self, request: web.Request, feed: SimulatedFeed, path: str, default: int = 30) -> web.Response:
        """One page of a feed, whose links name it by `path`."""
        cut = Cut.asked(request.rel_url, default)
        if cut.beyond:
            return failure(422, _TOO_FAR)
        client = self._client(request)
        if cut.page == 1 and request.method == "GET":
            self.ledger.ask(client.name, feed.path)
        now = self.clock.now()
        self.feeds.advance(now)
        held = self.feeds.held(feed, now)
        entries = held[cut.slice]
        ids = tuple(entry.event.id for entry in entries)
        headers = {
            "ETag": etag(client.name, feed.path, cut, ids),
            "X-Poll-Interval": self.clock.stated(self.poll_interval),
        }
        if links := cut.links(request.url.with_path(path).with_query(request.query), len(held)):
            headers["Link"] = links
        return conditional(request, ServedPage(b"[" + b",".join(entry.line for entry in entries) + b"]", headers, ids))

    async def _repository(self, request: web.Request) -> web.Response:
        found = _found(request, self.directory.repositories, self.directory.repository)
        if _is_old_name(request, found):
            return self._elsewhere(request, found)
        now = self.clock.now()
        self.feeds.advance(now)
        stars, forks = self.feeds.stars[found.id], self.feeds.forks[found.id]
        tag = etag(self._client(request).name, found, stars, forks)
        return conditional(
            request,
            web.Response(body=repository(found, stars, forks, now), headers={"ETag": tag, "Content-Type": JSON}),
        )

    async def _public_members(self, request: web.Request) -> web.Response:
        found = _found(request, self.directory.organisations, self.directory.organisation)
        people, cut = self.feeds.course.public_members(found.id), Cut.asked(request.rel_url, 30)
        headers = {"ETag": etag(self._client(request).name, found, cut, people), "Content-Type": JSON}
        if links := cut.links(request.url.with_path(f"/organizations/{found.id}/public_members"), len(people)):
            headers["Link"] = links
        return conditional(request, web.Response(body=members(people[cut.slice]), headers=headers))

    async def _rate_limit(self, request: web.Request) -> web.Response:
        client = self._client(request)
        stated = self.limits.headers(client.name, authorised=client.authorised)
        core = {name: float(stated[f"X-RateLimit-{name.title()}"]) for name in ("limit", "used", "remaining", "reset")}
        whole = {name: int(value) if value.is_integer() else value for name, value in core.items()}
        # There is no search here, so that quota is never used.
        searches = 30 if client.authorised else 10
        search = whole | {"limit": searches, "used": 0, "remaining": searches}
        return web.json_response({"resources": {"core": whole, "search": search}, "rate": whole}, headers=stated)

    # Around every answer.

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Record what leaves; what a fault swallowed was not shown."""
        answer = await handler(request)
        if request.transport is None or request.transport.is_closing():
            return answer
        self.requests.append(ServedRequest(self.clock.wall(), request.path_qs, answer.status))
        if isinstance(answer, Told):
            self.ledger.refuse(answer)
        interval = answer.headers.get("X-Poll-Interval")
        if interval is not None and answer.status in (200, 304) and request.method == "GET":
            feed = self.feed(request.path).path
            if Cut.asked(request.rel_url).page == 1:
                self.ledger.answer(self._client(request).name, feed, float(interval))
            if isinstance(answer, ServedPage):
                self.ledger.show(feed, answer.ids)
        if isinstance(answer, web.Response) and answer.body and "gzip" in request.headers.get("Accept-Encoding", ""):
            answer.enable_compression(web.ContentCoding.gzip)
        return answer

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check who asks, and whether the limits allow an answer."""
        if not request.headers.get("User-Agent"):
            return web.Response(status=403, text=_AGENT_WANTED)
        client = self._client(request)
        if "Authorization" in request.headers and not client.authorised:
            return self._finish(failure(401, "Bad credentials"))
        if request.path == _RATE_LIMIT:
            return self._finish(await handler(request))
        endpoint = self._endpoint(request)
        self.ledger.arrive(client.name, endpoint)
        refusal = self.limits.enter(client.name, endpoint, authorised=client.authorised)
        if refusal is not None:
            refused = failure(refusal.status, refusal.message, refusal.headers)
            return self._finish(Told(refused, client.name, refusal.until))
        answer: web.StreamResponse | None = None
        try:
            answer = await self._answer(request, handler)
        finally:
            self.limits.leave(client.name, free=client.authorised and answer is not None and answer.status == 304)
        answer.headers.update(self.limits.headers(client.name, authorised=client.authorised))
        return self._finish(answer)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.latency:
            await asyncio.sleep(self.latency)
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            return failure(404, "Not Found")

    def _finish(self, answer: web.StreamResponse) -> web.StreamResponse:
        """Add the headers of every answer."""
        answer.headers["Server"] = "github.com"
        answer.headers["X-GitHub-Media-Type"] = "github.v3; format=json"
        answer.headers["X-GitHub-Request-Id"] = f"{self._random.getrandbits(80):020X}"
        answer.headers["Vary"] = "Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding"
        return answer

    def _client(self, request: web.Request) -> Client:
        token = request.headers.get("Authorization", "").partition(" ")[2].strip()
        return Client(token, True) if token in self._tokens else Client(request.remote or "", False)

    def _endpoint(self, request: web.Request) -> str:
        """Feeds by their names in the ledger, everything else by its path."""
        try:
            return self.feed(request.path).path
        except KeyError:
            return request.path


def _organisation_feed(organisation: Person) -> SimulatedFeed:
    return SimulatedFeed("organisation", organisation.id, f"/orgs/{organisation.login}/events")


def _user_feed(person: Person) -> SimulatedFeed:
    return SimulatedFeed("user", person.id, f"/users/{person.login}/events/public")


def _is_old_name(request: web.Request, found: SimulatedRepository) -> bool:
    """Whether a repository is asked for by an earlier name; another letter case is not another name."""
    owner, name = request.match_info.get("owner"), request.match_info.get("name")
    return owner is not None and f"{owner}/{name}".casefold() != found.name.casefold()


def _found(request: web.Request, by_id: Mapping[int, _Named], by_name: Callable[[str], _Named | None]) -> _Named:
    """What a path names, by id or by name; HTTPNotFound if it is unknown."""
    asked = request.match_info
    if "id" in asked:
        found = by_id.get(int(asked["id"]))
    else:
        found = by_name(asked["login"] if "login" in asked else f"{asked['owner']}/{asked['name']}")
    if found is None:
        raise web.HTTPNotFound
    return found
