"""What each act on the Hub counts as. The Hub has no events, only what its API shows."""

from collections.abc import Iterator
from typing import Final

from streams.features import Meaning, features_of
from streams.live.hub.platform import PLATFORM

# (act in words, what was done, kind, action).
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
    """A row for each act and what was done."""
    for event, what, kind, action in HUB:
        yield Meaning(PLATFORM, event, what, features_of(kind, action))
