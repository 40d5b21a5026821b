"""A repository of the watchlist stays with its project under every name that it has in the files, earlier and later."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.archive import reading
from streams.archive.plan import plan
from streams.archive.sections import Breath, Options, Send
from streams.kafka.cursors import Cursor
from streams.watchlist import Project, Watchlist
from tests.streams.made import activities, event, read_all, start, write


def push(number: int, native: int | str, name: str, at: str = "10:00:00") -> dict[str, Any]:
    return event(number=number, repo={"id": native, "name": name}, created_at=f"2024-05-01T{at}Z")


def watched(tmp_path: Path, rows: list[Any], *places: str, as_of: int | None = None) -> list[tuple[str, str]]:
    """(id of the event, repository) of what is of the project."""
    path = write(tmp_path / "2024-05-01-10.json.gz", rows)
    options = Options(Watchlist([Project("tool", github=places)]), as_of=as_of)
    found = [each for each in activities(read_all([path], options)) if each.project == "tool"]
    return sorted((each.id.rpartition(":")[2], each.repo) for each in found)


MOVED = [
    push(1, 77, "old-org/tool"),
    push(2, 5, "a/b"),
    push(3, 77, "new-org/tool", "10:20:00"),
    push(4, "77", "Third/Name", "10:30:00"),
]


@pytest.mark.parametrize("place", ["old-org/tool", "New-Org/Tool", "third/name", "new-org", "old-org/to*", "THIRD"])
def test_a_repository_that_was_renamed_is_its_projects_under_all_its_names(tmp_path: Path, place: str) -> None:
    assert watched(tmp_path, MOVED, place) == [("1", "old-org/tool"), ("3", "new-org/tool"), ("4", "Third/Name")]


def test_a_new_repository_under_the_old_name_is_not_the_projects(tmp_path: Path) -> None:
    rows = [*MOVED, push(5, 88, "old-org/tool", "10:40:00"), push(6, 88, "elsewhere/tool", "10:50:00")]
    assert [number for number, _ in watched(tmp_path, rows, "old-org/tool")] == ["1", "3", "4"]


def test_a_new_repository_that_is_seen_before_the_watched_one_under_its_new_name_is_not_the_projects(
    tmp_path: Path,
) -> None:
    rows = [push(1, 77, "old-org/tool"), push(2, 88, "old-org/tool", "10:10:00"), push(3, 88, "else/tool", "10:15:00")]
    rows.append(push(4, 77, "new-org/tool", "10:20:00"))
    assert [number for number, _ in watched(tmp_path, rows, "old-org/tool")] == ["1", "4"]


def test_a_new_repository_of_a_watched_owner_is_the_owners_whatever_its_name_was_before(tmp_path: Path) -> None:
    rows = [*MOVED, push(5, 88, "old-org/tool", "10:40:00")]
    assert [number for number, _ in watched(tmp_path, rows, "old-org")] == ["1", "3", "4", "5"]


def test_a_repository_that_was_deleted_and_made_again_is_the_same_project(tmp_path: Path) -> None:
    rows = [push(1, 77, "old-org/tool"), push(2, 88, "old-org/tool", "10:40:00")]
    assert [number for number, _ in watched(tmp_path, rows, "old-org/tool")] == ["1", "2"]


def test_a_name_of_another_project_decides(tmp_path: Path) -> None:
    path = write(tmp_path / "2024-05-01-10.json.gz", MOVED)
    watchlist = Watchlist([Project("before", github=("old-org",)), Project("after", github=("new-org",))])
    projects = {each.id.rpartition(":")[2]: each.project for each in activities(read_all([path], Options(watchlist)))}
    assert projects == {"1": "before", "2": None, "3": "after", "4": "before"}, (
        "where no name decides, its first project"
    )


def test_what_is_later_than_the_end_that_was_asked_for_teaches_nothing(tmp_path: Path) -> None:
    quarter_past_ten = 1_714_558_500_000_000
    assert watched(tmp_path, MOVED, "new-org/tool", as_of=quarter_past_ten) == []


def test_lines_of_any_form_and_order_are_learnt_from(tmp_path: Path) -> None:
    compact = json.dumps(push(1, 77, "old-org/tool"), separators=(",", ":")).encode()
    spaced = json.dumps(push(2, 77, "new-org/tool"), separators=(" , ", " : ")).encode()
    turned = json.dumps(dict(reversed(push(2, 77, "new-org/tool").items()))).encode()
    for line in (spaced, turned):
        assert [number for number, _ in watched(tmp_path, [compact, b"{", b"[]", line], "new-org/tool")] == ["1", "2"]


def test_exported_activities_stay_their_projects_under_another_name(tmp_path: Path) -> None:
    export = write(tmp_path / "all.activities.ndjson", [])
    path = write(tmp_path / "2024-05-01-10.json.gz", MOVED)
    with export.open("wb") as file:
        for each in activities(read_all([path], Options(Watchlist([])))):
            file.write(msgspec.json.encode(each) + b"\n")
    options = Options(Watchlist([Project("tool", github=("new-org/tool",))]))
    assert sum(each.project == "tool" for each in activities(read_all([export], options))) == 3


def test_a_reading_that_goes_on_gives_the_same_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it was ended: what it has to know of later lines it looks up again."""
    monkeypatch.setattr("streams.archive.reading.SECTION", 2)
    rows = [push(number, 77 if number % 3 else 5, "old-org/tool" if number % 3 else "a/b") for number in range(12)]
    path = write(tmp_path / "2024-05-01-10.json.gz", [*rows, push(20, 77, "new-org/tool")])
    options = Options(Watchlist([Project("tool", github=("new-org/tool",))]))
    whole = read_all([path], options)
    for cut, step in enumerate(whole):
        if isinstance(step, Cursor) and not step.done:
            sections = type(start([path], options))(plan([str(path)]), step, b"a key of the tests", options)
            rest = [each for each in sections if isinstance(each, Send)]
            assert rest == [each for each in whole[cut + 1 :] if isinstance(each, Send)]


