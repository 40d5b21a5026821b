"""Files become parts of SECTION lines, sorted into partitions and packed, but without the projects of repositories.

Reading is a pure function: the same lines, options and moment of reading give the same parts. The project of a
repository may depend on later lines (`streams.archive.survey`), so it is added afterwards.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from streams.activity import HOUR
from streams.archive.activity_lines import ActivityLines
from streams.archive.content import Content, TooLong
from streams.archive.minimised import MinimisedEvents
from streams.archive.plan import ArchiveFile, Plan
from streams.columns import Packed, Row, pack, size_of
from streams.errors import DeadLetter
from streams.github_events import GithubEvents
from streams.github_payloads import Line, is_bulk_action
from streams.identities import Identities, Repository
from streams.kafka.cursors import ARCHIVE
from streams.kafka.dead_letters import Keep, misread
from streams.values import BETWEEN, clean, values
from streams.watchlist import Watchlist

# The version of how files are cut into lines and batches; another one makes another reading of the same files.
_MANNER: Final = 4
SECTION: Final = 20_000
BATCH: Final = 4_000
LARGEST: Final = 4 << 20

# Called with a repository and when it had its name (µs).
Learn: TypeAlias = Callable[[Repository, int], None]


class Reader(Protocol):
    """One dialect: a line becomes rows or raises `DeadLetter`."""

    def rows(self, line: Line, received: int | None = None) -> tuple[Row, ...]: ...


@dataclass(frozen=True, slots=True)
class Letter:
    """A record for the topic `dead-letters`; the key is the file's name."""

    key: bytes
    value: bytes


