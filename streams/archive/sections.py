"""A plan becomes numbered batches: the same plan and cursor give the same bytes, whenever and however often they are
read.

This makes the reader exact without transactions. Every SECTION lines, and at the end of each file, the batches of all
partitions are cut, and a cursor records it. A reader that was killed goes on at the last cursor on the broker: what it
had sent beyond that is sent again with the same numbers and content, and consumers of the topic skip numbers that they
have seen.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from streams.activity import HOUR, LATEST, MINUTE, Batch, Cover, encode_packed
from streams.archive.doubts import REASON, HourRead, judge
from streams.archive.plan import Plan
from streams.archive.reading import Letter as Letter
from streams.archive.reading import Options as Options
from streams.archive.reading import Part, PlanReading
from streams.archive.survey import Survey
from streams.columns import Packed
from streams.kafka.cursors import ARCHIVE, MOST_DOUBTS, Cursor, decode_cursor, encode_cursor
from streams.live.common.poll_result import Gap, encode_gap


@dataclass(frozen=True, slots=True)
class Send:
    """A record for the topic `activity`."""

    partition: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A record for the topic `gaps`: an hour with far fewer events than its neighbours."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Breath:
    """A chunk of lines was read, and other tasks may run. `position` is in compressed bytes of the whole plan."""

    position: int


Step: TypeAlias = Send | Letter | Doubtful | Breath | Cursor


class Sections:
    """Reads a plan from a cursor on. Iterate once. A `Cursor` among the steps ends a section: everything before it has
    to be acknowledged first.

    `counts` are those of everything read so far.
    """

    def __init__(self, plan: Plan, cursor: Cursor, actor_key: bytes, options: Options) -> None:
        self._cursor = _copy(cursor)
        self._plan = plan
        self._options = options
        self._partitions = len(cursor.sequences)
        self._survey = Survey(plan, PlanReading(plan, options, actor_key, cursor.now), options, self._partitions)
        self.counts = self._cursor.counts
        self._hours = {index: (hour, indices) for hour, indices in plan.groups for index in indices}
        sizes = [file.size for file in plan.files]
        # By file: bytes before it, and the first time (µs) in files without an hour from it on.
        self._before = list(itertools.accumulate(sizes, initial=0))
        firsts = [file.first if file.hour is None and file.first is not None else LATEST for file in plan.files]
        self._still = list(itertools.accumulate(reversed(firsts), min, initial=LATEST))[::-1]

    def __iter__(self) -> Iterator[Step]:
        if self._cursor.file < len(self._plan.files):
            for position in self._survey:
                yield Breath(position // 2)
        while self._cursor.file < len(self._plan.files):
            yield from self._file(self._cursor.file)

    def _file(self, index: int) -> Iterator[Step]:
        cursor = self._cursor
        hour, group = self._hours[index]
        if index == group.start and cursor.line == 0:
            cursor.platforms, cursor.intact, cursor.events = [], True, 0
            if hour is not None and (opening := self._bounded(hour, index)) > cursor.mark:
                # Most hours begin where the one before has ended, which its mark has said.
                yield from self._mark(opening)
        yield from self._lines(index)
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
        yield _copy(cursor)

    def _lines(self, index: int) -> Iterator[Step]:
        """A file after the cursor, up to but not including its end."""
        cursor = self._cursor
        before = self._before[index]
        for found in self._survey.parts(index, cursor.line):
            if isinstance(found, Part):
                yield from self._part(found)
                if not found.is_last:
                    cursor.line = found.first + found.lines
                    yield _copy(cursor)
            position = before + (found.position if isinstance(found, Part) else found)
            yield Breath((self._plan.size + position) // 2 if self._survey.is_needed else position)

    def _part(self, part: Part) -> Iterator[Step]:
        """The records of a part: its repositories get their projects, and its batches their numbers."""
        cursor, counts = self._cursor, self._cursor.counts
        yield from part.letters
        for partition, packed, repositories in part.batches(self._partitions):
            packed.projects = self._survey.projects(repositories)
            yield self._batch(partition, packed)
        cursor.newest, cursor.received = max(cursor.newest, part.newest), max(cursor.received, part.received)
        cursor.events += part.events
        cursor.intact = cursor.intact and part.is_intact
        if not part.platforms.issubset(cursor.platforms):
            cursor.platforms = sorted(part.platforms.union(cursor.platforms))
        counts.lines += part.lines
        counts.activities += part.activities
        counts.after_as_of += part.after_as_of
        counts.skipped += part.skipped
        for reason, n in part.dead_letters.items():
            counts.dead_letters[reason] = counts.dead_letters.get(reason, 0) + n

    def _batch(
        self,
        partition: int,
        packed: Packed | None,
        complete_to: int | None = None,
        covered: list[Cover] | None = None,
        *,
        closed: bool = False,
    ) -> Send:
        """The next batch of a partition."""
        batch = Batch(
            feed=ARCHIVE,
            complete_to=complete_to,
            sequence=self._cursor.sequences[partition],
            covered=covered or [],
            closed=closed,
        )
        self._cursor.sequences[partition] += 1
        return Send(partition, encode_packed(batch, packed))

    def _mark(
        self, complete_to: int | None, covered: list[Cover] | None = None, *, closed: bool = False
    ) -> Iterator[Send]:
        """A watermark, as a batch of its own: lateness is judged by the last watermark, and what comes before it is not
        late.
        """
        self._cursor.mark = max(self._cursor.mark, complete_to or 0)
        for partition in range(self._partitions):
            yield self._batch(partition, None, complete_to, covered, closed=closed)

    def _bounded(self, mark: int, index: int) -> int:
        """A watermark that is no later than the moment of reading, the end that was asked for, and what files without
        an hour still hold.
        """
        ends = [] if self._options.as_of is None else [self._options.as_of + 1]
        return min(mark, self._cursor.now, self._still[index], *ends)

    def _final(self) -> int | None:
        """The watermark at the end of the input; just after an `as_of`, so that windows end there even if the data do
        not reach it.
        """
        cursor = self._cursor
        if self._options.as_of is not None:
            return min(self._options.as_of + 1, cursor.now)
        ends = [hour + HOUR for hour, _ in self._plan.groups if hour is not None]
        if cursor.newest and any(hour is None for hour, _ in self._plan.groups):
            ends.append(min(cursor.newest + 1, cursor.received + MINUTE))
        return min(max(ends), cursor.now) if ends else None

    def _covered(self, hour: int) -> list[Cover]:
        """Whether the hour was seen: completely, or it is known that it was not, because some of its files were empty
        or could not be read.
        """
        end = self._bounded(hour + HOUR, len(self._plan.files))
        return [
            Cover(platform, hour, end if self._cursor.intact else hour)
            for platform in self._cursor.platforms
            if end > hour
        ]

    def _doubts(self, until: int) -> Iterator[Doubtful]:
        """Judge the hours whose neighbours have been read, as far as they are asked for. Doubtful ones go to the
        ledger.
        """
        counts, as_of = self._cursor.counts, self._options.as_of
        for found in judge(self._cursor.hours, until):
            if as_of is None or found.hour <= as_of:
                counts.doubtful = [*counts.doubtful, found][:MOST_DOUBTS]
                yield Doubtful(encode_gap(Gap(feed=ARCHIVE, start=found.hour, end=found.hour + HOUR, reason=REASON)))


def _copy(cursor: Cursor) -> Cursor:
    return decode_cursor(encode_cursor(cursor))
