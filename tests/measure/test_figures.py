"""What a window measures, against a recount of its activities with dicts, lists, numpy and scipy."""

import random
from collections import Counter
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from agents.catalogue import CATALOGUE, by_name
from agents.facts import BOT, ROW, STATED, Rows
from agents.measure.sums import RunningSum, Sum
from agents.measurements import Measurement
from agents.metrics import FAMILIES
from agents.operators.progress import Progress
from agents.operators.top import Top
from streams.codes import HASH_MASK, code_of

PLATFORMS = ["github", "huggingface"]
FEATURES = ["contribution", "accepted", "exchange", "preference", "review", "adaptation", "publication", "upkeep"]

Series = tuple[str, frozenset[tuple[str, str]]]


class Deed(NamedTuple):
    """An activity as plainly as it can be said."""

    platform: str
    feature: str
    repository: int
    actor: int
    bot: bool = False
    commits: int | None = None
    project: str | None = None


def deeds(seed: int, n: int, platforms: list[str], features: list[str]) -> list[Deed]:
    rng = random.Random(seed)
    return [
        Deed(
            rng.choice(platforms),
            feature := rng.choice(features),
            int(rng.paretovariate(0.7)) % 97,
            rng.randrange(25),
            rng.random() < 0.1,
            rng.randrange(4) if feature == "contribution" and rng.random() < 0.7 else None,
            rng.choice([None, "one", "two/parts"]),
        )
        for _ in range(n)
    ]


def hashed(number: int, platform: str = "") -> int:
    """A platform's repositories have hashes of their own."""
    return (number + 1 + 1000 * len(platform)) * 0x9E3779B97F4A7C15 % (1 << 64) & HASH_MASK


def name(platform: str, repository: int) -> str:
    return f"{platform[0]}{repository * 7 % 97:02}/r"


PROJECTS = ["one", "two/parts"]


def rows_of(done: list[Deed]) -> Rows:
    rows = np.zeros(len(done), ROW)
    for row, d in zip(rows, done, strict=True):
        row["code"], row["n"] = code_of(d.platform, d.feature), 1
        row["repository"], row["actor"] = hashed(d.repository, d.platform), hashed(d.actor)
        row["flags"] = BOT * d.bot | STATED * (d.commits is not None)
        row["commits"] = d.commits or 0
        row["project"] = PROJECTS.index(d.project) + 1 if d.project else 0
    return rows


def evaluated(total: RunningSum, names: dict[int, str], scope: str, top: Top) -> list[Measurement]:
    own = total.sums(scope, "1h", PROJECTS, lambda keys: {key: names[key & HASH_MASK] for key in keys}, top)
    return [m for family in FAMILIES for m in family.of_window(own)]


