"""The sums of a window, from which families of metrics are computed."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from agents.operators.histogram import Histogram
from agents.operators.keys import Keys, starts_of_runs
from agents.operators.tally import Counts
from agents.operators.top import NamesOf, Ranking, Slot, Top
from streams.activity import FEATURES, PLATFORMS
from streams.codes import CODES, FEATURE_BITS, FEATURE_MASK, names_of

_LOW: Final = np.uint64(CODES - 1)
_FEATURE: Final = np.uint64(FEATURE_MASK)


class ProjectSum(NamedTuple):
    """Human activities of one feature in a project's repositories of one kind."""

    project: str
    platform: str
    artefact: str
    feature: str
    n: int


class CommitSum(NamedTuple):
    """Commits of people on a platform, and how many activities stated a number of them."""

    commits: int
    stated: int


class WindowSums:
    """The sums of one scope and window.

    `humans` counts human activities by (platform, feature), `commits` by platform. `repositories` and `people` are
    sorted keys (a hash whose low CODE_BITS are a code of `streams.codes`) and their numbers of human activities. All
    sums are exact integers: the same rows give the same figures, in whatever order they came.
    """

    def __init__(
        self,
        scope: str,
        name: str,
        humans: Mapping[tuple[str, str], int],
        commits: Mapping[str, CommitSum],
        projects: Sequence[ProjectSum],
        repositories: tuple[Keys, Counts],
        people: tuple[Keys, Counts],
        names: NamesOf,
        top: Top,
    ) -> None:
        self.scope, self.name = scope, name
        self.humans, self.commits, self.projects = humans, commits, projects
        self.repositories, self.people = repositories, people
        self._names, self._top = names, top

    @property
    def labels(self) -> dict[str, str]:
        """The labels of this scope and window."""
        return {"scope": self.scope, "window": self.name}

    @cached_property
    def platforms(self) -> dict[str, tuple[Keys, Counts]]:
        """For each platform with an active repository its part of `repositories`."""
        keys, values = self.repositories
        numbers = (keys & _LOW).astype(np.uint8) >> np.uint8(FEATURE_BITS)
        found = {}
        for number in np.flatnonzero(np.bincount(numbers, minlength=1)).tolist():
            own = numbers == number
            found[PLATFORMS[number]] = (keys, values) if own.all() else (keys[own], values[own])
        return found

    @cached_property
    def histograms(self) -> dict[str, dict[str, Histogram]]:
        """By platform and feature: the activities per repository, over the repositories that were active in any
        feature, zeros included.
        """
        return {platform: _histograms(*own) for platform, own in self.platforms.items()}

    def rank(self, slot: Slot, keys: Keys, values: Counts) -> Ranking:
        """The busiest of some repositories by name (see `Top`)."""
        return self._top.choose(slot, keys, values, self._names)


def _histograms(keys: Keys, values: Counts) -> dict[str, Histogram]:
    repositories = len(starts_of_runs(keys >> np.uint64(FEATURE_BITS)))
    features = keys & _FEATURE
    found = {}
    for number, feature in enumerate(FEATURES):
        own = values[features == number]
        if feature == "accepted" and not len(own):
            # Minimised archives do not record merges: absent means unknown. A source that recorded none looks the
            # same.
            continue
        found[feature] = Histogram.of(own, zeros=repositories - len(own))
    return found


def by_feature(keys: Keys, values: Counts) -> Iterator[tuple[str, Keys, Counts]]:
    """Each feature among one platform's keys, with its repositories (keys without the feature) and counts."""
    repositories, features = keys & ~_FEATURE, keys & _FEATURE
    for number, feature in enumerate(FEATURES):
        own = features == number
        if own.any():
            yield feature, repositories[own], values[own]


def distinct(keys: Keys) -> Iterator[tuple[str, str, int]]:
    """(platform, feature, number of different keys) where there are any.

    >>> list(distinct(np.array([0x100, 0x200, 0x212], np.uint64)))
    [('github', 'contribution', 2), ('huggingface', 'exchange', 1)]
    """
    numbers = np.bincount((keys & _LOW).astype(np.intp), minlength=1)
    for code in np.flatnonzero(numbers).tolist():
        yield *names_of(code), int(numbers[code])
