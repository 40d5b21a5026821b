"""The popularity of projects as the platforms state it. A failed answer does not make the sums jump."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from streams.activity import DAY

# How long (µs) the last stated number replaces a missing answer.
KEPT: Final = DAY


class Level(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A number that a platform stated of a repository, and when (µs)."""

    value: int
    at: int


class RepositoryLevels(NamedTuple):
    """A repository's levels by kind, and when it was last asked for (µs), whether or not it answered."""

    levels: Mapping[str, Level]
    asked: int


class Popularity(NamedTuple):
    """A project's sum of one kind. Repositories that did not answer when last asked count with their last number.

    `answered`: the share (0 to 1) of its repositories that answered when last asked. `counted`: the share that is in
    the sum. `value` is None if none is.
    """

    project: str
    artefact: str
    kind: str
    value: int | None
    answered: float
    counted: float


def total(
    project: str,
    artefact: str,
    kinds: Sequence[str],
    repositories: Iterable[RepositoryLevels],
    now: int,
    *,
    unknown: int = 0,
) -> Iterator[Popularity]:
    """A row for each kind; no rows for a project without repositories. `unknown`: how many repositories have no
    numbers.

    >>> fresh = RepositoryLevels({"stars": Level(5, DAY)}, DAY)
    >>> late = RepositoryLevels({"stars": Level(2, 1)}, DAY)
    >>> list(total("olmo", "software", ["stars"], [fresh, late], DAY))
    [Popularity(project='olmo', artefact='software', kind='stars', value=7, answered=0.5, counted=1.0)]
    >>> [(row.value, row.counted) for row in total("olmo", "software", ["stars"], [fresh, late], DAY + 2)]
    [(5, 0.5)]
    """
    known = list(repositories)
    everything = len(known) + unknown
    if not everything:
        return
    for kind in kinds:
        levels = [(each.levels[kind], each.asked) for each in known if kind in each.levels]
        counted = [level.value for level, _ in levels if level.at >= now - KEPT]
        answered = sum(level.at >= max(asked, now - KEPT) for level, asked in levels)
        value = sum(counted) if counted else None
        yield Popularity(project, artefact, kind, value, answered / everything, len(counted) / everything)
