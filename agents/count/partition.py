"""One source partition: batches of activities become facts, each activity once. Pure: it knows neither Kafka nor a
clock.

`advance` takes up a batch's offset and mark, `take` its activities; `checkpoint` gives what came since the last one as
one record. The caller commits it before it asks for the next. The same batches add up to the same facts, wherever
checkpoints and crashes fall.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.count.credits import Credits, is_late, turn_of
from agents.count.ids import Ids, day_of
from agents.count.names import PublishedNames
from agents.count.watched import Watched
from agents.facts import BOT, CREDITED, MOST_PROJECTS, NO_ROWS, ROW, SIMULATED, STATED, WATCHED, Facts, Rows
from agents.operators.grains import ACCEPTED, SCOPES
from agents.operators.names import Names
from agents.operators.progress import Progress
from agents.operators.threads import ACCEPTED as NAMED
from agents.operators.threads import Threads, Turn
from streams.activity import DAY, HOUR, MINUTE, Activity, Batch, hash_ids, hash_name
from streams.codes import ACTION, AFFILIATION, ARTEFACT, CODE, CODES, KIND, RELATION, names_of

# Days that end this long before the watermark are rarely met again.
_RARE: Final = 7 * HOUR
_TIDY_EVERY: Final = 6 * HOUR
# Activities that are worked on together; a checkpoint takes what is there.
_TOGETHER: Final = 5_000
_NAME_KEPT: Final = 35 * 24 * 60
_COMMITS_MOST: Final = (1 << 32) - 1


class Count:
    """The state of one partition: what was met, what was credited, what was published."""

    def __init__(self, number: int, folder: Path | None = None) -> None:
        self.number = number
        self.progress = Progress()
        self._ids = Ids(folder)
        self._names = PublishedNames()
        self._credits = Credits()
        self._waiting: list[tuple[list[Activity], int | None]] = []
        self._waiting_activities = 0
        self._rows: list[Rows] = []
        self._projects: dict[str, int] = {}
        self._turns = Threads()
        self._fresh_names = Names()
        self._watched = Watched()
        self._tidied: int | None = None

    @classmethod
    def restore(cls, number: int, records: Iterable[Facts], folder: Path | None = None) -> Self:
        """The partition as the records of its topic left it, in their order."""
        count = cls(number, folder)
        for record in records:
            count.learn(record)
        return count

    def learn(self, record: Facts) -> None:
        """Take up the next record of the topic. Raises Foreign for a progress that goes back: nothing is taken up."""
        if record.progress is not None:
            progress = record.progress.follow(self.progress)
            self._watched.learn(record.rows, record.progress)
            for feed in progress.feeds.values():
                feed.covered = {}
            self.progress = progress
        rows = record.rows
        own = rows[rows["flags"] & CREDITED == 0]
        self._ids.add(day_of(own["time"]), np.ascontiguousarray(own["id"]))
        self._credits.restore(rows, record.projects, record.threads)
        human = own[own["flags"] & BOT == 0]
        self._names.restore(np.ascontiguousarray(human["repository"]), human["time"] // MINUTE, record.names.get_all())
        self._tidy()

    def advance(self, offset: int, batch: Batch) -> bool:
        """Take up a batch's offset and mark; False if its activities were taken before and must not be taken again."""
        self.progress.offset = offset
        if self.progress.is_repeated(batch):
            return False
        self.progress.advance(batch)
        return True

    def take(self, activities: Sequence[Activity]) -> None:
        """Count the activities of a batch, each once: one that was met before is a duplicate, one too old to be told
        from one is late.
        """
        watermark = self.progress.watermark
        kept = [activity for activity in activities if not is_late(activity.occurred_at, watermark)]
        self.progress.late += len(activities) - len(kept)
        if kept:
            self._waiting.append((kept, watermark))
            self._waiting_activities += len(kept)
            if self._waiting_activities >= _TOGETHER:
                self._work()

    def _work(self) -> None:
        """Make rows of the batches that wait: together, for that costs a tenth; what depends on the watermark batch by
        batch.
        """
        waiting, self._waiting, self._waiting_activities = self._waiting, [], 0
        activities = [activity for own, _ in waiting for activity in own]
        if not activities:
            return
        rows = _rows_of(activities, self._projects)
        fresh = self._fresh(rows)
        counted = fresh.copy()
        # A credit may be all that a person did in a repository: its turns give the name.
        turning = np.zeros(len(rows), np.bool_)
        pulls = np.flatnonzero(fresh & (rows["kind"] == KIND["pull_request"])).tolist()
        begin = 0
        for own, watermark in waiting:
            end = begin + len(own)
            turns: list[Turn] = []
            while pulls and pulls[0] < end:
                place = pulls.pop(0)
                turn = turn_of(activities[place], int(rows["id"][place]))
                if turn is None:
                    continue
                if turn.action == NAMED:
                    # A turn only: its row follows from the credit. Whether it was met before only turns can tell.
                    counted[place] = False
                    fresh[place] = self._credits.is_new(turn, watermark) and (turn.thread, turn.id, turn.kind) not in {
                        t[:3] for t in turns
                    }
                if fresh[place]:
                    turns.append(turn)
                    turning[place] = True
            if turns:
                self._credit(turns, watermark)
            begin = end
        self.progress.activities += int(fresh.sum())
        self.progress.duplicates += len(rows) - int(fresh.sum())
        self._publish_names(activities, rows, counted & (rows["flags"] & BOT == 0) | turning)
        new = rows[counted]
        self._ids.add(day_of(new["time"]), np.ascontiguousarray(new["id"]))
        self._add(new)

    def _credit(self, turns: list[Turn], watermark: int | None) -> None:
        for row, project in self._credits.take(turns, watermark):
            row = row.copy()
            row["project"] = _number(self._projects, project) if project else 0
            self._add(row)
        for turn in turns:
            self._turns.put(turn)

    def _fresh(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows are met for the first time, in this batch and before it."""
        ids, days = np.ascontiguousarray(rows["id"]), day_of(rows["time"])
        fresh = ~self._ids.known(days, ids)
        if len(np.unique(ids)) != len(ids):
            order = np.lexsort((np.arange(len(ids)), days, ids))
            again = (ids[order][1:] == ids[order][:-1]) & (days[order][1:] == days[order][:-1])
            fresh[order[1:][again]] = False
        return fresh

    def _publish_names(self, activities: Sequence[Activity], rows: Rows, naming: NDArray[np.bool_]) -> None:
        own = np.flatnonzero(naming)
        names = [activities[place].repo for place in own.tolist()]
        minutes = rows["time"][own] // MINUTE
        for place in self._names.take(np.ascontiguousarray(rows["repository"][own]), minutes, names):
            self._fresh_names.put(int(rows["repository"][own[place]]), int(minutes[place]), names[place])

    def _add(self, rows: Rows) -> None:
        """Take up rows for the next record, and into the totals."""
        if not len(rows):
            return
        self._rows.append(rows)
        for scope in SCOPES:
            own = rows if scope == "all" else rows[rows["flags"] & WATCHED > 0]
            signed = np.bincount(own["code"].astype(np.intp) << 1 | own["flags"] & BOT, own["n"], 2 * CODES)
            totals = self.progress.totals[scope]
            for place in np.flatnonzero(signed).tolist():
                platform, feature = names_of(place >> 1)
                key = f"{platform}/{feature}/{'bot' if place & 1 else 'human'}"
                totals[key] = totals.get(key, 0) + int(signed[place])
                if not totals[key]:
                    del totals[key]

    def checkpoint(self) -> Facts:
        """What came since the last checkpoint, to be committed in one transaction with `watched` of it."""
        self._work()
        rows = np.concatenate(self._rows) if self._rows else NO_ROWS
        facts = Facts(rows, list(self._projects), self._turns, self._fresh_names, self._progress())
        self._rows, self._projects, self._turns, self._fresh_names = [], {}, Threads(), Names()
        self._tidy()
        return facts

    def watched(self, facts: Facts) -> Facts | None:
        """Of a checkpoint what goes to `facts-watched`, too; None where it has nothing of the watchlist."""
        return self._watched.take(facts)

    def _progress(self) -> Progress:
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

    def _tidy(self) -> None:
        """Forget what no later activity can meet, now and then."""
        watermark = self.progress.watermark
        if watermark is None or (self._tidied is not None and watermark < self._tidied + _TIDY_EVERY):
            return
        self._tidied = watermark
        self._ids.close((watermark - _RARE) // DAY, (watermark - ACCEPTED) // DAY)
        self._credits.forget(watermark)
        self._names.forget(watermark // MINUTE - _NAME_KEPT)


def _number(numbers: dict[str, int], name: str) -> int:
    """The number of a name in the record to come, from 1."""
    number = numbers.get(name)
    if number is None:
        if len(numbers) >= MOST_PROJECTS:
            raise OverflowError("more projects in one record than it can name")
        number = numbers[name] = len(numbers) + 1
    return number


def _rows_of(activities: Sequence[Activity], projects: dict[str, int]) -> Rows:
    rows = np.zeros(len(activities), ROW)
    rows["time"] = [a.occurred_at for a in activities]
    rows["id"] = hash_ids(activities)
    rows["repository"] = [a.repo_id for a in activities]
    rows["actor"] = [a.actor for a in activities]
    rows["code"] = [CODE[a.platform, a.kind, a.action] for a in activities]
    rows["kind"] = [KIND[a.kind] for a in activities]
    rows["action"] = [ACTION[a.action] for a in activities]
    rows["artefact"] = [ARTEFACT[a.artefact] for a in activities]
    rows["flags"] = [
        BOT * a.bot | WATCHED * (a.project is not None) | STATED * (a.commits is not None) | SIMULATED * a.simulated
        for a in activities
    ]
    rows["n"] = 1
    for place, a in enumerate(activities):
        # Few activities have one of these.
        if a.commits:
            rows["commits"][place] = min(a.commits, _COMMITS_MOST)
        if a.thread is not None and 0 <= a.thread < 1 << 32:
            rows["thread"][place] = a.thread
        if a.project is not None:
            rows["project"][place] = _number(projects, a.project)
        if a.affiliation is not None:
            rows["affiliation"][place] = AFFILIATION[a.affiliation]
        if a.family is not None:
            rows["base"][place] = hash_name(f"{a.platform}:{a.family}")
            rows["relation"][place] = RELATION[a.relation]
    return rows
