"""The Hugging Face Hub's API over a generated world: no feed of events, only what exists now, page by page and within a
quota.
"""

import asyncio
import hmac
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from simulator.prose import Prose
from simulator.servers import hub_answers as answers
from simulator.servers import hub_fields as fields
from simulator.servers import hub_shapes as shapes
from simulator.servers.clock import WorldClock
from simulator.servers.faults import Faults
from simulator.servers.hub_answers import AnswerRefused
from simulator.servers.hub_limits import HubServerLimits, Spent
from simulator.servers.hub_state import HubServerRepository
from simulator.servers.hub_truth import Happened, TrueRelease
from simulator.servers.hub_walk import SORTS, BadCursor, decode_cursor, encode_cursor, walk
from simulator.servers.hub_world import HubWorld
from simulator.servers.ledger import Offence, OffenceLedger, Told
from simulator.servers.listening import Listening

_LONGEST_PAGE: Final = 1_000
_THREADS: Final = 50
_COMMITS: Final = 50
_PEOPLE: Final = 500
_SLICE: Final = 1_000
_READER: Final = "reader"
_FOLDERS: Final = {"models": "model", "datasets": "dataset", "spaces": "space"}
_CLOSED: Final = ("closed", "merged")


class HubServer(Listening):
    """A Hub on loopback.

    `rate`: things a simulated second. `token`: the only valid one; without one every token is wrong. `granted`: its
    account has accepted the terms of gated repositories. It begins at `begin` (simulated µs), else now; a server with
    the same settings shows the same world. The other settings are those of `HubWorld`: `repositories`, `people`,
    `history`, `remembered`, `largest`, `release_in` (simulated seconds after the beginning), `release_of` (an
    organisation), `release_factor`, `release_half_life` (simulated seconds).
    """

    def __init__(
        self,
        seed: int,
        clock: WorldClock,
        faults: Faults | None = None,
        *,
        begin: int | None = None,
        rate: float = 2.0,
        token: str | None = None,
        granted: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.clock = clock
        self.world = HubWorld(seed, clock.now() if begin is None else begin, rate=rate, **settings)
        self.ledger = OffenceLedger(clock.wall)
        self.limits = HubServerLimits(clock)
        self.statuses: Counter[int] = Counter()
        """How many answers of which status were made."""
        self._faults = faults
        self._token, self._granted = token, granted
        prose = Prose(seed)
        self._bodies: list[str] = [json.loads(f'"{prose.body(3)}"') or "+1" for _ in range(400)]

    def _application(self) -> web.Application:
        app = web.Application(
            middlewares=[self._note, *([self._faults.middleware] if self._faults else []), self._guard]
        )
        app.add_routes([web.get(path, handler) for path, handler in self._routes().items()])
        return app

    async def _catch_up(self) -> None:
        caught_up = False
        while not caught_up:
            caught_up = self.world.advance(self.clock.now(), _SLICE)
            await asyncio.sleep(0)

    # The truth.

    @property
    def release(self) -> TrueRelease | None:
        return self.world.release

    @property
    def offences(self) -> list[Offence]:
        """The rules that clients broke."""
        return self.ledger.offences

    def happened(self, since: int, until: int) -> list[Happened]:
        """What happened in [since, until) (simulated µs), by the stated time. ValueError if some of it is forgotten.

        A commit may be dated some minutes before it becomes visible. A kind `delete` hides everything of its
        repository. The actions `copied` (old commits in a copy) and `renamed` (a thread) are upkeep, although a poller
        cannot see them or may not ask.
        """
        self.world.advance(self.clock.now())
        return self.world.truth.happened(since, until)

    def unmissable(self, since: int, until: int, interval: int, *, signed_in: bool = True) -> list[Happened]:
        """What of [since, until) answers show for at least an `interval` (all simulated µs).

        A deleted repository takes everything along. Commits of repositories that are or were gated are left out if the
        client has not accepted their terms.
        """
        self.world.advance(self.clock.now())
        happened = self.world.truth.unmissable(since, until, interval)
        if signed_in and self._granted:
            return happened
        gated = {each.key for each in self.world.repositories if each.was_gated}
        return [each for each in happened if each.kind != "commit" or each.repository not in gated]

    def logins(self) -> set[str]:
        """The logins of all people and bots; organisations are public names."""
        return {account.login for account in self.world.people.accounts}

    def left(self) -> Mapping[str, int]:
        """{login: when, in simulated µs} of deleted accounts: from then on answers do not name them in threads and
        likes.
        """
        return {account.login: account.left for account in self.world.people.accounts if account.left is not None}

    # What is asked.

    def _routes(self) -> dict[str, Callable[[web.Request], Awaitable[web.Response]]]:
        one = "/api/{folder:models|datasets|spaces}/{owner}/{name}"
        return {
            "/api/{folder:models|datasets|spaces}": self._list,
            # No repository of this world has a name without an owner.
            "/api/{folder:models|datasets|spaces}/{name}": self._repository,
            one: self._repository,
            f"{one}/revision/{{revision}}": self._repository,
            f"{one}/commits/{{revision}}": self._commits,
            f"{one}/discussions": self._discussions,
            f"{one}/discussions/{{number:[0-9]{{1,9}}}}": self._discussion,
            f"{one}/likers": self._likers,
            "/api/organizations/{name}/members": self._members,
            "/api/users/{name}/overview": self._overview,
            "/api/whoami-v2": self._whoami,
        }

    async def _list(self, request: web.Request) -> web.Response:
        type_ = _FOLDERS[request.match_info["folder"]]
        query = request.query
        expand = answers.expanded(request, type_)
        if expand and (query.get("full") or query.get("cardData") or query.get("config")):
            raise AnswerRefused(400, "expand cannot be used with full, cardData or config")
        sort = query.get("sort", "trendingScore")
        if sort not in SORTS or (type_ == "space" and sort == "downloads"):
            raise AnswerRefused(400, f"sort must be one of {', '.join(SORTS)}")
        if query.get("direction", "-1") != "-1":
            raise AnswerRefused(400, "direction must be -1")
        author, words = query.get("author", "").casefold(), [word.casefold() for word in query.getall("search", [])]
        tags = set(query.getall("filter", []))

        def fits(repository: HubServerRepository) -> bool:
            if repository.private or (author and repository.owner.casefold() != author):
                return False
            if words and not all(word in repository.name.casefold() for word in words):
                return False
            return not tags or tags.issubset(fields.tags(repository))

        after = decode_cursor(query["cursor"]) if "cursor" in query else None
        limit = answers.number(request, "limit", _LONGEST_PAGE, 1, _LONGEST_PAGE)
        now = self.clock.now()
        found, cursor = walk(self.world.repositories, type_, sort, after, now, limit, fits)
        full = query.get("full", "").casefold() in ("1", "true")
        return answers.page(request, [fields.listed(each, now, expand, full=full) for each in found], cursor)

    async def _repository(self, request: web.Request) -> web.Response:
        repository = self._found(request)
        answers.check_revision(request, repository)
        expand = answers.expanded(request, repository.type)
        now = self.clock.now()
        return answers.answer(fields.listed(repository, now, expand) if expand else fields.detailed(repository, now))

    async def _commits(self, request: web.Request) -> web.Response:
        """The newest first, in pages that move as commits are added."""
        repository = self._found(request)
        answers.check_gate(repository, signed_in=self._knows(request), granted=self._granted)
        answers.check_revision(request, repository)
        limit = answers.number(request, "limit", _COMMITS, 1, _LONGEST_PAGE)
        page = answers.number(request, "p", 0, 0)
        commits = repository.commits
        newest = len(commits) - 1 - page * limit
        indexes = range(newest, max(commits.forgotten - 1, newest - limit), -1)
        rows = [shapes.commit(repository, index, self.world.people.accounts) for index in indexes]
        answer = answers.answer(rows, {"X-Total-Count": str(len(commits))})
        if newest - limit >= commits.forgotten:
            answer.headers["Link"] = answers.next_link(request, p=str(page + 1))
        return answer

    async def _discussions(self, request: web.Request) -> web.Response:
        repository = self._discussed(request)
        query = request.query
        if query.get("sort", "recently-created") not in ("recently-created", "trending", "reactions"):
            raise AnswerRefused(400, "sort must be recently-created, trending or reactions")
        kind, status = query.get("type", "all"), query.get("status", "all")
        if kind not in ("all", "discussion", "pull_request") or status not in ("all", "open", "closed"):
            raise AnswerRefused(400, "type must be all, discussion or pull_request; status all, open or closed")
        author = query.get("author")
        accounts = self.world.people.accounts
        fitting = [
            each
            for each in reversed(repository.threads)
            if (kind == "all" or each.pull_request == (kind == "pull_request"))
            and (status == "all" or (each.status in _CLOSED) == (status == "closed"))
            and (author is None or accounts[each.author].login == author)
        ]
        start = answers.number(request, "p", 0, 0) * _THREADS
        page = fitting[start : start + _THREADS]
        return answers.answer(shapes.threads(repository, page, self.world.people, count=len(fitting), start=start))

    async def _discussion(self, request: web.Request) -> web.Response:
        repository = self._discussed(request)
        thread = repository.thread(int(request.match_info["number"]))
        if thread is None:
            raise AnswerRefused(404, "Discussion not found")
        diff = request.query.get("diff") == "1"
        return answers.answer(shapes.details(repository, thread, self.world.people, self._bodies, diff=diff))

    async def _likers(self, request: web.Request) -> web.Response:
        """Who likes it, without times; the earliest first."""
        repository = self._found(request)
        after = decode_cursor(request.query["cursor"])[0] if "cursor" in request.query else None
        rows = [(serial, number) for number, serial in repository.likers.items() if after is None or serial > after]
        limit = answers.number(request, "limit", _PEOPLE, 1, _LONGEST_PAGE)
        accounts = self.world.people.accounts
        cursor = encode_cursor(rows[limit - 1][0], "") if len(rows) > limit else None
        return answers.page(request, [shapes.user(accounts[number]) for _, number in rows[:limit]], cursor)

    async def _members(self, request: web.Request) -> web.Response:
        members = self.world.people.members.get(request.match_info["name"])
        if members is None:
            raise AnswerRefused(404, "This organization does not exist")
        after = decode_cursor(request.query["cursor"])[0] if "cursor" in request.query else 0
        limit = answers.number(request, "limit", _PEOPLE, 1, _LONGEST_PAGE)
        cursor = encode_cursor(after + limit, "") if len(members) > after + limit else None
        return answers.page(request, [shapes.user(account) for account in members[after : after + limit]], cursor)

    async def _overview(self, request: web.Request) -> web.Response:
        account = self.world.people.by_login.get(request.match_info["name"])
        if account is None or account.left is not None:
            raise AnswerRefused(404, "This user does not exist")
        public = (each for each in self.world.repositories if each.owner == account.login and not each.private)
        return answers.answer(shapes.overview(account, Counter(each.type for each in public), self.world.people))

    async def _whoami(self, request: web.Request) -> web.Response:
        if not self._knows(request):
            raise AnswerRefused(401, "Invalid username or password.")
        return answers.answer(shapes.whoami(_READER))

    def _found(self, request: web.Request) -> HubServerRepository:
        """The repository of an address. Without a token the answer is the same for private repositories and missing
        ones.
        """
        type_ = _FOLDERS[request.match_info["folder"]]
        name = f"{request.match_info.get('owner', '')}/{request.match_info['name']}"
        repository, old = self.world.repositories.find(type_, name)
        if repository is None or repository.private:
            status, message = (
                (404, "HubServerRepository not found")
                if self._knows(request)
                else (401, "Invalid username or password.")
            )
            raise AnswerRefused(status, message, "RepoNotFound")
        if old:
            location = request.rel_url.raw_path_qs.replace(name, repository.name, 1)
            raise AnswerRefused(307, f"Temporary Redirect. Redirecting to {location}", Location=location)
        return repository

    def _discussed(self, request: web.Request) -> HubServerRepository:
        repository = self._found(request)
        if not repository.discussions:
            raise AnswerRefused(403, "Discussions are disabled for this repo")
        return repository

    def _knows(self, request: web.Request) -> bool:
        """Whether the client has the token."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode("utf-8", "surrogateescape")
        return bool(self._token) and hmac.compare_digest(given, (self._token or "").encode())

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Record who was refused until when; a refusal that a fault swallowed does not count."""
        answer = await handler(request)
        if isinstance(answer, Told) and request.transport is not None and not request.transport.is_closing():
            self.ledger.refuse(answer)
        return answer

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check who asks and whether that is within the quota, and advance the world to now."""
        authorised = self._knows(request)
        client = _READER if authorised else f"{request.remote}"
        self.ledger.arrive(client, request.path)
        spent = self.limits.spend(client, authorised=authorised)
        try:
            if not spent.passes:
                refusal = AnswerRefused(
                    429, "We had to rate limit you, you hit the quota of your plan. Wait, or log in with a token."
                )
                return self._finish(Told(answers.refusal(refusal), client, spent.until), spent)
            if "Authorization" in request.headers and not authorised:
                raise AnswerRefused(401, "Invalid credentials in Authorization header")
            await self._catch_up()
            answer = await handler(request)
        except BadCursor:
            answer = answers.refusal(AnswerRefused(400, "Invalid cursor"))
        except AnswerRefused as refused:
            answer = answers.refusal(refused)
        except web.HTTPException as other:
            answer = answers.refusal(AnswerRefused(other.status, "Sorry, we can't find the page you are looking for."))
        return self._finish(answer, spent)

    def _finish(self, answer: web.StreamResponse, spent: Spent) -> web.StreamResponse:
        """Add the headers of every answer."""
        answer.headers.update(spent.headers)
        self.statuses[answer.status] += 1
        return answer
