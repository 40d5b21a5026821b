"""Paths become a plan of files in the order of their hours."""

import gzip
import os
from pathlib import Path

import pytest

from streams.archive.plan import plan
from streams.errors import InputMissing, MixedIdentities, UsageError
from tests.simulator.recorded import recorded
from tests.streams.made import event, write

DEED = {"id": "1", "dt": "2024-05-01T10:00:00Z", "repo": "a/b", "type": "push", "actor": "ada"}


def names(*paths: Path) -> list[str]:
    return [file.name for file in plan(map(str, paths)).files]


def test_files_come_in_the_order_of_their_hours_however_they_are_named(tmp_path: Path) -> None:
    hours = ["2024-05-01-9", "2024-05-01-10", "2024-05-01-11", "2024-05-02-00"]
    files = [write(tmp_path / f"{hour}.json.gz", [event()]) for hour in hours]
    in_order = [f"{hour}.json.gz" for hour in hours]
    assert names(*reversed(files)) == in_order
    assert names(tmp_path) == in_order
    assert names(tmp_path / "*.json.gz") == in_order
    assert names(tmp_path / "2024-05-01-1?.json.gz") == in_order[1:3]


def test_every_form_is_found_in_a_folder_and_nothing_else(tmp_path: Path) -> None:
    forms = [
        "a.json",
        "b.json.gz",
        "c.json.zst",
        "d.ndjson",
        "sub/e.ndjson.gz",
        "sub/f.ndjson.zst",
        "g.activities.ndjson.gz",
    ]
    for name in [*forms, "notes.txt", ".hidden.json", "README.md"]:
        write(tmp_path / name, [event()])
    assert sorted(names(tmp_path)) == sorted(os.path.basename(form) for form in forms)


def test_files_of_one_hour_are_a_group_also_from_two_folders(tmp_path: Path) -> None:
    for name in ("a/2024-05-01-9.json", "b/2024-05-01-09.json", "2024-05-01-9.part2.json", "2024-05-01-10.json"):
        write(tmp_path / name, [event()])
    nine, ten = plan([str(tmp_path)]).groups
    assert (nine[0], len(nine[1])) == (1_714_554_000_000_000, 3)
    assert (ten[0], len(ten[1])) == (1_714_557_600_000_000, 1)


def test_a_file_without_an_hour_in_its_name_comes_at_its_first_events_time(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-9.json", [event()])
    write(tmp_path / "early.ndjson", [b"garbage", event(created_at="2024-05-01T08:00:00Z")])
    write(tmp_path / "2024-05-01-11.json", [event()])
    write(tmp_path / "middle-2024-05-01-23.json", [event(created_at="2024-05-01T10:30:00Z")])
    write(tmp_path / "nothing.json", [b"garbage"])
    found = plan([str(tmp_path)])
    assert [file.name for file in found.files] == [
        "early.ndjson",
        "2024-05-01-9.json",
        "middle-2024-05-01-23.json",
        "2024-05-01-11.json",
        "nothing.json",
    ]
    assert [hour is None for hour, _ in found.groups] == [True, False, True, False, True]


def test_an_hour_that_does_not_exist_is_no_hour(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-24.json", [event()])
    write(tmp_path / "2024-02-30-1.json", [event()])
    assert all(file.hour is None for file in plan([str(tmp_path)]).files)


def test_what_is_absent_or_empty_is_said_by_name(tmp_path: Path) -> None:
    for missing in ("nowhere.json.gz", "*.json.gz", "."):
        with pytest.raises(InputMissing, match=r"no such file|no archive file"):
            plan([str(tmp_path / missing)])
    with pytest.raises(UsageError, match="nothing to read"):
        plan([])


def test_a_file_that_may_not_be_read_is_said_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "secret.json", [event()])

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("streams.archive.plan.open", refuse, raising=False)
    with pytest.raises(InputMissing, match=r"secret\.json: cannot be read \(Permission denied\)"):
        plan([str(file)])


def test_minimised_and_full_files_are_not_read_together(tmp_path: Path) -> None:
    minimised = write(tmp_path / "2024-05-01-9.json.gz", [b"garbage", DEED])
    full = write(tmp_path / "2024-05-01-10.json.gz", [event()])
    with pytest.raises(MixedIdentities) as error:
        plan([str(full), str(minimised)])
    assert str(minimised) in str(error.value)
    assert str(full) in str(error.value)
    assert (plan([str(minimised)]).identity, plan([str(full)]).identity) == ("minimised", "full")


def test_a_file_without_a_readable_event_goes_with_the_others(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-9.json", [DEED])
    write(tmp_path / "2024-05-01-10.json", [b"garbage"])
    write(tmp_path / "2024-05-01-11.json.gz", []).write_bytes(b"")
    assert {file.dialect for file in plan([str(tmp_path)]).files} == {"minimised"}


def test_activities_go_with_either(tmp_path: Path) -> None:
    write(tmp_path / "hub.activities.ndjson", [b"{}"])
    assert plan([str(tmp_path)]).identity is None
    write(tmp_path / "2024-05-01-9.json", [DEED])
    assert plan([str(tmp_path)]).identity == "minimised"


def test_the_digest_tells_readings_apart_and_knows_its_own_again(tmp_path: Path) -> None:
    first = write(tmp_path / "a/2024-05-01-9.json", [event(number=1)])
    same = write(tmp_path / "b/2024-05-01-9.json", [event(number=1)])
    other = write(tmp_path / "c/2024-05-01-9.json", [event(number=2)])
    renamed = write(tmp_path / "2024-05-01-8.json", [event(number=1)])
    digests = [plan([str(path)]).digest for path in (first, same, other, renamed)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_recorded_files_are_recognised() -> None:
    hours = plan([str(recorded("gharchive-min-2015"))])
    assert (hours.identity, [file.name for file in hours.files]) == (
        "minimised",
        ["2015-02-22-22.json.gz", "2015-02-22-23.json.gz"],
    )
    folders = (
        "simdjson-github-events",
        "dlt-github-2023",
        "quickwit-gharchive-2015",
        "gharchive-2018-tiny",
        "gharchive-2026-hour-profile",
    )
    full = plan([str(recorded(folder)) for folder in folders])
    assert (full.identity, len(full.files), len(full.groups)) == ("full", 6, 6)


def test_looking_at_a_damaged_file_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "2024-05-01-9.json.gz").write_bytes(b"no gzip at all")
    (tmp_path / "2024-05-01-10.json.gz").write_bytes(gzip.compress(b'{"id":')[:-4])
    assert len(plan([str(tmp_path)]).files) == 2
