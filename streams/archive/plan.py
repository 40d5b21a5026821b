"""What to read: archive files become a plan, in the order of their hours."""

import glob
import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Final

import msgspec

from streams.activity import LATEST, SECOND
from streams.archive.content import Content
from streams.archive.minimised import decode_deed
from streams.archive.timeline import read_by_hand
from streams.errors import DeadLetter, InputMissing, MixedIdentities
from streams.github_payloads import UNDECODABLE, Line, decode_event
from streams.times import parse_time
from streams.values import clean, is_whole, values

FORMS: Final = tuple(name + packing for name in (".json", ".ndjson") for packing in ("", ".gz", ".zst"))
ACTIVITIES: Final = tuple(".activities.ndjson" + packing for packing in ("", ".gz", ".zst"))
_HOUR_IN_NAME: Final = re.compile(r"(\d{4}-\d\d-\d\d)-(\d{1,2})(?=\.)")
_LOOKED_AT: Final = 1_000


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file to read. `dialect` is full, minimised or activities; `hour` and `first` are µs UTC.

    `hour` begins the hour in its name (None: the name has none). `first` is the time of its first readable event (None:
    it has none), or of its oldest one if the name has no hour and it is read together with others.
    """

    path: str
    name: str
    size: int
    dialect: str
    hour: int | None
    first: int | None

    @property
    def starts(self) -> float:
        """The order of files; what cannot be placed in time comes last."""
        if self.hour is not None:
            return self.hour
        return self.first if self.first is not None else float("inf")


@dataclass(frozen=True)
class Plan:
    """Files in the order in which they are read."""

    files: tuple[ArchiveFile, ...]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.files)

    @property
    def identity(self) -> str | None:
        """Whether repositories have numeric ids (`full`) or only names (`minimised`); None for activities, which may
        have either.
        """
        return next((file.dialect for file in self.files if file.dialect != "activities"), None)

    @cached_property
    def groups(self) -> tuple[tuple[int | None, range], ...]:
        """The hours and the indices of their files. A file without an hour in its name is a group of its own, with
        None.
        """
        found: list[tuple[int | None, range]] = []
        for index, file in enumerate(self.files):
            if found and file.hour is not None and found[-1][0] == file.hour:
                found[-1] = file.hour, range(found[-1][1].start, index + 1)
            else:
                found.append((file.hour, range(index, index + 1)))
        return tuple(found)

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits of the files' names, sizes, beginnings and ends: another reading has another digest."""
        digest = hashlib.blake2b(digest_size=16)
        for file in self.files:
            digest.update(f"{file.name}\n{file.size}\n".encode())
            with open(file.path, "rb") as content:
                digest.update(content.read(4096))
                content.seek(max(0, file.size - 4096))
                digest.update(content.read(4096))
        return digest.hexdigest()


def plan(paths: Iterable[str]) -> Plan:
    """Find and order the files under paths of files, folders and globs.

    Raises `InputMissing` if nothing is found, and `MixedIdentities` if minimised and full archives come together.
    """
    found = [path for named in paths for path in _files(os.fspath(named))]
    if not found:
        raise InputMissing("nothing to read: name archive files, folders or globs")
    files = [_look_at(path) for path in found]
    if len(files) > 1:
        # No watermark may pass what such a file still holds. An export is ordered by partitions, not by time.
        files = [
            replace(file, first=_oldest(file)) if file.hour is None and file.first is not None else file
            for file in files
        ]
    examples = {file.dialect: file for file in files if file.first is not None}
    if "full" in examples and "minimised" in examples:
        named, numbered = examples["minimised"].path, examples["full"].path
        raise MixedIdentities(
            f"{named} names repositories only (a minimised archive) and {numbered} numbers them: "
            "they cannot be measured together, replay them apart"
        )
    # A file without anything readable is read like the others, so that later lines in it are judged as theirs.
    usual = "minimised" if "minimised" in examples else "full"
    settled = [
        replace(file, dialect=usual) if file.first is None and file.dialect != "activities" else file for file in files
    ]
    return Plan(tuple(sorted(settled, key=lambda file: (file.starts, file.hour is None, file.name, file.path))))


def hour_in(name: str) -> int | None:
    """The beginning of the hour in a file's name, in µs UTC. GH Archive does not pad the hour, others do.

    >>> hour_in("1970-01-01-3.json.gz"), hour_in("1970-01-01-03.part1.json.gz")
    (10800000000, 10800000000)
    >>> hour_in("2015-02-22-24.json.gz"), hour_in("2026-08-07.json.gz")
    (None, None)
    """
    match = _HOUR_IN_NAME.match(name)
    if match is None:
        return None
    try:
        hour = datetime.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(hour.timestamp()) * SECOND


def _files(named: str) -> Iterator[str]:
    if os.path.isdir(named):
        inside = sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(named)
            for name in names
            if name.endswith(FORMS) and name[0] != "."
        )
        if not inside:
            raise InputMissing(f"{named}: no archive files in this folder (they end in {', '.join(FORMS)})")
        yield from inside
    elif os.path.isfile(named):
        yield named
    elif glob.has_magic(named):
        matching = sorted(
            path for path in glob.glob(named, recursive=True) if path.endswith(FORMS) and os.path.isfile(path)
        )
        if not matching:
            raise InputMissing(f"{named}: no archive file fits this pattern (they end in {', '.join(FORMS)})")
        yield from matching
    else:
        raise InputMissing(f"{named}: no such file or folder")


def _look_at(path: str) -> ArchiveFile:
    """Find out what a file holds from its name and its first readable event."""
    name = os.path.basename(path)
    try:
        content = Content(path)
        with open(path, "rb"):
            pass
    except OSError as error:
        raise InputMissing(f"{path}: cannot be read ({error.strerror})") from None
    lines = itertools.islice(_values(content), _LOOKED_AT)
    read = _activity if name.endswith(ACTIVITIES) else _event
    dialect, first = next(filter(None, map(read, lines)), ("full", None))
    return ArchiveFile(path, name, content.size, "activities" if read is _activity else dialect, hour_in(name), first)


def _oldest(file: ArchiveFile) -> int | None:
    """The time of the oldest readable event of a file, which is read to its end."""
    read = _activity if file.dialect == "activities" else _event
    return min((found[1] for found in map(read, _values(Content(file.path))) if found), default=None)


def _values(content: Content) -> Iterator[Line]:
    """The lines of a file, and the values of lines that hold several."""
    for line in itertools.chain.from_iterable(content):
        if is_whole(line):
            yield line
        else:
            yield from values(line)


_DIALECTS: Final[tuple[tuple[str, Callable[[Line], str]], ...]] = (
    ("full", lambda line: decode_event(line).created_at),
    ("minimised", lambda line: decode_deed(line).dt),
    ("full", lambda line: read_by_hand(clean(line)).created_at),
)


def _event(line: Line) -> tuple[str, int] | None:
    """Dialect and time of a line, if it is an event."""
    for dialect, read in _DIALECTS:
        try:
            return dialect, parse_time(read(line))
        except (*UNDECODABLE, DeadLetter):
            continue
    return None


class _Stub(msgspec.Struct):
    """What is needed of an activity to place it in time; its receipt may be missing."""

    occurred_at: Annotated[int, msgspec.Meta(ge=0, lt=LATEST)]


_decode_stub: Final = msgspec.json.Decoder(_Stub).decode


def _activity(line: Line) -> tuple[str, int] | None:
    """The same for a line of activities."""
    try:
        return "activities", _decode_stub(line).occurred_at
    except UNDECODABLE:
        return None
