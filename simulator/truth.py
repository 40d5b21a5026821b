"""The truth: every measurement of activity and intensity, from the deeds that arrived, by sets and dictionaries.

It is written to be obviously right, not fast: each window goes through all deeds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from simulator.accepted import credited
from simulator.clock import DAY, HOUR, MINUTE, rfc3339
from simulator.deed import FEATURES, PLATFORMS, Deed
from simulator.spread import correlations, mann_whitney, statistics

SCOPES: Final = ("all", "watched")
WINDOWS: Final = {"1h": (MINUTE, 60), "24h": (HOUR, 24), "7d": (HOUR, 168), "30d": (DAY, 30)}
BUSIEST: Final = 50
ENGAGEMENT: Final = ("exchange", "review", "preference", "adaptation")


class TrueFigure(NamedTuple):
    """A value with its name (without prefix) and labels."""

    name: str
    labels: dict[str, str]
    value: float


class StreamTruth:
    """What arrived, and what follows from it. Times in µs UTC."""

    def __init__(self) -> None:
        self.deeds: dict[str, Deed] = {}
        self.duplicates = 0
        self.files = 0
        self.dead_letters: Counter[str] = Counter()
        self.covered: dict[str, set[tuple[int, int]]] = defaultdict(set)
        self._front: int | None = None

    def arrive(self, deed: Deed, ingested_at: int) -> None:
        """A deed was read. A second time it counts as a duplicate; from the day after the next as a dead letter."""
        if deed.occurred_at > ingested_at + DAY:
            self.drop("future")
            return
        self._advance(min(deed.occurred_at, ingested_at + MINUTE))
        if deed.id in self.deeds:
            self.duplicates += 1
        else:
            self.deeds[deed.id] = deed

    def drop(self, reason: str) -> None:
        """A line was read that is no deed."""
        self.dead_letters[reason] += 1

    def mark(self, time: int) -> None:
        """Nothing older than this time is expected."""
        self._advance(time - 1)

    def cover(self, platform: str, start: int, end: int) -> None:
        """Everything of the platform between two times was seen."""
        self.covered[platform].add((start, end))

    @property
    def front(self) -> int:
        """The newest event time that is known to be past; windows end there."""
        if self._front is None:
            raise ValueError("nothing has arrived")
        return self._front

    def _advance(self, time: int) -> None:
        self._front = time if self._front is None else max(self._front, time)

    def measurements(self, *, include_bots: bool = False) -> list[TrueFigure]:
        """Every measurement at the front; with `include_bots` bots count as people."""
        deeds = credited(self.deeds.values())
        if include_bots:
            deeds = [deed._replace(bot=False) for deed in deeds]
        found: list[TrueFigure] = []
        for scope in SCOPES:
            seen = deeds if scope == "all" else [deed for deed in deeds if deed.project is not None]
            found += _totals(scope, seen)
            for window, (begin, end) in windows(self.front).items():
                people = [deed for deed in seen if not deed.bot and begin <= deed.occurred_at < end]
                found += _activity(scope, window, people)
                found += _busiest(scope, window, people)
                found += _intensity(scope, window, people)
                found += self._coverage(scope, window, begin, end)
                if scope == "watched":
                    found += [*_projects(window, people), *_releases(window, people)]
        return found

    def _coverage(self, scope: str, window: str, begin: int, end: int) -> Iterator[TrueFigure]:
        for platform, hours in self.covered.items():
            seen = sum(max(0, min(last, end) - max(first, begin)) for first, last in hours)
            yield TrueFigure(
                "window_coverage_ratio", {"scope": scope, "platform": platform, "window": window}, seen / (end - begin)
            )

    def report(self, *, include_bots: bool = False) -> dict[str, Any]:
        """The truth in the form of a report."""
        return {
            "world": "simulated",
            "as_of": rfc3339(self.front, fraction=True),
            "input": {
                "files": self.files,
                "activities": len(self.deeds),
                "duplicates": self.duplicates,
                "dead_letters": dict(sorted(self.dead_letters.items())),
            },
            "measurements": [
                {"name": f"nomadwatch_{name}", "labels": labels, "value": value}
                for name, labels, value in self.measurements(include_bots=include_bots)
            ],
        }


def windows(front: int) -> dict[str, tuple[int, int]]:
    """[begin, end) of each window: its steps, up to and with the one that contains the front.

    >>> begin, end = windows(30 * HOUR + 5)["24h"]
    >>> begin / HOUR, end / HOUR
    (7.0, 31.0)
    """
    bounds = {}
    for name, (step, n) in WINDOWS.items():
        end = front // step * step + step
        bounds[name] = (end - n * step, end)
    return bounds


def _totals(scope: str, deeds: Sequence[Deed]) -> Iterator[TrueFigure]:
    for (platform, feature, bot), n in Counter((deed.platform, deed.feature, deed.bot) for deed in deeds).items():
        labels = {"scope": scope, "platform": platform, "feature": feature, "actor": "bot" if bot else "human"}
        yield TrueFigure("activities_total", labels, n)


def _activity(scope: str, window: str, deeds: Sequence[Deed]) -> Iterator[TrueFigure]:
    activity: Counter[tuple[str, str]] = Counter()
    developers: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    repositories: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    commits: Counter[str] = Counter()
    for deed in deeds:
        key = deed.platform, deed.feature
        activity[key] += 1
        developers[key].add(deed.actor)
        repositories[key].add(deed.repository)
        if deed.commits is not None:
            commits[deed.platform] += deed.commits
    for (platform, feature), n in activity.items():
        labels = {"scope": scope, "platform": platform, "feature": feature, "window": window}
        yield TrueFigure("activity", labels, n)
        yield TrueFigure("active_developers", labels, len(developers[platform, feature]))
        yield TrueFigure("active_repositories", labels, len(repositories[platform, feature]))
    for platform, n in commits.items():
        yield TrueFigure("commits", {"scope": scope, "platform": platform, "window": window}, n)


def _projects(window: str, deeds: Sequence[Deed]) -> Iterator[TrueFigure]:
    counts = Counter((deed.project or "", deed.platform, deed.artefact, deed.feature) for deed in deeds)
    for (project, platform, artefact, feature), n in counts.items():
        labels = {"project": project, "platform": platform, "artefact": artefact, "feature": feature, "window": window}
        yield TrueFigure("project_activity", labels, n)


def _busiest(scope: str, window: str, deeds: Sequence[Deed]) -> Iterator[TrueFigure]:
    counts: defaultdict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    newest: dict[tuple[str, int], tuple[int, str]] = {}
    for deed in deeds:
        counts[deed.platform, deed.feature][deed.repository] += 1
        shown = (deed.occurred_at, deed.name)
        newest[deed.platform, deed.repository] = max(shown, newest.get((deed.platform, deed.repository), shown))
    for (platform, feature), own in counts.items():
        ranked = sorted((-n, newest[platform, repository][1]) for repository, n in own.items())
        rest = -sum(n for n, _ in ranked[BUSIEST:])
        for n, name in [*ranked[:BUSIEST], *([(-rest, "_other")] if rest else [])]:
            labels = {"scope": scope, "platform": platform, "feature": feature, "window": window, "repository": name}
            yield TrueFigure("top_repository_activity", labels, -n)


def _releases(window: str, deeds: Sequence[Deed]) -> Iterator[TrueFigure]:
    """What was published, and what people did to it; the BUSIEST of each platform."""
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    for platform in PLATFORMS:
        own = [deed for deed in deeds if deed.platform == platform]
        names = {deed.repository: deed.name for deed in sorted(own, key=lambda deed: (deed.occurred_at, deed.name))}
        engaged = {deed.repository: 0 for deed in own if deed.feature == "publication"}
        for deed in own:
            if deed.repository in engaged and deed.feature in ENGAGEMENT:
                engaged[deed.repository] += 1
        ranked = sorted((-n, names[repository]) for repository, n in engaged.items())[:BUSIEST]
        for n, name in ranked:
            found[platform, name] -= n
    for (platform, name), n in found.items():
        yield TrueFigure("release_engagement", {"platform": platform, "release": name, "window": window}, n)


def _intensity(scope: str, window: str, deeds: Sequence[Deed]) -> Iterator[TrueFigure]:
    by_repository: defaultdict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for deed in deeds:
        by_repository[deed.platform, deed.repository][deed.feature] += 1
    profiles = {name: [own for (platform, _), own in by_repository.items() if platform == name] for name in PLATFORMS}
    for feature in FEATURES:
        values = {platform: [profile[feature] for profile in own] for platform, own in profiles.items()}
        if feature == "accepted":
            # Not every source reports merges: none at all may mean that they are unknown.
            values = {platform: own if any(own) else [] for platform, own in values.items()}
        for platform in PLATFORMS:
            labels = {"scope": scope, "platform": platform, "feature": feature, "window": window}
            for statistic, value in statistics(values[platform]) if values[platform] else ():
                yield TrueFigure("intensity", {**labels, "stat": statistic}, value)
        if all(values.values()):
            yield from _comparison(
                {"scope": scope, "feature": feature, "window": window}, values["github"], values["huggingface"]
            )
    for platform, own in profiles.items():
        for a, b, r in correlations(own):
            yield TrueFigure(
                "feature_correlation", {"scope": scope, "platform": platform, "a": a, "b": b, "window": window}, r
            )


def _comparison(labels: dict[str, str], github: Sequence[int], hub: Sequence[int]) -> Iterator[TrueFigure]:
    if any(hub):
        yield TrueFigure("intensity_gap_ratio", labels, (sum(github) / len(github)) / (sum(hub) / len(hub)))
    u, z, p = mann_whitney(github, hub)
    yield TrueFigure("mann_whitney_u", labels, u)
    yield TrueFigure("dominance_ratio", labels, u / (len(github) * len(hub)))
    if z is not None and p is not None:
        yield TrueFigure("mann_whitney_z", labels, z)
        yield TrueFigure("mann_whitney_p", labels, p)