@dataclass(frozen=True)
class Options:
    """How to read: whatever makes another reading of the same files."""

    watchlist: Watchlist
    include_bots: bool = False
    as_of: int | None = None
    dead_letters: Keep = "raw"

    def reading(self, plan: Plan, partitions: int, actor_key: bytes) -> str:
        """The digest of plan and options; a cursor fits only the reading that wrote it."""
        key = hashlib.blake2b(b"nomadwatch", digest_size=8, key=actor_key).hexdigest()
        parts = (
            _MANNER,
            plan.digest,
            partitions,
            key,
            self.watchlist.digest,
            self.include_bots,
            self.as_of,
            SECTION,
            BATCH,
            LARGEST,
        )
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@dataclass(slots=True)
class Part:
    """The content of `lines` lines of a file, from line `first` (from 0) on.

    `events` is the number of events, measured or not. `position` is in bytes of the file. In the part that ends a file,
    `is_intact` says whether the file could be read completely.

    The rows are held until they are asked for as `batches`, which sorts and packs them: partition, columns without
    projects, and the repositories that need them. Only then are known: `size` (about how many bytes of memory the part
    takes), `platforms`, and the newest event time and receipt (`newest`, `received`, µs, 0 = none).
    """

    first: int
    lines: int = 0
    rows: list[Row] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    activities: int = 0
    after_as_of: int = 0
    skipped: int = 0
    events: int = 0
    dead_letters: dict[str, int] = field(default_factory=dict)
    position: int = 0
    is_last: bool = False
    is_intact: bool = True
    newest: int = 0
    received: int = 0
    platforms: set[str] = field(default_factory=set)
    size: int = 0
    _batches: list[tuple[int, Packed, list[Repository]]] | None = None

    def batches(self, partitions: int) -> list[tuple[int, Packed, list[Repository]]]:
        """The rows sorted and packed; the same ones each time."""
        if self._batches is None:
            self._batches = []
            self._sort(partitions, self._batches)
            self.rows = []
        return self._batches

    def _sort(self, partitions: int, batches: list[tuple[int, Packed, list[Repository]]]) -> None:
        buffers: list[list[Row]] = [[] for _ in range(partitions)]
        for row in self.rows:
            buffers[(row[6].hash >> 32) % partitions].append(row)  # activity.partition_of, without the call
        for partition, buffer in enumerate(buffers):
            for start in range(0, len(buffer), BATCH):
                self._pack(partition, buffer[start : start + BATCH], batches)
        if self.rows:
            self.newest, self.received = (max(column) for column in list(zip(*self.rows, strict=True))[1:3])
        self.size += sum(len(letter.value) for letter in self.letters)

    def _pack(self, partition: int, rows: list[Row], batches: list[tuple[int, Packed, list[Repository]]]) -> None:
        """Add a batch, or several if it would be larger than the topic accepts."""
        packed, repositories = pack(rows)
        size = size_of(packed)
        if size > LARGEST and len(rows) > 1:
            self._pack(partition, rows[: len(rows) // 2], batches)
            self._pack(partition, rows[len(rows) // 2 :], batches)
            return
        batches.append((partition, packed, repositories))
        self.platforms.update(deed.platform for deed in packed.deeds)
        self.size += size


class PlanReading:
    """Reads the files of a plan into parts."""

    def __init__(self, plan: Plan, options: Options, actor_key: bytes, now: int) -> None:
        """`now` is the moment of reading in µs: nothing was received later."""
        self._plan, self._options, self._now = plan, options, now
        watchlist, include_bots = options.watchlist, options.include_bots
        identities = Identities(actor_key, watchlist, include_bots=include_bots, unassigned=True)
        self._readers: dict[str, Reader] = {
            "full": GithubEvents(identities, now),
            "minimised": MinimisedEvents(identities, now),
            "activities": ActivityLines(watchlist, now, include_bots=include_bots),
        }
        self._hours = {index: hour for hour, indices in plan.groups for index in indices}

    def parts(self, index: int, line: int = 0, learn: Learn | None = None) -> Iterator[Part | int]:
        """The parts of a file from a line on, at which a part begins; between them, after each chunk, the number of
        bytes read. `learn` gets every repository that may teach something, in the order of the lines.
        """
        file, hour = self._plan.files[index], self._hours[index]
        received = None if hour is None else min(hour + HOUR, self._now)
        content = Content(file.path)
        section = _Section(self._readers[file.dialect], file, received, self._options, learn, line)
        number = 0
        for chunk in content:
            start = max(0, line - number)
            while start < len(chunk):
                lines = chunk[start : start + SECTION - (number + start) % SECTION]
                section.take(lines, number + start + 1)
                start += len(lines)
                if (number + start) % SECTION == 0:
                    yield section.part(content.position)
                    section = _Section(
                        self._readers[file.dialect], file, received, self._options, learn, number + start
                    )
            number += len(chunk)
            yield content.position
        if content.damage is not None:
            section.put_aside(content.damage, content.remains, number + 1)
        part = section.part(content.position)
        part.is_last, part.is_intact = True, content.damage is None and number > content.blank
        yield part


class _Section:
    """Lines of a file that become a part."""

    def __init__(
        self,
        reader: Reader,
        file: ArchiveFile,
        received: int | None,
        options: Options,
        learn: Learn | None,
        first: int,
    ) -> None:
        self._read, self._file, self._received = reader.rows, file, received
        self._options, self._learn = options, learn
        self._rows: list[Row] = []
        self._part = Part(first)

    def take(self, lines: Sequence[Line], first: int) -> None:
        """Read lines, the first of which has the number `first` (from 1). This is where the time goes."""
        read, received, rows = self._read, self._received, self._rows
        before = len(rows)
        for number, line in enumerate(lines, first):
            try:
                rows += read(line, received)
            except DeadLetter as letter:
                self._apart(letter.reason, line, number)
        self._part.lines += len(lines)
        if self._file.dialect != "activities":  # those hold a selection, not an hour of everything
            self._part.events += len(lines)
        until = self._options.as_of
        if until is not None:
            found = rows[before:]
            rows[before:] = [row for row in found if row[1] <= until]
            self._part.after_as_of += len(found) - (len(rows) - before)
        if self._learn is not None:
            for row in rows[before:]:
                if row[6].teaches:
                    self._learn(row[6], row[1])

    def _apart(self, reason: str, line: Line, number: int) -> None:
        """Read a line that is no single event: it may hold several. What cannot be measured of it becomes a dead
        letter.
        """
        parts = values(line) if reason == "json" and not isinstance(line, TooLong) else []
        if len(parts) < 2:
            self._misread(reason, line, number)
            return
        self._part.events += len(parts) - 1
        for part in parts:
            try:
                self._rows += self._read(part, self._received)
            except DeadLetter as letter:
                self._misread(letter.reason, part, number)

    def _misread(self, reason: str, line: Line, number: int) -> None:
        if isinstance(line, TooLong):
            reason = "too-long"
        elif not clean(line).strip(BETWEEN) or (reason == "not-an-event" and is_bulk_action(line)):
            self._part.skipped += 1
            self._part.events -= 1
            return
        self.put_aside(reason, bytes(line), number)

    def put_aside(self, reason: str, raw: bytes, number: int) -> None:
        """Make a dead letter of something in a line (from 1)."""
        counts = self._part.dead_letters
        counts[reason] = counts.get(reason, 0) + 1
        letter = misread(ARCHIVE, self._file.name, number, reason, raw, self._options.dead_letters)
        self._part.letters.append(Letter(self._file.name.encode(errors="replace"), letter))

    def part(self, position: int) -> Part:
        """The part that was read."""
        part = self._part
        part.rows, part.activities, part.position = self._rows, len(self._rows), position
        return part
