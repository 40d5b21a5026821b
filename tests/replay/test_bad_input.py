"""Bad input: what can be read is measured, the rest is counted by reason and kept with its bytes and place, nothing
else is lost.
"""

import gzip
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.nomadwatch.commands import command
from tests.recount import compare, recount
from tests.replay.running import BOTS, Misread, Replayed, dead_letters, replayed, values

MICROSECONDS = 1_714_557_600_000_000  # 2024-05-01T10:00:00Z


def event(number: int, **changes: Any) -> dict[str, Any]:
    """A star at 10 o'clock, changed; a field that is changed to `...` is missing."""
    fields = {
        "id": str(number),
        "type": "WatchEvent",
        "actor": {"id": number % 7, "login": f"p{number % 7}"},
        "repo": {"id": number % 5, "name": f"o/r{number % 5}"},
        "payload": {"action": "started"},
        "created_at": f"2024-05-01T10:{number % 60:02}:00Z",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ...}


def line(value: object) -> bytes:
    return json.dumps(value).encode()


def activity(**changes: Any) -> dict[str, Any]:
    """A like on the Hub, changed."""
    fields = {
        "id": "huggingface:like:1",
        "platform": "huggingface",
        "kind": "like",
        "occurred_at": MICROSECONDS,
        "ingested_at": MICROSECONDS + 1,
        "repo_id": 1 << 40,
        "repo": "a/b",
        "owner": "a",
        "actor": 3,
        "artefact": "model",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ...}


PUSH = {"type": "PushEvent", "payload": {"size": 2}}
# A line and the reason why it is not measured (None: it is measured).
LINES: list[tuple[bytes, str | None]] = [
    (line(event(1)), None),
    (b'{"id":"2","type":"WatchEvent","actor":{"id":1,"lo', "json"),
    (b"\xff\xfe\x00 no text at all", "json"),
    (b"null", "not-an-event"),
    (b"[1, 2]", "not-an-event"),
    (b'"WatchEvent"', "not-an-event"),
    (b"42", "not-an-event"),
    (b"{}", "not-an-event"),
    (b"   ", None),
    (line(event(3, type="SponsorshipEvent")), "unknown-type"),
    (line(event(4, repo=...)), "missing-field"),
    (line(event(5, actor=...)), None),
    (line(event(26, actor=None)), None),
    (line(event(6, created_at=...)), "missing-field"),
    (line(event(7, repo={"id": 1})), "missing-field"),
    (line(event(8, type="IssuesEvent", payload=None)), "missing-field"),
    (line(event(9, **PUSH)), None),
    (line(event(10, type="PushEvent", payload=None)), None),
    (line(event(11, type="PushEvent", payload=...)), None),
    # Ids as text are the same repository and person as ids as numbers.
    (line(event(16, actor={"id": "2", "login": "p2"}, repo={"id": "1", "name": "o/r1"})), None),
    (line({**event(17), "id": 17}), None),
    (line(event(18, created_at="2024-05-02T10:59:59Z")), None),
    (line(event(19, created_at="2024-05-02T11:00:01Z")), "future"),
    (line(event(20, created_at="3024-05-01T10:00:00Z")), "future"),
    (line(event(21, created_at="1969-12-31T23:59:59Z")), "bad-time"),
    (line(event(22, created_at="yesterday")), "bad-time"),
    (line(event(23, created_at="2024-05-01T10:00:00")), "bad-time"),
    (line({"id": "24", "type": "watch", "dt": "2024-05-01T10:00:00Z", "repo": "a/b", "actor": "c"}), "mixed-identity"),
    (line(event(25)), None),
]
# Too old to recognise duplicates: neither measured nor wrong.
ANCIENT = [line(event(30, created_at="2011-02-12T00:00:00Z")), line(event(31, created_at="1970-01-01T00:00:00Z"))]
ACTIVITIES: list[tuple[bytes, str | None]] = [
    (line(activity()), None),
    (b"{", "json"),
    (b"null", "not-an-event"),
    (line(activity(id="x", kind=...)), "bad-activity"),
    (line(activity(id="v", actor=None)), None),
    (line(activity(id="y", actor=-1)), "bad-activity"),
    (line(activity(id="z", platform="sourceforge")), "bad-activity"),
    (line(activity(id="w", occurred_at=MICROSECONDS + 2 * 86_400_000_000)), "future"),
]


