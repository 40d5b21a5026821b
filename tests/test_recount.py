"""The two oracles, the recount in SQL and the simulator's truth, share no code and must agree. The recount must also
agree with what recorded files say.
"""

import gzip
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from simulator.archive import ArchivePlan, Packing, write
from simulator.clock import HOUR
from simulator.population import GITHUB_BOTS, WATCHED
from simulator.stream import START
from tests.recount import Expected, compare, recount, recount_input
from tests.simulator.recorded import recorded

WATCHLIST = [
    {"project": project, "github": on_github, "huggingface": on_hub} for project, (on_github, on_hub) in WATCHED.items()
]
BOTS = frozenset(login.casefold() for login in GITHUB_BOTS)


def messy(**changes: Any) -> ArchivePlan:
    """Five hours with more duplicates, late lines and garbage than usual."""
    messes = {"duplicates": 0.05, "late": 0.02, "future": 0.01, "garbage": 14}
    return ArchivePlan(
        **{"start": START + 9 * HOUR, "hours": 5, "events": 600, "hub_events": 250, "seed": 7, **messes, **changes}
    )


@pytest.mark.parametrize("include_bots", [False, True])
@pytest.mark.parametrize("era", ["2024", "2026"])
def test_recount_and_truth_agree_on_a_messy_world(tmp_path: Path, era: str, include_bots: bool) -> None:
    paths, truth = write(tmp_path, messy(era=era))
    report = truth.report(include_bots=include_bots)
    expected = recount(paths, include_bots, WATCHLIST, BOTS)
    assert compare(report["measurements"], expected) == []
    assert recount_input(paths) == report["input"]
    # Empty results would agree too.
    assert {name for name, _ in expected} == {row["name"].removeprefix("nomadwatch_") for row in report["measurements"]}
    assert len({name for name, _ in expected}) == 16
    assert truth.duplicates > 100
    assert truth.dead_letters["future"] > 5


@pytest.mark.parametrize("packing", ["zst", "plain"])
def test_recount_and_truth_agree_on_other_packings(tmp_path: Path, packing: Packing) -> None:
    paths, truth = write(tmp_path, messy(hours=2, packing=packing, seed=8))
    assert compare(truth.report()["measurements"], recount(paths, watchlist=WATCHLIST, bots=BOTS)) == []


def test_recount_and_truth_agree_where_a_platform_is_missing(tmp_path: Path) -> None:
    paths, truth = write(tmp_path, messy(hub_events=0, future=0, seed=9))
    assert compare(truth.report()["measurements"], recount(paths, watchlist=WATCHLIST, bots=BOTS)) == []


def test_recount_does_not_depend_on_the_order_of_files_or_on_files_given_twice(tmp_path: Path) -> None:
    paths, _ = write(tmp_path, messy(hours=3))
    expected = recount(paths, watchlist=WATCHLIST, bots=BOTS)
    assert recount([*reversed(paths), paths[0]], watchlist=WATCHLIST, bots=BOTS) == pytest.approx(expected)


def test_without_a_watchlist_nothing_is_watched(tmp_path: Path) -> None:
    paths, _ = write(tmp_path, messy(hours=1))
    expected = recount(paths, bots=BOTS)
    assert not any(("scope", "watched") in labels for name, labels in expected if name != "window_coverage_ratio")
    assert not any(name == "project_activity" for name, _ in expected)


def test_a_file_without_an_hour_ends_with_its_newest_event_and_covers_nothing(tmp_path: Path) -> None:
    event = {
        "type": "PushEvent",
        "repo": {"id": 1, "name": "o/r"},
        "actor": {"id": 1, "login": "a"},
        "payload": {"size": 2},
    }
    stamps = ("2024-05-01T12:00:00Z", "2024-05-01T12:59:59Z", "2024-05-01T13:00:00Z")
    path = tmp_path / "events.json"
    path.write_text(
        "".join(json.dumps({**event, "id": str(n), "created_at": stamp}) + "\n" for n, stamp in enumerate(stamps))
    )
    expected = recount([path])
    assert value(expected, "activity", window="1h", scope="all") == 2
    assert value(expected, "commits", window="24h", scope="all") == 6
    assert not any(name == "window_coverage_ratio" for name, _ in expected)


