"""The parts of a record of facts that are no rows: names of repositories, and the progress of the partition."""

from typing import Final

import msgspec
import numpy as np

from agents import packing
from agents.operators.keys import Keys, starts_of_runs
from agents.operators.names import Names
from agents.operators.progress import Feed, Progress
from agents.operators.reach import SCOPES
from streams.activity import FEATURES, LATEST, PLATFORMS
from streams.codes import CODES, code_of, names_of

_MOST: Final = 1 << 63
KNOWN_CODES: Final = np.zeros(CODES, np.bool_)
for _platform in PLATFORMS:
    for _feature in FEATURES:
        KNOWN_CODES[code_of(_platform, _feature)] = True


class PackedFeed(msgspec.Struct, array_like=True):
    name: str
    mark: int | None
    sequence: int
    closed: bool
    # Of each platform its stretches as start and length.
    covered: dict[str, list[tuple[int, int]]]


class PackedProgress(msgspec.Struct, array_like=True):
    offset: int
    watermark: int | None
    front: int | None
    feeds: list[PackedFeed]
    # Of each scope a flat list of code << 1 | bot, and the number.
    totals: list[list[int]]
    activities: int
    duplicates: int
    late: int
    missing: int
    dead_letters: dict[str, int]
    simulated: bool


class PackedNames(msgspec.Struct, array_like=True):
    # Which of the rows' repositories are named, in the order of their keys: a bitmap; or keys of eight bytes.
    among_rows: bool
    keys: bytes
    minutes: tuple[int, bytes]
    lengths: tuple[int, bytes]
    text: bytes


def pack_names(repositories: Keys, names: Names) -> PackedNames:
    keys, minutes, ends, text = names.pack()
    repositories = repositories[starts_of_runs(repositories)]
    among_rows = bool(np.isin(keys, repositories, assume_unique=True).all())
    bitmap = np.packbits(np.isin(repositories, keys, assume_unique=True)).tobytes() if among_rows else b""
    return PackedNames(
        among_rows,
        bitmap if among_rows else keys.astype("<u8").tobytes(),
        packing.pack_integers(minutes),
        packing.pack_integers(np.diff(ends.astype(np.int64), prepend=0).astype("<u4")),
        text,
    )


def pack_progress(progress: Progress) -> PackedProgress:
    return PackedProgress(
        progress.offset,
        progress.watermark,
        progress.front,
        [
            PackedFeed(
                name,
                feed.mark,
                feed.sequence,
                feed.closed,
                {
                    platform: [(start, end - start) for start, end in intervals]
                    for platform, intervals in feed.covered.items()
                },
            )
            for name, feed in progress.feeds.items()
        ],
        [[number for key, n in progress.totals[scope].items() for number in (_total_code(key), n)] for scope in SCOPES],
        progress.activities,
        progress.duplicates,
        progress.late,
        progress.missing,
        progress.dead_letters,
        progress.simulated,
    )


def _total_code(key: str) -> int:
    platform, feature, actor = key.split("/")
    return code_of(platform, feature) << 1 | (actor == "bot")


def total_key(code: int) -> str:
    """The name in `Progress.totals` of code << 1 | bot.

    >>> total_key(1)
    'github/contribution/bot'
    """
    platform, feature = names_of(code >> 1)
    return f"{platform}/{feature}/{'bot' if code & 1 else 'human'}"


def unpack_names(repositories: Keys, packed: PackedNames) -> Names:
    if packed.among_rows:
        repositories = repositories[starts_of_runs(repositories)]
        bits = np.unpackbits(np.frombuffer(packed.keys, np.uint8), count=len(repositories)).view(np.bool_)
        keys = repositories[bits]
    else:
        keys = np.frombuffer(packed.keys, "<u8")
    kind = np.dtype("<u4")
    minutes = packing.unpack(*packed.minutes, len(keys), kind)
    lengths = packing.unpack(*packed.lengths, len(keys), kind)
    ends = np.cumsum(lengths, dtype=np.int64)
    if len(keys) == 0 or (keys[1:] <= keys[:-1]).any() or int(ends[-1]) != len(packed.text):
        raise ValueError("names that do not fit their keys")
    packed.text.decode()
    inside = ends[ends < len(packed.text)]
    # No name begins in the middle of a character.
    if (np.frombuffer(packed.text, np.uint8)[inside] & 0xC0 == 0x80).any():
        raise ValueError("a name that ends in the middle of a character")
    return Names.of(keys, minutes, ends.astype(np.uint32), packed.text)


def unpack_progress(packed: PackedProgress) -> Progress:
    numbers = (packed.offset + 1, packed.activities, packed.duplicates, packed.late, packed.missing)
    times = (packed.watermark, packed.front, *(feed.mark for feed in packed.feeds))
    if (
        not all(0 <= number < _MOST for number in (*numbers, *packed.dead_letters.values()))
        or not all(time is None or 0 <= time < LATEST for time in times)
        or not all(-1 <= feed.sequence < _MOST and _is_sound(feed.covered) for feed in packed.feeds)
        or len(packed.totals) != len(SCOPES)
        or any(len(flat) % 2 or any(abs(n) >= _MOST for n in flat) for flat in packed.totals)
        or any(not 0 <= code < 2 * CODES or not KNOWN_CODES[code >> 1] for flat in packed.totals for code in flat[::2])
    ):
        raise ValueError("a progress with a number that cannot be")
    return Progress(
        offset=packed.offset,
        watermark=packed.watermark,
        front=packed.front,
        feeds={
            feed.name: Feed(
                mark=feed.mark,
                sequence=feed.sequence,
                closed=feed.closed,
                covered={
                    platform: [(start, start + length) for start, length in intervals]
                    for platform, intervals in feed.covered.items()
                },
            )
            for feed in packed.feeds
        },
        totals={
            scope: {total_key(code): n for code, n in zip(flat[::2], flat[1::2], strict=True)}
            for scope, flat in zip(SCOPES, packed.totals, strict=True)
        },
        activities=packed.activities,
        duplicates=packed.duplicates,
        late=packed.late,
        missing=packed.missing,
        dead_letters=packed.dead_letters,
        simulated=packed.simulated,
    )


def _is_sound(covered: dict[str, list[tuple[int, int]]]) -> bool:
    for platform, intervals in covered.items():
        if platform not in PLATFORMS:
            return False
        before = -1
        for start, length in intervals:
            if not (before < start and length > 0 and start + length <= LATEST):
                return False
            before = start + length
    return True
