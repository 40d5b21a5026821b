"""What of the Hub's answers cannot be measured is put aside once, however often the Hub shows it."""

import hashlib
from typing import Final

import msgspec

from streams.errors import DeadLetter
from streams.letters import Keep, misread


class HubLetters:
    """Writes dead letters; the last `LIMIT` are remembered."""

    LIMIT: Final = 10_000

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._written: dict[bytes, None] = {}

    def write(self, feed: str, address: str, line: int, error: Exception, raw: bytes | msgspec.Raw) -> list[bytes]:
        """The record for the topic `dead-letters`, none if it was written already; `line` counts an answer's elements from 1."""
        content = bytes(raw)
        digest = hashlib.blake2b(content, digest_size=16).digest()
        if digest in self._written:
            return []
        if len(self._written) >= self.LIMIT:
            self._written.pop(next(iter(self._written)))
        self._written[digest] = None
        reason = error.reason if isinstance(error, DeadLetter) else "missing-field"
        return [misread(feed, address, line, reason, content, self._keep)]
