"""The part of GitHub's events that is read, full (until 2025-10-07) and reduced: only what tells activities apart.

The decoders are typed and skip the rest, which is most of an event's 2–3 KB. That makes reading fast.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from streams.errors import DeadLetter

Line: TypeAlias = bytes | memoryview
# What msgspec raises for invalid input; a line of a hundred thousand brackets causes a RecursionError.
UNDECODABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
LONGEST_ID: Final = 100
LONGEST_ACTION: Final = 50
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class EventAccount(msgspec.Struct, gc=False):
    id: int | str
    login: str


class EventRepository(msgspec.Struct, gc=False):
    id: int | str
    name: str


class PullLink(msgspec.Struct, gc=False):
    """What makes an issue a pull request. In 2013 every issue had one; its addresses were null for issues."""

    html_url: str | None = ""


class Issue(msgspec.Struct, gc=False):
    number: Count | None = None
    pull_request: PullLink | None = None


class PullRequest(msgspec.Struct, gc=False):
    number: Count | None = None
    merged: bool | None = None


class Thread(msgspec.Struct, gc=False):
    """A discussion."""

    number: Count | None = None


class Payload(msgspec.Struct, gc=False):
    action: str | None = None
    size: Count | None = None
    ref_type: str | None = None
    issue: Issue | None = None
    pull_request: PullRequest | None = None
    discussion: Thread | None = None


class Event(msgspec.Struct, gc=False):
    """The common fields of GitHub's events, and of their payload what tells activities apart.

    `actor` is None if none is stated; `simulated` is True in generated events only.
    """

    id: str | int
    type: str
    repo: EventRepository
    created_at: str
    actor: EventAccount | None = None
    payload: Payload | None = None
    simulated: Any = False


class _Words(msgspec.Struct):
    title: str | None = None
    body: str | None = None


class _OpenedPayload(msgspec.Struct):
    issue: _Words | None = None
    discussion: _Words | None = None


class _Opened(msgspec.Struct):
    payload: _OpenedPayload


class _Fork(msgspec.Struct):
    url: str | None = None


class _Head(msgspec.Struct):
    repo: _Fork | None = None


class _MergedRequest(msgspec.Struct):
    user: EventAccount | None = None
    head: _Head | None = None


class _MergedPayload(msgspec.Struct):
    pull_request: _MergedRequest


class _Merged(msgspec.Struct):
    payload: _MergedPayload


# Titles, bodies and openers are needed for few events. Those are decoded a second time, so that the others do not pay
# for it.
decode_opened: Final = msgspec.json.Decoder(_Opened).decode
decode_merged: Final = msgspec.json.Decoder(_Merged).decode
_Shape: TypeAlias = tuple[str, str | None, int | None]
NOTHING: Final = Payload()
decode_event: Final = msgspec.json.Decoder(Event).decode


def _needed(action: str | None) -> str:
    if not action or len(action) > LONGEST_ACTION:
        raise DeadLetter("missing-field")
    return action


def _number(thread: Issue | Thread | PullRequest | None) -> int | None:
    return thread.number if thread is not None else None


def _issue(payload: Payload) -> _Shape:
    return "issue", _needed(payload.action), _number(payload.issue)


def _issue_comment(payload: Payload) -> _Shape:
    issue = payload.issue
    if issue is None:
        raise DeadLetter("missing-field")
    on_issue = issue.pull_request is None or issue.pull_request.html_url is None
    return "issue_comment" if on_issue else "pull_request_comment", _needed(payload.action), issue.number


def _discussion(kind: str) -> Callable[[Payload], _Shape]:
    return lambda payload: (kind, _needed(payload.action), _number(payload.discussion))


def _pull_request(payload: Payload) -> _Shape:
    request = payload.pull_request
    if request is None:
        return "pull_request", _needed(payload.action), None
    merged = payload.action == "closed" and request.merged
    return "pull_request", "merged" if merged else _needed(payload.action), request.number


def _on_pull_request(kind: str) -> Callable[[Payload], _Shape]:
    return lambda payload: (kind, _needed(payload.action), _number(payload.pull_request))


def _ref(action: str) -> Callable[[Payload], _Shape]:
    def shape(payload: Payload) -> _Shape:
        if payload.ref_type not in ("repository", "branch", "tag"):
            raise DeadLetter("missing-field")
        return payload.ref_type, action, None

    return shape


def _stated(kind: str) -> Callable[[Payload], _Shape]:
    return lambda payload: (kind, _needed(payload.action), None)


def _always(kind: str, action: str | None = None) -> Callable[[Payload], _Shape]:
    shape = kind, action, None
    return lambda payload: shape


# Event type → (kind, action, thread), from the payload. An event of another type is a dead letter.
SHAPES: Final[dict[str, Callable[[Payload], _Shape]]] = {
    "PushEvent": _always("push"),
    "IssuesEvent": _issue,
    "IssueCommentEvent": _issue_comment,
    "CommitCommentEvent": _always("commit_comment", "created"),
    "DiscussionEvent": _discussion("discussion"),
    "DiscussionCommentEvent": _discussion("discussion_comment"),
    "WatchEvent": _stated("star"),
    "PullRequestEvent": _pull_request,
    "PullRequestReviewEvent": _on_pull_request("review"),
    "PullRequestReviewCommentEvent": _on_pull_request("review_comment"),
    "PullRequestReviewThreadEvent": _on_pull_request("review_thread"),
    "ForkEvent": _always("fork", "forked"),
    "CreateEvent": _ref("created"),
    "DeleteEvent": _ref("deleted"),
    "ReleaseEvent": _stated("release"),
    "PublicEvent": _always("public"),
    "MemberEvent": _stated("member"),
    "GollumEvent": _always("wiki"),
}
_BULK_ACTIONS: Final = ("index", "create", "update", "delete")


def is_event(value: Any) -> bool:
    """Whether JSON is at least an object with a type and an id, or with the time that replaced the id before 2013."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return False
    identifier = value.get("id")
    return type(identifier) in (str, int) or (identifier is None and isinstance(value.get("created_at"), str))


def is_minimised(value: dict[str, Any]) -> bool:
    """Whether an event is one of a minimised archive, which only names repositories."""
    return "dt" in value and isinstance(value.get("repo"), str)


def is_bulk_action(line: Line) -> bool:
    """Whether a line is an action line of Elasticsearch's bulk format.

    >>> is_bulk_action(b'{"index":{"_index":"gharchive"}}'), is_bulk_action(b'{"index":{},"id":"1"}')
    (True, False)
    """
    try:
        value = msgspec.json.decode(line)
    except UNDECODABLE:
        return False
    return (
        isinstance(value, dict)
        and len(value) == 1
        and any(isinstance(value.get(action), dict) for action in _BULK_ACTIONS)
    )
