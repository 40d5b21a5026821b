"""Merges credited to those who opened the pull requests: which rows a batch of turns adds, and which it withdraws.

Whom a merge is credited to follows from the turns that are known (see `operators.accepted`). What was published for it
is remembered, so that a withdrawal is exactly the row that was sent, whatever is known by then.
"""

import struct
from collections.abc import Collection, Iterable
from typing import Final

import numpy as np
import xxhash

from agents.facts import BOT, CREDITED, ROW, SIMULATED, WATCHED, Rows
from agents.operators.accepted import Credit, credited
from agents.operators.grains import ACCEPTED, oldest_day
from agents.operators.threads import ACCEPTED as NAMED
from agents.operators.threads import MERGED, OPENED, Threads, Turn
from streams.activity import MINUTE, Activity
from streams.codes import ACTION, ARTEFACT, KIND, code_of

_TURNS: Final = {"opened": OPENED, "merged": MERGED, "accepted": NAMED}
_SPREAD: Final = 0x9E37_79B9_7F4A_7C15
_KEY_BITS: Final = (1 << 64) - 1
# Of a merge: repository, thread, code, artefact, simulated; behind it the project's name.
_PLACE: Final = struct.Struct("<QIBB?")
# Old turns are dropped when this many wait to be packed, or an eighth of all.
_WAITING: Final = 4096


def turn_of(activity: Activity, key: int) -> Turn | None:
    """The turn that an activity is for its thread, if it is one; `key` is the hash of its id.

    A merge gets the key of the accepted contribution that it makes.
    """
    if activity.kind != "pull_request" or activity.thread is None or activity.action not in _TURNS:
        return None
    action = _TURNS[activity.action]
    thread = (activity.repo_id ^ activity.thread * _SPREAD) & _KEY_BITS
    kind = action << 1 | activity.bot
    if action == OPENED:
        return Turn(thread, key, kind, activity.occurred_at, activity.actor)
    if action == MERGED:
        key = xxhash.xxh3_64_intdigest(f"{activity.id}:accepted".encode())
    code = code_of(activity.platform, "accepted")
    number = activity.thread if 0 <= activity.thread < 1 << 32 else 0
    place = _PLACE.pack(activity.repo_id, number, code, ARTEFACT[activity.artefact], activity.simulated)
    return Turn(thread, key, kind, activity.occurred_at, activity.actor, place + (activity.project or "").encode())


class Credits:
    """The turns of a partition's threads, and the credits that were published for their merges."""

    def __init__(self) -> None:
        self._threads = Threads()
        # {id of the accepted contribution: its row, the name of its project}
        self._published: dict[int, tuple[Rows, str]] = {}

    def is_new(self, turn: Turn, watermark: int | None) -> bool:
        """Whether the source has not named this accepted contribution before."""
        held = _kept(self._threads.find({turn.thread}).get(turn.thread, []), oldest_day("all", watermark))
        return all(own.id != turn.id or own.action != NAMED for own in held)

    def take(self, turns: Collection[Turn], watermark: int | None) -> list[tuple[Rows, str]]:
        """Take up the turns of one batch at its watermark; the rows that they add or withdraw, one by one with their
        projects' names.
        """
        fresh: dict[int, list[Turn]] = {}
        for turn in turns:
            fresh.setdefault(turn.thread, []).append(turn)
        held = self._threads.find(fresh.keys())
        for turn in turns:
            self._threads.put(turn)
        oldest = oldest_day("all", watermark)
        rows: list[tuple[Rows, str]] = []
        for thread, new in fresh.items():
            old = _kept(held.get(thread, []), oldest)
            before, after = credited(old), credited(old + new)
            for key, credit in after.items():
                if credit == before.get(key):
                    continue
                if key not in before and self._standing(key, watermark) and not _is_merged(key, new):
                    # Credited for an opening that is no longer known, which says more than what a source names now.
                    continue
                if is_late(credit.at, watermark):
                    continue
                rows += self._change(key, credit, [*old, *new], watermark)
        self._tidy(oldest)
        return rows

    def _standing(self, key: int, watermark: int | None) -> tuple[Rows, str] | None:
        """What was published for a merge, if it can still change. What is too old is unknown whether or not it was
        dropped already: a worker that has restarted has other moments of dropping than one that has not.
        """
        published = self._published.get(key)
        return None if published is None or is_late(int(published[0]["time"][0]), watermark) else published

    def _change(self, key: int, credit: Credit, known: Iterable[Turn], watermark: int | None) -> list[tuple[Rows, str]]:
        rows: list[tuple[Rows, str]] = []
        if (published := self._standing(key, watermark)) is not None:
            row, project = published
            withdrawn = row.copy()
            withdrawn["n"] = -1
            rows.append((withdrawn, project))
        place = min((turn.kind, turn.place) for turn in known if turn.id == key and turn.action != OPENED)[1]
        self._published[key] = _row(key, credit, place)
        return [*rows, self._published[key]]

    def restore(self, rows: Rows, projects: Collection[str], threads: Threads) -> None:
        """Take up what a record of an earlier run says."""
        self._threads.merge(threads)
        names = ["", *projects]
        # A credit that is withdrawn is always given to another: the last row that adds is the one that stands.
        for row in rows[(rows["flags"] & CREDITED > 0) & (rows["n"] > 0)]:
            own = np.array([row], ROW)
            own["project"] = 0
            self._published[int(row["id"])] = own, names[int(row["project"])]

    def forget(self, watermark: int) -> None:
        """Drop turns and credits that no later batch can change."""
        oldest = oldest_day("all", watermark)
        if oldest is not None:
            self._threads.forget(oldest)
        for key in [key for key, (row, _) in self._published.items() if is_late(int(row["time"][0]), watermark)]:
            del self._published[key]

    def _tidy(self, oldest: int | None) -> None:
        if oldest is not None and self._threads.waiting > _WAITING + len(self._threads.packed.threads) // 8:
            self._threads.forget(oldest)


def is_late(time: int, watermark: int | None) -> bool:
    """Whether a minute is too old to be counted: ids of it may be forgotten, so that it could not be told from a
    duplicate.
    """
    return watermark is not None and time - time % MINUTE < watermark - ACCEPTED


def _kept(turns: list[Turn], oldest: int | None) -> list[Turn]:
    return turns if oldest is None else [turn for turn in turns if turn.at >= oldest]


def _is_merged(key: int, turns: Iterable[Turn]) -> bool:
    return any(turn.id == key and turn.action == MERGED for turn in turns)


def _row(key: int, credit: Credit, place: bytes) -> tuple[Rows, str]:
    repository, thread, code, artefact, simulated = _PLACE.unpack_from(place)
    project = place[_PLACE.size :].decode()
    row = np.zeros(1, ROW)
    row["time"], row["id"], row["actor"], row["n"] = credit.at, key, credit.actor, 1
    row["repository"], row["thread"], row["code"], row["artefact"] = repository, thread, code, artefact
    row["kind"], row["action"] = KIND["pull_request"], ACTION["accepted"]
    row["flags"] = CREDITED | BOT * credit.bot | WATCHED * bool(project) | SIMULATED * simulated
    return row, project
