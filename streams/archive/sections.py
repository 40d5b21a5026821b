"""A plan becomes numbered batches: the same plan and cursor give the same bytes, whenever and however often they are
read.

This is what makes the reader exact without transactions. Every SECTION lines, and at each file's end, all partitions'
batches are cut, and a cursor says so. A reader that was killed goes on at the last cursor that the broker has: what it
had sent beyond that is sent again with the same numbers and content, and whoever reads the topic passes over numbers
that it has seen.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from streams.activity import HOUR, LATEST, MINUTE, Activity, Batch, Cover, encode_json
from streams.archive.activity_lines import ActivityLines
from streams.archive.content import Content, TooLong
from streams.archive.doubts import REASON, HourRead, judge
from streams.archive.minimised import MinimisedEvents
from streams.archive.plan import File, Plan
from streams.archive.survey import Survey
from streams.errors import DeadLetter
from streams.github_events import GithubEvents
from streams.github_payloads import Line, is_bulk_action
from streams.identities import Identities
from streams.kafka.cursors import ARCHIVE, MOST_DOUBTS, Cursor, decode_cursor, encode_cursor
from streams.kafka.dead_letters import Keep, misread
from streams.live.common.poll_result import Gap, encode_gap
from streams.values import BETWEEN, clean, values
from streams.watchlist import Watchlist

# How files are cut into lines and these are read; another one makes another reading of the same files.
_MANNER: Final = 2
SECTION: Final = 20_000
BATCH: Final = 500
LARGEST: Final = 4 << 20


Read: TypeAlias = Callable[[Line, int | None], list[Activity]]


class Reader(Protocol):
    """One dialect: a line becomes activities or raises `DeadLetter`."""

    platforms: set[str]

    def read(self, line: Line, received: int | None = None) -> list[Activity]: ...


@dataclass(frozen=True, slots=True)
class Send:
    """A record for the topic `activity`."""

    partition: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """A record for the topic `dead-letters`; the key is the file's name."""

    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A record for the topic `gaps`: an hour that has far fewer events than its neighbours."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Breath:
    """A chunk of lines was read: others may have their turn. `position` is in compressed bytes of the whole plan."""

    position: int


Step: TypeAlias = Send | Letter | Doubtful | Breath | Cursor


@dataclass(frozen=True)
class Options:
    """How to read: what makes another reading of the same files."""

    watchlist: Watchlist
    include_bots: bool = False
    as_of: int | None = None
    dead_letters: Keep = "raw"

    def reading(self, plan: Plan, partitions: int, actor_key: bytes) -> str:
        """Digest of plan and options; a cursor fits only the reading that wrote it."""
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


