"""A generated world of both platforms, with duplicates, disorder, late lines and garbage, against its truth."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

from simulator.archive import ArchivePlan, write
from simulator.clock import DAY, HOUR, MINUTE, rfc3339
from simulator.population import WATCHED
from simulator.truth import StreamTruth
from tests.recount import compare, recount
from tests.replay.conftest import MESSY, World
from tests.replay.running import BOTS, Replayed, counted, replayed, values

WATCHLIST = [
    {"project": project, "github": on_github, "huggingface": on_hub} for project, (on_github, on_hub) in WATCHED.items()
]
AS_OF = MESSY.start + 3 * HOUR + 17 * MINUTE + 29_000_001


def differences(replay: Replayed, truth: StreamTruth) -> list[str]:
    expected = {(name, frozenset(labels.items())): value for name, labels, value in truth.measurements()}
    return compare(replay.measurements, expected)


def test_the_report_of_a_messy_world_equals_its_truth(world: World) -> None:
    assert differences(world.undisturbed, world.truth) == []
    told = world.truth.report()
    assert counted(world.undisturbed.input) == told["input"]
    assert world.undisturbed.input["late"] == 0
    assert world.undisturbed.report["as_of"] == rfc3339(world.truth.front)
    # Empty results would agree too.
    assert len({row["name"] for row in world.undisturbed.measurements}) == 16
    assert world.truth.duplicates > 500
    assert set(world.truth.dead_letters) == {
        "json",
        "not-an-event",
        "unknown-type",
        "missing-field",
        "bad-time",
        "future",
    }


def test_as_of_an_earlier_front_it_equals_the_truth_of_what_had_happened(world: World) -> None:
    earlier = replayed(world.folder, "--as-of", rfc3339(AS_OF))
    assert differences(earlier, truth_up_to(world.truth, AS_OF)) == []
    assert earlier.report["as_of"] == rfc3339(AS_OF)
    assert earlier.input["dead_letters"] == world.undisturbed.input["dead_letters"]
    all_lines = sum(world.undisturbed.input[name] for name in ("activities", "duplicates"))
    assert sum(earlier.input[name] for name in ("activities", "duplicates", "after_as_of")) == all_lines
    assert earlier.input["activities"] == sum(deed.occurred_at <= AS_OF for deed in world.truth.deeds.values())
    assert earlier.input["after_as_of"] > 5000


def truth_up_to(whole: StreamTruth, time: int) -> StreamTruth:
    """The truth without anything after a time."""
    truth = StreamTruth()
    for deed in whole.deeds.values():
        if deed.occurred_at <= time:
            truth.arrive(deed, deed.occurred_at)
    truth.mark(time + 1)
    for platform, spans in whole.covered.items():
        for start, end in spans:
            if start <= time:
                truth.cover(platform, start, min(end, time + 1))
    return truth


def test_with_a_watchlist_of_ones_own_and_bots_as_people_it_equals_the_recount(world: World, tmp_path: Path) -> None:
    deeds = world.truth.deeds.values()
    owners = {
        platform: [
            name
            for name, _ in Counter(
                deed.name.partition("/")[0] for deed in deeds if deed.platform == platform
            ).most_common(3)
        ]
        for platform in ("github", "huggingface")
    }
    (one, other, third), hub = owners["github"], owners["huggingface"]
    busiest = Counter(deed.name for deed in deeds if deed.name.startswith(f"{third}/")).most_common(1)[0][0]
    watchlist = [
        {"project": "first", "github": [one.upper(), busiest], "huggingface": []},
        {"project": "second", "github": [f"{other}/*"], "huggingface": hub},
    ]
    file = tmp_path / "watchlist.yaml"
    fields = [[f"project: {entry['project']}", *(f"{name}: {entry[name]}" for name in owners)] for entry in watchlist]
    file.write_text("".join("- " + "\n  ".join(lines) + "\n" for lines in fields))
    watched = replayed(world.folder, "--watchlist", file, "--include-bots")
    assert compare(watched.measurements, recount(world.paths, include_bots=True, watchlist=watchlist, bots=BOTS)) == []
    assert {row["labels"]["project"] for row in watched.measurements if "project" in row["labels"]} == {
        "first",
        "second",
    }
    assert values(watched, "activities_total", actor="bot") == []
    assert watched.input == world.undisturbed.input


def test_repositories_that_move_are_the_same_projects_in_a_recount(tmp_path: Path) -> None:
    """Into and out of watched places, under names that are given away again, and exported activities that state their
    project.
    """
    paths, _ = write(tmp_path, replace(MESSY, hours=2, events=1500, hub_events=200, seed=13))
    names = [
        (77, "old-org/tool"), (88, "old-org/tool"), (77, "new-org/tool"), (88, "else/tool"), (5, "lab/one"),
        (5, "gone/one"),
        (6, "old-org/other"), (6, "lab/two"), (6, "third/two"), (9, "remade/it"), (10, "remade/it"),
        (77, "lab/tool"), (5, "a/b"),
    ]  # fmt: skip
    event = {"type": "WatchEvent", "actor": {"id": 1, "login": "ada"}, "payload": {"action": "started"}, "public": True}
    start = MESSY.start + 20 * MINUTE
    events = [
        {
            **event,
            "id": f"9{number}",
            "repo": {"id": native, "name": name},
            "created_at": rfc3339(start + number * MINUTE),
        }
        for number, (native, name) in enumerate(names)
    ]
    moves = tmp_path / Path(paths[0]).name.replace(".json", ".moves.json").removesuffix(".gz")
    moves.write_text("".join(json.dumps(each) + "\n" for each in events))
    watchlist = [
        {"project": "tool", "github": ["Old-Org/tool", "remade/it"], "huggingface": []},
        {"project": "lab", "github": ["lab", "old-org/oth*"], "huggingface": []},
    ]
    file = tmp_path / "watchlist.yaml"
    file.write_text(
        "".join(f"- project: {each['project']}\n  github: {json.dumps(each['github'])}\n" for each in watchlist)
    )
    replay = replayed(*paths, moves, "--watchlist", file)
    assert compare(replay.measurements, recount([*paths, moves], watchlist=watchlist, bots=BOTS)) == []
    assert values(replay, "project_activity", project="tool", window="24h") == [4.0]
    assert values(replay, "project_activity", project="lab", window="24h") == [7.0]


def test_the_files_in_any_order_and_partitions_of_any_number_are_the_same_report(world: World) -> None:
    assert replayed(*reversed(world.paths), "--partitions", 3).text == world.undisturbed.text


def test_merges_of_todays_payloads_are_credited_by_their_openings(tmp_path: Path) -> None:
    plan = replace(MESSY, era="2026", hours=2, events=4000, hub_events=300, seed=12)
    paths, truth = write(tmp_path, plan)
    replay = replayed(*reversed(paths))
    assert differences(replay, truth) == []
    assert compare(replay.measurements, recount(paths, watchlist=WATCHLIST, bots=BOTS)) == []
    assert counted(replay.input) == truth.report()["input"]
    # The lines of the merges alone say less.
    named = sum(deed.feature == "accepted" for deed in truth.deeds.values())
    assert sum(values(replay, "activities_total", scope="all", feature="accepted")) > 1.3 * named > 20


def test_hours_too_far_apart_to_be_read_in_any_order_are_read_in_theirs(tmp_path: Path) -> None:
    early = ArchivePlan(start=MESSY.start, events=300, hub_events=0, era="2024", future=0, late=0)
    late = replace(early, start=MESSY.start + 60 * DAY, era="2026")  # its ids have another form
    paths = [*write(tmp_path, early)[0], *write(tmp_path, late)[0]]
    # In the other order the earlier hour would be too old to recognise duplicates.
    replay = replayed(*reversed(paths))
    assert compare(replay.measurements, recount(paths, watchlist=WATCHLIST, bots=BOTS)) == []
    assert replay.input["late"] == 0
