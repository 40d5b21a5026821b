"""Merges credited to those who opened the pull requests: which rows a batch of turns adds, and which it withdraws.

Whom a merge is credited to follows from the turns that are known (see `operators.merge_credit`). What was published for
it is remembered, so that a withdrawal is exactly the row that was sent, whatever is known by then.

What is too old counts as unknown whether or not it was dropped already: a worker that has restarted drops at other
moments than one that has not, and both must publish the same.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.facts import BOT, CREDITED, NO_ROWS, ROW, SIMULATED, WATCHED, MergePlace, Rows
from agents.operators.merge_credit import Credit, credited
from agents.operators.reach import ACCEPTED, oldest_turn
from agents.operators.threads import ACCEPTED as NAMED
from agents.operators.threads import MERGED, OPENED, Threads, Turn
from streams.activity import FEATURES, MINUTE
from streams.codes import ACTION, FEATURE_BITS, KIND

_SPREAD: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
# Credits and turns are packed, and old ones dropped, when this many wait or an eighth of all.
_WAITING: Final = 4096
_ACCEPTED: Final = FEATURES.index("accepted")
_PROJECT: Final = (ROW.names or ()).index("project")
_PULL, _OPENED, _MERGED, _NAMED = KIND["pull_request"], ACTION["opened"], ACTION["merged"], ACTION["accepted"]
_TURNS: Final = {_OPENED: OPENED, _MERGED: MERGED, _NAMED: NAMED}


def is_turn(rows: Rows) -> NDArray[np.bool_]:
    """Which rows are turns of a thread: openings, merges, and contributions that a source names as accepted."""
    pulls = (rows["kind"] == _PULL) & (rows["thread"] > 0) & (rows["flags"] & CREDITED == 0)
    turns: NDArray[np.bool_] = pulls & np.isin(rows["action"], (_OPENED, _MERGED, _NAMED))
    return turns


def is_named(rows: Rows) -> NDArray[np.bool_]:
    """Which turns are contributions that a source names as accepted. They have no rows of their own."""
    named: NDArray[np.bool_] = rows["action"] == _NAMED
    return named


def accepted_id(merge: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The ids of the accepted contributions of merges, by the hashes of the merges' own ids."""
    return merge * _SPREAD + np.uint64(1)


def turns_of(rows: Rows, projects: Sequence[str]) -> list[Turn]:
    """The turns that rows are (`is_turn`); `projects` are the names that their `project` counts from 1.

    The id of a named contribution must be that of its merge's accepted contribution already.
    """
    threads = (rows["repository"] ^ rows["thread"].astype(np.uint64) * _SPREAD).tolist()
    ids = np.where(rows["action"] == _MERGED, accepted_id(rows["id"]), rows["id"]).tolist()
    found = []
    columns = ("time", "actor", "action", "flags", "repository", "thread", "code", "artefact", "project")
    for thread, key, (at, actor, action, flags, repository, number, code, artefact, project) in zip(
        threads, ids, zip(*(rows[name].tolist() for name in columns), strict=True), strict=True
    ):
        turn = _TURNS[action]
        kind = turn << 1 | flags & BOT
        if turn == OPENED:
            found.append(Turn(thread, key, kind, at, actor))
            continue
        accepted = code >> FEATURE_BITS << FEATURE_BITS | _ACCEPTED
        name = projects[project - 1] if project else ""
        place = MergePlace(repository, number, accepted, artefact, flags & SIMULATED > 0, name)
        found.append(Turn(thread, key, kind, at, actor, place.pack()))
    return found


_NO_NUMBERS: Final = np.empty(0, np.uint32)


class Published(NamedTuple):
    """A credit as it was sent: a row without its `project`, and that project's name."""

    row: tuple[int, ...]
    project: str


class Credits:
    """The turns of a partition's threads, and the credits that were published for their merges."""

    def __init__(self) -> None:
        self._threads = Threads()
        self._sent = SentCredits()

    def is_new(self, turn: Turn, watermark: int | None) -> bool:
        """Whether the source has not named this accepted contribution before."""
        held = _kept(self._threads.find({turn.thread}).get(turn.thread, []), oldest_turn(watermark))
        return all(own.id != turn.id or own.action != NAMED for own in held)

    def take(self, turns: Collection[Turn], watermark: int | None) -> list[Published]:
        """Take the turns of one batch at its watermark. Returns the rows that they add or withdraw."""
        fresh: dict[int, list[Turn]] = {}
        for turn in turns:
            fresh.setdefault(turn.thread, []).append(turn)
        held = self._threads.find(fresh.keys())
        for turn in turns:
            self._threads.put(turn)
        oldest = oldest_turn(watermark)
        rows: list[Published] = []
        for thread, new in fresh.items():
            old = _kept(held.get(thread, []), oldest)
            both = old + new
            after = credited(both)
            if not after:
                continue
            before = credited(old)
            for key, credit in after.items():
                if credit == before.get(key) or is_late(credit.at, watermark):
                    continue
                sent = self._sent.get(key)
                if sent is not None and is_late(sent.row[0], watermark):
                    sent = None
                if key not in before and sent is not None and not _is_merged(key, new):
                    # The credit came from an opening that has been forgotten: it counts more than what a source names.
                    continue
                if sent is not None:
                    rows.append(Published((*sent.row[:-1], -1), sent.project))
                place = min((turn.kind, turn.place) for turn in both if turn.id == key and turn.action != OPENED)[1]
                now = _published(key, credit, place)
                self._sent.put(key, now)
                rows.append(now)
        if oldest is not None and self._threads.waiting > _WAITING + len(self._threads.packed.threads) // 8:
            self._threads.forget(oldest)
        return rows

    def learn(self, rows: Rows, projects: Sequence[str], threads: Threads) -> None:
        """Restore from a record of an earlier run."""
        own = rows[is_turn(rows)]
        for turn in turns_of(own, projects):
            self._threads.put(turn)
        if len(threads):
            for turn in threads.get():
                self._threads.put(turn)
        # A withdrawn credit always goes to another account, so the last row that adds is the valid one.
        names = ["", *projects]
        for row in rows[(rows["flags"] & CREDITED > 0) & (rows["n"] > 0)].tolist():
            project = row[_PROJECT]
            self._sent.put(row[1], Published((*row[:_PROJECT], 0, *row[_PROJECT + 1 :]), names[project]))

    def forget(self, watermark: int) -> None:
        """Drop turns and credits that no later batch can change."""
        oldest = oldest_turn(watermark)
        if oldest is not None:
            self._threads.forget(oldest)
        self._sent.forget(watermark)

    def held(self) -> tuple[bytes, Rows, NDArray[np.uint32], list[str]]:
        """Everything: the turns, the credits as rows, the numbers and names of their projects."""
        return (self._threads.snapshot(), *self._sent.held())

    def restore(self, threads: bytes, rows: Rows, numbers: NDArray[np.uint32], projects: list[str]) -> None:
        """Restore what `held` returned."""
        self._threads = Threads.restore(threads)
        self._sent = SentCredits(rows, numbers, projects)