@pytest.mark.parametrize(("room", "unpacked"), [(0, 0), (1_000, 0), (1_000, 9), (1 << 30, 0), (1 << 30, 1 << 30)])
def test_what_is_not_kept_in_memory_is_read_again_and_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, unpacked: int
) -> None:
    monkeypatch.setattr("streams.archive.reading.SECTION", 5)
    rows = [push(number, 77 if number % 3 else 5, "old-org/tool" if number % 3 else "a/b") for number in range(32)]
    paths = [
        write(tmp_path / "2024-05-01-10.json.gz", [*rows, b"garbage", b""]),
        write(tmp_path / "2024-05-01-11.json", [push(100 + number, 6, "c/d", "11:00:00") for number in range(15)]),
        write(tmp_path / "2024-05-01-12.json", [push(200, 77, "new-org/tool", "12:00:00")]),
    ]
    options = Options(Watchlist([Project("tool", github=("new-org/tool",))]))
    kept = [step for step in read_all(paths, options) if not isinstance(step, Breath)]
    monkeypatch.setattr("streams.archive.survey.KEPT_BYTES", room)
    monkeypatch.setattr("streams.archive.survey.KEPT_ROWS", unpacked)
    opened: list[str] = []
    content = reading.Content
    monkeypatch.setattr(reading, "Content", lambda path: opened.append(path) or content(path))
    assert [step for step in read_all(paths, options) if not isinstance(step, Breath)] == kept
    assert sum(each.project == "tool" for each in activities(kept)) == 22
    assert len(opened) == (3 if room == 1 << 30 else 6), "each file is read once where there is room"


def test_files_are_read_once_where_nothing_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.archive.survey.KEPT_BYTES", 0)
    opened: list[str] = []
    content = reading.Content
    monkeypatch.setattr(reading, "Content", lambda path: opened.append(path) or content(path))
    read_all([write(tmp_path / "2024-05-01-10.json.gz", MOVED)], Options(Watchlist([])))
    assert len(opened) == 1


def test_a_move_is_found_in_events_without_a_line_break_between_them_and_in_those_of_the_timeline(
    tmp_path: Path,
) -> None:
    def together(*rows: dict[str, Any]) -> bytes:
        return b"".join(json.dumps(row).encode() for row in rows)

    assert watched(tmp_path, [together(*MOVED)], "third/name") == [
        ("1", "old-org/tool"),
        ("3", "new-org/tool"),
        ("4", "Third/Name"),
    ]
    old = push(1, 77, "tool")
    old["repository"] = {**old.pop("repo"), "owner": "old-org"}
    assert watched(tmp_path, [old, together(*MOVED[1:])], "third/name") == [
        ("1", "old-org/tool"),
        ("3", "new-org/tool"),
        ("4", "Third/Name"),
    ]
