"""Batches become rows: the columns of many batches side by side, as `agents.facts` has them."""

from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from agents.facts import BOT, MOST_PROJECTS, ROW, SIMULATED, SMALL, STATED, WATCHED, Rows
from streams import columns as wire
from streams.activity import hash_name
from streams.codes import ACTION, AFFILIATION, ARTEFACT, CODE, KIND, RELATION
from streams.columns import Act, Columns

_COMMITS_MOST: Final = (1 << 32) - 1
_THREADS: Final = (1 << 32) - 1
# A project's name is the watchlist's, and a few letters long.
_LONGEST: Final = 200
_MOST_TEXT: Final = 1 << 20
_RESERVED: Final = 8192


class _Deeds(dict[Act, int]):
    """What was done as the eight columns of one byte, with `n` = 1 and no flags; filled as they are met."""

    def __missing__(self, deed: Act) -> int:
        if len(self) >= 4096:
            self.clear()
        row = np.zeros(1, ROW)
        row["code"] = CODE[deed.platform, deed.kind, deed.action]
        row["kind"], row["action"], row["artefact"] = KIND[deed.kind], ACTION[deed.action], ARTEFACT[deed.artefact]
        row["n"] = 1
        small = self[deed] = int(row.view(SMALL)["small"][0])
        return small


_DEEDS: Final = _Deeds()


class Projects:
    """The numbers of projects in the record to come, from 1. What no watchlist can have named gets 0: as if nobody
    watched it.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self._text = 0

    def number(self, name: str) -> int:
        """Of a project that an activity states; some numbers are left for those of credits."""
        number = self.numbers.get(name)
        if number is None:
            if len(self.numbers) >= MOST_PROJECTS - _RESERVED or len(name) > _LONGEST or self._text > _MOST_TEXT:
                return 0
            self._text += len(name)
            number = self.numbers[name] = len(self.numbers) + 1
        return number

    def known(self, name: str) -> int:
        """Of a project that was stated before, in whatever record."""
        if len(self.numbers) >= MOST_PROJECTS:
            return self.numbers.get(name, 0)
        return self.numbers.setdefault(name, len(self.numbers) + 1)


class Gathered(NamedTuple):
    """The rows of some batches; of each the place of its repository in `repositories` and `names`; where each batch
    begins.
    """

    rows: Rows
    entries: NDArray[np.intp]
    repositories: NDArray[np.uint64]
    names: list[str]
    begins: NDArray[np.intp]


def gather(batches: Sequence[Columns], projects: Projects) -> Gathered:
    """The rows of batches, in their order."""
    counts = np.array([batch.count for batch in batches])
    begins = np.cumsum(counts) - counts
    rows = np.zeros(int(counts.sum()), ROW)
    rows["time"] = np.concatenate([batch.occurred_at for batch in batches])
    digest = xxhash.xxh3_64_intdigest
    texts = chain.from_iterable([batch.ids for batch in batches])
    rows["id"] = np.fromiter(map(digest, map(str.encode, texts)), np.uint64, len(rows))
    rows["actor"] = np.concatenate([batch.actor for batch in batches])

    repositories = np.concatenate([batch.repository_ids for batch in batches])
    names = [name for batch in batches for name in batch.names]
    sizes = np.array([len(batch.names) for batch in batches])
    entries = np.concatenate([batch.repository for batch in batches]) + np.repeat(np.cumsum(sizes) - sizes, counts)
    rows["repository"] = repositories[entries]

    deeds = np.array([_DEEDS[deed] for batch in batches for deed in batch.deeds], np.uint64)
    sizes = np.array([len(batch.deeds) for batch in batches])
    deed = np.concatenate([batch.deed for batch in batches]) + np.repeat(np.cumsum(sizes) - sizes, counts)
    rows.view(SMALL)["small"] = deeds[deed]

    commits = np.concatenate([batch.commits for batch in batches])
    rows["commits"] = np.clip(commits, 0, _COMMITS_MOST)
    thread = np.concatenate([batch.thread for batch in batches])
    # Numbers that no source has fold onto others: a thread is known by its repository and this number.
    rows["thread"] = np.where(thread > 0, (thread - 1) % _THREADS + 1, 0)
    flags = np.concatenate([batch.flags for batch in batches])
    flags = (flags & wire.BOT) * BOT | (flags & wire.SIMULATED > 0) * SIMULATED | (commits >= 0) * STATED
    if any(batch.projects for batch in batches):
        numbers = np.zeros(len(repositories), np.uint16)
        begin = 0
        for batch in batches:
            for place, project in batch.projects.items():
                numbers[begin + place] = projects.number(project)
            begin += len(batch.names)
        rows["project"] = numbers[entries]
        flags = flags | (rows["project"] > 0) * WATCHED
    rows["flags"] = flags
    _put_details(rows, batches, begins)
    return Gathered(rows, entries, repositories, names, begins)


def _put_details(rows: Rows, batches: Sequence[Columns], begins: NDArray[np.intp]) -> None:
    """What few activities have."""
    for batch, begin in zip(batches, begins.tolist(), strict=True):
        for details in batch.details:
            if details.affiliation is not None:
                rows["affiliation"][begin + details.row] = AFFILIATION[details.affiliation]
            if details.family is not None:
                platform = batch.deeds[batch.deed[details.row]].platform
                rows["base"][begin + details.row] = hash_name(f"{platform}:{details.family}")
                rows["relation"][begin + details.row] = RELATION[details.relation]
