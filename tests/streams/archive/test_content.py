"""Files give their lines as far as they can be read."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from streams.archive import content
from streams.archive.content import Content, TooLong
from streams.values import values

LINES = [f'{{"line": {number}, "filling": "{"x" * (number % 50)}"}}'.encode() for number in range(20_000)]
WHOLE = b"\n".join(LINES) + b"\n"


def lines_of(path: Path) -> tuple[list[bytes], Content]:
    found = Content(str(path))
    return [bytes(line) for chunk in found for line in chunk], found


def put(path: Path, packed: bytes) -> Path:
    path.write_bytes(packed)
    return path


@pytest.mark.parametrize(
    ("suffix", "packed"),
    [
        (".json", WHOLE),
        (".json", WHOLE[:-1]),
        (".gz", gzip.compress(WHOLE)),
        (".zst", zstandard.compress(WHOLE)),
        (".gz", gzip.compress(WHOLE[:100_001]) + gzip.compress(WHOLE[100_001:]) + bytes(512)),
        (".zst", zstandard.compress(WHOLE[:100_001]) + zstandard.compress(WHOLE[100_001:])),
    ],
)
def test_lines_are_the_same_however_they_are_packed(tmp_path: Path, suffix: str, packed: bytes) -> None:
    found, file = lines_of(put(tmp_path / f"file{suffix}", packed))
    assert found == LINES
    assert file.damage is None
    assert file.position == file.size == len(packed)


@pytest.mark.parametrize("packing", ["gz", "zst"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_of_a_truncated_file_the_readable_beginning_is_kept(tmp_path: Path, packing: str, share: float) -> None:
    packed = gzip.compress(WHOLE) if packing == "gz" else zstandard.ZstdCompressor(level=1).compress(WHOLE)
    found, file = lines_of(put(tmp_path / f"file.{packing}", packed[: int(len(packed) * share)]))
    assert file.damage == "truncated"
    assert found == LINES[: len(found)]
    assert WHOLE.startswith(b"".join(line + b"\n" for line in found) + file.remains)
    assert len(found) > len(LINES) * share * 0.5 or packing == "zst"


def test_damage_in_the_middle_costs_only_what_comes_after_it(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(WHOLE))
    middle = len(packed) // 2
    packed[middle : middle + 2_000] = b"\xff" * 2_000
    found, file = lines_of(put(tmp_path / "file.gz", bytes(packed)))
    assert file.damage == "truncated"
    assert found[:9_000] == LINES[:9_000]
    assert len(found) < 11_000


def test_a_wrong_checksum_at_the_end_costs_no_line(tmp_path: Path) -> None:
    packed = gzip.compress(WHOLE)
    found, file = lines_of(put(tmp_path / "file.gz", packed[:-8] + bytes(8)))
    assert (found, file.damage) == (LINES, "truncated")


def test_garbage_after_the_end_is_damage_and_costs_no_line(tmp_path: Path) -> None:
    found, file = lines_of(put(tmp_path / "file.gz", gzip.compress(WHOLE) + b"garbage" * 10))
    assert (found, file.damage) == (LINES, "truncated")


@pytest.mark.parametrize("packed", [b"", b"no gzip at all", b"\x1f\x8b\x08"])
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_of_which_nothing_can_be_read_is_unreadable(tmp_path: Path, suffix: str, packed: bytes) -> None:
    found, file = lines_of(put(tmp_path / f"file.json{suffix}", packed))
    assert (found, file.damage) == ([], "unreadable")


def test_a_whole_but_empty_gzip_has_no_lines_and_no_damage(tmp_path: Path) -> None:
    found, file = lines_of(put(tmp_path / "file.gz", gzip.compress(b"")))
    assert (found, file.damage) == ([], None)


def test_a_last_line_that_is_whole_is_kept_although_the_rest_is_cut_off(tmp_path: Path) -> None:
    stream = gzip.compress(b'{"a":1}\n{"b":2}', 0)
    found, file = lines_of(put(tmp_path / "file.gz", stream[:-8]))
    assert (found, file.damage, file.remains) == ([b'{"a":1}', b'{"b":2}'], "truncated", b"")


@pytest.mark.parametrize("longest", [1_000, 100_000])
def test_a_line_that_is_too_long_gives_its_beginning_and_the_next_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: int
) -> None:
    monkeypatch.setattr(content, "LONGEST_LINE", longest)
    monkeypatch.setattr(content, "KEPT", 10)
    giant = b'{"giant": "' + b"y" * 1_000_000 + b'"}'
    path = put(tmp_path / "file.json", b'{"a":1}\n' + giant + b'\n{"b":2}\n')
    found = [line for chunk in Content(str(path)) for line in chunk]
    assert [bytes(line) for line in found] == [b'{"a":1}', giant[:10], b'{"b":2}']
    assert [isinstance(line, TooLong) for line in found] == [False, True, False]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_page_gives_its_elements_as_lines(tmp_path: Path, indent: int | None) -> None:
    rows = [{"id": "1", "nested": [1, 2]}, None, "text"]
    found, file = lines_of(put(tmp_path / "page.json", json.dumps(rows, indent=indent).encode()))
    assert ([json.loads(line) for line in found], file.damage) == (rows, None)


EVENTS = [
    json.dumps({"id": str(number), "text": '}{ ],[ \n " é', "inner": [{"a": []}, {}]}).encode()
    for number in range(3_000)
]
PRETTY = [json.dumps(json.loads(event), indent=2).encode() for event in EVENTS]


def joined(parts: list[bytes], *between: bytes) -> bytes:
    """The parts, with one of the separators behind each, in turn."""
    return b"".join(part + between[number % len(between)] for number, part in enumerate(parts))


@pytest.mark.parametrize(
    "text",
    [
        joined(EVENTS, b""),
        joined(EVENTS, b"", b"\n", b"\n", b"\n"),
        joined(EVENTS, b" ", b"\t", b", ", b"\r"),
        joined(EVENTS, b"\r\n"),
        joined(EVENTS, b",\n", b"\n,"),
        b"\x1e" + joined(EVENTS, b"\n\x1e"),
        joined(EVENTS, b"\n", bytes(700), bytes(30) + b"\n", b"\n" + bytes(5)),
        bytes(100_000) + joined(EVENTS, b"\n") + bytes(100_000),
        b"\xef\xbb\xbf" + joined(EVENTS, b"\n"),
        joined(EVENTS, b"\n", b"\n\xef\xbb\xbf"),
        b"[" + b", ".join(EVENTS) + b"]",
        b"[" + b", ".join(EVENTS[:1_000]) + b"][" + b",".join(EVENTS[1_000:]) + b"][]",
        b"[" + b",\n".join(EVENTS[:1_000]) + b"]\n[\n" + b"\n,".join(EVENTS[1_000:]) + b"\n]\n",
        b"[[" + b",".join(EVENTS[:1_000]) + b"],\n[" + b",".join(EVENTS[1_000:]) + b"]]",
        joined(PRETTY, b"\n"),
        joined(PRETTY, b""),
        b"[\n" + b",\n".join(PRETTY) + b"\n]\n[\n]\n",
        joined(EVENTS, b"\n").decode().encode("utf-16"),
        joined(EVENTS, b"\r\n").decode().encode("utf-16-be"),
        ("\ufeff" + joined(PRETTY, b"\r\n").decode()).encode("utf-16-be"),
    ],
    ids=[
        "nothing between",
        "now and then nothing between",
        "blanks and commas between",
        "carriage returns",
        "commas at line ends",
        "record separators",
        "zero bytes between",
        "zero bytes before and behind",
        "byte-order mark",
        "byte-order marks between",
        "a list",
        "lists behind each other",
        "lists of lines",
        "a list of lists",
        "events over many lines",
        "events over many lines without a break between",
        "a list of events over many lines",
        "UTF-16",
        "UTF-16 without a mark",
        "UTF-16 over many lines",
    ],
)
@pytest.mark.parametrize("name", ["file.json", "file.json.gz"])
def test_events_are_found_whatever_stands_between_them(tmp_path: Path, text: bytes, name: str) -> None:
    packed = gzip.compress(text) if name.endswith("gz") else text
    found = Content(str(put(tmp_path / name, packed)))
    events = [json.loads(value) for chunk in found for line in chunk for value in values(line)]
    assert (events, found.damage) == ([json.loads(event) for event in EVENTS], None)


@pytest.mark.parametrize(
    "packed", [WHOLE, gzip.compress(WHOLE), zstandard.compress(WHOLE), gzip.compress(gzip.compress(WHOLE))]
)
@pytest.mark.parametrize("name", ["file.json", "file.json.gz", "file.json.zst"])
def test_how_a_file_is_packed_is_seen_from_its_bytes_and_not_from_its_name(
    tmp_path: Path, name: str, packed: bytes
) -> None:
    found, file = lines_of(put(tmp_path / name, packed))
    assert (found, file.damage) == (LINES, None)
    assert file.position == file.size


def test_zero_bytes_before_and_between_packed_members_are_padding(tmp_path: Path) -> None:
    half = len(WHOLE) // 2
    members = bytes(7) + gzip.compress(WHOLE[:half]) + bytes(70_000) + gzip.compress(WHOLE[half:]) + bytes(9)
    found, file = lines_of(put(tmp_path / "file.json.gz", members))
    assert (found, file.damage) == (LINES, None)


@pytest.mark.parametrize(
    "layout", [b"\n".join, b"".join, lambda parts: b"[" + b",".join(parts), lambda parts: b"[\n" + b",\n".join(parts)]
)
@pytest.mark.parametrize("events", [EVENTS, PRETTY])
@pytest.mark.parametrize("cut", [1, 3, 30])
@pytest.mark.parametrize("name", ["file.json", "file.json.gz"])
def test_a_text_that_is_cut_in_its_last_value_is_truncated_packed_or_not(
    tmp_path: Path, layout: Any, events: list[bytes], cut: int, name: str
) -> None:
    text = layout(events)[:-cut]
    found = Content(str(put(tmp_path / name, gzip.compress(text) if name.endswith("gz") else text)))
    read = [json.loads(value) for chunk in found for line in chunk for value in values(line)]
    assert (found.damage, read) == ("truncated", [json.loads(event) for event in EVENTS[:-1]])
    assert events[-1].startswith(found.remains)
    assert found.remains


def test_a_list_that_is_never_closed_is_truncated_although_its_last_value_is_whole(tmp_path: Path) -> None:
    found, file = lines_of(put(tmp_path / "page.json", b'[{"a":1},{"b":2}'))
    assert (found, file.damage, file.remains) == ([b'{"a":1},{"b":2}'], "truncated", b"")


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n", bytes(20)])
def test_a_text_that_ends_behind_its_last_value_is_whole(tmp_path: Path, end: bytes) -> None:
    _, file = lines_of(put(tmp_path / "file.json", b'{"a":1}\n{"b":2}' + end))
    assert file.damage is None


@pytest.mark.parametrize("last", [b"garbage", b'{"a":1}}', b'{"a":1} garbage', b"null"])
def test_a_last_line_that_is_bad_and_not_cut_is_no_damage(tmp_path: Path, last: bytes) -> None:
    found, file = lines_of(put(tmp_path / "file.json", b'{"a":1}\n' + last))
    assert (b"".join(found[1:]).replace(b" ", b""), file.damage) == (last.replace(b" ", b""), None)


def test_something_torn_costs_itself_and_not_what_follows_it(tmp_path: Path) -> None:
    torn_line, torn_event = b'{"id":"1","actor":{"lo', b'{\n  "id": "1",\n  "actor": {'
    behind = EVENTS[3] + b"garbage" + EVENTS[4]
    text = b"\n".join([torn_line, EVENTS[0], torn_event, PRETTY[1], b'{"id":', EVENTS[2], behind, EVENTS[5], b""])
    found, file = lines_of(put(tmp_path / "file.json", text))
    read = [value for line in found for value in values(line)]
    sound = [json.loads(value) for value in read if value not in (torn_line, torn_event, b'{"id":', b"garbage")]
    assert sound == [json.loads(event) for event in EVENTS[:6]]
    assert len(read) == len(sound) + 4
    assert file.damage is None


@pytest.mark.parametrize("torn", [b'{"id":', b'{"id":"1","actor":[', b"{"])
def test_something_torn_before_the_last_event_costs_itself_alone(tmp_path: Path, torn: bytes) -> None:
    event = b'{"id":"2","type":"PushEvent"}'
    found, file = lines_of(put(tmp_path / "file.json", b'{"a":1}\n' + torn + b"\n" + event + b"\n"))
    assert (found, file.damage) == ([b'{"a":1}', torn, event], None)


@pytest.mark.parametrize("block", [1, 7, 100])
def test_lines_are_the_same_wherever_a_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(content, "_BLOCK", block)
    monkeypatch.setattr(content, "LONG", 50)
    text = (
        joined(EVENTS[:20], b"\n", b"", b",\n", b"\x1e")
        + b"\n"
        + joined(PRETTY[:20], b"\n", b"")
        + b"["
        + b",".join(EVENTS[:20])
        + b"]"
    )
    found = Content(str(put(tmp_path / "file.json", text)))
    read = [json.loads(value) for chunk in found for line in chunk for value in values(line)]
    assert (read, found.damage) == ([json.loads(event) for event in EVENTS[:20]] * 3, None)


@pytest.mark.parametrize(
    "unit", [b'"', b'}{"', b"{", b"[", b'{"a":', b'{"a":[\n', b'{"id":"1","lo\n', b"{'a'", b"1 ", b",", b"\0"]
)
def test_nonsense_ends(tmp_path: Path, unit: bytes) -> None:
    """What takes time that grows with the square of the length would not."""
    nonsense = unit * (2_000_000 // len(unit))
    for name, packed in (("plain.json", nonsense), ("packed.json.gz", gzip.compress(nonsense))):
        for _ in Content(str(put(tmp_path / name, packed))):
            pass


def test_a_line_without_an_event_keeps_its_number_and_its_bytes(tmp_path: Path) -> None:
    rows = [b"", b'{"a":1}', b" \t", b'["a", 1]', b"null", b"\xffgarbage\x00", b'{"b":2}']
    found, _ = lines_of(put(tmp_path / "file.json", b"\n".join(rows) + b"\n"))
    assert found == rows


def test_empty_lists_between_lines_are_nothing(tmp_path: Path) -> None:
    found, file = lines_of(put(tmp_path / "file.json", b'[]\n{"a":1}\n[\n]\n'))
    assert (found, file.damage) == ([b'{"a":1}'], None)
