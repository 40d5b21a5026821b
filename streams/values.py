"""JSON values that follow each other in a text, whatever is between them.

Archives hold events without line breaks between them, recorded pages are lists that follow each other, tools print an
event over many lines, and interrupted writes leave runs of zero bytes. Offsets in a cleaned text are those of the
original text.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from streams.github_payloads import Line

# Bytes between values that belong to none, in a cleaned text.
BETWEEN: Final = b" \n,[]"
_GAP: Final = re.compile(rb"[ \n,\[\]]*")
# Control characters except line breaks: JSON allows none inside a string, and outside only as white space.
_BLANKS: Final = bytes(byte if byte >= 0x20 or byte == 0x0A else 0x20 for byte in range(256))
_MARK: Final = b"\xef\xbb\xbf"
# Half of a surrogate pair, which is no character: a high one without a low one after it, or a low one without a high
# one before it.
_LONE: Final = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_TRAILING: Final = re.compile(r"trailing characters \(byte (\d+)\)")
_PLACE: Final = re.compile(r"\(byte (\d+)\)")
# Where the next event begins after a broken part, on the same line.
_NEXT: Final = re.compile(rb'(?<=\}) *\{ *"|\{ *"id" *: *"?\d+"? *, *"type" *: *"')
_OBJECT: Final = re.compile(rb'\{ *"')
_decode: Final = msgspec.json.Decoder(msgspec.Raw).decode


class Step(NamedTuple):
    """A value up to `end`, or a broken part (not `sound`) up to where the next value may begin; None if that is not in
    the text.
    """

    end: int | None
    sound: bool = True


def clean(text: Line) -> bytes:
    """The text with blanks for control characters and byte-order marks, and replacements for invalid characters. Its
    length stays the same.

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


def step(text: bytes, at: int, line: int, *, final: bool = False) -> Step:
    """The end of the value that begins at `at` of a cleaned text; for a broken part, where the next value may begin.

    `line` is where the line of `at` ends (-1: with the text). In a `final` text a value without an end is broken if a
    later line holds a whole event.

    >>> step(b'{"a":1} {"b":2}', 0, -1), step(b'{"a":1', 0, -1)
    (Step(end=7, sound=True), Step(end=None, sound=True))
    >>> step(b'{"a":\\n{"b":2}}', 0, 5), step(b'{"a",\\n{"b":2}', 0, 5)
    (Step(end=14, sound=True), Step(end=5, sound=False))
    """
    try:
        _decode(memoryview(text)[at:])
    except msgspec.DecodeError as error:
        words = str(error)
        if trailing := _TRAILING.search(words):
            return Step(len(text[at : at + int(trailing[1]) - 1].rstrip(b" \n")) + at)
        place = _PLACE.search(words)
        # A text that ends with a minus sign, or within a character, is not reported as cut.
        if place is None or at + int(place[1]) >= len(text):
            end = text.find(b"\n{", at) if final else -1
            return Step(end, sound=False) if end >= 0 and _is_event(text, end + 1) else Step(None)
        return Step(_behind(text, at, at + int(place[1]), line), sound=False)
    except RecursionError:
        return Step(_behind(text, at, at, line), sound=False)
    return Step(len(text.rstrip(b" \n")))


def _is_event(text: bytes, at: int) -> bool:
    """Whether a whole event or activity begins at a position."""
    end = step(text, at, text.find(b"\n", at)).end
    try:
        value = msgspec.json.decode(text[at:end])
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(value, dict) and not value.keys().isdisjoint(("type", "kind"))


def _behind(text: bytes, at: int, broken: int, line: int) -> int | None:
    """Where to go on after something that begins at `at` and is broken at another position: at an event or a line
    break; None if there is neither.
    """
    if 0 <= line < broken:
        # The part before an event on a line of its own was torn.
        begin = text.find(b"\n{", line, broken + 1)
        return begin if begin >= 0 else text.rfind(b"\n", line, broken)
    end = line if line >= 0 else len(text)
    found = (_NEXT if text[at : at + 1] == b"{" else _OBJECT).search(text, at + 1, end)
    return found.start() if found else line if line >= 0 else None


def gap(text: bytes, at: int) -> tuple[int, int]:
    """Where the next value begins, and how many more lists were opened than closed before it.

    >>> gap(b'], [ {"a":1}', 0), gap(b'[[{"a":1}', 0)
    ((5, 0), (2, 2))
    """
    found = _GAP.match(text, at)
    assert found is not None
    between = found[0]
    return found.end(), between.count(b"[") - between.count(b"]")


def values(line: Line) -> list[bytes]:
    """The values of one line, cleaned; broken parts between them as they are.

    >>> values(b'{"a":1}{"b":2},{"c":3}'), values(b'{"a":1}garbage{"b":2}')
    ([b'{"a":1}', b'{"b":2}', b'{"c":3}'], [b'{"a":1}', b'garbage', b'{"b":2}'])
    """
    raw, text = bytes(line), clean(line)
    return [(text if sound else raw)[at:end] for at, end, sound in _steps(text)]


def torn(text: bytes) -> int:
    """Where the last value of a text begins if its end is missing, else the length of the text.

    >>> torn(b'{"a":1} {"b":"x'), torn(b'[{"a":1},'), torn(b"garbage"), torn(b'{"a":!')
    (8, 9, 7, 6)
    """
    cleaned = clean(text)
    for at, end, _ in _steps(cleaned):
        if end == len(text) and cleaned[at : at + 1] == b"{" and step(cleaned, at, -1, final=True) == Step(None):
            return at
    return len(text)


def _steps(text: bytes) -> Iterator[tuple[int, int, bool]]:
    """(begin, end, whether it is sound) of every value of a final, cleaned text, and of the broken parts between
    them.
    """
    line = text.find(b"\n")
    at, _ = gap(text, 0)
    while at < len(text):
        if 0 <= line < at:
            line = text.find(b"\n", at)
        end, sound = step(text, at, line, final=True)
        if end is None:
            end, sound = len(text), False
        yield at, end, sound
        at, _ = gap(text, end)


def is_whole(line: Line) -> bool:
    """Whether a line is exactly one value."""
    try:
        _decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
