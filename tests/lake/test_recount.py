"""The second count against a third: what the lake's SQL says of a front is what a batch over the activities says."""

from collections import Counter as CountedRows
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agents.facts import ROW, Rows
from agents.measure.store import Store
from agents.measurements import Measurement
from sinks.lake.read import opened
from sinks.lake.recount import WINDOWS, name_repositories, put_beside, recount, totals
from sinks.lake.verify import RECOUNTED, Difference, compare
from streams.activity import LATEST, MINUTE
from streams.codes import names_of
from streams.windows import WINDOWS as MEASURED
from tests.lake.made import Counter, refreshed, world
from tests.recount import compare as differences
from tests.recount import recount as oracle


def more_than(known: Rows, rows: Rows) -> Rows:
    """The rows that are not among the known ones, each as often as it is there more often."""
    more = CountedRows(map(bytes, rows)) - CountedRows(map(bytes, known))
    return np.frombuffer(b"".join(more.elements()), ROW)


def named(rows: Rows, store: Store) -> dict[int, tuple[str, str]]:
    """The platform and the newest name of each repository of the rows."""
    platforms = {row["repository"]: names_of(int(row["code"]))[0] for row in rows}
    names = store.names([int(repository) for repository in platforms])
    return {int(key): (platform, names[int(key)]) for key, platform in platforms.items() if int(key) in names}


@pytest.mark.parametrize("seed", [7, 8])
@pytest.mark.parametrize("share", [1.0, 0.4], ids=["all in the lake", "the rest beside it"])
def test_the_second_count_equals_a_batch_over_the_activities(share: float, seed: int, tmp_path: Path) -> None:
    arrivals = world(n=4_000, seed=seed)
    cut = int(share * len(arrivals))
    # Of a merge that its source has credited the opening comes late: that credit is withdrawn.
    at = arrivals[cut - 1]["ingested_at"]
    pull = {
        "platform": "github", "kind": "pull_request", "ingested_at": at, "occurred_at": at, "repo_id": 5 << 32,
        "repo": "o/r", "owner": "o", "thread": 3,
    }  # fmt: skip
    merged, accepted = {**pull, "id": "m", "action": "merged", "actor": 1}, {**pull, "action": "accepted", "actor": 2}
    opening = {**pull, "id": "o", "action": "opened", "actor": 3}
    arrivals[cut:cut] = [merged, {**accepted, "id": "m:accepted"}, opening]
    cut += 2 if share < 1.0 else 3
    (tmp_path / "measure").mkdir()
    with Store(tmp_path / "measure" / "facts.sqlite") as store:
        counter = Counter(store)
        counter.take(arrivals[:cut])
        lake, _ = refreshed(tmp_path)
        known = store.read(0, LATEST)
        # What a station counts after the lake was written.
        counter.take(arrivals[cut:])
        beside = more_than(known, store.read(0, LATEST))
        names = named(beside, store)
        projects_by_number = store.projects
    assert (beside["n"] < 0).any() == (share < 1.0), "credits that are withdrawn"
    file = tmp_path / "a.activities.ndjson"
    file.write_bytes(b"\n".join(msgspec.json.encode(each) for each in arrivals))
    projects = {one["project"] for one in arrivals if "project" in one}
    watched = [{"project": name, "github": [f"no-{name}"], "huggingface": [f"no-{name}"]} for name in projects]
    expected = oracle([file], watchlist=watched)
    front = max(min(one["occurred_at"], one["ingested_at"] + MINUTE) for one in arrivals)
    with opened(lake) as connection:
        assert name_repositories(connection, names) == set()
        put_beside(connection, {name: beside[name] for name in ROW.names or ()}, projects_by_number)
        found = list(totals(connection))
        for window in WINDOWS:
            shown = [
                Measurement("nomadwatch_" + name, dict(labels), value)
                for (name, labels), value in expected.items()
                if dict(labels).get("window") == window
            ]
            found += recount(connection, window, front, shown)
    assert differences(msgspec.to_builtins(found), expected) == []
    assert len(found) > 3_000


def test_the_windows_are_those_that_are_measured() -> None:
    front = 1_714_564_812_345_678
    for window, (step, steps) in WINDOWS.items():
        end = (front // step + 1) * step
        assert MEASURED[window].bounds(front) == (end - steps * step, end)


def row(name: str, value: float, **labels: str) -> Measurement:
    return Measurement(f"nomadwatch_{name}", labels, value)


def test_a_figure_that_is_false_absent_or_too_much_differs() -> None:
    shown = [row("activity", 3.0, window="1h"), row("commits", 5.0, window="1h"), row("activity", 9.0, window="7d")]
    counted = [row("activity", 3.0, window="1h"), row("commits", 6.0, window="1h"), row("activity", 1.0, window="24h")]
    verdict = compare(shown, counted)
    assert dict(verdict.agreed) == {"nomadwatch_activity": 1}
    assert verdict.differences == [
        Difference('nomadwatch_commits{window="1h"}', 5.0, 6.0),
        Difference('nomadwatch_activity{window="7d"}', 9.0, None),
        Difference('nomadwatch_activity{window="24h"}', None, 1.0),
    ]


def test_what_the_rows_do_not_say_is_unknown_with_the_reason() -> None:
    shown = [
        row("window_coverage_ratio", 0.5, platform="github"),
        row("repository_popularity", 7.0, kind="stars"),
        row("duplicates_total", 7.0),
        row("invented", 7.0),
    ]
    verdict = compare(shown, [])
    assert (verdict.agreed.total(), verdict.differences) == (0, [])
    assert {name.removeprefix("nomadwatch_"): why for name, why in verdict.unknown} == {
        "window_coverage_ratio": "what the feeds covered stands in no row",
        "repository_popularity": "a level that the platforms state, and no count of activities",
        "duplicates_total": "how the station does, and no count of activities",
        "invented": "no second count is written for it",
    }


def test_a_name_that_two_repositories_have_is_unknown_together_with_the_rest_of_its_list() -> None:
    place = {"platform": "github", "window": "1h", "feature": "review", "scope": "all"}
    names = ("o/one", "o/two", "_other")
    shown = [row("top_repository_activity", 1.0, **place, repository=name) for name in names]
    counted = [row("top_repository_activity", 2.0, **place, repository=name) for name in names]
    verdict = compare(shown, counted, {("github", "o/one")})
    assert verdict.unknown.total() == 2
    assert [each.series.count("o/two") for each in verdict.differences] == [1]
    assert compare(shown, counted, {("huggingface", "o/one")}).unknown.total() == 0


def test_only_the_first_releases_are_shown() -> None:
    place = {"platform": "github", "window": "1h"}
    counted = [row("release_engagement", 1.0, **place, release=f"o/{number}") for number in range(60)]
    assert compare(counted[:50], counted).differences == []
    assert len(compare(counted[:49], counted).differences) == 11


def test_every_metric_that_is_counted_again_is_in_the_catalogue() -> None:
    from agents.catalogue import by_name

    assert all(by_name(name) for name in RECOUNTED)
