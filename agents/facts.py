"""A record of the topic `facts`: what one checkpoint of one partition adds, column by column.

Rows are what is counted: each thing that was done is one row with `n` = 1, and a credit that is withdrawn is the same
row once more with `n` = -1. With them come names of repositories that are new or changed, and the progress that the
partition has reached. The sum of all records is the partition's state: nothing else has to be kept.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents import packing
from agents.operators.grains import SCOPES
from agents.operators.keys import starts_of_runs
from agents.operators.names import Names
from agents.operators.progress import Feed, Progress
from agents.operators.threads import ACCEPTED, Threads
from streams.activity import AFFILIATIONS, ARTEFACTS, FEATURES, LATEST, PLATFORMS, Foreign
from streams.codes import ACTIONS, CODES, KINDS, RELATIONS, code_of, names_of

VERSION: Final = 2
# The key of every record.
KEY: Final = b"facts"

BOT: Final = 1
WATCHED: Final = 2
# The number of commits is stated, and 0 is a number.
STATED: Final = 4
# A merge credited to who opened the pull request: it follows from turns, and came in no activity of its own.
CREDITED: Final = 8
SIMULATED: Final = 16
_FLAGS: Final = BOT | WATCHED | STATED | CREDITED | SIMULATED

Rows = NDArray[np.void]

# `time` in µs UTC; `id`, `repository`, `actor` and `base` are 64-bit hashes, `base` 0 where there is none; `project`
# counts from 1 in the record's own list, 0 is none; the small numbers stand in `streams.codes`. `thread` is 0 where
# there is none.
ROW: Final = np.dtype(
    [
        ("time", "<i8"),
        ("id", "<u8"),
        ("repository", "<u8"),
        ("actor", "<u8"),
        ("base", "<u8"),
        ("commits", "<u4"),
        ("thread", "<u4"),
        ("project", "<u2"),
        ("code", "u1"),
        ("kind", "u1"),
        ("action", "u1"),
        ("flags", "u1"),
        ("affiliation", "u1"),
        ("artefact", "u1"),
        ("relation", "u1"),
        ("n", "i1"),
    ]
)
# The eight columns of one byte as one number: few combinations occur.
SMALL: Final = np.dtype([("large", "V50"), ("small", "<u8")])
assert SMALL.itemsize == ROW.itemsize
NO_ROWS: Final[Rows] = np.empty(0, ROW)
MOST_PROJECTS: Final = (1 << 16) - 1

# How each column is packed. Fewer rows than _FEW are written as they are: packing them costs more than it saves.
_PACKERS: Final = {
    "time": packing.pack_integers,
    "id": packing.pack_raw,
    "repository": packing.pack_runs,
    "actor": packing.pack_table,
    "base": packing.pack_sparse,
    "commits": packing.pack_sparse,
    "thread": packing.pack_sparse,
    "project": packing.pack_sparse,
    "small": packing.pack_table,
}
_FEW: Final = 24
_MOST_ROWS: Final = 1 << 24
# The broker takes records of 8 MB.
MOST_BYTES: Final = 6 << 20
_MOST: Final = 1 << 63
_LIMITS: Final = (
    ("kind", len(KINDS)),
    ("action", len(ACTIONS)),
    ("flags", _FLAGS + 1),
    ("affiliation", len(AFFILIATIONS)),
    ("artefact", len(ARTEFACTS)),
    ("relation", len(RELATIONS)),
)
_KNOWN_CODES: Final = np.zeros(CODES, np.bool_)
for _platform in PLATFORMS:
    for _feature in FEATURES:
        _KNOWN_CODES[code_of(_platform, _feature)] = True


class NoFacts(Foreign):
    """A record of the topic `facts` that no worker can have written; the text says why."""


class Facts(NamedTuple):
    """What one record says. `rows` of dtype ROW; `projects` are the names that their `project` counts from 1.

    `threads` has the turns that are no rows: contributions that a source names as accepted (openings and merges follow
    from rows). `progress` is what the partition has reached; its `covered` holds what is new since the record before
    only (`Progress.follow`). A checkpoint that does not fit into one record is several of one transaction: all but the
    last have no progress (None).
    """

    rows: Rows
    projects: Sequence[str]
    threads: Threads
    names: Names
    progress: Progress | None


class _Feed(msgspec.Struct, array_like=True):
    name: str
    mark: int | None
    sequence: int
    closed: bool
    # Of each platform its stretches as start and length.
    covered: dict[str, list[tuple[int, int]]]


class _Progress(msgspec.Struct, array_like=True):
    offset: int
    watermark: int | None
    front: int | None
    feeds: list[_Feed]
    # Of each scope a flat list of code << 1 | bot, and the number.
    totals: list[list[int]]
    activities: int
    duplicates: int
    late: int
    missing: int
    dead_letters: dict[str, int]
    simulated: bool


class _Names(msgspec.Struct, array_like=True):
    # Which of the rows' repositories are named, in the order of their keys: a bitmap; or keys of eight bytes.
    among_rows: bool
    keys: bytes
    minutes: tuple[int, bytes]
    lengths: tuple[int, bytes]
    text: bytes


class _Record(msgspec.Struct, array_like=True):
    version: int
    partition: int
    count: int
    columns: list[tuple[int, bytes]]
    projects: list[str]
    threads: bytes
    names: _Names | None
    progress: _Progress | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Record).decode


def pack_rows(rows: Rows) -> list[tuple[int, bytes]]:
    """The columns of rows, each packed by itself; rows of one repository side by side take fewest bytes.

    >>> rows = np.zeros(100, ROW)
    >>> rows["n"], rows["time"], rows["commits"][7] = 1, range(100), 5
    >>> [len(data) for _, data in pack_rows(rows)]
    [113, 8, 8, 8, 8, 18, 4, 2, 8]
    """
    if len(rows) < _FEW:
        return [(packing.RAW, rows.tobytes())]
    small = rows.view(SMALL)["small"]
    return [pack(np.ascontiguousarray(small if name == "small" else rows[name])) for name, pack in _PACKERS.items()]


def unpack_rows(count: int, columns: Sequence[tuple[int, bytes]]) -> Rows:
    """The rows of packed columns. Raises `NoFacts` where they do not fit together."""
    if not 0 <= count < _MOST_ROWS:
        raise NoFacts(f"{count} rows")
    try:
        if count < _FEW:
            ((how, data),) = columns
            return packing.unpack(how, data, count, ROW)
        rows = np.empty(count, ROW)
        small = rows.view(SMALL)
        for name, (how, data) in zip(_PACKERS, columns, strict=True):
            kind = SMALL[name] if name == "small" else ROW[name]
            (small if name == "small" else rows)[name] = packing.unpack(how, data, count, kind)
    except ValueError as error:
        raise NoFacts(f"columns that do not fit: {error}") from None
    return rows


def encode_facts(facts: Facts, partition: int = 0) -> bytes:
    """The record: MessagePack around packed columns; the same facts give the same bytes. Rows are sorted by repository,
    those of one in their order.
    """
    rows = facts.rows
    if len(rows) > 1:
        rows = rows[np.argsort(rows["repository"], kind="stable")]
    threads = facts.threads.snapshot() if len(facts.threads) else b""
    return _encode(
        _Record(
            VERSION,
            partition,
            len(rows),
            pack_rows(rows),
            list(facts.projects),
            threads,
            _packed_names(rows, facts.names) if len(facts.names) else None,
            _packed_progress(facts.progress) if facts.progress is not None else None,
        )
    )


def encode_in_parts(facts: Facts, partition: int, most: int = MOST_BYTES) -> list[bytes]:
    """The record, or several where it had more than `most` bytes: all but the last without progress."""
    value = encode_facts(facts, partition)
    if len(value) <= most or len(facts.rows) + len(facts.threads) < 2:
        return [value]
    order = np.argsort(facts.rows["repository"], kind="stable")
    first, second = np.array_split(facts.rows[order], 2)
    turns = facts.threads.get()
    halves = []
    for rows, some, progress in ((first, turns[::2], None), (second, turns[1::2], facts.progress)):
        threads, names = Threads(), Names()
        for turn in some:
            threads.put(turn)
        # A name goes out with the first of its repository's rows.
        apart = rows["repository"] if progress is None else np.setdiff1d(rows["repository"], first["repository"])
        for key, (minute, name) in facts.names.get_many(np.unique(apart).tolist()).items():
            names.put(key, minute, name)
        halves.append(Facts(rows, facts.projects, threads, names, progress))
    return [part for half in halves for part in encode_in_parts(half, partition, most)]


def _packed_names(rows: Rows, names: Names) -> _Names:
    keys, minutes, ends, text = names.pack()
    repositories = rows["repository"][starts_of_runs(rows["repository"])]
    among_rows = bool(np.isin(keys, repositories, assume_unique=True).all())
    bitmap = np.packbits(np.isin(repositories, keys, assume_unique=True)).tobytes() if among_rows else b""
    return _Names(
        among_rows,
        bitmap if among_rows else keys.astype("<u8").tobytes(),
        packing.pack_integers(minutes),
        packing.pack_integers(np.diff(ends.astype(np.int64), prepend=0).astype("<u4")),
        text,
    )


def _packed_progress(progress: Progress) -> _Progress:
    return _Progress(
        progress.offset,
        progress.watermark,
        progress.front,
        [
            _Feed(
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


def decode_facts(value: bytes | None) -> Facts:
    """The facts of a record. Raises `NoFacts`: nothing in the topic may stop its readers.

    >>> decode_facts(b"hello world")
    Traceback (most recent call last):
    agents.facts.NoFacts: not a record of facts
    """
    return _facts(_read(value))


def read_facts(partition: int, key: bytes | None, value: bytes | None) -> Facts:
    """The facts of a record of a partition. Raises `NoFacts` for what no worker can have written there."""
    if key != KEY:
        raise NoFacts("a record with another key")
    record = _read(value)
    if record.partition != partition:
        raise NoFacts(f"facts of partition {record.partition} in partition {partition}")
    return _facts(record)


def _read(value: bytes | None) -> _Record:
    try:
        record = _decode(value or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise NoFacts("not a record of facts") from None
    if record.version != VERSION:
        raise NoFacts(f"facts of version {record.version}, not {VERSION}")
    return record


def _facts(record: _Record) -> Facts:
    rows = unpack_rows(record.count, record.columns)
    _check_rows(rows, len(record.projects))
    try:
        threads = Threads.restore(record.threads) if record.threads else Threads()
        _check_threads(threads)
        names = _names(rows, record.names) if record.names is not None else Names()
        progress = _progress(record.progress) if record.progress is not None else None
    except (ValueError, OverflowError, IndexError, KeyError) as error:
        raise NoFacts(str(error)) from None
    return Facts(rows, record.projects, threads, names, progress)


def _check_rows(rows: Rows, projects: int) -> None:
    if not len(rows):
        return
    sound = (
        int(rows["time"].min()) >= 0
        and int(rows["time"].max()) < LATEST
        and int(rows["project"].max()) <= projects
        and bool(_KNOWN_CODES[rows["code"]].all())
        and all(int(rows[name].max()) < limit for name, limit in _LIMITS)
        and bool((np.abs(rows["n"]) == 1).all())
        and bool(((rows["flags"] & WATCHED > 0) == (rows["project"] > 0)).all())
    )
    if not sound:
        raise NoFacts("a row with a time, a number or a code that cannot be")


def _check_threads(threads: Threads) -> None:
    packed = threads.pack()
    _check_ends(packed.ends)
    # Their places begin with 15 bytes of numbers.
    lengths = np.diff(packed.ends.astype(np.int64), prepend=0)
    times = packed.times
    if ((packed.kinds >> 1) != ACCEPTED).any() or (times < 0).any() or (times >= LATEST).any() or (lengths < 15).any():
        raise NoFacts("a turn that cannot be")
    packed.places.decode(errors="replace")


def _check_ends(ends: NDArray[np.uint32]) -> None:
    if (ends[1:] < ends[:-1]).any():
        raise NoFacts("texts that end before they begin")


def _names(rows: Rows, packed: _Names) -> Names:
    if packed.among_rows:
        repositories = rows["repository"][starts_of_runs(rows["repository"])]
        bits = np.unpackbits(np.frombuffer(packed.keys, np.uint8), count=len(repositories)).view(np.bool_)
        keys = repositories[bits]
    else:
        keys = np.frombuffer(packed.keys, "<u8")
    kind = np.dtype("<u4")
    minutes = packing.unpack(*packed.minutes, len(keys), kind)
    lengths = packing.unpack(*packed.lengths, len(keys), kind)
    ends = np.cumsum(lengths, dtype=np.int64)
    if len(keys) == 0 or (keys[1:] <= keys[:-1]).any() or int(ends[-1]) != len(packed.text):
        raise NoFacts("names that do not fit their keys")
    packed.text.decode()
    inside = ends[ends < len(packed.text)]
    # No name begins in the middle of a character.
    if (np.frombuffer(packed.text, np.uint8)[inside] & 0xC0 == 0x80).any():
        raise NoFacts("a name that ends in the middle of a character")
    return Names.of(keys, minutes, ends.astype(np.uint32), packed.text)


def _progress(packed: _Progress) -> Progress:
    numbers = (packed.offset + 1, packed.activities, packed.duplicates, packed.late, packed.missing)
    times = (packed.watermark, packed.front, *(feed.mark for feed in packed.feeds))
    if (
        not all(0 <= number < _MOST for number in (*numbers, *packed.dead_letters.values()))
        or not all(time is None or 0 <= time < LATEST for time in times)
        or not all(-1 <= feed.sequence < _MOST and _is_sound(feed.covered) for feed in packed.feeds)
        or len(packed.totals) != len(SCOPES)
        or any(len(flat) % 2 or any(abs(n) >= _MOST for n in flat) for flat in packed.totals)
        or any(not 0 <= code < 2 * CODES or not _KNOWN_CODES[code >> 1] for flat in packed.totals for code in flat[::2])
    ):
        raise NoFacts("a progress with a number that cannot be")
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
