"""What each feature means: which event or act of each platform counts as what, worked out by the code that counts.

The table is shown in docs/metrics.md and on a station's page `/features`. A test compares it with what is counted for
such events.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from streams import platforms
from streams.activity import FEATURES, feature_of
from streams.platform import imported

# The feature that live feeds of people's activity show only in part. No coverage tells how large the part is.
IN_PART: Final = " ".join(
    (
        "A live station sees preference only in part.",
        *(platform.seen_in_part for platform in platforms.ALL if platform.seen_in_part),
        "Preference in scope all is therefore at least what is shown, and no coverage holds for it: do not scale it.",
    )
)


class Meaning(NamedTuple):
    """What counts as a feature: an event type or an act of a platform, and what was done with it (may be empty).

    `is_code`: the event is a name of the platform's API, not words.
    """

    platform: str
    event: str
    what: str
    features: tuple[str, ...]
    is_code: bool = False


def meanings() -> Iterator[Meaning]:
    """Every row, in the order of the features; a merge is both `upkeep` and `accepted`."""
    rows = [row for platform in platforms.ALL if platform.meanings for row in imported(platform.meanings)()]
    yield from sorted(rows, key=lambda row: (FEATURES.index(row.features[0]), row.platform))


def features_of(kind: str, action: str | None) -> tuple[str, ...]:
    """The features that an act counts as. A merge counts for two accounts: the author of the pull request, and the one
    that merged it.

    >>> features_of("issue", "opened"), features_of("pull_request", "merged")
    (('exchange',), ('accepted', 'upkeep'))
    """
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
