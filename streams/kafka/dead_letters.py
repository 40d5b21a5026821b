"""Dead letters: input that could not be measured, kept with its position and the reason."""

import base64
import hashlib
from typing import Final, Literal

import msgspec

KEPT: Final = 64 << 10

Keep = Literal["raw", "digest"]


class Misread(msgspec.Struct, omit_defaults=True):
    """A dead letter: which line (from 1; the offset in a topic) of which file could not be measured, why, and its
    bytes.

    `raw` is base64 of the first 64 KiB, absent if only digests are kept; `digest` is BLAKE2b of all bytes, in
    hexadecimal.
    """

    source: str
    file: str
    line: int
    reason: str
    digest: str
    raw: str | None = None


def misread(source: str, file: str, line: int, reason: str, raw: bytes, keep: str = "raw") -> bytes:
    """The record for the topic `dead-letters`; `keep` says whether it may contain the bytes themselves.

    >>> misread("archive", "a.json", 3, "json", b"{", keep="digest")
    b'{"source":"archive","file":"a.json","line":3,"reason":"json","digest":"d839590985278e8fd9ebaf6eb1048c17"}'
    """
    kept = base64.b64encode(raw[:KEPT]).decode() if keep == "raw" else None
    return msgspec.json.encode(
        Misread(source, file, line, reason, hashlib.blake2b(raw, digest_size=16).hexdigest(), kept)
    )
