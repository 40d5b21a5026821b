"""Everything that is measured of one scope and window, from its sums: METRICS A and B in one place."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np

from agents.measurements import Measurement
from agents.operators.correlation import correlations
from agents.operators.histogram import Histogram
from agents.operators.intensity import intensity
from agents.operators.keys import Keys, starts_of_runs
from agents.operators.mann_whitney import mann_whitney
from agents.operators.tally import Values
from agents.operators.top import NamesOf, Top
from streams.activity import COMPARED, FEATURES, PLATFORMS

PREFIX: Final = "nomadwatch_"
OTHER: Final = "_other"
_PUBLICATION: Final = FEATURES.index("publication")
# What people do to a release; what its makers commit to it is not engagement.
_ENGAGEMENT: Final = [FEATURES.index(name) for name in ("exchange", "review", "preference", "adaptation")]

Labels = dict[str, str]


class _Population(NamedTuple):
    """The repositories of a platform that were active in any feature: by feature the histogram of their activities,
    zeros included.

    Without `accepted` where nothing was.
    """

    histograms: dict[str, Histogram]
    correlations: dict[tuple[str, str], float]


def evaluate(
    scope: str,
    window: str,
    counts: Mapping[str, int],
    repositories: tuple[Keys, Values],
    people: tuple[Keys, Values],
    names_of: NamesOf,
    top: Top,
) -> list[Measurement]:
    """The measurements of a window; what is not known, or has an empty denominator, is absent.

    `repositories` and `people` are sorted keys (`hash & ~15 | platform << 3 | feature`) and their numbers of human
    activities. `counts` are named counters: `PLATFORM/FEATURE/human|bot`, `PLATFORM/commits` and
    `PLATFORM/commits_stated`, and `project/PROJECT/PLATFORM/ARTEFACT/FEATURE`. `names_of` takes keys of repositories
    with the feature's three bits 0.

    The figures come from exact integers: the same sums give the same bits, in whatever order they were merged.
    """
    labels = {"scope": scope, "window": window}
    measurements = [*_activity(labels, counts), *_commits(labels, counts)]
    if scope == "watched":
        measurements += _project_activity(window, counts)
    measurements += _active(labels, "developers", people[0])
    measurements += _active(labels, "repositories", repositories[0])
    populations: dict[str, _Population] = {}
    for platform, (keys, values) in _by_platform(*repositories):
        own = labels | {"platform": platform}
        measurements += _top(own, keys, values, names_of, top)
        if scope == "watched":
            measurements += _releases(own, keys, values, names_of, top)
        populations[platform] = _population(keys, values)
        measurements += _intensity(own, populations[platform])
    if populations.keys() >= set(COMPARED):
        measurements += _comparison(labels, *(populations[platform].histograms for platform in COMPARED))
    return measurements


def totals(scope: str, counts: Mapping[str, int]) -> list[Measurement]:
    """The counters since the state began, from counts by `PLATFORM/FEATURE/human|bot`; other names are passed over."""
    found: list[Measurement] = []
    for key, n in sorted(counts.items()):
        match key.split("/"):
            case [platform, feature, actor]:
                labels = {"scope": scope, "platform": platform, "feature": feature, "actor": actor}
                found.append(_measurement("activities_total", labels, n))
    return found


def _releases(labels: Labels, keys: Keys, values: Values, names_of: NamesOf, top: Top) -> Iterator[Measurement]:
    """What was published in the window, and what people did to it: METRICS F, with the window as the time since the
    release.
    """
    repositories, features = keys & ~np.uint64(7), keys & np.uint64(7)
    published = repositories[features == _PUBLICATION]
    if not len(published):
        return
    engaged = np.isin(features, _ENGAGEMENT) & np.isin(repositories, published)
    places = np.searchsorted(published, repositories[engaged])
    engagement = np.zeros(len(published), np.int64)
    np.add.at(engagement, places, values[engaged])
    for name, n in top.choose((labels["platform"], "release"), published, engagement, names_of).chosen:
        yield _measurement(
            "release_engagement", {"platform": labels["platform"], "window": labels["window"], "release": name}, n
        )


def _measurement(name: str, labels: Labels, value: float) -> Measurement:
    return Measurement(PREFIX + name, labels, float(value))


def _activity(labels: Labels, counts: Mapping[str, int]) -> Iterator[Measurement]:
    for platform in PLATFORMS:
        for feature in FEATURES:
            n = counts.get(f"{platform}/{feature}/human", 0)
            if n:
                yield _measurement("activity", labels | {"platform": platform, "feature": feature}, n)


def _commits(labels: Labels, counts: Mapping[str, int]) -> Iterator[Measurement]:
    """Where at least one activity stated its number of commits: then 0 is a known number."""
    for platform in PLATFORMS:
        if counts.get(f"{platform}/commits_stated"):
            yield _measurement("commits", labels | {"platform": platform}, counts.get(f"{platform}/commits", 0))


def _project_activity(window: str, counts: Mapping[str, int]) -> Iterator[Measurement]:
    for key, n in sorted(counts.items()):
        if key.startswith("project/"):
            project, platform, artefact, feature = key.removeprefix("project/").rsplit("/", 3)
            labels = {
                "project": project,
                "platform": platform,
                "artefact": artefact,
                "feature": feature,
                "window": window,
            }
            yield _measurement("project_activity", labels, n)


def _active(labels: Labels, who: str, keys: Keys) -> Iterator[Measurement]:
    """How many different keys each platform and feature has."""
    numbers = np.bincount((keys & np.uint64(15)).astype(np.intp), minlength=16).tolist()
    for p, platform in enumerate(PLATFORMS):
        for f, feature in enumerate(FEATURES):
            if numbers[p << 3 | f]:
                yield _measurement(
                    f"active_{who}", labels | {"platform": platform, "feature": feature}, numbers[p << 3 | f]
                )


def _by_platform(keys: Keys, values: Values) -> Iterator[tuple[str, tuple[Keys, Values]]]:
    """The platforms that have an active repository, with their keys."""
    bits = keys >> np.uint64(3) & np.uint64(1)
    for number, platform in enumerate(PLATFORMS):
        own = bits == number
        if own.any():
            yield platform, (keys[own], values[own])


def _top(labels: Labels, keys: Keys, values: Values, names_of: NamesOf, top: Top) -> Iterator[Measurement]:
    repositories, features = keys & ~np.uint64(7), keys & np.uint64(7)
    for number, feature in enumerate(FEATURES):
        own = features == number
        if not own.any():
            continue
        chosen, other = top.choose((labels["platform"], feature), repositories[own], values[own], names_of)
        for name, n in [*chosen, (OTHER, other)]:
            if n:
                yield _measurement("top_repository_activity", labels | {"feature": feature, "repository": name}, n)


def _population(keys: Keys, values: Values) -> _Population:
    repositories = len(starts_of_runs(keys >> np.uint64(3)))
    features = keys & np.uint64(7)
    histograms = {}
    for number, feature in enumerate(FEATURES):
        own = values[features == number]
        if feature == "accepted" and not len(own):
            # Minimised archives tell of no merge, which is unknown and no zero; who could tell and had none is not told
            # apart.
            continue
        histograms[feature] = Histogram.of(own, zeros=repositories - len(own))
    return _Population(histograms, correlations(keys, values))


def _intensity(labels: Labels, population: _Population) -> Iterator[Measurement]:
    for feature, histogram in population.histograms.items():
        for stat, value in intensity(histogram).items():
            yield _measurement("intensity", labels | {"feature": feature, "stat": stat}, value)
    for (a, b), r in population.correlations.items():
        yield _measurement("feature_correlation", labels | {"a": a, "b": b}, r)


def _comparison(labels: Labels, github: dict[str, Histogram], hub: dict[str, Histogram]) -> Iterator[Measurement]:
    """Open-source software against open models, feature by feature."""
    for feature in [feature for feature in FEATURES if feature in github and feature in hub]:
        own = labels | {"feature": feature}
        a, b = github[feature], hub[feature]
        if b.total:
            yield _measurement("intensity_gap_ratio", own, a.total * b.n / (a.n * b.total))
        test = mann_whitney(a, b)
        if test is None:
            continue
        yield _measurement("mann_whitney_u", own, test.u)
        yield _measurement("dominance_ratio", own, test.dominance)
        if test.z is not None and test.p is not None:
            yield _measurement("mann_whitney_z", own, test.z)
            yield _measurement("mann_whitney_p", own, test.p)
