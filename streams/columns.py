"""Activities as columns, in the form of a record of the topic `activity`.

A record is one MessagePack array. It begins with the version of this format, the feed and its watermark, and
then holds the activities as columns:

    ids            a list of texts
    deeds          a table: platform, kind, action, artefact of what was done
    repositories   a table: 64-bit hashes as raw bytes, names, and by place in the table the owners that are not the
                   first part of the name, and the projects
    numbers        for each activity raw little-endian numbers: event time and receipt in µs UTC (i8), hash of the actor
                   (u8), flags (u1), place in `repositories` and in `deeds` (u2), commits and thread (i8, -1 for none)
    details        what few activities have, each with the place of its activity

A column whose values are all the same holds that value once. Nothing is packed here: the producer packs whole records.

`Columns` is what a reader gets. Numbers are numpy arrays, so that a batch is taken in without an object for each
activity.
"""

import sys
from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec
import xxhash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION: Final = 2
BOT: Final = 1
SIMULATED: Final = 2
NONE: Final = -1
# An index in a batch has two bytes.
MOST_ROWS: Final = (1 << 16) - 1
# For each column of numbers: its name, and its type for `array` and for numpy.
_NUMBERS: Final = (
    ("occurred_at", "q", "<i8"),
    ("ingested_at", "q", "<i8"),
    ("actor", "Q", "<u8"),
    ("flags", "B", "u1"),
    ("repository", "H", "<u2"),
    ("deed", "H", "<u2"),
    ("commits", "q", "<i8"),
    ("thread", "q", "<i8"),
)


class Act(NamedTuple):
    """What was done, to what kind of thing, on which platform."""

    platform: str
    kind: str
    action: str | None
    artefact: str