class SentCredits:
    """The valid credits by id of the accepted contribution: recent ones in a dictionary, all others packed."""

    def __init__(self, rows: Rows = NO_ROWS, numbers: NDArray[np.uint32] = _NO_NUMBERS, projects: Sequence[str] = ()):
        """`numbers` count the names of the rows' projects from 1; `rows` are sorted by id."""
        self._rows, self._numbers = rows, numbers
        self._ids = np.ascontiguousarray(rows["id"])
        self._projects = {name: number for number, name in enumerate(["", *projects])}
        self._names = ["", *projects]
        self._recent: dict[int, Published] = {}

    def get(self, key: int) -> Published | None:
        """The credit for an id."""
        recent = self._recent.get(key)
        if recent is not None:
            return recent
        place = int(self._ids.searchsorted(np.uint64(key)))
        if place == len(self._ids) or int(self._ids[place]) != key:
            return None
        return Published(self._rows[place].item(), self._names[self._numbers[place]])

    def put(self, key: int, sent: Published) -> None:
        """Set the credit for an id."""
        self._recent[key] = sent
        if len(self._recent) > _WAITING + len(self._rows) // 8:
            self._pack()

    def _pack(self) -> None:
        if not self._recent:
            return
        fresh = np.array([sent.row for sent in self._recent.values()], ROW)
        numbers = np.array([self._number(sent.project) for sent in self._recent.values()], np.uint32)
        kept = ~np.isin(self._ids, fresh["id"])
        rows = np.concatenate((self._rows[kept], fresh))
        order = np.argsort(rows["id"])
        self._rows, self._numbers = rows[order], np.concatenate((self._numbers[kept], numbers))[order]
        self._ids = np.ascontiguousarray(self._rows["id"])
        self._recent = {}

    def _number(self, name: str) -> int:
        number = self._projects.setdefault(name, len(self._projects))
        if number == len(self._names):
            self._names.append(name)
        return number

    def forget(self, watermark: int) -> None:
        """Drop credits that no later batch can change."""
        self._pack()
        times = self._rows["time"]
        late = times - times % MINUTE < watermark - ACCEPTED
        if late.any():
            self._rows, self._numbers, self._ids = self._rows[~late], self._numbers[~late], self._ids[~late]

    def held(self) -> tuple[Rows, NDArray[np.uint32], list[str]]:
        """All of them as rows, sorted by id, with the numbers and names of their projects."""
        self._pack()
        return self._rows, self._numbers, self._names[1:]


def rows_of(credits: Sequence[Published], number: Callable[[str], int]) -> Rows:
    """Credits as rows; `number` gives the number of a project's name, 0 where it cannot have one."""
    if not credits:
        return NO_ROWS
    rows = np.array([sent.row for sent in credits], ROW)
    rows["project"] = [number(sent.project) if sent.project else 0 for sent in credits]
    rows["flags"][rows["project"] == 0] &= ~np.uint8(WATCHED)
    return rows


def is_late(time: int, watermark: int | None) -> bool:
    """Whether a minute is too old to be counted: its ids may be forgotten, and with them its duplicates."""
    return watermark is not None and time - time % MINUTE < watermark - ACCEPTED


def _kept(turns: list[Turn], oldest: int | None) -> list[Turn]:
    return turns if oldest is None else [turn for turn in turns if turn.at >= oldest]


def _is_merged(key: int, turns: Iterable[Turn]) -> bool:
    return any(turn.id == key and turn.action == MERGED for turn in turns)


def _published(key: int, credit: Credit, place: bytes) -> Published:
    repository, thread, code, artefact, simulated, project = MergePlace.unpack(place)
    flags = CREDITED | BOT * credit.bot | WATCHED * bool(project) | SIMULATED * simulated
    row = (credit.at, key, repository, credit.actor, 0, 0, thread, 0, code, _PULL, _NAMED, flags, 0, artefact, 0, 1)
    return Published(row, project)