class Sections:
    """Reads a plan from a cursor on. Iterate once; a `Cursor` among the steps ends a section: all before it has to be
    acknowledged first.

    `counts` are those of everything read so far.
    """

    def __init__(
        self, plan: Plan, cursor: Cursor, actor_key: bytes, options: Options, survey: Survey | None = None
    ) -> None:
        """A `survey` of the plan is gone through first, as far as it has not been yet; without one it is made."""
        self._cursor = _copy(cursor)
        self._plan = plan
        self._options = options
        self._buffers: list[list[Activity]] = [[] for _ in cursor.sequences]
        self._survey = survey or Survey(plan, options.watchlist, options.as_of)
        known = self._survey.assignments
        identities = Identities(
            actor_key, options.watchlist, include_bots=options.include_bots, assignment=known["github"], complete=True
        )
        self._activities = ActivityLines(
            options.watchlist, cursor.now, include_bots=options.include_bots, assignments=known
        )
        self._readers: dict[str, Reader] = {
            "full": GithubEvents(identities, cursor.now),
            "minimised": MinimisedEvents(identities, cursor.now),
            "activities": self._activities,
        }
        self.counts = self._cursor.counts
        self._hours = {index: (hour, indices) for hour, indices in plan.groups for index in indices}

    def __iter__(self) -> Iterator[Step]:
        if self._cursor.file < len(self._plan.files):
            for _ in self._survey:
                yield Breath(0)
        while self._cursor.file < len(self._plan.files):
            yield from self._file(self._cursor.file)

    def _file(self, index: int) -> Iterator[Step]:
        cursor = self._cursor
        hour, group = self._hours[index]
        if index == group.start and cursor.line == 0:
            cursor.platforms, cursor.intact, cursor.events = [], True, 0
            self._activities.platforms.clear()
            if hour is not None:
                yield from self._mark(self._bounded(hour, index))
        yield from self._lines(index, None if hour is None else min(hour + HOUR, cursor.now))
        cursor.file, cursor.line = index + 1, 0
        cursor.counts.files += 1
        last = cursor.done = index + 1 == len(self._plan.files)
        ends = hour is not None and index + 1 == group.stop
        if ends and hour is not None and cursor.events:
            cursor.hours.append(HourRead(hour, cursor.events))
        if ends or last:
            yield from self._doubts(LATEST if last else hour or 0)
        covered = self._covered(hour) if ends and hour is not None else []
        if last:
            yield from self._mark(self._final(), covered, closed=True)
        elif ends and hour is not None:
            yield from self._mark(self._bounded(hour + HOUR, index + 1), covered)
        else:
            yield from self._cut()
        yield _copy(cursor)

    def _lines(self, index: int, received: int | None) -> Iterator[Step]:
        """All of a file that lies behind the cursor, up to but not including its end."""
        cursor, file = self._cursor, self._plan.files[index]
        before = sum(earlier.size for earlier in self._plan.files[:index])
        reader = self._readers[file.dialect]
        content = Content(file.path)
        number = 0
        for chunk in content:
            start = max(0, cursor.line - number)
            while start < len(chunk):
                part = chunk[start : start + SECTION - (number + start) % SECTION]
                yield from self._take(part, number + start + 1, file, reader, received)
                start += len(part)
                if (number + start) % SECTION == 0:
                    yield from self._cut()
                    cursor.line = number + start
                    yield _copy(cursor)
            number += len(chunk)
            yield Breath(before + content.position)
        if content.damage is not None:
            yield self._letter(content.damage, content.remains, number + 1, file)
        if content.damage is not None or number == content.blank:
            cursor.intact = False

    def _take(self, lines: list[Line], first: int, file: File, reader: Reader, received: int | None) -> Iterator[Step]:
        """Sort lines into the partitions' buffers. This is where the time goes: the loop does nothing that can be done
        elsewhere.
        """
        cursor, buffers, read = self._cursor, self._buffers, reader.read
        as_of, partitions = self._options.as_of, len(buffers)
        newest, latest, published = cursor.newest, cursor.received, 0
        for number, line in enumerate(lines, first):
            try:
                found = read(line, received)
            except DeadLetter as letter:
                found = yield from self._apart(letter.reason, line, number, file, read, received)
            for activity in found:
                if as_of is not None and activity.occurred_at > as_of:
                    cursor.counts.after_as_of += 1
                    continue
                if activity.occurred_at > newest:
                    newest = activity.occurred_at
                if activity.ingested_at > latest:
                    latest = activity.ingested_at
                partition = (activity.repo_id >> 32) % partitions  # activity.partition_of, without the call
                buffer = buffers[partition]
                buffer.append(activity)
                published += 1
                if len(buffer) >= BATCH:
                    yield from self._batch(partition)
        cursor.newest, cursor.received = newest, latest
        cursor.counts.activities += published
        cursor.counts.lines += len(lines)
        if file.dialect != "activities":  # which are no hour of everything, but what somebody has counted
            cursor.events += len(lines)
        if published and not reader.platforms.issubset(cursor.platforms):
            cursor.platforms = sorted(reader.platforms.union(cursor.platforms))

    def _apart(
        self, reason: str, line: Line, number: int, file: File, read: Read, received: int | None
    ) -> Generator[Step, None, list[Activity]]:
        """What a line holds that is no single event: perhaps several. What cannot be measured of it is put aside."""
        parts = values(line) if reason == "json" and not isinstance(line, TooLong) else []
        if len(parts) < 2:
            yield from self._misread(reason, line, number, file)
            return []
        found: list[Activity] = []
        self._cursor.events += len(parts) - 1
        for part in parts:
            try:
                found += read(part, received)
            except DeadLetter as letter:
                yield from self._misread(letter.reason, part, number, file)
        return found

    def _batch(
        self,
        partition: int,
        complete_to: int | None = None,
        covered: list[Cover] | None = None,
        *,
        closed: bool = False,
    ) -> Iterator[Send]:
        """Cut a partition's buffer into a numbered batch, or several where it would be larger than the topic takes."""
        activities, self._buffers[partition] = self._buffers[partition], []
        value = self._encoded(partition, activities, complete_to, covered, closed)
        if len(value) > LARGEST and len(activities) > 1:
            self._buffers[partition] = activities[: len(activities) // 2]
            yield from self._batch(partition)
            self._buffers[partition] = activities[len(activities) // 2 :]
            yield from self._batch(partition, complete_to, covered, closed=closed)
            return
        self._cursor.sequences[partition] += 1
        yield Send(partition, value)

    def _encoded(
        self,
        partition: int,
        activities: list[Activity],
        complete_to: int | None,
        covered: list[Cover] | None,
        closed: bool,
    ) -> bytes:
        return encode_json(
            Batch(
                feed=ARCHIVE,
                activities=activities,
                complete_to=complete_to,
                sequence=self._cursor.sequences[partition],
                covered=covered or [],
                closed=closed,
            )
        )

    def _cut(self) -> Iterator[Send]:
        for partition, buffer in enumerate(self._buffers):
            if buffer:
                yield from self._batch(partition)

    def _mark(
        self, complete_to: int | None, covered: list[Cover] | None = None, *, closed: bool = False
    ) -> Iterator[Send]:
        """A mark has a batch of its own: lateness is judged by the mark that was taken up last, and what comes before
        it is not late.
        """
        yield from self._cut()
        for partition in range(len(self._buffers)):
            yield from self._batch(partition, complete_to, covered, closed=closed)

    def _bounded(self, mark: int, index: int) -> int:
        """A mark no later than the moment of reading, the end that was asked for, and what files without an hour still
        hold.
        """
        later = [file.first for file in self._plan.files[index:] if file.hour is None and file.first is not None]
        ends = [] if self._options.as_of is None else [self._options.as_of + 1]
        return min(mark, self._cursor.now, *ends, *later)

    def _final(self) -> int | None:
        """The mark at the end of the input; just behind an `as_of`, so that windows end there although the data may not
        reach it.
        """
        cursor = self._cursor
        if self._options.as_of is not None:
            return min(self._options.as_of + 1, cursor.now)
        ends = [hour + HOUR for hour, _ in self._plan.groups if hour is not None]
        if cursor.newest and any(hour is None for hour, _ in self._plan.groups):
            ends.append(min(cursor.newest + 1, cursor.received + MINUTE))
        return min(max(ends), cursor.now) if ends else None

    def _covered(self, hour: int) -> list[Cover]:
        """The hour was seen whole, or it is known that it was not: some of its files could not be read, or were empty."""
        end = self._bounded(hour + HOUR, len(self._plan.files))
        return [
            Cover(platform, hour, end if self._cursor.intact else hour)
            for platform in self._cursor.platforms
            if end > hour
        ]

    def _doubts(self, until: int) -> Iterator[Doubtful]:
        """Judge the hours whose neighbours have been read, as far as they are asked for; what is doubted goes to the
        ledger.
        """
        counts, as_of = self._cursor.counts, self._options.as_of
        for found in judge(self._cursor.hours, until):
            if as_of is None or found.hour <= as_of:
                counts.doubtful = [*counts.doubtful, found][:MOST_DOUBTS]
                yield Doubtful(encode_gap(Gap(feed=ARCHIVE, start=found.hour, end=found.hour + HOUR, reason=REASON)))

    def _misread(self, reason: str, line: Line, number: int, file: File) -> Iterator[Step]:
        if isinstance(line, TooLong):
            reason = "too-long"
        elif not clean(line).strip(BETWEEN) or (reason == "not-an-event" and is_bulk_action(line)):
            self._cursor.counts.skipped += 1
            self._cursor.events -= 1
            return
        yield self._letter(reason, bytes(line), number, file)

    def _letter(self, reason: str, raw: bytes, number: int, file: File) -> Letter:
        counts = self._cursor.counts.dead_letters
        counts[reason] = counts.get(reason, 0) + 1
        letter = misread(ARCHIVE, file.name, number, reason, raw, self._options.dead_letters)
        return Letter(file.name.encode(errors="replace"), letter)


def _copy(cursor: Cursor) -> Cursor:
    return decode_cursor(encode_cursor(cursor))
