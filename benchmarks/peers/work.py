"""The work that all peers do on one archive hour, and how their answers are compared.

Of the events of people (not of bots):

1. count them by repository, feature and minute;
2. count different people by feature in the whole hour, which is one window.

A program prints one line: {feature: [groups, activities, checksum, people]}, where groups are the counts of step 1 and
the checksum is the sum of count² × ((31 × repository + minute) mod 1,000,003) over them, minutes from 1970. It changes
with each count, and needs no order.

The tables below are the only definition. The programs with SQL use `FEATURE` and `IS_BOT`, the others `read`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec
from isal import igzip

# Event types that mean the same whatever was done.
ALWAYS = {
    "PushEvent": "contribution",
    "CommitCommentEvent": "exchange",
    "ForkEvent": "adaptation",
    "PublicEvent": "publication",
}
# Event types that mean this when something begins; otherwise upkeep.
BEGUN = {
    "IssuesEvent": "exchange",
    "DiscussionEvent": "exchange",
    "DiscussionCommentEvent": "exchange",
    "WatchEvent": "preference",
    "PullRequestEvent": "review",
    "PullRequestReviewEvent": "review",
    "PullRequestReviewCommentEvent": "review",
    "ReleaseEvent": "publication",
}
BEGINNINGS = ("opened", "created", "submitted", "started", "forked", "published")
PRIME = 1_000_003

_BOTS_TXT = Path(__file__).parents[2] / "streams" / "bots.txt"
# nomadwatch's own list stands in streams/bots.py.
BOTS = frozenset(
    [line for line in _BOTS_TXT.read_text().splitlines() if line and not line.startswith("#")]
    + ["copilot", "googlecodeexporter", "greatfirebot", "hubot", "pyup-bot", "regro-cf-autotick-bot"]
    + ["scala-steward", "typescript-bot"]
)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _whens() -> Iterator[str]:
    for kind, feature in ALWAYS.items():
        yield f"WHEN type = '{kind}' THEN '{feature}'"
    yield "WHEN type = 'CreateEvent' AND ref_type = 'repository' THEN 'publication'"
    begun = f"action IN ({_listed(BEGINNINGS)})"
    yield f"WHEN type = 'IssueCommentEvent' AND {begun} AND on_pull_request THEN 'review'"
    yield f"WHEN type = 'IssueCommentEvent' AND {begun} THEN 'exchange'"
    for feature in sorted(set(BEGUN.values())):
        kinds = _listed(kind for kind, own in BEGUN.items() if own == feature)
        yield f"WHEN type IN ({kinds}) AND {begun} THEN '{feature}'"


# Of the columns type, action, ref_type, on_pull_request (whether a comment stands on a pull request), and login.
FEATURE = f"CASE {' '.join(_whens())} ELSE 'upkeep' END"
IS_BOT = f"lower(login) LIKE '%[bot]' OR lower(login) IN ({_listed(sorted(BOTS))})"


class _Account(msgspec.Struct, gc=False):
    id: int
    login: str


class _Repository(msgspec.Struct, gc=False):
    id: int


class _PullLink(msgspec.Struct, gc=False):
    html_url: str | None = None


class _Issue(msgspec.Struct, gc=False):
    pull_request: _PullLink | None = None


class _Payload(msgspec.Struct, gc=False):
    action: str | None = None
    ref_type: str | None = None
    issue: _Issue | None = None


class _Event(msgspec.Struct, gc=False):
    type: str
    actor: _Account
    repo: _Repository
    created_at: str
    payload: _Payload


_decode = msgspec.json.Decoder(_Event).decode
_seconds: dict[str, int] = {}


def read(line: bytes) -> tuple[int, str, int, int] | None:
    """(repository, feature, second from 1970, actor) of an event, or None for a bot's."""
    event = _decode(line)
    login = event.actor.login.lower()
    if login.endswith("[bot]") or login in BOTS:
        return None
    second = _seconds.get(event.created_at)
    if second is None:
        # An hour has few thousand of them.
        second = _seconds[event.created_at] = int(datetime.fromisoformat(event.created_at).timestamp())
    return event.repo.id, _feature(event.type, event.payload), second, event.actor.id


def _feature(kind: str, payload: _Payload) -> str:
    if (feature := ALWAYS.get(kind)) is not None:
        return feature
    if kind == "CreateEvent":
        return "publication" if payload.ref_type == "repository" else "upkeep"
    if payload.action not in BEGINNINGS:
        return "upkeep"
    if kind == "IssueCommentEvent":
        link = payload.issue.pull_request if payload.issue is not None else None
        return "review" if link is not None and link.html_url is not None else "exchange"
    return BEGUN.get(kind, "upkeep")


def lines(path: str) -> Iterator[list[bytes]]:
    """The lines of an hour, a megabyte at a time."""
    with igzip.open(path) as file:
        rest = b""
        while chunk := file.read(1 << 20):
            found = (rest + chunk).split(b"\n")
            rest = found.pop()
            yield found
        if rest:
            yield [rest]


def mixed(repository: int, minute: int) -> int:
    """What a group's count² is multiplied with in the checksum."""
    return (31 * repository + minute) % PRIME


def say(answer: Mapping[str, Iterable[int]]) -> None:
    """Print a program's answer."""
    print(json.dumps({feature: list(row) for feature, row in sorted(answer.items())}))