class BadFolder:
    """Files with everything that can be wrong, files with what is good of them under the same names, and the replay of
    the bad ones.
    """

    def __init__(self, folder: Path) -> None:
        self.bad, self.clean, self.state = folder / "bad", folder / "clean", folder / "state"
        self.bad.mkdir()
        self.clean.mkdir()
        self.letters: list[Misread] = []
        self._lines("2024-05-01-10.json", LINES, ANCIENT)
        self._lines("2024-05-01-10.activities.ndjson", ACTIVITIES, [])
        packed = gzip.compress(b"".join(line(event(number)) + b"\n" for number in range(1000, 3000)))
        self._cut("2024-05-01-11.json.gz", packed[: len(packed) // 2])
        one = b"".join(line(event(number)) + b"\n" for number in range(4000, 4010))
        self._write("2024-05-01-12.json.gz", gzip.compress(one) + b"then something else", one)
        self.letters.append(Misread("2024-05-01-12.json.gz", 11, "truncated", b""))
        # The other part of that hour is fine, but the hour as a whole was not seen.
        rest = b"".join(line(event(number)) + b"\n" for number in range(5000, 5010))
        self._write("2024-05-01-12.part2.json.gz", gzip.compress(rest), rest)
        for hour, content in (("13", b"this was never packed\n"), ("14", b"")):
            self._write(f"2024-05-01-{hour}.json.gz", content, b"")
            self.letters.append(Misread(f"2024-05-01-{hour}.json.gz", 1, "unreadable", b""))
        self._write("2024-05-01-15.json.gz", gzip.compress(b""), b"")
        self._write("2024-05-01-16.json", b"", b"")
        self.letters.append(Misread("2024-05-01-16.json", 1, "unreadable", b""))
        self.replay: Replayed = replayed(self.bad, "--data-dir", self.state)

    def _lines(self, name: str, lines: list[tuple[bytes, str | None]], ancient: list[bytes]) -> None:
        good = b"".join(raw + b"\n" for raw, reason in lines if reason is None)
        self._write(name, b"".join(raw + b"\n" for raw in [*(raw for raw, _ in lines), *ancient]), good)
        self.letters += [
            Misread(name, number, reason, raw) for number, (raw, reason) in enumerate(lines, 1) if reason is not None
        ]

    def _cut(self, name: str, content: bytes) -> None:
        readable = zlib.decompressobj(31).decompress(content)
        good, newline, rest = readable.rpartition(b"\n")
        assert rest, "it is cut within a line"
        self._write(name, content, good + newline)
        self.letters.append(Misread(name, good.count(b"\n") + 2, "truncated", rest))

    def _write(self, name: str, bad: bytes, good: bytes) -> None:
        (self.bad / name).write_bytes(bad)
        (self.clean / name).write_bytes(gzip.compress(good) if name.endswith(".gz") else good)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> BadFolder:
    return BadFolder(tmp_path_factory.mktemp("bad"))


def test_what_can_be_read_is_measured(folder: BadFolder) -> None:
    clean = sorted(folder.clean.iterdir())
    expected = {key: value for key, value in recount(clean, bots=BOTS).items() if key[0] != "window_coverage_ratio"}
    measured = [row for row in folder.replay.measurements if row["name"] != "nomadwatch_window_coverage_ratio"]
    assert compare(measured, expected) == []
    assert values(folder.replay, "activities_total", scope="all", feature="contribution") == [3]
    assert values(folder.replay, "commits", scope="all", window="30d") == [2]
    assert values(
        folder.replay, "active_repositories", platform="github", scope="all", feature="preference", window="30d"
    ) == [5]
    assert values(folder.replay, "activities_total", platform="huggingface", scope="all") == [2]


def test_hours_that_could_not_be_read_whole_are_not_covered(folder: BadFolder) -> None:
    # A front on the next day (what is stamped almost a day ahead): its last 24 hours begin an hour after the covered
    # one.
    assert values(folder.replay, "window_coverage_ratio", platform="github", scope="all", window="7d") == [1 / 168]
    assert values(folder.replay, "window_coverage_ratio", platform="huggingface", scope="all", window="7d") == [1 / 168]


def test_what_cannot_be_read_is_counted_by_reason(folder: BadFolder) -> None:
    assert folder.replay.input["dead_letters"] == Counter(letter.reason for letter in folder.letters)
    assert folder.replay.input["late"] == len(ANCIENT)
    assert folder.replay.input["files"] == len(list(folder.bad.iterdir()))
    assert folder.replay.input["duplicates"] == 0


def test_what_cannot_be_read_is_in_dead_letters_with_its_bytes_reason_and_place(folder: BadFolder) -> None:
    assert Counter(dead_letters(folder.state)) == Counter(folder.letters)


def test_dead_letters_can_be_kept_without_their_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOMADWATCH_DEAD_LETTERS", "digest")
    (tmp_path / "2024-05-01-10.json").write_bytes(b'{"login": "somebody"\n' + line(event(1)))
    partly = replayed(tmp_path / "2024-05-01-10.json", "--data-dir", tmp_path / "state")
    assert partly.input["dead_letters"] == {"json": 1}
    assert dead_letters(tmp_path / "state") == [Misread("2024-05-01-10.json", 1, "json", None)]


NOTHING: dict[str, tuple[bytes, str]] = {
    "2024-05-01-10.json": (b"garbage\n", "(json 1): 2024-05-01-10.json is no JSON"),
    "2024-05-01-11.json.gz": (
        b"<!DOCTYPE html>\n<html>",
        "(unreadable 1): 2024-05-01-11.json.gz is an HTML page, as servers answer",
    ),
    "2024-05-01-12.json": (
        b"<?xml version='1.0'?><Error/>",
        "(json 1): 2024-05-01-12.json is an XML document, as storage services answer",
    ),
    "2024-05-01-13.json": (b"", "(unreadable 1): 2024-05-01-13.json is empty"),
    "page.json": (
        b'[{"number": 7}]',
        "page.json is JSON, but holds no event that can be measured (its first object has: number)",
    ),
}


@pytest.mark.parametrize("name", NOTHING)
def test_one_line_says_what_an_input_is_of_which_nothing_can_be_read(name: str, tmp_path: Path) -> None:
    content, words = NOTHING[name]
    (tmp_path / name).write_bytes(content)
    done = command("replay", tmp_path / name, "--report", tmp_path / "report.json", "--history", tmp_path / "past")
    assert (done.code, done.output) == (1, "")
    assert done.complaint.startswith("nomadwatch: nothing could be read ")
    assert words in done.complaint
    assert done.complaint.count("\n") == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["input"]["activities"], report["measurements"]) == (0, [])


@pytest.mark.parametrize(
    ("more", "strict"),
    [
        ([], ""),
        ([line(event(3, type="SponsorshipEvent"))], ""),
        (
            [b"{", line(event(3, type="SponsorshipEvent"))],
            "some of the input could not be measured (json 1, unknown-type 1), and --strict makes",
        ),
    ],
)
def test_with_strict_an_input_that_is_read_in_part_is_exit_code_1(
    more: list[bytes], strict: str, tmp_path: Path
) -> None:
    (tmp_path / "2024-05-01-10.json").write_bytes(b"\n".join([line(event(1)), *more]) + b"\n")
    done = command("replay", tmp_path / "2024-05-01-10.json", "--strict", "--report", tmp_path / "report.json")
    assert done.code == bool(strict)
    assert strict in done.complaint
    assert done.complaint.count("\n") == bool(more)
    assert json.loads((tmp_path / "report.json").read_text())["input"]["activities"] == 1


def test_what_happened_after_as_of_counts_as_read(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_bytes(line(event(1)))
    done = command("replay", tmp_path / "some.json", "--as-of", "2024-04-01T00:00:00Z", "--report", "-", "--strict")
    assert (done.code, done.complaint) == (0, "")


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ("absent.json.gz", "absent.json.gz"),
        ("absent/*.json", "no archive file fits this pattern"),
        ("empty", "no archive files in this folder"),
    ],
)
def test_a_missing_file_is_exit_code_2_and_one_line(named: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    done = command("replay", tmp_path / named, "--report", tmp_path / "report.json")
    assert (done.code, done.output) == (2, "")
    assert done.complaint.startswith("nomadwatch: ")
    assert complaint in done.complaint
    assert done.complaint.count("\n") == 1
    assert not (tmp_path / "report.json").exists()


def test_hours_that_identify_repositories_differently_are_exit_code_2_and_one_line(tmp_path: Path) -> None:
    minimised = {"id": "1", "dt": "2024-05-01T09:00:01Z", "repo": "a/b", "type": "watch", "actor": "c"}
    (tmp_path / "2024-05-01-9.json.gz").write_bytes(gzip.compress(line(minimised) + b"\n"))
    (tmp_path / "2024-05-01-10.json").write_bytes(line(event(1)) + b"\n")
    done = command("replay", tmp_path, "--report", tmp_path / "report.json")
    assert (done.code, done.output) == (2, "")
    assert "cannot be measured together" in done.complaint
    assert done.complaint.count("\n") == 1
    assert not (tmp_path / "report.json").exists()
