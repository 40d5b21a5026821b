"""The sums of one window and scope, which rows enter and leave."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.facts import BOT, STATED, Rows
from agents.operators.keys import Keys, starts_of_runs
from agents.operators.tally import RunningTally, Values, sum_tallies
from agents.operators.top import NamesOf, Top
from agents.operators.window import CommitSum, ProjectSum, WindowSums
from streams.activity import ARTEFACTS, PLATFORMS
from streams.codes import CODE_BITS, CODES, FEATURE_BITS, HASH_MASK, PLATFORM_BITS, names_of

# A key of a project: its number, the artefact, the code.
_ARTEFACT_BITS: Final = 8
_PLATFORMS: Final = 1 << PLATFORM_BITS
Summed = tuple[Keys, Values]


class Sum(NamedTuple):
    """The sum of some rows. `codes[code << 1 | bot]` are activities; `commits[0]` by platform the commits of people,
    `commits[1]` how many of their activities stated a number; the others are tallies of human activities.
    """

    codes: NDArray[np.int64]
    commits: NDArray[np.int64]
    projects: Summed
    repositories: Summed
    people: Summed

    @classmethod
    def of(cls, rows: Rows) -> "Sum":
        """The sum of rows, of which those with `n` = -1 count negatively."""
        n, code, bot = rows["n"].astype(np.int64), rows["code"], rows["flags"] & BOT
        codes = _count(code.astype(np.intp) << 1 | bot, n, 2 * CODES)
        if bot.any():
            rows = rows[bot == 0]
            n, code = rows["n"].astype(np.int64), rows["code"]
        low = code.astype(np.uint64)
        return cls(
            codes,
            _commits(rows, n),
            _projects(rows, n, low),
            _tally(rows["repository"] & np.uint64(HASH_MASK) | low, n),
            _tally(rows["actor"] & np.uint64(HASH_MASK) | low, n),
        )

    @classmethod
    def total(cls, parts: Sequence["Sum"]) -> "Sum":
        """One sum of several."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.sum([part.codes for part in parts], axis=0),
            np.sum([part.commits for part in parts], axis=0),
            *(sum_tallies(own) for own in zip(*(part[2:] for part in parts), strict=True)),
        )


def _count(places: NDArray[np.intp], n: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    # Weights are floating-point numbers; sums of rows stay far below 2^53, where these are exact.
    return np.bincount(places, n, size).astype(np.int64)


def _commits(rows: Rows, n: NDArray[np.int64]) -> NDArray[np.int64]:
    stated = rows["flags"] & STATED > 0
    platform = (rows["code"][stated] >> np.uint8(FEATURE_BITS)).astype(np.intp)
    own = n[stated]
    return np.array([_count(platform, own * rows["commits"][stated], _PLATFORMS), _count(platform, own, _PLATFORMS)])


def _projects(rows: Rows, n: NDArray[np.int64], low: Keys) -> Summed:
    own = np.flatnonzero(rows["project"])
    project, artefact = rows["project"][own].astype(np.uint64), rows["artefact"][own].astype(np.uint64)
    key = (project << np.uint64(_ARTEFACT_BITS) | artefact) << np.uint64(CODE_BITS) | low[own]
    return _tally(key, n[own])


def _tally(keys: Keys, n: NDArray[np.int64]) -> Summed:
    """Sorted unique keys with the sums of their numbers, each 1 or -1."""
    plus = n > 0
    if plus.all():
        return _numbers(keys)
    added, (gone, numbers) = _numbers(keys[plus]), _numbers(keys[~plus])
    return sum_tallies([added, (gone, -numbers)])


def _numbers(keys: Keys) -> Summed:
    keys = np.sort(keys)
    starts = starts_of_runs(keys)
    return keys[starts], np.diff(starts, append=len(keys))


class RunningSum:
    """The running sum of one scope and window. Invariant: it is the sum of the rows inside the window."""

    def __init__(self) -> None:
        self.codes = np.zeros(2 * CODES, np.int64)
        self.commits = np.zeros((2, _PLATFORMS), np.int64)
        self.projects, self.repositories, self.people = RunningTally(), RunningTally(), RunningTally()
        self.changed = True

    def add(self, own: Sum) -> None:
        """Rows enter."""
        self._change(own, 1)

    def remove(self, own: Sum) -> None:
        """Rows leave."""
        self._change(own, -1)

    def _change(self, own: Sum, sign: int) -> None:
        self.codes += sign * own.codes
        self.commits += sign * own.commits
        tallies = (self.projects, self.repositories, self.people)
        for tally, (keys, numbers) in zip(tallies, own[2:], strict=True):
            tally.add(keys, sign * numbers)
        self.changed = True

    @property
    def below_zero(self) -> int:
        """Sums that were below 0 at the last evaluation: a row was withdrawn that was never sent."""
        tallies = self.projects, self.repositories, self.people
        return int(np.count_nonzero(self.codes < 0)) + sum(tally.below_zero for tally in tallies)

    def sums(self, scope: str, name: str, projects: Sequence[str], names: NamesOf, top: Top) -> WindowSums:
        """The sums for the families of metrics. Valid until the next change."""
        humans = {names_of(code): n for code, n in enumerate(self.codes[::2].tolist()) if n > 0}
        commits = {platform: CommitSum(*self.commits[:, number].tolist()) for number, platform in enumerate(PLATFORMS)}
        keys, numbers = self.projects.get()
        by_project = [_project_sum(key, n, projects) for key, n in zip(keys.tolist(), numbers.tolist(), strict=True)]
        return WindowSums(
            scope, name, humans, commits, by_project, self.repositories.get(), self.people.get(), names, top
        )


def _project_sum(key: int, n: int, projects: Sequence[str]) -> ProjectSum:
    platform, feature = names_of(key & CODES - 1)
    artefact = ARTEFACTS[key >> CODE_BITS & (1 << _ARTEFACT_BITS) - 1]
    return ProjectSum(projects[(key >> CODE_BITS + _ARTEFACT_BITS) - 1], platform, artefact, feature, n)
