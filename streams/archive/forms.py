"""What a file is, by its first bytes and not by its name."""

import codecs
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
import zstandard
from isal import isal_zlib

from streams.github_payloads import UNDECODABLE
from streams.values import is_whole, values

HEAD: Final = 4096
# What unpacking raises. The type stub of isal declares its error as an instance.
DAMAGED: Final = (cast(type[Exception], isal_zlib.IsalError), zstandard.ZstdError, EOFError, OSError)
GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
_UNPACKERS: Final[tuple[tuple[bytes, Callable[[], Any]], ...]] = (
    (GZIP, lambda: isal_zlib.decompressobj(31)),
    (ZSTD, lambda: zstandard.ZstdDecompressor().decompressobj()),
)
# What may come before the first value of a text: zero bytes, white space, record separators, a byte-order mark.
_BEFORE: Final = b"\0\t\n\v\f\r \x1e\xef\xbb\xbf"
_UTF_16: Final = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"{\0", "utf-16-le"), (b"[\0", "utf-16-le"))
_KINDS: Final = (
    (b"PK\x03\x04", "a ZIP archive: unpack it first"),
    (b"BZh", "packed with bzip2: unpack it first"),
    (b"\xfd7zXZ", "packed with xz: unpack it first"),
    (b"\x04\x22\x4d\x18", "packed with lz4: unpack it first"),
    (b"PAR1", "a Parquet file: export it as JSON lines"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%PDF", "a PDF document"),
)
_NO_EVENT: Final = "JSON, but holds no event that can be measured"
_MOST_KEYS: Final = 5
_LONGEST_KEY: Final = 40


def unpacker(head: bytes) -> Callable[[], Any] | None:
    """A function that makes the unpacker for a file with this beginning; None if the file is not packed.

    >>> unpacker(b"\\x1f\\x8b\\x08") is None, unpacker(b'{"id":')
    (False, None)
    """
    return next((new for magic, new in _UNPACKERS if head.startswith(magic)), None)


def is_text(head: bytes) -> bool:
    """Whether the bytes begin as JSON does.

    >>> is_text(b'\\xef\\xbb\\xbf{"id"'), is_text(b"<html>"), is_text(b"no JSON")
    (True, False, False)
    """
    return head.lstrip(_BEFORE)[:1] in (b"{", b"[", b"") or encoding(head) is not None


def encoding(head: bytes) -> str | None:
    """The encoding of a text that is not UTF-8, as some shells write it.

    >>> encoding('\\ufeff{"id"'.encode("utf-16-le")), encoding('{"id"'.encode("utf-16-be")), encoding(b'{"id"')
    ('utf-16-le', 'utf-16-be', None)
    """
    if len(head) > 3 and head[0] == head[2] == 0 and head[1] in b"{[":
        return "utf-16-be"
    found = next((name for mark, name in _UTF_16 if head.startswith(mark)), None)
    # Two bytes are no proof: in UTF-16 the next character belongs to JSON too.
    return (
        found
        if found and codecs.decode(head[:4], found, "ignore").lstrip("\ufeff")[:1] in ("{", "[", "\r", "\n", " ")
        else None
    )


def describe(path: str) -> str:
    """What a file is in which nothing could be read, in words that follow its name and "is"."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if not head:
        return "empty"
    bare = head.lstrip(_BEFORE)
    lowered = bare[:200].lower()
    if not bare:
        return "nothing but white space or zero bytes"
    if kind := next((words for magic, words in _KINDS if head.startswith(magic)), None):
        return kind
    if (new := unpacker(bare)) is not None:
        return _inside(bare, new)
    return _text(bare, lowered)


def _inside(packed: bytes, new: Callable[[], Any]) -> str:
    try:
        text = bytes(new().decompress(packed))[:HEAD]
    except DAMAGED:
        return "packed, but damaged at its beginning: download it again"
    if not text:
        return "packed, with nothing in it that can be read"
    bare = text.lstrip(_BEFORE)
    return "packed: inside it is " + (
        _text(bare, bare[:200].lower()) if bare else "nothing but white space or zero bytes"
    )


def _text(bare: bytes, lowered: bytes) -> str:
    if lowered.startswith((b"<!doctype html", b"<html")):
        return "an HTML page, as servers answer instead of a file: download it again"
    if lowered.startswith(b"<"):
        return "an XML document, as storage services answer instead of a file: download it again"
    if bare[:1] in (b"{", b"["):
        return _json(bare)
    try:
        bare[: HEAD // 2].decode()
    except UnicodeDecodeError:
        return "binary data of an unknown kind"
    return "no JSON"


def _json(bare: bytes) -> str:
    """JSON without events: what its first object says about itself."""
    for line in [*bare.splitlines()[:1], bare]:
        for value in values(line):
            try:
                found = msgspec.json.decode(value)
            except UNDECODABLE:
                continue
            if isinstance(found, dict):
                keys = ", ".join(
                    sorted(key for key in found if key.isidentifier() and len(key) <= _LONGEST_KEY)[:_MOST_KEYS]
                )
                return _NO_EVENT + (f" (its first object has: {keys})" if keys else "")
    return _NO_EVENT if is_whole(bare.rstrip(_BEFORE)) else "JSON that is cut off or broken in its first value"
