"""JSON values that follow each other in a text, whatever stands between them.

Archives hold events without a line break between them, recorded pages are lists that follow each other, tools print an event over
many lines, and what was interrupted leaves runs of zero bytes. Offsets in a cleaned text are those of the text as it was.
"""

import re
from typing import Final, NamedTuple

import msgspec

from streams.payloads import Line

# What stands between values and belongs to none, in a cleaned text.
BETWEEN: Final = b" \n,[]"
_GAP: Final = re.compile(rb"[ \n,\[\]]*")
# Control characters but for line breaks: of JSON none stands for itself in a string, and outside only as white space.
_BLANKS: Final = bytes(byte if byte >= 0x20 or byte == 0x0A else 0x20 for byte in range(256))
_MARK: Final = b"\xef\xbb\xbf"
# Half of a surrogate pair, which is no character: a high one without its low one behind it, or a low one without its high one before it.
_LONE: Final = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_TRAILING: Final = re.compile(r"trailing characters \(byte (\d+)\)")
_PLACE: Final = re.compile(r"\(byte (\d+)\)")
# Where the next event begins behind something that is broken, on the same line.
_NEXT: Final = re.compile(rb'(?<=\}) *\{ *"|\{ *"id" *: *"?\d+"? *, *"type" *: *"')
_OBJECT: Final = re.compile(rb'\{ *"')
_decode: Final = msgspec.json.Decoder(msgspec.Raw).decode


class Step(NamedTuple):
    """A value up to `end`, or something broken (not `sound`) up to where the next value may begin; None where that is not in sight."""

    end: int | None
    sound: bool = True


def clean(text: Line) -> bytes:
    """The text with blanks for control characters and byte-order marks, and replacements for characters that are none. As long as it was.

    >>> clean(b'\\xef\\xbb\\xbf{"a":"\\\\ud83dx\\xff"}\\x00')
    b'   {"a":"\\\\ufffdx?"} '
    """
    cleaned = bytes(text).translate(_BLANKS)
    if _MARK in cleaned:
        cleaned = cleaned.replace(_MARK, b"   ")
    if b"\\ud" in cleaned or b"\\uD" in cleaned:
        cleaned = _LONE.sub(lambda found: found[1] or b"\\ufffd", cleaned)
    try:
        cleaned.decode()
    except UnicodeDecodeError:
        cleaned = cleaned.decode(errors="surrogateescape").encode(errors="replace")
    return cleaned


def step(text: bytes, at: int) -> Step:
    """How far the value goes that begins at `at` of a cleaned text; of something broken, where the next one may begin.

    >>> step(b'{"a":1} {"b":2}', 0), step(b'{"a":1', 0), step(b'{"a":\\n{"b":2}}', 0), step(b'{"a",\\n{"b":2}', 0)
    (Step(end=7, sound=True), Step(end=None, sound=True), Step(end=14, sound=True), Step(end=5, sound=False))
    """
    try:
        _decode(memoryview(text)[at:])
    except msgspec.DecodeError as error:
        words = str(error)
        if trailing := _TRAILING.search(words):
            return Step(len(text[at : at + int(trailing[1]) - 1].rstrip(b" \n")) + at)
        place = _PLACE.search(words)
        # What ends with a minus sign, or in the middle of a character, is not said to be cut.
        if place is None or at + int(place[1]) >= len(text):
            return Step(None)
        return Step(_behind(text, at, at + int(place[1])), sound=False)
    except RecursionError:
        return Step(_behind(text, at, at), sound=False)
    return Step(len(text.rstrip(b" \n")))


def _behind(text: bytes, at: int, broken: int) -> int | None:
    """Where to go on behind something that begins at `at` and is broken at another place: at an event or a line break; None: in neither."""
    # An event in a line of its own: what is before it was torn.
    if (begin := text.find(b"\n{", at, broken + 1)) >= 0 or (begin := text.rfind(b"\n", at, broken)) >= 0:
        return begin
    line = text.find(b"\n", broken)
    end = line if line >= 0 else len(text)
    found = (_NEXT if text[at : at + 1] == b"{" else _OBJECT).search(text, at + 1, end)
    return found.start() if found else line if line >= 0 else None


def gap(text: bytes, at: int) -> tuple[int, int]:
    """Where the next value begins, and how many more lists have been opened than closed before it.

    >>> gap(b'], [ {"a":1}', 0), gap(b'[[{"a":1}', 0)
    ((5, 0), (2, 2))
    """
    found = _GAP.match(text, at)
    assert found is not None
    between = found[0]
    return found.end(), between.count(b"[") - between.count(b"]")


def values(line: Line) -> list[bytes]:
    """The values of one line, cleaned; what is broken between them as it is.

    >>> values(b'{"a":1}{"b":2},{"c":3}'), values(b'{"a":1}garbage{"b":2}')
    ([b'{"a":1}', b'{"b":2}', b'{"c":3}'], [b'{"a":1}', b'garbage', b'{"b":2}'])
    """
    raw, text = bytes(line), clean(line)
    found: list[bytes] = []
    at, _ = gap(text, 0)
    while at < len(text):
        end, sound = step(text, at)
        if end is None:
            end, sound = len(text), False
        found.append((text if sound else raw)[at:end])
        at, _ = gap(text, end)
    return found


def torn(text: bytes) -> int:
    """Where the last value of a text begins if its end is missing, else the length of the text.

    >>> torn(b'{"a":1} {"b":"x'), torn(b'[{"a":1},'), torn(b"garbage"), torn(b'{"a":!')
    (8, 9, 7, 6)
    """
    cleaned = clean(text)
    at, _ = gap(cleaned, 0)
    while at < len(text):
        end, sound = step(cleaned, at)
        if end is None:
            return at if sound and cleaned[at : at + 1] == b"{" else len(text)
        at, _ = gap(cleaned, end)
    return len(text)


def is_whole(line: Line) -> bool:
    """Whether a line is one value, and nothing else."""
    try:
        _decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
