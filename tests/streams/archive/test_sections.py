"""A plan becomes numbered batches, and the same ones again from every cursor."""

import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.activity import HOUR, MINUTE, Cover, partition_of
from streams.archive import reading
from streams.archive.plan import plan
from streams.archive.sections import Breath, Doubtful, Letter, Sections, Send, Step
from streams.errors import REASONS
from streams.kafka.cursors import Cursor, begin, decode_cursor, encode_cursor
from tests.simulator.recorded import recorded
from tests.streams.made import (
    KEY,
    NOW,
    OPTIONS,
    PARTITIONS,
    SECOND,
    activities,
    batches,
    event,
    last_cursor,
    letters,
    pushes,
    read_all,
    start,
    write,
)

NINE = 1_714_554_000_000_000  # 2024-05-01T09:00:00Z
TEN = NINE + HOUR
ELEVEN = TEN + HOUR
LIKE = {
    "id": "huggingface:like:1:2",
    "platform": "huggingface",
    "kind": "like",
    "occurred_at": TEN + 5 * MINUTE,
    "repo_id": 5,
    "repo": "allenai/OLMo-7B",
    "owner": "allenai",
    "actor": 6,
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections and batches small enough for made-up files to have several."""
    monkeypatch.setattr(reading, "SECTION", 100)
    monkeypatch.setattr(reading, "BATCH", 7)


def covered(steps: list[Step]) -> list[Cover]:
    """The stretches that were seen whole."""
    return [cover for _, batch in batches(steps) for cover in batch.covered if cover.end > cover.start]


def records(steps: list[Step]) -> list[Step]:
    """What reaches the broker."""
    return [step for step in steps if not isinstance(step, Breath)]


def several_files(folder: Path) -> Path:
    """Two hours, one of them in two files, a file without an hour, garbage, and a file of activities."""
    write(folder / "2024-05-01-10.json.gz", [*pushes(250), b"garbage", *pushes(30, first=250)])
    write(folder / "2024-05-01-10.part2.json", [*pushes(100, first=1000), event("StrikeEvent")])
    write(folder / "2024-05-01-11.json", pushes(200, first=2000, hour="2024-05-01T11"))
    write(folder / "late.ndjson", pushes(120, first=3000, hour="2024-05-01T12"))
    write(folder / "2024-05-01-11.activities.ndjson", [{**LIKE, "id": f"huggingface:like:1:{i}"} for i in range(20)])
    (folder / "2024-05-01-13.json.gz").write_bytes(gzip.compress(b'{"id":')[:-3])
    return folder


def test_every_activity_is_sent_once_to_the_partition_of_its_repository(tmp_path: Path) -> None:
    steps = read_all([several_files(tmp_path)])
    found = batches(steps)
    assert all(
        partition_of(activity.repo_id, PARTITIONS) == partition
        for partition, batch in found
        for activity in batch.activities
    )
    identifiers = [activity.id for activity in activities(steps)]
    assert len(identifiers) == len(set(identifiers)) == 250 + 30 + 100 + 200 + 120 + 20
    assert max(len(batch.activities) for _, batch in found) == 7
    counts = last_cursor(steps).counts
    assert (counts.files, counts.lines, counts.activities) == (6, 281 + 101 + 200 + 120 + 20, 720)
    assert counts.dead_letters == {"json": 1, "unknown-type": 1, "truncated": 1}


def test_sequences_count_from_nought_without_a_gap_in_each_partition(tmp_path: Path) -> None:
    steps = read_all([several_files(tmp_path)])
    for partition in range(PARTITIONS):
        sequences = [batch.sequence for place, batch in batches(steps) if place == partition]
        assert sequences == list(range(len(sequences)))
        assert last_cursor(steps).sequences[partition] == len(sequences)


def test_from_every_cursor_the_rest_is_the_same_bytes(tmp_path: Path) -> None:
    reading = start([several_files(tmp_path)])
    whole = records(list(reading))
    places = [place for place, step in enumerate(whole) if isinstance(step, Cursor)]
    assert len(places) > 8
    planned = plan([str(tmp_path)])
    for place in places:
        cursor = whole[place]
        assert isinstance(cursor, Cursor)
        stored = decode_cursor(encode_cursor(cursor))
        assert records(list(Sections(planned, stored, KEY, OPTIONS))) == whole[place + 1 :]


def test_the_moment_of_reading_is_that_of_the_cursor_so_that_a_later_run_sends_the_same(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-10.json", pushes(300))
    early = TEN + 30 * MINUTE
    steps = records(read_all([tmp_path], now=early))
    assert {activity.ingested_at for activity in activities(steps)} == {early}
    assert max(batch.complete_to or 0 for _, batch in batches(steps)) == early


def test_cursors_are_snapshots(tmp_path: Path) -> None:
    cursors = [step for step in read_all([several_files(tmp_path)]) if isinstance(step, Cursor)]
    assert len({json.dumps(msgspec.to_builtins(cursor)) for cursor in cursors}) == len(cursors)
    assert [cursor.done for cursor in cursors] == [False] * (len(cursors) - 1) + [True]


def test_an_hour_is_opened_and_closed_in_every_partition(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-10.json", pushes(50))
    write(tmp_path / "2024-05-01-11.json", pushes(50, first=100, hour="2024-05-01T11"))
    for partition in range(PARTITIONS):
        marked = [
            batch
            for place, batch in batches(read_all([tmp_path]))
            if place == partition and batch.complete_to is not None
        ]
        assert [batch.complete_to for batch in marked] == [TEN, ELEVEN, ELEVEN + HOUR]
        assert [batch.covered for batch in marked] == [
            [],
            [Cover("github", TEN, ELEVEN)],
            [Cover("github", ELEVEN, ELEVEN + HOUR)],
        ]
        assert [batch.closed for batch in marked] == [False, False, True]
        assert marked[0].activities == []


def test_an_hour_that_begins_where_none_has_ended_is_opened_by_a_mark(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-10.json", pushes(50))
    write(tmp_path / "2024-05-01-13.json", pushes(50, first=100, hour="2024-05-01T13"))
    marks = [batch.complete_to for partition, batch in batches(read_all([tmp_path])) if partition == 0]
    assert [mark for mark in marks if mark] == [TEN, ELEVEN, TEN + 3 * HOUR, TEN + 4 * HOUR]


def test_every_mark_comes_in_a_batch_of_its_own_behind_what_was_read_before_it(tmp_path: Path) -> None:
    """Whoever takes up a batch judges the lateness of its activities by its mark: what came in order must not be
    late.
    """
    write(tmp_path / "2024-05-01-10.json", pushes(3))
    days = [
        event(number=9 + day, created_at=f"2024-{6 + day // 28:02}-{1 + day % 28:02}T10:00:00Z") for day in range(100)
    ]
    write(tmp_path / "days.json", days)
    found = batches(read_all([tmp_path]))
    assert [batch.complete_to for _, batch in found if batch.complete_to is not None and batch.activities] == []
    assert sum(len(batch.activities) for _, batch in found) == 103
    assert [found[place][1].closed for place in range(-PARTITIONS, 0)] == [True] * PARTITIONS


def test_no_mark_passes_the_oldest_activity_of_a_file_that_is_not_in_the_order_of_time(tmp_path: Path) -> None:
    """As exports are, which come partition by partition."""
    write(tmp_path / "2024-05-01-10.json", pushes(3))
    old = {**LIKE, "occurred_at": TEN - 60 * 24 * HOUR}
    write(tmp_path / "export.activities.ndjson", [{**LIKE, "id": "new", "occurred_at": ELEVEN + HOUR}, old])
    steps = read_all([tmp_path])
    marks = [
        (batch.complete_to, [a.id for a in batch.activities]) for partition, batch in batches(steps) if partition == 0
    ]
    first_mark = min(place for place, (mark, _) in enumerate(marks) if mark is not None)
    assert "huggingface:like:1:2" in {name for _, names in marks[:first_mark] for name in names}


def test_files_of_one_hour_are_opened_and_closed_once(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-10.json", pushes(50))
    write(tmp_path / "2024-05-01-10.part2.json", pushes(50, first=100))
    marks = [
        batch.complete_to for partition, batch in batches(read_all([tmp_path])) if partition == 0 and batch.complete_to
    ]
    assert marks == [TEN, ELEVEN]


def test_an_hour_covers_the_platforms_that_occurred_in_it(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-10.activities.ndjson", [LIKE, {**LIKE, "id": "g", "platform": "github"}])
    write(tmp_path / "2024-05-01-11.activities.ndjson", [{**LIKE, "id": "h"}])
    covers = [batch.covered for partition, batch in batches(read_all([tmp_path])) if partition == 0 and batch.covered]
    assert covers == [
        [Cover("github", TEN, ELEVEN), Cover("huggingface", TEN, ELEVEN)],
        [Cover("huggingface", ELEVEN, ELEVEN + HOUR)],
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b""), gzip.compress(json.dumps(event()).encode() + b"\n" * 9)[:-9]],
    ids=["empty", "no gzip", "gzip of nothing", "truncated gzip"],
)
def test_an_hour_that_is_empty_or_damaged_is_not_covered(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "2024-05-01-10.json.gz").write_bytes(content)
    steps = read_all([tmp_path])
    assert covered(steps) == []
    assert [batch.complete_to for partition, batch in batches(steps) if partition == 0 and batch.closed] == [ELEVEN]


def test_without_hours_the_mark_comes_at_the_end_just_behind_the_newest(tmp_path: Path) -> None:
    rows = pushes(50)
    write(tmp_path / "some.ndjson", [rows[49], *rows[:49]])
    found = batches(read_all([tmp_path]))
    newest = max(activity.occurred_at for _, batch in found for activity in batch.activities)
    assert [batch.complete_to for _, batch in found if batch.complete_to] == [newest + 1] * PARTITIONS
    assert [batch.closed for _, batch in found].count(True) == PARTITIONS
    assert all(not batch.covered for _, batch in found)


def test_a_mark_waits_for_files_that_still_hold_something_older(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-10.json", pushes(10))
    write(tmp_path / "some.ndjson", [event(number=99, created_at="2024-05-01T10:20:00Z")])
    write(tmp_path / "2024-05-01-11.json", pushes(10, first=50, hour="2024-05-01T11"))
    marks = [
        batch.complete_to for partition, batch in batches(read_all([tmp_path])) if partition == 0 and batch.complete_to
    ]
    assert marks == [TEN, TEN + 20 * MINUTE, ELEVEN, ELEVEN + HOUR]


def test_no_mark_runs_ahead_of_what_was_received(tmp_path: Path) -> None:
    ahead = {**LIKE, "occurred_at": TEN + 20 * HOUR, "ingested_at": TEN}
    write(tmp_path / "hub.activities.ndjson", [{**LIKE, "id": "a", "ingested_at": LIKE["occurred_at"]}, ahead])
    assert {batch.complete_to for _, batch in batches(read_all([tmp_path])) if batch.closed} == {
        TEN + 5 * MINUTE + MINUTE
    }


def test_nothing_measured_gives_no_mark_but_an_end(tmp_path: Path) -> None:
    write(tmp_path / "some.json", [b"garbage"])
    found = batches(read_all([tmp_path]))
    assert [(batch.complete_to, batch.closed) for _, batch in found] == [(None, True)] * PARTITIONS


def test_as_of_leaves_out_what_comes_later_and_ends_just_behind_it(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-10.json", pushes(60))
    write(tmp_path / "2024-05-01-11.json", pushes(60, first=100, hour="2024-05-01T11"))
    until = TEN + 30 * MINUTE
    steps = read_all([tmp_path], replace(OPTIONS, as_of=until))
    assert max(activity.occurred_at for activity in activities(steps)) == until
    assert (len(activities(steps)), last_cursor(steps).counts.after_as_of) == (31, 89)
    found = [batch for partition, batch in batches(steps) if partition == 0 and batch.complete_to is not None]
    assert [batch.complete_to for batch in found] == [TEN, until + 1, until + 1]
    assert [batch.covered for batch in found] == [[], [Cover("github", TEN, until + 1)], []]


def test_as_of_beyond_the_data_moves_the_end_there_but_not_beyond_now(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-10.json", pushes(10))

    def end(as_of: int) -> set[int | None]:
        return {
            batch.complete_to
            for _, batch in batches(read_all([tmp_path], replace(OPTIONS, as_of=as_of)))
            if batch.closed
        }

    assert end(ELEVEN + 5 * HOUR) == {ELEVEN + 5 * HOUR + 1}
    assert end(NOW + HOUR) == {NOW}


BAD: list[tuple[Any, str]] = [
    (b"\xff\xfegarbage", "json"),
    (b"null", "not-an-event"),
    (b'["a", "list"]', "not-an-event"),
    (b'"text"', "not-an-event"),
    (event("StrikeEvent"), "unknown-type"),
    (event(repo=None), "missing-field"),
    (event("WatchEvent", payload=[]), "missing-field"),
    (event(created_at="soon"), "bad-time"),
    (event(created_at="2099-01-01T00:00:00Z"), "future"),
    ({"id": "1", "dt": "2024-05-01T10:00:00Z", "repo": "a/b", "type": "push", "actor": "ada"}, "mixed-identity"),
]


def test_each_bad_line_is_put_aside_with_its_bytes_reason_and_place_and_the_rest_is_measured(tmp_path: Path) -> None:
    good = pushes(len(BAD) + 1)
    rows = [good[0], *(row for (bad, _), push in zip(BAD, good[1:], strict=True) for row in (bad, push))]
    steps = read_all([write(tmp_path / "2024-05-01-10.json", rows)])
    assert len(activities(steps)) == len(good)
    found = letters(steps)
    assert [(letter["line"], letter["reason"]) for letter in found] == [
        (2 * i + 2, reason) for i, (_, reason) in enumerate(BAD)
    ]
    raw = [base64.b64decode(letter["raw"]) for letter in found]
    assert raw == [bad if isinstance(bad, bytes) else json.dumps(bad).encode() for bad, _ in BAD]
    assert {(letter["source"], letter["file"]) for letter in found} == {("archive", "2024-05-01-10.json")}
    assert {step.key for step in steps if isinstance(step, Letter)} == {b"2024-05-01-10.json"}
    assert {reason for _, reason in BAD} <= set(REASONS)


def test_dead_letters_can_be_kept_without_their_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.json", [b"garbage"])
    [kept] = letters(read_all([tmp_path]))
    [digest] = letters(read_all([tmp_path], replace(OPTIONS, dead_letters="digest")))
    assert base64.b64decode(kept.pop("raw")) == b"garbage"
    assert kept == digest


def test_of_a_long_bad_line_the_beginning_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.archive.content.LONGEST_LINE", 200_000)
    write(tmp_path / "a.json", [b"x" * 100_000, b"y" * 300_000, event()])
    steps = read_all([tmp_path])
    assert [letter["reason"] for letter in letters(steps)] == ["json", "too-long"]
    assert [len(base64.b64decode(letter["raw"])) for letter in letters(steps)] == [64 << 10, 64 << 10]
    assert len(activities(steps)) == 1


def test_a_truncated_file_is_one_dead_letter_and_its_readable_beginning_is_measured(tmp_path: Path) -> None:
    rows = pushes(200)
    whole = gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    (tmp_path / "2024-05-01-10.json.gz").write_bytes(whole[: len(whole) // 2])
    steps = read_all([tmp_path])
    [letter] = letters(steps)
    measured = len(activities(steps))
    assert (letter["reason"], letter["line"]) == ("truncated", measured + 1)
    assert 0 < measured < 200
    assert json.dumps(rows[measured]).encode().startswith(base64.b64decode(letter["raw"]))


def test_blank_lines_and_the_actions_of_bulk_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "a.json", [b'{"index":{"_index":"x"}}', event(), b"", b" \r", b'{"create":{}}', event(number=2)])
    counts = last_cursor(read_all([tmp_path])).counts
    assert (counts.lines, counts.activities, counts.skipped, counts.dead_letters) == (6, 2, 4, {})


def test_events_without_a_line_break_between_them_are_measured_each(tmp_path: Path) -> None:
    rows = [json.dumps(row).encode() for row in pushes(40)]
    (tmp_path / "2024-05-01-10.json").write_bytes(
        b"".join(rows[:20]) + b"\n" + rows[20] + rows[21] + b"\n" + b"".join(rows[22:])
    )
    (tmp_path / "2024-05-01-11.json.gz").write_bytes(
        gzip.compress(b"".join(json.dumps(row).encode() for row in pushes(30, first=50)))
    )
    steps = read_all([tmp_path])
    assert len({activity.id for activity in activities(steps)}) == len(activities(steps)) == 70
    assert letters(steps) == []
    assert {cover.start for _, batch in batches(steps) for cover in batch.covered} == {TEN, ELEVEN}


def test_what_is_bad_between_events_of_one_line_costs_itself(tmp_path: Path) -> None:
    first, second, third = (json.dumps(row).encode() for row in pushes(3))
    write(tmp_path / "2024-05-01-10.json", [b"", first + b"nonsense" + second + b'{"id":"9"}' + third])
    steps = read_all([tmp_path])
    assert len(activities(steps)) == 3
    found = [(letter["line"], letter["reason"], base64.b64decode(letter["raw"])) for letter in letters(steps)]
    assert found == [(2, "json", b"nonsense"), (2, "not-an-event", b'{"id":"9"}')]


@pytest.mark.parametrize("separator", [b"", b"\n"])
@pytest.mark.parametrize("name", ["2024-05-01-10.json", "2024-05-01-10.json.gz"])
def test_a_text_that_ends_in_the_middle_of_its_last_event_is_torn_packed_or_not(
    tmp_path: Path, separator: bytes, name: str
) -> None:
    text = separator.join(json.dumps(row).encode() for row in pushes(500))[:-60]
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    steps = read_all([tmp_path])
    assert (len(activities(steps)), [letter["reason"] for letter in letters(steps)]) == (499, ["truncated"])
    assert {cover for _, batch in batches(steps) for cover in batch.covered} == {Cover("github", TEN, TEN)}, (
        "known to be uncovered"
    )
    assert covered(steps) == []


@pytest.mark.parametrize("content", [b"\n\n \n", bytes(5_000), b"[]", b"\xef\xbb\xbf\n", gzip.compress(bytes(100_000))])
def test_an_hour_in_which_nothing_stands_is_not_covered_and_holds_nothing_bad(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "2024-05-01-10.json").write_bytes(content)
    steps = read_all([tmp_path])
    assert letters(steps) == activities(steps) == []
    assert covered(steps) == []


def hours(folder: Path, counts: dict[int, int]) -> Path:
    """Archive hours of a day with so many pushes each."""
    for hour, count in counts.items():
        write(folder / f"2024-05-01-{hour}.json.gz", pushes(count, first=10_000 * hour, hour=f"2024-05-01T{hour:02}"))
    return folder


def doubts(steps: list[Step]) -> list[tuple[int, int, int]]:
    """Hour of the day, events, and what is usual, of each doubt; the ledger must say the same."""
    found = last_cursor(steps).counts.doubtful
    rows = [json.loads(step.value) for step in steps if isinstance(step, Doubtful)]
    assert rows == [
        {"feed": "archive", "start": one.hour, "end": one.hour + HOUR, "reason": "hour_doubtful"} for one in found
    ]
    return [((one.hour - NINE) // HOUR + 9, one.events, one.usual) for one in found]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({9: 400, 10: 100, 11: 420}, [(10, 100, 410)]),
        ({9: 400, 10: 410, 11: 390, 12: 405, 13: 39}, [(13, 39, 405)]),
        ({9: 40, 10: 400, 11: 420}, [(9, 40, 410)]),
        ({9: 400, 10: 40, 11: 41, 12: 400, 13: 410}, [(10, 40, 400), (11, 41, 400)]),
        ({9: 400, 10: 200, 11: 420, 12: 300}, []),
        ({9: 12, 10: 3, 11: 11}, []),
        ({9: 400, 16: 4}, []),
        ({9: 4}, []),
        ({}, []),
    ],
)
def test_an_hour_with_far_fewer_events_than_its_neighbours_is_doubted(
    tmp_path: Path, counts: dict[int, int], expected: list[tuple[int, int, int]]
) -> None:
    write(tmp_path / "something.json", [event()])
    steps = read_all([hours(tmp_path, counts)])
    assert doubts(steps) == expected


def test_a_doubt_counts_events_however_they_are_separated_and_the_parts_of_an_hour_together(tmp_path: Path) -> None:
    hours(tmp_path, {9: 400, 11: 400})
    (tmp_path / "2024-05-01-10.json").write_bytes(
        b"".join(json.dumps(row).encode() for row in pushes(250)) + b"\n" * 300
    )
    write(tmp_path / "2024-05-01-10.part2.json", pushes(50, first=300))
    write(tmp_path / "2024-05-01-10.activities.ndjson", [LIKE])
    assert doubts(read_all([tmp_path])) == []
    (tmp_path / "2024-05-01-10.json").write_bytes(b"\n" * 300)
    assert doubts(read_all([tmp_path])) == [(10, 50, 400)]


def test_a_reading_that_goes_on_doubts_the_same_hours(tmp_path: Path) -> None:
    reading = start([hours(tmp_path, {9: 300, 10: 31, 11: 320, 12: 310, 13: 12, 14: 333})])
    whole = records(list(reading))
    planned = plan([str(tmp_path)])
    for place in [place for place, step in enumerate(whole) if isinstance(step, Cursor)]:
        cursor = whole[place]
        assert isinstance(cursor, Cursor)
        assert (
            records(list(Sections(planned, decode_cursor(encode_cursor(cursor)), KEY, OPTIONS))) == whole[place + 1 :]
        )
    assert doubts(whole) == [(10, 31, 305), (13, 12, 315)]
    assert len(last_cursor(whole).hours) <= 7


def test_hours_behind_the_asked_end_are_not_doubted(tmp_path: Path) -> None:
    folder = hours(tmp_path, {9: 400, 10: 100, 11: 420, 12: 100, 13: 400})
    assert [hour for hour, *_ in doubts(read_all([folder], replace(OPTIONS, as_of=ELEVEN)))] == [10]


def test_bots_are_people_when_asked(tmp_path: Path) -> None:
    write(tmp_path / "2024-05-01-10.json", [event(actor={"id": 1, "login": "a[bot]"})])
    write(tmp_path / "b.activities.ndjson", [{**LIKE, "bot": True}])
    assert [activity.bot for activity in activities(read_all([tmp_path]))] == [True, True]
    assert [activity.bot for activity in activities(read_all([tmp_path], replace(OPTIONS, include_bots=True)))] == [
        False,
        False,
    ]


def test_a_batch_larger_than_the_topic_takes_is_cut_in_numbered_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LARGEST", 3_000)
    issue = {"number": 1, "title": "t", "body": "b" * 1_900}
    write(
        tmp_path / "2024-05-01-10.json",
        [event("IssuesEvent", n, {"action": "opened", "issue": issue}) for n in range(7)],
    )
    steps = read_all([tmp_path])
    assert all(len(step.value) <= 3_000 for step in steps if isinstance(step, Send))
    assert len(activities(steps)) == 7
    found = [batch for _, batch in batches(steps) if batch.activities]
    assert [batch.sequence for batch in found] == list(range(1, 8))


def test_another_reading_of_the_same_files_is_told_apart(tmp_path: Path) -> None:
    planned = plan([str(write(tmp_path / "a.json", [event()]))])
    others = [
        OPTIONS.reading(planned, PARTITIONS, KEY),
        OPTIONS.reading(planned, PARTITIONS + 1, KEY),
        OPTIONS.reading(planned, PARTITIONS, b"another key"),
        replace(OPTIONS, include_bots=True).reading(planned, PARTITIONS, KEY),
        replace(OPTIONS, as_of=TEN).reading(planned, PARTITIONS, KEY),
        OPTIONS.reading(plan([str(write(tmp_path / "b.json", [event()]))]), PARTITIONS, KEY),
    ]
    assert len(set(others)) == len(others)
    assert OPTIONS.reading(planned, PARTITIONS, KEY) == others[0]


def test_progress_reaches_the_size_of_the_files(tmp_path: Path) -> None:
    several_files(tmp_path)
    positions = [step.position for step in read_all([tmp_path]) if isinstance(step, Breath)]
    assert positions == sorted(positions)
    assert 0 < positions[-1] <= plan([str(tmp_path)]).size


def test_the_recorded_hours_are_read_whole() -> None:
    steps = read_all([recorded("gharchive-min-2015")])
    counts = last_cursor(steps).counts
    assert (counts.lines, counts.activities, counts.dead_letters) == (45_449, 45_449, {})
    assert last_cursor(steps).newest == 1_424_649_599 * SECOND


def test_recorded_pages_and_bulk_files_are_read_and_what_is_no_event_is_counted() -> None:
    folders = [
        "simdjson-github-events",
        "dlt-github-2023",
        "quickwit-gharchive-2015",
        "gharchive-2018-tiny",
        "gharchive-2026-hour-profile",
    ]
    counts = last_cursor(read_all([recorded(folder) for folder in folders])).counts
    assert (counts.files, counts.activities, counts.skipped) == (6, 30 + 108 + 101 + 10 + 4, 100)
    assert counts.dead_letters == {"not-an-event": 100}


def test_a_finished_reading_has_no_steps(tmp_path: Path) -> None:
    planned = plan([str(write(tmp_path / "a.json", [event()]))])
    cursor = last_cursor(list(Sections(planned, begin("archive", "r", NOW, PARTITIONS), KEY, OPTIONS)))
    assert list(Sections(planned, cursor, KEY, OPTIONS)) == []
