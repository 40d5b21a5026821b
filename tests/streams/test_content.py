"""Files give their lines, as far as they can be read."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from streams import content
from streams.content import Content, TooLong

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


def test_a_first_line_that_is_a_list_does_not_make_a_page(tmp_path: Path) -> None:
    found, _ = lines_of(put(tmp_path / "file.json", b'[]\n{"a":1}\n'))
    assert found == [b"[]", b'{"a":1}']


def test_a_long_file_that_begins_like_a_page_is_read_as_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "LONGEST_PAGE", 100_000)
    found, _ = lines_of(put(tmp_path / "file.json", b"[garbage\n" + WHOLE))
    assert found == [b"[garbage", *LINES]
