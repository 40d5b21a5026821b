"""Events of GitHub that the typed decoder refuses, read field by field: those before 2015, and those with an unusual
field.

GH Archive of 2011 to 2014 holds what the public timeline showed. An issue is its number in the database, a comment
states no action, a created thing is called `object`, and repositories and accounts may lack their numeric id or be in
`repository` and `actor_attributes`. What has no id is known by its name: a person or repository that has an id in one
event and none in another counts as two.

Only the fields that say what was done, to what and when are needed. All others may be absent, or of any type.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from streams.errors import DeadLetter
from streams.github_payloads import (
    SHAPES,
    UNDECODABLE,
    Event,
    EventAccount,
    EventRepository,
    Issue,
    Payload,
    PullLink,
    PullRequest,
    Thread,
    is_event,
    is_minimised,
)

_ADDRESS: Final = re.compile(r"https?://[^/]+/(?:repos/)?([^/\s]+/[^/?#\s]+)")
_THREAD: Final = re.compile(r"/(issues|pull)/(\d{1,15})(?!\d)")
_MOST: Final = 1 << 53
# Comments had no action when only their creation was shown.
_SILENT: Final = ("IssueCommentEvent", "PullRequestReviewCommentEvent")


def read_by_hand(text: bytes) -> Event:
    """The event of a cleaned text, in the form of the typed decoder. Raises `DeadLetter`.

    >>> repository = b'"repository":{"id":1,"name":"r","owner":"o"}'
    >>> head = b'{"type":"ForkEvent","created_at":"2013-01-01T00:00:00Z","actor":"ada",'
    >>> event = read_by_hand(head + repository + b"}")
    >>> event.repo.name, event.actor.id, len(event.id)
    ('o/r', '@ada', 32)
    """
    try:
        value = msgspec.json.decode(text)
    except UNDECODABLE:
        raise DeadLetter("json") from None
    if not is_event(value):
        raise DeadLetter("not-an-event")
    if is_minimised(value):
        raise DeadLetter("mixed-identity")
    kind = value["type"]
    if kind not in SHAPES:
        raise DeadLetter("unknown-type")
    payload = _table(value.get("payload"))
    repository = _repository(value, payload)
    created_at = value.get("created_at")
    if repository is None or not isinstance(created_at, str):
        raise DeadLetter("missing-field")
    identifier = value.get("id")
    if identifier is None:
        # Before 2013 events had no id. The same event is the same JSON, in any order.
        identifier = hashlib.blake2b(msgspec.json.encode(value, order="sorted"), digest_size=16).hexdigest()
    read = _payload(kind, payload, value.get("url"))
    return Event(identifier, kind, repository, created_at, _actor(value), read, value.get("simulated"))


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _words(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None


def _id(value: Any) -> int | str | None:
    return value if type(value) in (int, str) and value != "" else None


def _actor(value: dict[str, Any]) -> EventAccount | None:
    """The actor, by id or else by login; None if none is stated."""
    stated = value.get("actor")
    actor = _table(stated)
    login = _words(stated) or _words(actor.get("login")) or _words(_table(value.get("actor_attributes")).get("login"))
    native = _id(actor.get("id"))
    if native is not None:
        return EventAccount(native, login or "")
    # No login has an @, so this cannot be taken for an id.
    return EventAccount(f"@{login.casefold()}", login) if login else None


def _repository(value: dict[str, Any], payload: dict[str, Any]) -> EventRepository | None:
    """The repository, by id or else by name; None if no name is stated."""
    repository = _table(value.get("repo")) or _table(value.get("repository"))
    name = next(_names(repository, value, payload), None) or _words(repository.get("name"))
    if name is None or name == "/":
        return None
    native = _id(repository.get("id"))
    return EventRepository(name.casefold() if native is None else native, name)


def _names(repository: dict[str, Any], value: dict[str, Any], payload: dict[str, Any]) -> Iterator[str]:
    """Possible names with the owner, the most likely first."""
    name, owner = _words(repository.get("name")), repository.get("owner")
    owner = _words(owner) or _words(_table(owner).get("login"))
    stated = [repository.get("full_name"), name, f"{owner}/{name}" if owner and name else None, payload.get("repo")]
    addresses = [
        _ADDRESS.match(address) for address in (repository.get("url"), value.get("url")) if isinstance(address, str)
    ]
    for each in [*stated, *(found[1] for found in addresses if found)]:
        if isinstance(each, str) and all(each.partition("/")):
            yield each


def _payload(kind: str, payload: dict[str, Any], address: Any) -> Payload:
    in_address = _THREAD.search(address) if isinstance(address, str) else None
    number = _count(payload.get("number")) or (int(in_address[2]) if in_address else None)
    action = _words(payload.get("action"))
    if action is None and kind in _SILENT:
        action = "created"
    return Payload(
        action=action,
        size=_count(payload.get("size")),
        ref_type=_words(payload.get("ref_type")) or _words(payload.get("object")),
        issue=_issue(kind, payload, number, on_pull=in_address is not None and in_address[1] == "pull"),
        pull_request=_pull_request(payload.get("pull_request"), number),
        discussion=Thread(_count(_table(payload.get("discussion")).get("number")) or number),
    )


def _issue(kind: str, payload: dict[str, Any], number: int | None, *, on_pull: bool) -> Issue | None:
    issue = payload.get("issue")
    if isinstance(issue, dict):
        link = issue.get("pull_request")
        address = link.get("html_url", "") if isinstance(link, dict) else ""
        return Issue(
            _count(issue.get("number")) or number, PullLink(None if address is None else str(address)) if link else None
        )
    if kind == "IssueCommentEvent" and not payload.keys() & {"issue", "issue_id", "comment_id"}:
        return None
    return Issue(number, PullLink() if on_pull else None)


def _pull_request(request: Any, number: int | None) -> PullRequest | None:
    table = _table(request)
    return PullRequest(_count(table.get("number")) or number, table.get("merged") is True)
