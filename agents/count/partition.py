"""One source partition: batches of activities become facts, each activity once. Pure: it knows neither Kafka nor a
clock.

`advance` takes up a batch's offset and mark, `take` its activities; `checkpoint` gives what came since the last one.
The caller commits it before it asks for the next. The same batches add up to the same facts, wherever checkpoints and
crashes fall.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from agents.count.credits import Credits, Published, accepted_id, is_named, is_turn, rows_of, turns_of
from agents.count.gather import Gathered, Projects, gather
from agents.count.ids import Ids, day_of
from agents.count.names import PublishedNames
from agents.count.watched import Watched
from agents.fact_parts import total_key
from agents.facts import BOT, CREDITED, WATCHED, Facts, Rows
from agents.operators.keys import Keys
from agents.operators.names import Names
from agents.operators.progress import Progress
from agents.operators.reach import ACCEPTED, SCOPES
from agents.operators.threads import Threads, Turn
from streams.activity import DAY, HOUR, MINUTE, Batch, Foreign
from streams.codes import CODES
from streams.columns import Columns

# Days that end this long before the watermark are rarely met again.
_RARE: Final = 7 * HOUR
_TIDY_EVERY: Final = 6 * HOUR
# Activities that are processed together. A checkpoint processes what is there.
_TOGETHER: Final = 10_000
_NAME_KEPT: Final = 35 * 24 * 60
# Longer names are cut off: no platform has them.
_LONGEST_NAME: Final = 400
_ACCEPTED_SUFFIX: Final = ":accepted"
_ALWAYS: Final = -(1 << 62)


class Count:
    """The state of one partition: known ids, credits, published names."""

    def __init__(self, number: int, folder: Path | None = None) -> None:
        self.number = number
        self.progress = Progress()
        self.ids = Ids(folder)
        self.names = PublishedNames()
        self.credits = Credits()
        self.watched = Watched()
        self._waiting: list[tuple[Columns, int | None]] = []
        self._waiting_activities = 0
        self._tidied: int | None = None
        # Records of a checkpoint that is read back, but for the last.
        self._parts: list[Facts] = []
        self._begin()

    def _begin(self) -> None:
        """Begin the next record, empty."""
        self._rows: list[Rows] = []
        self._credited: list[Published] = []
        self._projects = Projects()
        self._named = Threads()
        self._fresh_names = Names()

    @classmethod
    def restore(cls, number: int, records: Iterable[Facts], folder: Path | None = None) -> Self:
        """The partition restored from the records of its topic, in their order."""
        count = cls(number, folder)
        for record in records:
            count.learn([record])
        return count

    def learn(self, records: Sequence[Facts]) -> None:
        """Take up the next records of the topic. Those without progress wait for the one that has it: at the committed
        end nothing waits. One whose progress goes back is passed over, no worker wrote it.
        """
        taken: list[Facts] = []
        for record in records:
            if record.progress is None:
                self._parts.append(record)
            elif self._follow(record.progress):
                taken += [*self._parts, record]
                self._parts = []
        if not taken:
            return
        for record in taken:
            self.watched.learn(record)
            self.credits.learn(record.rows, record.projects, record.threads)
        rows = np.concatenate([record.rows for record in taken])
        own = rows[rows["flags"] & CREDITED == 0]
        ids = np.ascontiguousarray(own["id"])
        order = np.argsort(ids)
        self.ids.add(day_of(own["time"])[order], ids[order])
        human = own[own["flags"] & BOT == 0]
        names = [name for record in taken for name in record.names.get_all()]
        self.names.learn(np.ascontiguousarray(human["repository"]), human["time"] // MINUTE, names)
        self.tidy()

    def _follow(self, progress: Progress) -> bool:
        try:
            progress = progress.follow(self.progress)
        except Foreign:
            return False
        for feed in progress.feeds.values():
            feed.covered = {}
        self.progress = progress
        return True

    def advance(self, offset: int, batch: Batch) -> bool:
        """Take a batch's offset and mark. False if its activities were taken before: do not take them again."""
        self.progress.offset = offset
        if self.progress.is_repeated(batch):
            return False
        self.progress.advance(batch)
        return True

    def take(self, batch: Batch) -> None:
        """Count the activities of a batch, each once: one that was met before is a duplicate, one too old to be told
        from one is late.
        """
        if not len(batch.activities):
            return
        columns = batch.columns
        self._waiting.append((columns, self.progress.watermark))
        self._waiting_activities += columns.count
        if self._waiting_activities >= _TOGETHER:
            self._work()

    @property
    def uncommitted(self) -> int:
        """Activities and rows that the next checkpoint has to write."""
        return self._waiting_activities + sum(map(len, self._rows))

    def _work(self) -> None:
        """Make rows of the batches that wait: together, for that costs a tenth. What depends on the watermark is judged
        batch by batch.
        """
        if not self._waiting:
            return
        waiting, self._waiting, self._waiting_activities = self._waiting, [], 0
        gathered = gather([columns for columns, _ in waiting], self._projects)
        rows = gathered.rows
        late = self._late(gathered, [watermark for _, watermark in waiting])
        turns = is_turn(rows) & ~late
        named = turns & is_named(rows)
        counted = self._fresh(rows, ~late & ~named)
        turns &= counted | named
        fresh = int(counted.sum()) + self._credit(waiting, gathered, turns, named)
        self.progress.activities += fresh
        self.progress.late += int(late.sum())
        self.progress.duplicates += len(rows) - int(late.sum()) - fresh
        self._publish_names(gathered, counted | named)
        self._rows.append(rows[counted])

    def _late(self, gathered: Gathered, watermarks: list[int | None]) -> NDArray[np.bool_]:
        """Which rows are too old to be counted, each at the watermark of its batch."""
        oldest = [_ALWAYS if watermark is None else watermark - ACCEPTED for watermark in watermarks]
        times = gathered.rows["time"]
        counts = np.diff(gathered.begins, append=len(times))
        late: NDArray[np.bool_] = times - times % MINUTE < np.repeat(np.array(oldest, np.int64), counts)
        return late

    def _fresh(self, rows: Rows, asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the asked rows are met for the first time, among them and before; they are known from now on."""
        places = np.flatnonzero(asked)
        ids, days = rows["id"][places], day_of(rows["time"][places])
        # Rising ids are found fastest, and those of one day stay rising.
        order = np.argsort(ids, kind="stable")
        ids, days, places = ids[order], days[order], places[order]
        again = ids[1:] == ids[:-1]
        if again.any():
            order = np.lexsort((places, days, ids))
            ids, days, places = ids[order], days[order], places[order]
            again = (ids[1:] == ids[:-1]) & (days[1:] == days[:-1])
        new = ~self.ids.known(days, ids)
        new[1:] &= ~again
        self.ids.add(days[new], ids[new])
        fresh = np.zeros(len(rows), np.bool_)
        fresh[places[new]] = True
        return fresh

    def _credit(
        self,
        waiting: list[tuple[Columns, int | None]],
        gathered: Gathered,
        among: NDArray[np.bool_],
        named: NDArray[np.bool_],
    ) -> int:
        """Credit merges by the turns among the rows, batch by batch; how many contributions were named for the first
        time.
        """
        places = np.flatnonzero(among)
        if not len(places):
            return 0
        rows = gathered.rows[places]
        batches = np.searchsorted(gathered.begins, places, side="right") - 1
        for place in np.flatnonzero(named[places]).tolist():
            batch = int(batches[place])
            text = waiting[batch][0].ids[int(places[place] - gathered.begins[batch])]
            rows["id"][place] = accepted_id(
                np.array([xxhash.xxh3_64_intdigest(text.removesuffix(_ACCEPTED_SUFFIX).encode())], np.uint64)
            )[0]
        turns = turns_of(rows, list(self._projects.numbers))
        is_new = named[places]
        fresh, begin = 0, 0
        for end in [*(np.flatnonzero(np.diff(batches)) + 1).tolist(), len(turns)]:
            watermark = waiting[int(batches[begin])][1]
            taken: list[Turn] = []
            met: set[tuple[int, int]] = set()
            for place in range(begin, end):
                turn = turns[place]
                if is_new[place]:
                    # A turn only: its row follows from the credit. Whether it was met before only turns can tell.
                    if (turn.thread, turn.id) in met or not self.credits.is_new(turn, watermark):
                        continue
                    met.add((turn.thread, turn.id))
                    self._named.put(turn)
                    fresh += 1
                taken.append(turn)
            self._credited += self.credits.take(taken, watermark)
            begin = end
        return fresh

    def _publish_names(self, gathered: Gathered, met: NDArray[np.bool_]) -> None:
        """Note the names that have to go out, of the repositories in which people did something."""
        flags = gathered.rows["flags"]
        human = met & (flags & BOT == 0)
        keys, minutes, names = _newest(gathered, human)
        for place in self.names.take(keys, minutes, names):
            self._fresh_names.put(int(keys[place]), int(minutes[place]), names[place])
        watched = human & (flags & WATCHED > 0)
        if watched.any():
            self.watched.name(*_newest(gathered, watched))

    def checkpoint(self) -> Facts:
        """What came since the last checkpoint, to be committed in one transaction with what `watched` takes of it."""
        self._work()
        self._rows.append(rows_of(self._credited, self._projects.known))
        rows = np.concatenate(self._rows) if len(self._rows) > 1 else self._rows[0]
        self._add_to_totals(rows)
        projects = list(self._projects.numbers)
        facts = Facts(rows, projects, self._named, self._fresh_names, self._take_progress())
        self._begin()
        return facts

    def _add_to_totals(self, rows: Rows) -> None:
        for scope in SCOPES:
            own = rows if scope == "all" else rows[rows["flags"] & WATCHED > 0]
            if not len(own):
                continue
            signed = np.bincount(own["code"].astype(np.intp) << 1 | own["flags"] & BOT, own["n"], 2 * CODES)
            totals = self.progress.totals[scope]
            for code in np.flatnonzero(signed).tolist():
                key = total_key(code)
                totals[key] = totals.get(key, 0) + int(signed[code])
                if not totals[key]:
                    del totals[key]

    def _take_progress(self) -> Progress:
        """The progress as it stands now; what was covered goes into one checkpoint only."""
        progress = msgspec.structs.replace(
            self.progress,
            feeds={name: msgspec.structs.replace(feed) for name, feed in self.progress.feeds.items()},
            totals={scope: dict(totals) for scope, totals in self.progress.totals.items()},
            dead_letters=dict(self.progress.dead_letters),
        )
        for feed in self.progress.feeds.values():
            feed.covered = {}
        return progress

    def tidy(self) -> None:
        """Forget what no later activity can meet, now and then. Only behind a checkpoint that is committed."""
        watermark = self.progress.watermark
        if watermark is None or (self._tidied is not None and watermark < self._tidied + _TIDY_EVERY):
            return
        self._tidied = watermark
        self.ids.forget((watermark - ACCEPTED) // DAY)
        self.credits.forget(watermark)
        self.names.forget(watermark // MINUTE - _NAME_KEPT)
        self.watched.forget(watermark // MINUTE - _NAME_KEPT)

    def close_days(self) -> None:
        """Write the ids of days that are rarely met again to files. Only behind a checkpoint that is committed: what a
        file holds must be in the topic. Raises OSError where a file cannot be written; the ids stay in memory.
        """
        if self.progress.watermark is not None and self.ids.folder is not None:
            self.ids.close((self.progress.watermark - _RARE) // DAY)


def _newest(gathered: Gathered, rows: NDArray[np.bool_]) -> tuple[Keys, NDArray[np.int64], list[str]]:
    """The repositories of some rows, the minute in which each was last met, and its name: once a batch."""
    newest = np.full(len(gathered.names), -1, np.int64)
    np.maximum.at(newest, gathered.entries[rows], gathered.rows["time"][rows] // MINUTE)
    met = np.flatnonzero(newest >= 0)
    names = [gathered.names[place][:_LONGEST_NAME] for place in met.tolist()]
    return gathered.repositories[met], newest[met], names
