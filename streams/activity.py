"""The vocabulary on the wire: one thing that one actor did to one repository at one moment.

Times are integer microseconds UTC. Hashes are unsigned 64-bit integers. JSON on the wire, so that any Kafka tool can
read it.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec
import xxhash

from streams import platforms

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
# No time is later: the end of the year 9999.
LATEST: Final = 253_402_300_800 * SECOND

# Hashes are below this, counts and numbers far below that (what JavaScript can tell apart).
_HASHES: Final = 1 << 64
_MOST: Final = 1 << 53

# In the order of the list of platforms: the place is the number in stored rows.
PLATFORMS: Final = tuple(platform.id for platform in platforms.ALL)
# Open-source software against open models: the two platforms of the comparison (METRICS B).
COMPARED: Final = ("github", "huggingface")
# The feeds whose batches stand in the topic: the reader of archives, or one of each platform that a station polls.
ARCHIVE: Final = "archive"
FEEDS: Final = (ARCHIVE, *PLATFORMS)
ARTEFACTS: Final = ("software", "model", "dataset", "space")
# How an actor is related to the owner of the repository.
AFFILIATIONS: Final = (None, "internal", "staff", "external", "unknown")
FEATURES: Final = (
    "contribution",
    "accepted",
    "exchange",
    "preference",
    "review",
    "adaptation",
    "publication",
    "upkeep",
)

# What a kind means when it opens, creates or submits something. Every other action of these kinds, and every other
# kind, is upkeep.
_OPENINGS: Final = {
    "contribution": ("push", "commit"),
    "exchange": ("issue", "issue_comment", "commit_comment", "discussion", "discussion_comment"),
    "preference": ("star", "like"),
    "review": ("pull_request", "pull_request_comment", "review", "review_comment"),
    "adaptation": ("fork", "derivative"),
    "publication": ("repository", "release", "public"),
}
_FEATURE_OF_KIND: Final = {kind: feature for feature, kinds in _OPENINGS.items() for kind in kinds}
_OPENING_ACTIONS: Final = (None, "opened", "created", "submitted", "started", "forked", "published")


@lru_cache(maxsize=4096)
def feature_of(kind: str, action: str | None = None) -> str:
    """The feature that a kind and its action stand for, on either platform.

    >>> feature_of("push"), feature_of("issue", "opened"), feature_of("issue", "closed")
    ('contribution', 'exchange', 'upkeep')
    >>> feature_of("pull_request", "accepted"), feature_of("pull_request", "merged"), feature_of("branch", "created")
    ('accepted', 'upkeep', 'upkeep')

    Source: METRICS, Vocabulary (features of Ye & Zhou 2026, extended by what was left out there).
    """
    if action == "accepted":
        return "accepted"
    return _FEATURE_OF_KIND.get(kind, "upkeep") if action in _OPENING_ACTIONS else "upkeep"


class Activity(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """One activity. `id` is unique for the thing done; `thread` is the number of the issue, pull request or discussion
    in its repository.

    `occurred_at` is event time, `ingested_at` receipt (of an archive line: the end of its file's hour), both in µs UTC.
    `repo_id` and `actor` are hashes of platform and native id, the actor's keyed: never a login. `simulated`: it comes
    from a simulated world, and every figure that it is counted in says so.
    """

    id: str
    platform: str
    kind: str
    occurred_at: int
    ingested_at: int
    repo_id: int
    repo: str
    owner: str
    actor: int
    action: str | None = None
    artefact: str = "software"
    bot: bool = False
    thread: int | None = None
    affiliation: str | None = None
    project: str | None = None
    commits: int | None = None
    family: str | None = None
    relation: str | None = None
    labels: list[str] | None = None
    text: str | None = None
    simulated: bool = False


class Cover(msgspec.Struct, frozen=True, array_like=True):
    """From `start` to `end` (µs UTC) everything of a platform that the feed can show was seen. An empty stretch says
    that nothing was.
    """

    platform: str
    start: int
    end: int


class Batch(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A record of the topic `activity`: activities of one partition from one feed, with the feed's mark.

    `complete_to` is the mark: the feed expects nothing older. `closed`: the feed has ended. `sequence` numbers a feed's
    batches of one partition from 0 without a gap; a batch met again (a reader that restarted) has the same number and
    the same content.
    """

    feed: str
    activities: list[Activity] = []
    complete_to: int | None = None
    sequence: int | None = None
    covered: list[Cover] = []
    closed: bool = False


class Foreign(msgspec.MsgspecError, ValueError):
    """A record of one of our topics that none of us can have written; the text says why."""


class NoBatch(Foreign):
    """A record of the topic `activity` is no batch, or says what cannot be."""


def decode_batch(value: bytes | None) -> Batch:
    """The batch of a record. Raises `NoBatch`: whoever writes to the topic, nothing in it may stop those who read it.

    >>> decode_batch(b'{"feed":"f","complete_to":-1}')
    Traceback (most recent call last):
    streams.activity.NoBatch: an unknown feed or platform, a time or a number that cannot be
    """
    try:
        batch = _decode(value or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise NoBatch(str(error)) from None
    if not _is_sound(batch):
        raise NoBatch("an unknown feed or platform, a time or a number that cannot be")
    return batch


encode_batch = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Batch).decode


def _is_sound(batch: Batch) -> bool:
    """Whether what no type can say holds."""
    return (
        batch.feed in FEEDS
        # The reader numbers its batches. A feed that nobody has, or that never says how far it is, would hold the
        # watermark for ever.
        and (batch.feed != ARCHIVE or batch.sequence is not None)
        and all(
            0 <= activity.occurred_at < LATEST
            and 0 <= activity.ingested_at < LATEST
            and activity.platform in PLATFORMS
            and activity.artefact in ARTEFACTS
            and 0 <= activity.repo_id < _HASHES
            and 0 <= activity.actor < _HASHES
            and (activity.commits is None or 0 <= activity.commits <= _MOST)
            and (activity.thread is None or 0 <= activity.thread <= _MOST)
            for activity in batch.activities
        )
        and (batch.complete_to is None or 0 <= batch.complete_to < LATEST)
        and (batch.sequence is None or 0 <= batch.sequence <= _MOST)
        and all(cover.platform in PLATFORMS and 0 <= cover.start <= cover.end < LATEST for cover in batch.covered)
    )


def hash_name(text: str, key: bytes = b"") -> int:
    """64-bit BLAKE2b of a text; with a key it cannot be reversed by hashing every known login.

    >>> hash_name("github:1") == hash_name("github:1"), hash_name("github:1") == hash_name("github:1", b"secret")
    (True, False)
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, key=key).digest(), "little")


def hash_ids(activities: Iterable[Activity]) -> list[int]:
    """64-bit hashes of the activities' ids, in order (XXH3: an id is public, what counts is speed)."""
    digest = xxhash.xxh3_64_intdigest
    return [digest(activity.id.encode()) for activity in activities]


def partition_of(repo_id: int, partitions: int) -> int:
    """The partition of a repository: all that happens to it stays in one."""
    return (repo_id >> 32) % partitions