def test_two_recorded_minimised_hours_are_what_their_lines_say() -> None:
    paths = sorted(recorded("gharchive-min-2015").glob("*.json.gz"))
    rows = [json.loads(line) for path in paths for line in gzip.decompress(path.read_bytes()).splitlines()]
    kinds = Counter((row["type"], row.get("action")) for row in rows)
    features = {
        "contribution": kinds["push", None],
        "preference": kinds["watch", "started"],
        "adaptation": kinds["fork", None],
        "exchange": kinds["issue", "opened"] + kinds["icomment", "created"] + kinds["ccomment", None],
        "review": kinds["pr", "opened"] + kinds["prcomment", "created"],
        "publication": kinds["create", None] + kinds["release", "published"] + kinds["public", None],
    }
    features["upkeep"] = len(rows) - sum(features.values())
    expected = recount(paths)
    for feature, n in features.items():
        assert value(expected, "activity", window="24h", scope="all", feature=feature) == n
    pushes = [row for row in rows if row["type"] == "push"]
    assert value(expected, "commits", window="24h", scope="all") == sum(row["commits"] for row in pushes)
    own = {"window": "24h", "scope": "all", "feature": "contribution"}
    assert value(expected, "active_developers", **own) == len({row["actor"].casefold() for row in pushes})
    assert value(expected, "active_repositories", **own) == len({row["repo"].casefold() for row in pushes})
    assert value(expected, "window_coverage_ratio", window="24h", scope="all") == 2 / 24
    assert recount_input(paths) == {"files": 2, "activities": len(rows), "duplicates": 0, "dead_letters": {}}


def test_a_listed_bot_does_not_count_as_a_person_in_a_minimised_hour() -> None:
    paths = sorted(recorded("gharchive-min-2015").glob("*.json.gz"))
    rows = [json.loads(line) for path in paths for line in gzip.decompress(path.read_bytes()).splitlines()]
    ((busiest, n),) = Counter(row["actor"] for row in rows if row["type"] == "push").most_common(1)
    listed = frozenset({busiest.casefold()})
    labels = {"scope": "all", "feature": "contribution"}
    people, without, unlisted = (
        recount(paths, include_bots=True, bots=listed),
        recount(paths, bots=listed),
        recount(paths),
    )
    assert value(without, "activities_total", actor="bot", **labels) == n
    assert value(without, "activity", window="24h", **labels) == value(unlisted, "activity", window="24h", **labels) - n
    assert people == unlisted


def test_recorded_full_payloads_are_what_can_be_seen_in_them(tmp_path: Path) -> None:
    expected = recount([recorded("gharchive-2018-tiny/2018-01-01-0.json")])
    seen = {"contribution": 6, "adaptation": 1, "publication": 1, "upkeep": 1, "exchange": 1}
    totals = {dict(labels)["feature"]: n for (name, labels), n in expected.items() if name == "activities_total"}
    assert totals == seen
    bulk = recorded("quickwit-gharchive-2015/gharchive-bulk.json.gz")
    # 100 events, one of them a merge. The action lines between them are not dead letters.
    assert recount_input([bulk]) == {"files": 1, "activities": 101, "duplicates": 0, "dead_letters": {}}
    today = tmp_path / "2026-08-12-14.json"
    shutil.copy(recorded("gharchive-2026-hour-profile/raw_examples_2026-08-12-14.ndjson"), today)
    expected = recount([today])
    totals = {
        (dict(labels)["feature"], dict(labels)["actor"]): n
        for (name, labels), n in expected.items()
        if name == "activities_total"
    }
    assert totals == {
        ("upkeep", "bot"): 1,
        ("review", "human"): 1,
        ("exchange", "human"): 1,
        ("contribution", "human"): 1,
    }
    assert not any(name == "commits" for name, _ in expected)


def test_compare_finds_what_is_missing_unexpected_and_different() -> None:
    expected = {("activity", frozenset({("window", "1h")})): 4.0, ("commits", frozenset({("window", "1h")})): 1.0}
    report = [
        {"name": "nomadwatch_activity", "labels": {"window": "1h"}, "value": 4.0 + 1e-7},
        {"name": "nomadwatch_activity", "labels": {"window": "24h"}, "value": 4.0},
    ]
    differences = compare(report, expected)
    assert [text.partition(":")[0] for text in differences] == ["missing", "unexpected", "different"]


def test_compare_allows_for_rounding_and_more_of_it_in_p() -> None:
    for name, change, equal in (
        ("intensity", 1e-11, True),
        ("intensity", 1e-8, False),
        ("mann_whitney_p", 1e-8, True),
        ("mann_whitney_p", 1e-5, False),
    ):
        report = [{"name": f"nomadwatch_{name}", "labels": {}, "value": 0.5 * (1 + change)}]
        assert (compare(report, {(name, frozenset()): 0.5}) == []) == equal


def value(expected: Expected, name: str, **labels: str) -> float:
    """The one expected measurement with these labels and perhaps others."""
    (found,) = [
        n for (own, all_labels), n in expected.items() if own == name and labels.items() <= dict(all_labels).items()
    ]
    return found
