"""Input that is whole is measured, whatever it looks like; input that is torn or thin says so in coverage, history and
report.
"""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.nomadwatch.commands import command
from tests.replay.running import read, replayed, values


def event(number: int, at: str, kind: str = "PushEvent", **changes: Any) -> bytes:
    """One event as a line without its end, the size of a push being 1."""
    return json.dumps(
        {
            "id": str(number),
            "type": kind,
            "actor": {"id": number, "login": f"person-{number}"},
            "repo": {"id": number % 3, "name": f"owner/repo{number % 3}"},
            "payload": {"size": 1},
            "created_at": at,
            **changes,
        }
    ).encode()


def pushes(count: int, hour: str, first: int = 0) -> list[bytes]:
    return [event(first + number, f"2024-05-01T{hour}:{number % 60:02}:10Z") for number in range(count)]


def timeline(number: int, kind: str, payload: Any) -> bytes:
    """An event in the form of the timeline of 2013."""
    return json.dumps(
        {
            "type": kind,
            "created_at": f"2013-08-05T20:{number:02}:01-07:00",
            "payload": payload,
            "url": f"https://github.com/owner/repo/issues/{number}",
            "actor": f"person-{number}",
            "actor_attributes": {"login": f"person-{number}", "type": "User"},
            "repository": {"id": 7, "name": "repo", "owner": "owner"},
        }
    ).encode()


def test_hours_are_read_whole_however_they_are_separated_and_packed(tmp_path: Path) -> None:
    """Without line breaks, gzip that is called otherwise, plain text that is called gzip, a byte-order mark, pages
    behind each other.
    """
    by_hour = {hour: pushes(50, hour, 100 * int(hour)) for hour in ("10", "11", "12", "13", "14", "15")}
    contents = {
        "10.json.gz": gzip.compress(b"".join(by_hour["10"])),
        "11.json.gz": gzip.compress(
            b"".join(row + b"\n" * (number % 5 > 0) for number, row in enumerate(by_hour["11"]))
        ),
        "12.json.gz": b"\n".join(by_hour["12"]),
        "13.json": gzip.compress(b"\n".join(by_hour["13"]) + b"\n"),
        "14.json": b"\xef\xbb\xbf" + b"\n".join(by_hour["14"]),
        "15.json": b"[" + b", ".join(by_hour["15"][:30]) + b"][" + b",\n".join(by_hour["15"][30:]) + b"]\n",
    }
    for name, content in contents.items():
        (tmp_path / f"2024-05-01-{name}").write_bytes(content)
    found = replayed(tmp_path, "--strict")
    assert (found.input["activities"], found.input["dead_letters"]) == (300, {})
    assert values(found, "window_coverage_ratio", platform="github", scope="all", window="24h") == [6 / 24]


def test_an_hour_of_the_timeline_is_measured(tmp_path: Path) -> None:
    rows = [
        timeline(0, "PushEvent", {"shas": [], "size": 1}),
        timeline(1, "WatchEvent", {"action": "started"}),
        timeline(2, "IssuesEvent", {"action": "opened", "issue": 44, "number": 1}),
        timeline(3, "IssueCommentEvent", {"issue_id": 44, "comment_id": 5}),
        timeline(4, "ForkEvent", {"forkee": 4}),
        timeline(5, "FollowEvent", {"target": {"id": 1}}),
    ]
    (tmp_path / "2013-08-06-3.json.gz").write_bytes(gzip.compress(b"\n".join(rows)))
    found = replayed(tmp_path, "--strict")
    assert found.input["dead_letters"] == {"unknown-type": 1}
    features = ("contribution", "preference", "exchange", "adaptation")
    assert [values(found, "activity", scope="all", feature=feature, window="1h") for feature in features] == [
        [1],
        [1],
        [2],
        [1],
    ]
    assert values(found, "active_developers", scope="all", feature="exchange", window="1h") == [2]


def test_a_torn_hour_is_not_covered_and_has_no_history_and_a_thin_one_is_doubted(tmp_path: Path) -> None:
    hours = tmp_path / "hours"
    hours.mkdir()
    torn = b"\n".join(pushes(600, "10"))[:-60]
    (hours / "2024-05-01-10.json.gz").write_bytes(gzip.compress(torn))
    alone = command("replay", hours, "--report", "-", "--history", tmp_path / "past")
    assert (alone.code, json.loads(alone.output)["input"]["dead_letters"]) == (0, {"truncated": 1})
    assert "no hour was seen whole" in alone.complaint
    assert values(read(alone.output), "window_coverage_ratio", platform="github", scope="all", window="1h") == [0]
    assert list((tmp_path / "past").iterdir()) == []

    for hour, count in (("11", 600), ("12", 60), ("13", 620)):
        (hours / f"2024-05-01-{hour}.json").write_bytes(b"\n".join(pushes(count, hour, 1_000 * int(hour))))
    several = command(
        "replay", hours, "--report", "-", "--history", tmp_path / "past", "--data-dir", tmp_path / "state"
    )
    report = read(several.output)
    assert several.code == 0
    assert report.input["hour_doubtful"] == [{"hour": "2024-05-01T12:00:00Z", "events": 60, "usual": 600}]
    assert "far fewer events than in the hours around it: 2024-05-01T12:00:00Z (60 instead of 600)" in several.complaint
    assert values(report, "window_coverage_ratio", platform="github", scope="all", window="24h") == [3 / 24]
    again = read(command("report", "--data-dir", tmp_path / "state", "--format", "json").output)
    assert again.input["hour_doubtful"] == report.input["hour_doubtful"]


def test_what_arrives_in_order_is_never_late_and_an_export_can_be_replayed(tmp_path: Path) -> None:
    begin = datetime(2024, 1, 1, 12, tzinfo=UTC)
    days = [event(number, f"{begin + timedelta(days=number):%Y-%m-%dT%H:%M:%SZ}") for number in range(100)]
    (tmp_path / "days.json").write_bytes(b"\n".join(days))
    done = command(
        "replay",
        tmp_path / "days.json",
        "--report",
        "-",
        "--history",
        tmp_path / "past",
        "--data-dir",
        tmp_path / "state",
    )
    first = read(done.output)
    assert (first.input["activities"], first.input["late"]) == (100, 0)
    assert len(list((tmp_path / "past").iterdir())) == 100
    export = tmp_path / "export.activities.ndjson.gz"
    assert command("activities", "--data-dir", tmp_path / "state", "-o", export).code == 0
    second = replayed(export)
    assert (second.input["activities"], second.input["late"]) == (100, 0)
    assert second.measurements == first.measurements