class RowRepository(Protocol, Hashable):
    """What a row needs of a repository: the hash of its native id, its name, its owner and its project."""

    @property
    def hash(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def project(self) -> str | None: ...


class StatedRepository(NamedTuple):
    """A repository as an activity states it."""

    hash: int
    name: str
    owner: str
    project: str | None


class RowDetails(msgspec.Struct, array_like=True, omit_defaults=True):
    """What few activities have; `row` is the index of the activity in its batch."""

    row: int = 0
    text: str | None = None
    labels: list[str] | None = None
    affiliation: str | None = None
    family: str | None = None
    relation: str | None = None


# One activity: id, event time, receipt, actor, flags, act, repository, commits, thread, details. It is a plain tuple
# because the reader of archives makes one for each line.
Row: TypeAlias = tuple[str, int, int, int, int, Act, Any, int, int, RowDetails | None]


class Packed(msgspec.Struct, array_like=True):
    """The columns of some activities, as they are stored in a record."""

    count: int
    ids: msgspec.Raw
    deeds: list[Act]
    hashes: bytes
    names: list[str]
    owners: dict[int, str]
    projects: dict[int, str]
    numbers: list[bytes]
    details: list[RowDetails]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_ids: Final = msgspec.msgpack.Decoder(list[str]).decode


def pack(rows: Sequence[Row]) -> tuple[Packed, list[Any]]:
    """The columns of rows, and the repositories in the order of their table. Raises OverflowError for a number that
    does not fit into its column.
    """
    if len(rows) > MOST_ROWS:
        raise OverflowError(f"{len(rows)} activities in one batch, not {MOST_ROWS} at most")
    ids, occurred_at, ingested_at, actors, flags, deeds, repositories, commits, threads, details = (
        zip(*rows, strict=True) if rows else ((),) * 10
    )
    deed_places, deed_table = _table(deeds)
    places, table = _table(repositories)
    columns = (occurred_at, ingested_at, actors, flags, places, deed_places, commits, threads)
    packed = Packed(
        count=len(rows),
        ids=msgspec.Raw(_encode(ids)),
        deeds=deed_table,
        hashes=_raw("Q", [each.hash for each in table]),
        names=[each.name for each in table],
        owners={place: each.owner for place, each in enumerate(table) if each.owner != first_part(each.name)},
        projects={place: each.project for place, each in enumerate(table) if each.project is not None},
        numbers=[_column(kind, values) for (_, kind, _), values in zip(_NUMBERS, columns, strict=True)],
        details=[msgspec.structs.replace(each, row=place) for place, each in enumerate(details) if each is not None],
    )
    return packed, table


def size_of(packed: Packed) -> int:
    """The number of bytes that columns take in a record."""
    return len(_encode(packed))


def first_part(name: str) -> str:
    """The owner in a repository's name.

    >>> first_part("allenai/OLMo"), first_part("gpt2")
    ('allenai', 'gpt2')
    """
    return name.partition("/")[0]


def _table(values: Iterable[Hashable]) -> tuple[list[int], list[Any]]:
    """The index of each value in a table of the distinct values, and the table."""
    table: dict[Hashable, int] = {}
    known = table.setdefault
    return [known(value, len(table)) for value in values], list(table)


def _column(kind: str, values: Sequence[int]) -> bytes:
    raw = _raw(kind, values)
    size = array(kind).itemsize
    return raw[:size] if raw[size:] == raw[:-size] else raw


def _raw(kind: str, values: Iterable[int]) -> bytes:
    numbers = array(kind, values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


class Columns:
    """The activities of one batch: the values at the same index of all columns are one activity.

    `ids` are texts. `deed` and `repository` are indices into the tables `deeds` and `repository_ids`, `names`,
    `projects` (by index, of those that have one). `occurred_at` and `ingested_at` are µs UTC, `commits` and `thread`
    are -1 if there is none, `flags` are BOT and SIMULATED. `details` are in the order of their rows.
    """

    def __init__(self, packed: Packed) -> None:
        """Raises `ValueError` (also as `MsgspecError`) for columns that do not fit together."""
        import numpy as np

        self.count = count = packed.count
        self.ids = _decode_ids(packed.ids)
        if not 0 <= count <= MOST_ROWS or len(self.ids) != count:
            raise ValueError(f"{len(self.ids)} ids of {count} activities")
        if len(packed.numbers) != len(_NUMBERS):
            raise ValueError(f"{len(packed.numbers)} columns of numbers, not {len(_NUMBERS)}")
        columns = {
            name: _numbers(name, raw, dtype, count)
            for (name, _, dtype), raw in zip(_NUMBERS, packed.numbers, strict=True)
        }
        self.occurred_at: NDArray[np.int64] = columns["occurred_at"]
        self.ingested_at: NDArray[np.int64] = columns["ingested_at"]
        self.actor: NDArray[np.uint64] = columns["actor"]
        self.flags: NDArray[np.uint8] = columns["flags"]
        self.repository: NDArray[np.uint16] = columns["repository"]
        self.deed: NDArray[np.uint16] = columns["deed"]
        self.commits: NDArray[np.int64] = columns["commits"]
        self.thread: NDArray[np.int64] = columns["thread"]
        # One object for each text: an activity in JSON leaves out a default only if it is the same object.
        intern = sys.intern
        self.deeds = [
            Act(intern(platform), intern(kind), action and intern(action), intern(artefact))
            for platform, kind, action, artefact in packed.deeds
        ]
        self.repository_ids: NDArray[np.uint64] = np.frombuffer(packed.hashes, "<u8")
        self.names = packed.names
        self.owners = packed.owners
        self.projects = packed.projects
        self.details = packed.details
        self._check()

    def _check(self) -> None:
        for name, places, table in (
            ("repository", self.repository, len(self.names)),
            ("deed", self.deed, len(self.deeds)),
        ):
            if self.count and int(places.max()) >= table:
                raise ValueError(f"{name}: a place outside its table")
        if len(self.names) != len(self.repository_ids):
            raise ValueError(f"{len(self.names)} names of {len(self.repository_ids)} repositories")
        if any(not 0 <= place < len(self.names) for place in (*self.owners, *self.projects)):
            raise ValueError("an owner or a project of no repository")
        before = -1
        for details in self.details:
            if not before < details.row < self.count:
                raise ValueError("details out of order")
            before = details.row
        if self.count and int(self.flags.max()) > BOT | SIMULATED:
            raise ValueError("an unknown flag")

    def owner(self, place: int) -> str:
        """The owner of a repository in the table."""
        owner = self.owners.get(place)
        return first_part(self.names[place]) if owner is None else owner

    def rows(self) -> Iterator[Row]:
        """The activities one by one."""
        details = {each.row: each for each in self.details}
        hashes = self.repository_ids.tolist()
        places = [
            StatedRepository(hashes[place], name, self.owner(place), self.projects.get(place))
            for place, name in enumerate(self.names)
        ]
        numbers = (
            self.occurred_at,
            self.ingested_at,
            self.actor,
            self.flags,
            self.deed,
            self.repository,
            self.commits,
            self.thread,
        )
        rows = zip(self.ids, *(column.tolist() for column in numbers), strict=True)
        for row, (identifier, at, received, actor, flags, deed, repository, commits, thread) in enumerate(rows):
            yield (
                identifier,
                at,
                received,
                actor,
                flags,
                self.deeds[deed],
                places[repository],
                commits,
                thread,
                details.get(row),
            )

    def hash_ids(self) -> "NDArray[np.uint64]":
        """64-bit hashes (XXH3) of the ids."""
        import numpy as np

        return np.fromiter(map(xxhash.xxh3_64_intdigest, map(str.encode, self.ids)), np.uint64, self.count)


def _numbers(name: str, raw: bytes, dtype: str, count: int) -> "NDArray[Any]":
    import numpy as np

    numbers = np.frombuffer(raw, dtype)
    if len(numbers) == count:
        return numbers
    if len(numbers) != 1:
        raise ValueError(f"{name}: {len(numbers)} numbers for {count} activities")
    return np.broadcast_to(numbers, count)
