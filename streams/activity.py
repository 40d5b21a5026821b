"""The vocabulary on the wire: one thing that one actor did to one repository at one moment.

Times are integer microseconds UTC. Hashes are unsigned 64-bit integers. A record of the topic `activity` holds columns
(see `streams.columns`); the command `activities` shows them as JSON.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, overload

import msgspec
import xxhash

from streams import platforms
from streams.columns import (
    BOT,
    NONE,
    SIMULATED,
    VERSION,
    Act,
    Columns,
    Packed,
    Row,
    RowDetails,
    RowRepository,
    StatedRepository,
    pack,
)

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
# The latest valid time: the end of the year 9999.
LATEST: Final = 253_402_300_800 * SECOND

# Hashes are below this. Counts and numbers are far below it (what JavaScript represents exactly).
_HASHES: Final = 1 << 64
_MOST: Final = 1 << 53

# In the order of the list of platforms: the position is the number in stored rows.
PLATFORMS: Final = tuple(platform.id for platform in platforms.ALL)
# Open-source software and open models: the two platforms that are compared.
COMPARED: Final = ("github", "huggingface")
# The feeds with batches in the topic: the reader of archives, or one for each platform that a station polls.
ARCHIVE: Final = "archive"
FEEDS: Final = (ARCHIVE, *PLATFORMS)
ARTEFACTS: Final = ("software", "model", "dataset", "space")
# How an actor relates to the owner of the repository.
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

# The feature of a kind that opens, creates or submits something. Every other action of these kinds, and every other
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
    """The feature of a kind and an action, the same on every platform.

    >>> feature_of("push"), feature_of("issue", "opened"), feature_of("issue", "closed")
    ('contribution', 'exchange', 'upkeep')
    >>> feature_of("pull_request", "accepted"), feature_of("pull_request", "merged"), feature_of("branch", "created")
    ('accepted', 'upkeep', 'upkeep')

    Source: the features of Ye & Zhou 2026, extended by what they left out; see docs/metrics.md.
    """
    if action == "accepted":
        return "accepted"
    return _FEATURE_OF_KIND.get(kind, "upkeep") if action in _OPENING_ACTIONS else "upkeep"


class Activity(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """One activity. `id` is unique for what was done; `thread` is the number of the issue, pull request or discussion
    in its repository.

    `occurred_at` is event time, `ingested_at` is receipt (for a line of an archive: the end of its file's hour), both
    in µs UTC. `repo_id` and `actor` are hashes of platform and native id. The actor's is keyed and never a login.
    `simulated`: it comes from a simulated world, and every figure that counts it says so.
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
    """From `start` to `end` (µs UTC) the feed saw everything of a platform that it can show. An empty stretch says that
    it saw nothing.
    """

    platform: str
    start: int
    end: int


class Batch(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A record of the topic `activity`: activities of one partition from one feed, with the feed's watermark.

    `complete_to` is the watermark: the feed expects nothing older. `closed`: the feed has ended. `sequence` numbers a
    feed's batches of one partition from 0 without gaps; a batch that comes again (after a restart of the reader) has
    the same number and the same content.
    """

    feed: str
    activities: Sequence[Activity] = []
    complete_to: int | None = None
    sequence: int | None = None
    covered: list[Cover] = []
    closed: bool = False

    @property
    def columns(self) -> Columns:
        """The activities as columns. What was read from a record needs no object for each activity."""
        made = self.activities
        return made.columns if isinstance(made, Activities) else Columns(pack([row_of(each) for each in made])[0])


_NO_DETAILS: Final = RowDetails()


class Activities(Sequence[Activity]):
    """The activities of `columns`; they are made when the first one is asked for."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._made: list[Activity] | None = None

    @overload
    def __getitem__(self, place: int) -> Activity: ...
    @overload
    def __getitem__(self, place: slice) -> list[Activity]: ...
    def __getitem__(self, place: int | slice) -> Activity | list[Activity]:
        return self._get()[place]

    def __iter__(self) -> Iterator[Activity]:
        return iter(self._get())

    def __len__(self) -> int:
        return self.columns.count

    def __eq__(self, other: object) -> bool:
        return self._get() == (other._get() if isinstance(other, Activities) else other)

    def _get(self) -> list[Activity]:
        if self._made is None:
            self._made = [activity_of(row) for row in self.columns.rows()]
        return self._made


def activity_of(row: Row) -> Activity:
    """The activity of a row."""
    identifier, occurred_at, ingested_at, actor, flags, deed, repository, commits, thread, details = row
    details = details or _NO_DETAILS
    platform, kind, action, artefact = deed
    return Activity(
        id=identifier,
        platform=platform,
        kind=kind,
        occurred_at=occurred_at,
        ingested_at=ingested_at,
        repo_id=repository.hash,
        repo=repository.name,
        owner=repository.owner,
        actor=actor,
        action=action,
        artefact=artefact,
        bot=flags & BOT > 0,
        thread=thread if thread != NONE else None,
        affiliation=details.affiliation,
        project=repository.project,
        commits=commits if commits != NONE else None,
        family=details.family,
        relation=details.relation,
        labels=details.labels,
        text=details.text,
        simulated=flags & SIMULATED > 0,
    )


def row_of(activity: Activity, repository: RowRepository | None = None) -> Row:
    """The row of an activity, for `columns.pack`. A `repository` replaces what the activity says about it."""
    described = (activity.text, activity.labels, activity.affiliation, activity.family, activity.relation)
    return (
        activity.id,
        activity.occurred_at,
        activity.ingested_at,
        activity.actor,
        BOT * activity.bot | SIMULATED * activity.simulated,
        Act(activity.platform, activity.kind, activity.action, activity.artefact),
        repository or StatedRepository(activity.repo_id, activity.repo, activity.owner, activity.project),
        NONE if activity.commits is None else activity.commits,
        NONE if activity.thread is None else activity.thread,
        None if described == (None,) * 5 else RowDetails(0, *described),
    )


class Foreign(msgspec.MsgspecError, ValueError):
    """A record of one of our topics that no version of this program can have written; the text says why."""


class NoBatch(Foreign):
    """A record of the topic `activity` is no batch, or states something impossible."""


class _BatchRecord(msgspec.Struct, array_like=True):
    """A batch as it is stored in a record."""

    version: int
    feed: str
    complete_to: int | None
    sequence: int | None
    covered: list[Cover]
    closed: bool
    packed: Packed | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_BatchRecord).decode
# A batch as JSON, as earlier versions wrote it.
encode_json: Final = msgspec.json.Encoder().encode
_decode_json: Final = msgspec.json.Decoder(Batch).decode
_JSON: Final = b"{"


def encode_batch(batch: Batch) -> bytes:
    """The record of a batch. The same batch gives the same bytes. Raises OverflowError for a number that does not fit
    into its column.
    """
    packed = pack([row_of(activity) for activity in batch.activities])[0] if batch.activities else None
    return encode_packed(batch, packed)


def encode_packed(batch: Batch, packed: Packed | None) -> bytes:
    """The record of a batch whose activities are packed already; those of the batch itself are left out."""
    return _encode(
        _BatchRecord(VERSION, batch.feed, batch.complete_to, batch.sequence, batch.covered, batch.closed, packed)
    )


def decode_batch(value: bytes | None) -> Batch:
    """The batch of a record, also of a record in JSON, as earlier versions wrote it. Raises `NoBatch`: nothing that
    anybody writes to the topic may stop its readers.

    >>> decode_batch(b'{"feed":"f","complete_to":-1}')
    Traceback (most recent call last):
    streams.activity.NoBatch: an unknown feed or platform, a time or a number that cannot be
    """
    try:
        batch = _decode_json(value) if value and value[:1] == _JSON else _batch_of(_decode(value or b""))
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise NoBatch(str(error)) from None
    activities = batch.activities
    sound = _are_sound(activities.columns) if isinstance(activities, Activities) else all(map(_is_sound, activities))
    if not sound or not _is_marked_soundly(batch):
        raise NoBatch("an unknown feed or platform, a time or a number that cannot be")
    return batch


def _batch_of(record: _BatchRecord) -> Batch:
    if record.version != VERSION:
        raise NoBatch(f"a batch of version {record.version}, not {VERSION}")
    return Batch(
        feed=record.feed,
        activities=[] if record.packed is None else Activities(Columns(record.packed)),
        complete_to=record.complete_to,
        sequence=record.sequence,
        covered=record.covered,
        closed=record.closed,
    )


# Whether the values are valid, as far as types cannot express it.


def _is_marked_soundly(batch: Batch) -> bool:
    return (
        batch.feed in FEEDS
        # The reader numbers its batches. An unknown feed, or one that never states a watermark, would hold up the
        # watermark for ever.
        and (batch.feed != ARCHIVE or batch.sequence is not None)
        and (batch.complete_to is None or 0 <= batch.complete_to < LATEST)
        and (batch.sequence is None or 0 <= batch.sequence <= _MOST)
        and all(cover.platform in PLATFORMS and 0 <= cover.start <= cover.end < LATEST for cover in batch.covered)
    )


def _is_sound(activity: Activity) -> bool:
    return (
        0 <= activity.occurred_at < LATEST
        and 0 <= activity.ingested_at < LATEST
        and activity.platform in PLATFORMS
        and activity.artefact in ARTEFACTS
        and 0 <= activity.repo_id < _HASHES
        and 0 <= activity.actor < _HASHES
        and (activity.commits is None or 0 <= activity.commits <= _MOST)
        and (activity.thread is None or 0 <= activity.thread <= _MOST)
    )


def _are_sound(columns: Columns) -> bool:
    return all(deed.platform in PLATFORMS and deed.artefact in ARTEFACTS for deed in columns.deeds) and all(
        not columns.count or (least <= int(column.min()) and int(column.max()) <= most)
        for column, least, most in (
            (columns.occurred_at, 0, LATEST - 1),
            (columns.ingested_at, 0, LATEST - 1),
            (columns.commits, NONE, _MOST),
            (columns.thread, NONE, _MOST),
        )
    )


def hash_name(text: str, key: bytes = b"") -> int:
    """The 64-bit BLAKE2b hash of a text; with a key it cannot be reversed by hashing every known login.

    >>> hash_name("github:1") == hash_name("github:1"), hash_name("github:1") == hash_name("github:1", b"secret")
    (True, False)
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, key=key).digest(), "little")


def hash_ids(activities: Iterable[Activity]) -> list[int]:
    """64-bit hashes of the activities' ids, in order (XXH3, because ids are public and speed matters)."""
    digest = xxhash.xxh3_64_intdigest
    return [digest(activity.id.encode()) for activity in activities]


def partition_of(repo_id: int, partitions: int) -> int:
    """The partition of a repository: everything that happens to it is in one."""
    return (repo_id >> 32) % partitions
