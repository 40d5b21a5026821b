"""A line of a minimised archive becomes an activity: names and times without payloads.

There are no numeric ids, so repositories and actors are known by their case-folded names. A line does not tell a
comment on a pull request from one on an issue, what was created or deleted, or whether a pull request was closed by a
merge.
"""

from typing import Final

import msgspec

from streams.activity import DAY, Activity, activity_of
from streams.columns import BOT, NONE, Row
from streams.errors import DeadLetter
from streams.github_events import Deeds
from streams.github_payloads import LONGEST_ACTION, LONGEST_ID, UNDECODABLE, Count, Line, is_event
from streams.identities import Identities
from streams.times import Times
from streams.values import clean


class MinimisedEvent(msgspec.Struct, gc=False):
    """A line of a minimised archive; `actor` is None if none is stated."""

    id: str | int
    dt: str
    repo: str
    type: str
    actor: str | None = None
    action: str | None = None
    commits: Count | None = None


decode_deed: Final = msgspec.json.Decoder(MinimisedEvent).decode
STATED: Final = "stated"

# Type of the line → type of the original event, kind, action (`STATED`: the line states it).
_TYPES: Final[dict[str, tuple[str, str, str | None]]] = {
    "push": ("PushEvent", "push", None),
    "issue": ("IssuesEvent", "issue", STATED),
    "icomment": ("IssueCommentEvent", "issue_comment", STATED),
    "ccomment": ("CommitCommentEvent", "commit_comment", "created"),
    "watch": ("WatchEvent", "star", STATED),
    "pr": ("PullRequestEvent", "pull_request", STATED),
    "prcomment": ("PullRequestReviewCommentEvent", "review_comment", STATED),
    "fork": ("ForkEvent", "fork", "forked"),
    "create": ("CreateEvent", "repository", "created"),
    "del": ("DeleteEvent", "ref", "deleted"),
    "golem": ("GollumEvent", "wiki", None),
    "member": ("MemberEvent", "member", STATED),
    "public": ("PublicEvent", "public", None),
    "release": ("ReleaseEvent", "release", STATED),
}


class MinimisedEvents:
    """Reads lines of minimised archives; `identities` and `now` as for `GithubEvents`."""

    def __init__(self, identities: Identities, now: int) -> None:
        self._identities = identities
        self._times = Times()
        self._deeds = Deeds()
        self._now = now

    def read(self, line: Line, received: int | None = None) -> list[Activity]:
        """The activity of a line; `received` (µs) is when it was ingested (None: at its event time). Raises
        `DeadLetter`.
        """
        return [activity_of(row) for row in self.rows(line, received)]

    def rows(self, line: Line, received: int | None = None) -> tuple[Row, ...]:
        """The same as a row."""
        try:
            deed = decode_deed(line)
        except UNDECODABLE:
            deed = read_by_hand(clean(line))
        known = _TYPES.get(deed.type)
        if known is None:
            raise DeadLetter("unknown-type")
        event, kind, action = known
        if action is STATED:
            action = deed.action
            if not action or len(action) > LONGEST_ACTION:
                raise DeadLetter("missing-field")
        identifier = f"github:{event}:{deed.id}"
        if len(identifier) > LONGEST_ID or not deed.id or deed.actor == "":
            raise DeadLetter("not-an-event")
        occurred_at = self._times[deed.dt]
        ingested_at = received if received is not None else min(occurred_at, self._now)
        if occurred_at > ingested_at + DAY:
            raise DeadLetter("future")
        name = deed.repo.casefold()
        repository = self._identities.repositories.get(name) or self._identities.repository(name, name)
        if deed.actor is None:
            account = self._identities.nobody(identifier)
        else:
            login = deed.actor.casefold()
            account = self._identities.accounts.get(login) or self._identities.account(login, login)
        row = (
            identifier,
            occurred_at,
            ingested_at,
            account.hash,
            BOT * account.bot,
            self._deeds[kind, action],
            repository,
            deed.commits if kind == "push" and deed.commits is not None else NONE,
            NONE,
            None,
        )
        return (row,)


def read_by_hand(text: bytes) -> MinimisedEvent:
    """The event of a cleaned text that the typed decoder refuses because commits or actor are invalid. Raises
    `DeadLetter`.

    >>> read_by_hand(b'{"id":1,"dt":"","repo":"a/b","type":"push","actor":null,"commits":"many"}').commits is None
    True
    """
    try:
        value = msgspec.json.decode(text)
    except UNDECODABLE:
        raise DeadLetter("json") from None
    if not is_event(value):
        raise DeadLetter("not-an-event")
    if isinstance(value.get("repo"), dict):
        raise DeadLetter("mixed-identity")
    if value["type"] not in _TYPES:
        raise DeadLetter("unknown-type")
    for name, kind in (("actor", str), ("action", str), ("commits", Count)):
        try:
            msgspec.convert(value.get(name), kind)
        except msgspec.ValidationError:
            value.pop(name, None)
    try:
        return msgspec.convert(value, MinimisedEvent)
    except msgspec.ValidationError:
        raise DeadLetter("missing-field") from None
