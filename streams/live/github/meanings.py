"""What each event type of GitHub counts as, worked out by the code that counts."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from streams.features import Meaning, features_of
from streams.github_payloads import SHAPES, Payload
from streams.live.github.platform import PLATFORM

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


def meanings() -> Iterator[Meaning]:
    """A row for each event type and what was done with it."""
    for event, what, payload in GITHUB:
        kind, action, _ = SHAPES[event](msgspec.convert(payload, Payload))
        yield Meaning(PLATFORM, event, what, features_of(kind, action), is_code=True)
