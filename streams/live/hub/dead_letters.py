"""What cannot be measured of the Hub's answers becomes a dead letter once, however often the Hub shows it."""

import hashlib
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from streams.errors import DeadLetter
from streams.kafka.dead_letters import Keep, misread
from streams.live.common.http import Oversized

T = TypeVar("T")


class HubLetters:
    """Writes dead letters; the last `LIMIT` that the broker has are remembered."""

    LIMIT: Final = 10_000

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._put: dict[bytes, None] = {}
        self._digests: dict[bytes, bytes] = {}

    def write(self, feed: str, address: str, line: int, error: Exception, raw: bytes | msgspec.Raw) -> list[bytes]:
        """The record for the topic `dead-letters`, or none if the broker has it. `line` counts the elements of an
        answer from 1.
        """
        content = bytes(raw)
        digest = hashlib.blake2b(content, digest_size=16).digest()
        if digest in self._put:
            return []
        reason = error.reason if isinstance(error, DeadLetter) else "missing-field"
        letter = misread(feed, address, line, reason, content, self._keep)
        # If an answer is discarded because a later one failed, its dead letters are written again.
        _remember(self._digests, letter, digest, self.LIMIT)
        return [letter]

    def exceeding(self, feed: str, error: Exception) -> list[bytes]:
        """The record of an oversized answer; none for other failures."""
        return (
            self.write(feed, error.address, 0, DeadLetter("too-long"), error.raw)
            if isinstance(error, Oversized)
            else []
        )

    def once(self, dead_letters: Iterable[bytes]) -> list[bytes]:
        """One of the records for each content: pages that move show an element twice."""
        found = {self._digests.get(letter, letter): letter for letter in dead_letters}
        return [letter for digest, letter in found.items() if digest not in self._put]

    def note(self, dead_letters: Iterable[bytes]) -> None:
        """Remember records. Call it after the broker has them."""
        for letter in dead_letters:
            digest = self._digests.pop(letter, None)
            if digest is not None:
                _remember(self._put, digest, None, self.LIMIT)


def _remember(known: dict[bytes, T], key: bytes, value: T, limit: int) -> None:
    if len(known) >= limit:
        known.pop(next(iter(known)))
    known[key] = value
