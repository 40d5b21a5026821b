"""What each feature means: which event of GitHub, and which act on the Hub, counts as what. Worked out by the code that
counts.

The table stands in docs/metrics.md and on the page of a station; a test compares it with what is measured of such
events.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from streams.activity import FEATURES, feature_of
from streams.github_payloads import SHAPES, Payload

# What live feeds show only in part, for people. No coverage tells how large the part is.
IN_PART: Final = (
    "A live station sees preference only in part. Since 2025 GitHub leaves most stars out of its public feed, and whether the feeds of "
    "organisations and repositories have them all is not known. On the Hub, likes are asked for in watched repositories only. "
    "Preference in scope all is therefore at least what is shown, and no coverage holds for it: do not scale it."
)


class Meaning(NamedTuple):
    """What counts as a feature: an event type of GitHub, or an act on the Hub, and what was done with it (may be
    empty).
    """

    platform: str
    event: str
    what: str
    features: tuple[str, ...]


_OPEN_PULL: Final[dict[str, Any]] = {"pull_request": {"number": 1, "merged": False}}
_ON_PULL: Final[dict[str, Any]] = {
    "issue": {"number": 1, "pull_request": {"html_url": "https://github.com/o/r/pull/1"}}
}
_ISSUE: Final[dict[str, Any]] = {"issue": {"number": 1}}
_DISCUSSION: Final[dict[str, Any]] = {"discussion": {"number": 1}}
_PULL: Final[dict[str, Any]] = {"pull_request": {"number": 1}}
# (event type, what was done in words, a payload that says so). Whatever else can be done with a type is upkeep.
GITHUB: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("PushEvent", "", {}),
    ("IssuesEvent", "opened", {"action": "opened", **_ISSUE}),
    ("IssuesEvent", "closed, reopened, labelled, …", {"action": "closed", **_ISSUE}),
    ("IssueCommentEvent", "created on an issue", {"action": "created", **_ISSUE}),
    ("IssueCommentEvent", "created on a pull request", {"action": "created", **_ON_PULL}),
    ("IssueCommentEvent", "edited, deleted", {"action": "edited", **_ISSUE}),
    ("CommitCommentEvent", "", {}),
    ("DiscussionEvent", "created", {"action": "created", **_DISCUSSION}),
    ("DiscussionEvent", "answered, closed, …", {"action": "answered", **_DISCUSSION}),
    ("DiscussionCommentEvent", "created", {"action": "created", **_DISCUSSION}),
    ("WatchEvent", "started (a star)", {"action": "started"}),
    ("PullRequestEvent", "opened", {"action": "opened", **_OPEN_PULL}),
    ("PullRequestEvent", "merged", {"action": "closed", "pull_request": {"number": 1, "merged": True}}),
    ("PullRequestEvent", "closed without a merge, reopened, labelled, …", {"action": "closed", **_OPEN_PULL}),
    ("PullRequestReviewEvent", "created, submitted", {"action": "created", **_PULL}),
    ("PullRequestReviewEvent", "dismissed, edited", {"action": "dismissed", **_PULL}),
    ("PullRequestReviewCommentEvent", "created", {"action": "created", **_PULL}),
    ("PullRequestReviewThreadEvent", "resolved, unresolved", {"action": "resolved", **_PULL}),
    ("ForkEvent", "", {}),
    ("CreateEvent", "a repository", {"ref_type": "repository"}),
    ("CreateEvent", "a branch or tag", {"ref_type": "branch"}),
    ("DeleteEvent", "a branch or tag", {"ref_type": "branch"}),
    ("ReleaseEvent", "published, created", {"action": "published"}),
    ("ReleaseEvent", "edited, deleted, …", {"action": "edited"}),
    ("PublicEvent", "", {}),
    ("MemberEvent", "", {"action": "added"}),
    ("GollumEvent", "", {}),
)
# (act in words, what was done, kind, action): of the Hub there are no events, only what its API shows.
HUB: Final[tuple[tuple[str, str, str, str | None], ...]] = (
    ("commit", "", "commit", None),
    ("discussion", "opened", "discussion", "opened"),
    ("discussion", "closed, reopened, renamed", "discussion", "closed"),
    ("comment", "on a discussion", "discussion_comment", "created"),
    ("like", "", "like", None),
    ("pull request", "opened", "pull_request", "opened"),
    ("pull request", "merged", "pull_request", "merged"),
    ("pull request", "closed, reopened, renamed", "pull_request", "closed"),
    ("comment", "on a pull request", "pull_request_comment", "created"),
    ("derivative", "a new model says that it was made from this one", "derivative", "created"),
    ("repository", "created: model, dataset or space", "repository", "created"),
)


def meanings() -> Iterator[Meaning]:
    """Every row, in the order of the features; a merge stands in `upkeep` and `accepted`."""
    rows = [Meaning("github", event, what, _features(*_shape(event, payload))) for event, what, payload in GITHUB]
    rows += [Meaning("huggingface", event, what, _features(kind, action)) for event, what, kind, action in HUB]
    yield from sorted(rows, key=lambda row: (FEATURES.index(row.features[0]), row.platform))


def _shape(event: str, payload: dict[str, Any]) -> tuple[str, str | None]:
    kind, action, _ = SHAPES[event](msgspec.convert(payload, Payload))
    return kind, action


def _features(kind: str, action: str | None) -> tuple[str, ...]:
    """What the act counts as for its actor and, of a merge, for whoever opened the pull request."""
    own = feature_of(kind, action)
    return (feature_of(kind, "accepted"), own) if action == "merged" else (own,)


def in_words(row: Meaning) -> str:
    """The features of a row as text.

    >>> in_words(Meaning("github", "PullRequestEvent", "merged", ("accepted", "upkeep")))
    'accepted for the account that opened it, upkeep for the one that merged it'
    """
    if len(row.features) == 1:
        return row.features[0]
    return f"{row.features[0]} for the account that opened it, {row.features[1]} for the one that merged it"