def measured(done: list[Deed], scope: str = "watched", parts: int = 1, seed: int = 0, k: int = 5) -> list[Measurement]:
    """What a window measures to which the deeds came in parts, each of which other deeds came with and left."""
    names = {hashed(d.repository, d.platform): name(d.platform, d.repository) for d in done}
    rng, total = random.Random(seed), RunningSum()
    groups: list[list[Deed]] = [[] for _ in range(parts)]
    for d in done:
        rng.choice(groups).append(d)
    for group in groups:
        passing = Sum.of(rows_of(rng.sample(done, len(done) // 3)))
        total.add(passing)
        total.add(Sum.of(rows_of(group)))
        total.remove(passing)
    return evaluated(total, names, scope, Top(k=k))


def totals(scope: str, counts: dict[str, int]) -> list[Measurement]:
    """What is said of counts since the beginning."""
    progress = [None, Progress(totals={"all": {}, "watched": {}, scope: counts})]
    return [m for family in FAMILIES for m in family.of_totals(progress)]


def counted(done: list[Deed]) -> dict[str, int]:
    actors = ["human", "bot"]
    return dict(Counter(f"{d.platform}/{d.feature}/{actors[d.bot]}" for d in done))


def by_series(measurements: list[Measurement]) -> dict[Series, float]:
    found = {(m.name, frozenset(m.labels.items())): m.value for m in measurements}
    assert len(found) == len(measurements), "each series once"
    return found


SWARM = ("exchange", "review", "preference", "adaptation")


def recount(done: list[Deed], scope: str = "watched", k: int = 5) -> dict[Series, float]:
    """The same by dicts and lists, with numpy's and scipy's statistics."""
    found: dict[Series, float] = {}

    def put(metric: str, value: float, **labels: str) -> None:
        if metric not in ("project_activity", "release_engagement"):
            labels["scope"] = scope
        found["nomadwatch_" + metric, frozenset({**labels, "window": "1h"}.items())] = value

    humans = [d for d in done if not d.bot]
    tables: dict[str, np.ndarray] = {}
    for p in PLATFORMS:
        there = [d for d in humans if d.platform == p]
        if stated := [d.commits for d in there if d.commits is not None]:
            put("commits", sum(stated), platform=p)
        repositories = sorted({d.repository for d in there})
        if not there:
            continue
        if scope == "watched":
            published = sorted({d.repository for d in there if d.feature == "publication"})
            swarm = [(-sum(d.repository == r and d.feature in SWARM for d in there), name(p, r)) for r in published]
            for n, text in sorted(swarm)[:k]:
                put("release_engagement", -n, platform=p, release=text)
        rows = [[sum(d.feature == f for d in there if d.repository == r) for f in FEATURES] for r in repositories]
        tables[p] = np.array(rows)
        for i, f in enumerate(FEATURES):
            x = tables[p][:, i]
            if x.sum():
                put("activity", x.sum(), platform=p, feature=f)
                put("active_repositories", (x > 0).sum(), platform=p, feature=f)
                put("active_developers", len({d.actor for d in there if d.feature == f}), platform=p, feature=f)
                ranked = sorted((-n, name(p, r)) for n, r in zip(x.tolist(), repositories, strict=True) if n)
                for n, text in ranked[:k]:
                    put("top_repository_activity", -n, platform=p, feature=f, repository=text)
                if ranked[k:]:
                    put(
                        "top_repository_activity",
                        -sum(n for n, _ in ranked[k:]),
                        platform=p,
                        feature=f,
                        repository="_other",
                    )
                put("intensity", np.abs(x[:, None] - x).mean() / 2 / x.mean(), platform=p, feature=f, stat="gini")
            elif f == "accepted":
                continue
            for stat, value in {
                "mean": x.mean(),
                "median": np.median(x),
                "p90": np.percentile(x, 90),
                "p99": np.percentile(x, 99),
                "max": x.max(),
            }.items():
                put("intensity", value, platform=p, feature=f, stat=stat)
        for i, j in combinations(range(8), 2):
            x, y = tables[p][:, i], tables[p][:, j]
            if np.ptp(x) and np.ptp(y):
                put("feature_correlation", np.corrcoef(x, y)[0, 1], platform=p, a=FEATURES[i], b=FEATURES[j])
    if scope == "watched":
        for (project, p, f), n in Counter((d.project, d.platform, d.feature) for d in humans if d.project).items():
            put("project_activity", n, project=str(project), platform=p, artefact="software", feature=f)
    if len(tables) == 2:
        for i, f in enumerate(FEATURES):
            x, y = tables["github"][:, i], tables["huggingface"][:, i]
            if f == "accepted" and not (x.sum() and y.sum()):
                continue
            if y.sum():
                put("intensity_gap_ratio", x.mean() / y.mean(), feature=f)
            u = sum((a > b) + (a == b) / 2 for a in x for b in y)
            put("mann_whitney_u", u, feature=f)
            put("dominance_ratio", u / len(x) / len(y), feature=f)
            if np.ptp(np.concatenate((x, y))):
                p_value = stats.mannwhitneyu(x, y, method="asymptotic").pvalue
                put("mann_whitney_p", p_value, feature=f)
                sign = np.sign(u - len(x) * len(y) / 2)
                put("mann_whitney_z", sign * stats.norm.isf(p_value / 2), feature=f)
    return found


SHAPES = [
    (400, PLATFORMS, FEATURES),
    (60, PLATFORMS, FEATURES),
    (200, ["github"], FEATURES),
    (200, ["huggingface"], FEATURES),
    (120, PLATFORMS, ["contribution", "upkeep"]),
    (40, PLATFORMS, ["preference"]),
    (3, PLATFORMS, FEATURES),
    (1, PLATFORMS, FEATURES),
    (0, PLATFORMS, FEATURES),
]


@pytest.mark.parametrize("scope", ["all", "watched"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}-{len(shape[1])}-{len(shape[2])}")
def test_a_window_equals_a_recount(shape: tuple[int, list[str], list[str]], scope: str) -> None:
    for seed in range(4):
        done = deeds(seed, *shape)
        found, expected = by_series(measured(done, scope)), recount(done, scope)
        assert found.keys() == expected.keys()
        for series, value in expected.items():
            assert found[series] == pytest.approx(value, rel=1e-9, abs=1e-9), series


def test_the_same_activities_give_the_same_bits_however_they_were_merged() -> None:
    done = deeds(1, 500, PLATFORMS, FEATURES)
    once = measured(done)
    for seed in range(5):
        assert measured(random.Random(seed).sample(done, len(done)), parts=7, seed=seed) == once


def test_every_measurement_is_a_row_of_the_catalogue_with_its_labels() -> None:
    done = deeds(2, 400, PLATFORMS, FEATURES)
    found = measured(done) + totals("all", counted(done))
    said = (
        "covered_since_timestamp_seconds",
        "repository_popularity",
        "repository_popularity_share_ratio",
        "window_coverage_ratio",
    )
    elsewhere = {f"nomadwatch_{name}" for name in said}
    assert {m.name for m in found} == {row.name for row in CATALOGUE if row.group in "ABF"} - elsewhere
    for m in found:
        assert set(m.labels) == set(by_name(m.name).labels), m
        assert type(m.value) is float


def test_an_empty_window_measures_nothing() -> None:
    assert evaluated(RunningSum(), {}, "all", Top()) == []
    assert totals("all", {}) == []


def test_known_commits_of_which_there_were_none_are_0_and_unknown_ones_absent() -> None:
    def commits(*done: Deed) -> list[float]:
        return [m.value for m in measured(list(done)) if m.name == "nomadwatch_commits"]

    assert commits(Deed("github", "contribution", 1, 1)) == []
    assert commits(Deed("github", "contribution", 1, 1, commits=0)) == [0.0]
    assert commits(Deed("github", "contribution", 1, 1), Deed("github", "contribution", 1, 1, commits=3)) == [3.0]


def test_with_hold_each_platform_and_feature_remembers_its_own_busiest() -> None:
    top = Top(k=1, hold=1)

    def busiest(first: int, second: int) -> set[tuple[str, str, str]]:
        done = [
            Deed(platform, feature, repository, 1)
            for platform in PLATFORMS
            for feature in ("contribution", "exchange")
            for repository, n in ((1, first), (2, second))
            for _ in range(n)
        ]
        names = {hashed(d.repository, d.platform): f"r/{d.repository}" for d in done}
        total = RunningSum()
        total.add(Sum.of(rows_of(done)))
        found = evaluated(total, names, "all", top)
        shown = [
            m.labels
            for m in found
            if m.name == "nomadwatch_top_repository_activity" and m.labels["repository"] != "_other"
        ]
        return {(labels["platform"], labels["feature"], labels["repository"]) for labels in shown}

    before = busiest(3, 2)
    assert {repository for _, _, repository in before} == {"r/1"}
    assert len(before) == 4
    assert busiest(3, 4) == before


def test_bots_are_counted_beside_humans_and_nowhere_else() -> None:
    only_bots = [Deed("github", "contribution", 1, 1, bot=True)] * 3
    assert measured(only_bots) == []
    labels = {"scope": "all", "platform": "github", "feature": "contribution", "actor": "bot"}
    assert totals("all", counted(only_bots)) == [Measurement("nomadwatch_activities_total", labels, 3.0)]


def test_totals_add_up_partitions_and_leave_out_what_is_not_there() -> None:
    progress = [
        Progress(totals={"all": {"github/review/human": 2, "github/review/bot": 1}, "watched": {}}),
        None,
        Progress(totals={"all": {"github/review/human": 3, "huggingface/accepted/human": 0}, "watched": {}}),
    ]
    found = [m for family in FAMILIES for m in family.of_totals(progress)]
    assert [(m.labels["platform"], m.labels["actor"], m.value) for m in found] == [
        ("github", "bot", 1.0),
        ("github", "human", 5.0),
    ]
