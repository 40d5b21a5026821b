"""Recorded hours, through the whole pipeline, against a recount that shares no code with it."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
import zstandard

from tests.recount import compare, recount, recount_input
from tests.replay.running import BOTS, Replayed, counted, replayed, values
from tests.simulator.recorded import recorded, recorded_events

HOUR_NAMES = ("2015-02-22-22", "2015-02-22-23")


def test_every_measurement_of_two_recorded_hours_equals_the_recount(hours: list[Path], plain: Replayed) -> None:
    assert compare(plain.measurements, recount(hours, bots=BOTS)) == []
    assert counted(plain.input) == recount_input(hours)
    assert plain.input["late"] == 0
    assert plain.report["as_of"] == "2015-02-22T23:59:59.999999Z"
    assert plain.report["watermark"] == "2015-02-23T00:00:00Z"
    # Empty results would agree too.
    assert len(plain.measurements) > 1500
    assert sum(values(plain, "activities_total", scope="all", actor="bot")) > 100


def test_with_bots_as_people_it_equals_the_recount_too(hours: list[Path], plain: Replayed) -> None:
    people = replayed(*hours, "--include-bots")
    assert compare(people.measurements, recount(hours, include_bots=True, bots=BOTS)) == []
    assert people.input == plain.input
    assert values(people, "activities_total", actor="bot") == []


def test_an_hour_given_twice_and_out_of_order_is_the_same_report_with_its_duplicates_counted(
    hours: list[Path], plain: Replayed
) -> None:
    earlier, later = hours
    again = replayed(later, earlier, later)
    assert again.measurements == plain.measurements
    assert (again.report["as_of"], again.report["watermark"]) == (plain.report["as_of"], plain.report["watermark"])
    lines = len(gzip.decompress(later.read_bytes()).splitlines())
    assert lines > 20_000
    assert again.input == {**plain.input, "files": 3, "duplicates": lines}
    assert counted(again.input) == recount_input([later, earlier, later])


def test_hours_split_over_files_of_every_packing_are_the_same_report(
    hours: list[Path], plain: Replayed, tmp_path: Path
) -> None:
    for path, name in zip(hours, HOUR_NAMES, strict=True):
        lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
        thirds = [b"".join(lines[part::3]) for part in range(3)]
        (tmp_path / f"{name}.part1.json.gz").write_bytes(gzip.compress(thirds[0], compresslevel=1))
        (tmp_path / f"{name}.part2.json").write_bytes(thirds[1])
        (tmp_path / f"{name}.part3.json.zst").write_bytes(zstandard.compress(thirds[2]))
    split = replayed(tmp_path / "*.json*")
    assert split.measurements == plain.measurements
    assert split.report == {**plain.report, "input": {**plain.input, "files": 6}}


def test_as_of_the_end_that_a_report_states_it_is_the_same_report(hours: list[Path], plain: Replayed) -> None:
    again = replayed(*hours, "--as-of", plain.report["as_of"])
    assert again.report == {**plain.report, "input": {**plain.input, "after_as_of": 0}}


@pytest.mark.parametrize("moment", ["2015-02-22T22:59:59Z", "2015-02-22T23:29:30Z"])
def test_as_of_an_earlier_moment_it_equals_the_recount_of_what_had_happened(
    moment: str, hours: list[Path], tmp_path: Path
) -> None:
    happened, later = [], 0
    for path in hours:
        lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        happened += [line for line in lines if line["dt"] <= moment]
        later += sum(line["dt"] > moment for line in lines)
    assert any(line["dt"] == moment for line in happened), "the recount's windows end with the newest line"
    assert later > 10_000
    # Without an hour in its name a file ends with its newest line, and covers nothing.
    (tmp_path / "happened.json").write_text("".join(json.dumps(line) + "\n" for line in happened))
    earlier = replayed(*hours, "--as-of", moment)
    measured = [row for row in earlier.measurements if row["name"] != "nomadwatch_window_coverage_ratio"]
    assert compare(measured, recount([tmp_path / "happened.json"], bots=BOTS)) == []
    assert earlier.report["as_of"] == moment
    assert earlier.input["activities"] == len(happened)
    assert earlier.input["after_as_of"] == later
    # Covered: from 22:00 to just after the moment. The 24-hour window ends with the moment's hour.
    minutes, seconds = int(moment[14:16]), int(moment[17:19])
    seen = (3600 * (int(moment[11:13]) - 22) + 60 * minutes + seconds) * 10**6 + 1
    assert values(earlier, "window_coverage_ratio", window="24h") == pytest.approx([seen / 86_400e6] * 2, rel=1e-12)


@pytest.mark.parametrize(
    "place",
    [
        "quickwit-gharchive-2015/gharchive-bulk.json.gz",
        "gharchive-2018-tiny/2018-01-01-0.json",
        "gharchive-2026-hour-profile/raw_examples_2026-08-12-14.ndjson",
    ],
)
def test_recorded_full_payloads_equal_the_recount(place: str) -> None:
    path = recorded(place)
    whole = replayed(path.parent)
    assert compare(whole.measurements, recount([path], bots=BOTS)) == []
    assert counted(whole.input) == recount_input([path])
    assert whole.input["dead_letters"] == {}
    assert values(whole, "activity", window="1h")


@pytest.mark.parametrize(
    ("place", "no_events"),
    [("dlt-github-2023/github.events.load_page_1_duck.json.gz", 100), ("simdjson-github-events/github_events.json", 0)],
)
def test_recorded_pages_of_the_api_equal_the_recount_of_their_events(
    place: str, no_events: int, tmp_path: Path
) -> None:
    whole = replayed(recorded(place).parent)
    # The recount reads lines.
    lines = tmp_path / "events.json"
    lines.write_text("".join(json.dumps(event) + "\n" for event in recorded_events(place)))
    assert compare(whole.measurements, recount([lines], bots=BOTS)) == []
    expected = recount_input([lines])
    assert expected["activities"] >= 30
    # One folder also holds a page of issues, which are not events.
    dead = {"not-an-event": no_events} if no_events else {}
    assert counted(whole.input) == {**expected, "files": 2 if no_events else 1, "dead_letters": dead}


def test_the_same_content_in_another_packing_is_the_same_report(tmp_path: Path) -> None:
    path = recorded("gharchive-2018-tiny/2018-01-01-0.json")
    (tmp_path / "2018-01-01-00.json.gz").write_bytes(gzip.compress(path.read_bytes()))
    shutil.copy(path, tmp_path / "2018-01-01-0.json")
    assert replayed(tmp_path / "2018-01-01-00.json.gz").text == replayed(tmp_path / "2018-01-01-0.json").text
