"""What GitHub's answers consist of: bodies, entity tags, links between pages."""

import json
from collections.abc import Sequence
from hashlib import blake2b
from math import ceil
from random import Random
from typing import Any, Final, NamedTuple

from aiohttp import web
from yarl import URL

from simulator.clock import rfc3339
from simulator.population import Person, SimulatedRepository
from simulator.servers.github_feeds import HELD
from simulator.templates import REPOSITORY, USER

DOCUMENTATION: Final = "https://docs.github.com/rest"
JSON: Final = "application/json; charset=utf-8"
LARGEST_PAGE: Final = 100


class Cut(NamedTuple):
    """Which page of what length was asked for; what makes no sense falls back to the defaults."""

    page: int
    length: int

    @property
    def slice(self) -> slice:
        return slice((self.page - 1) * self.length, self.page * self.length)

    @classmethod
    def asked(cls, url: URL, default: int = 30) -> "Cut":
        """
        >>> Cut.asked(URL("/events?per_page=1000&page=2"), 15), Cut.asked(URL("/events?page=x"), 15)
        (Cut(page=2, length=100), Cut(page=1, length=15))
        """
        length, page = _natural(url.query.get("per_page")), _natural(url.query.get("page"))
        return cls(page or 1, min(length or default, LARGEST_PAGE))

    def links(self, url: URL, count: int) -> str:
        """The Link header of this page of `count` things; empty where there is nothing but this page.

        >>> Cut(1, 100).links(URL("http://h/events?per_page=100"), 201)
        '<http://h/events?per_page=100&page=2>; rel="next", <http://h/events?per_page=100&page=3>; rel="last"'
        """
        last = max(1, ceil(count / self.length))
        relations = {}
        if self.page > 1:
            relations["prev"] = min(self.page - 1, last)
        if self.page < last:
            relations |= {"next": self.page + 1, "last": last}
        if self.page > 1:
            relations["first"] = 1
        return ", ".join(f'<{url.update_query(page=page)}>; rel="{relation}"' for relation, page in relations.items())

    @property
    def beyond(self) -> bool:
        """Whether no feed ever reaches so far."""
        return self.page > ceil(HELD / self.length)


class ServedPage(web.Response):
    """A page of a feed, and the ids that it shows."""

    def __init__(self, body: bytes, headers: dict[str, str], ids: tuple[str, ...]) -> None:
        super().__init__(body=body, headers=headers | {"Content-Type": JSON})
        self.ids = ids


def etag(*parts: object) -> str:
    """A weak entity tag of 64 hexadecimal digits, as GitHub writes them."""
    return f'W/"{blake2b(repr(parts).encode(), digest_size=32).hexdigest()}"'


def failure(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An answer that says in JSON what is wrong."""
    body = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    return web.json_response(body, status=status, headers=headers)


def conditional(request: web.Request, answer: web.Response) -> web.Response:
    """304 instead of the answer, if it has the entity tag that the client states exactly as it got it."""
    stated = [tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")]
    if answer.headers["ETag"] not in stated:
        return answer
    kept = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
    return web.Response(status=304, headers=kept)


def user(person: Person, kind: str = "User") -> str:
    """An account as JSON; `kind` is User, Bot or Organization."""
    return USER.fill(
        {"id": person.id, "login": person.login, "account": "Bot" if person.login.endswith("[bot]") else kind}
    )


def members(people: Sequence[Person]) -> bytes:
    """A page of accounts."""
    return f"[{','.join(map(user, people))}]".encode()


def repository(repository: SimulatedRepository, stars: int, forks: int, time: int) -> bytes:
    """A repository as it is stated by itself: with what it had before the world began and the stars and forks since;
    time in µs.
    """
    before = Random(f"popularity/{repository.id}")
    stars += int(before.paretovariate(0.7)) % 50_000
    forks += int(before.paretovariate(0.9)) % 5_000
    owner = user(repository.owner, "Organization" if repository.organisation else "User")
    filled = REPOSITORY.fill(
        {
            "id": repository.id,
            "name": repository.name,
            "short_name": repository.short_name,
            "owner": owner,
            "description": "",
            "fork": "false",
            "created_at": "2021-03-04T05:06:07Z",
            "at": rfc3339(time),
            "size": before.randrange(10**5),
            "stars": stars,
        }
    )
    stated: dict[str, Any] = json.loads(filled) | {"forks_count": forks, "forks": forks, "network_count": forks}
    stated["subscribers_count"] = before.randrange(1, 500)
    if repository.organisation:
        stated["organization"] = json.loads(owner)
    return json.dumps(stated, separators=(",", ":")).encode()


def _natural(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0
