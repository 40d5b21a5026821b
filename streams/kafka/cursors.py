"""How far a feed has come: a record of the topic `cursors`, from which the feed goes on after any interruption."""

from collections.abc import Callable
from math import isfinite
from typing import Final, TypeVar

import msgspec

from streams.activity import ARCHIVE as ARCHIVE
from streams.activity import LATEST, PLATFORMS, Foreign
from streams.archive.doubts import Doubt, HourRead
from streams.errors import UnreadableCursor
from streams.github_payloads import UNDECODABLE

MOST_DOUBTS: Final = 1_000
# The beginning of the keys of repositories that belong to a project.
ASSIGNMENT_CURSOR: Final = "watched:"
# The beginnings of all keys: those of feeds, of their coverage, and of repositories.
_FEEDS: Final = (ARCHIVE, "coverage:", ASSIGNMENT_CURSOR, *(f"{platform}:" for platform in PLATFORMS))

T = TypeVar("T")


class ReadCounts(msgspec.Struct, kw_only=True):
    """What a reading has met so far. `skipped` are blank lines and the action lines of bulk files; `dead_letters` are
    by reason.

    `doubtful` are the first `MOST_DOUBTS` hours with far fewer events than their neighbours; the ledger has all of
    them.
    """

    files: int = 0
    lines: int = 0
    activities: int = 0
    after_as_of: int = 0
    skipped: int = 0
    dead_letters: dict[str, int] = {}
    doubtful: list[Doubt] = []


class Cursor(msgspec.Struct, kw_only=True):
    """The broker has acknowledged everything before `line` of `file` (both from 0); the same reading goes on exactly
    there.

    `reading` is the digest of what is read and how. `now` is when it began (µs): what was sent before and after an
    interruption must be the same bytes. `sequences` are the next batch numbers, and `offsets` the ends of the
    partitions of `activity`, as this reading left them. `newest` and `received` are the newest event time and receipt
    (µs, 0 = none). For the hour that is being read: `platforms` are those that occurred, `intact` says whether its
    files could be read completely so far, and `events` is their number. `mark` is the latest mark that was sent (µs, 0
    = none). `hours` are earlier hours, as far as they are needed to judge it and each other.
    """

    feed: str
    reading: str
    now: int
    sequences: list[int]
    offsets: list[int]
    file: int = 0
    line: int = 0
    newest: int = 0
    received: int = 0
    platforms: list[str] = []
    intact: bool = True
    events: int = 0
    mark: int = 0
    hours: list[HourRead] = []
    counts: ReadCounts = msgspec.field(default_factory=ReadCounts)
    done: bool = False


encode_cursor: Final = msgspec.json.Encoder().encode
decode_cursor: Final = msgspec.json.Decoder(Cursor).decode


def decoded(feed: str, decode: Callable[[bytes], T], data: bytes) -> T:
    """A feed's cursor of an earlier run, from the topic `cursors`. Raises `UnreadableCursor` for one that cannot be
    read.
    """
    try:
        found = decode(data)
    except (*UNDECODABLE, ValueError):
        found = None
    if found is None or not _is_finite(msgspec.to_builtins(found)):
        what_to_do = "begin anew with another --data-dir, on a broker with another --prefix"
        raise UnreadableCursor(feed, f"the cursor {feed} cannot be read, another version has written it: {what_to_do}")
    return found


def _is_finite(value: object) -> bool:
    """Whether it contains no infinite number and no NaN, both of which MessagePack can express."""
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(_is_finite, value))


def sound_key(key: bytes, value: bytes | None) -> None:
    """Raises Foreign for a key that no feed can have."""
    try:
        known = key.decode().startswith(_FEEDS)
    except UnicodeDecodeError:
        known = False
    if not known:
        raise Foreign(f"no feed has the key {key[:60].decode(errors='replace')}")


def sound_archive(key: bytes, value: bytes | None) -> None:
    """Raises Foreign for a cursor that the reader of archives cannot have written."""
    if key != ARCHIVE.encode():
        return
    try:
        cursor = decode_cursor(value or b"")
    except UNDECODABLE as error:
        raise Foreign(f"the cursor {ARCHIVE}: {error}") from None
    places = (cursor.file, cursor.line, *cursor.sequences, *cursor.offsets)
    numbers = (cursor.now, cursor.newest, cursor.received, cursor.mark, *places)
    if (
        cursor.feed != ARCHIVE
        or len(cursor.sequences) != len(cursor.offsets)
        or not all(0 <= number < LATEST for number in numbers)
    ):
        raise Foreign(f"the cursor {ARCHIVE} says what cannot be")


def begin(feed: str, reading: str, now: int, partitions: int) -> Cursor:
    """The cursor of a reading that has sent nothing yet."""
    return Cursor(feed=feed, reading=reading, now=now, sequences=[0] * partitions, offsets=[0] * partitions)
