"""How far a feed of GitHub has come: what it has shown, and when it was asked. Never an id to compare with: ids have no
order.
"""

from array import array
from collections.abc import Iterable
from typing import Final, Self

import msgspec
from msgspec.structs import replace

from streams.kafka.cursors import decoded
from streams.live.common.backoff import LONGEST_INTERVAL
from streams.live.github.coverage import Poll


class Seen:
    """The 64-bit hashes of the last events that a feed has shown, the last shown at the end.

    Those of its complete polls are *settled*: a poll that meets one of them has missed nothing since. What an
    incomplete poll found is known, so that it is not published again, but not settled.

    >>> seen = Seen().known([1, 2])
    >>> [1 in seen, seen.settled(1), seen.known([3], settle=True).settled(1), 4 in seen]
    [True, False, True, False]
    """

    LIMIT: Final = 1_000

    def __init__(self, settled: Iterable[int] = (), unsettled: Iterable[int] = ()) -> None:
        self._hashes = {**dict.fromkeys(settled, True), **dict.fromkeys(unsettled, False)}

    def __contains__(self, event: int) -> bool:
        return event in self._hashes

    def settled(self, event: int) -> bool:
        """Whether a complete poll showed it, or one before that."""
        return self._hashes.get(event, False)

    @property
    def unsettled(self) -> int:
        """How many events were met by incomplete polls since the last complete one."""
        return sum(not settled for settled in self._hashes.values())

    def known(self, shown: Iterable[int], *, settle: bool = False) -> "Seen":
        """This and what a poll has shown; with `settle` all of it is settled."""
        hashes = dict(self._hashes)
        for event in shown:
            hashes[event] = hashes.pop(event, False)
        kept = list(hashes.items())[-self.LIMIT :]
        return Seen(
            (event for event, settled in kept if settled or settle),
            (event for event, settled in kept if not (settled or settle)),
        )

    def encode(self) -> tuple[bytes, bytes]:
        """The settled and the others, eight bytes each."""
        both = ([event for event, settled in self._hashes.items() if settled is which] for which in (True, False))
        settled, unsettled = (array("Q", events).tobytes() for events in both)
        return settled, unsettled

    @classmethod
    def decode(cls, settled: bytes, unsettled: bytes) -> Self:
        """What `encode` gave."""
        return cls(array("Q", settled), array("Q", unsettled))


class GithubCursor(msgspec.Struct, array_like=True, frozen=True):
    """Where a feed goes on; times of events and polls in µs, None before the first, those of waiting in the wall's
    seconds.

    `settled` and `unsettled` are what it has shown, `etags` those of the last complete poll's pages as received,
    `newest` the newest event time, `complete_at` the last complete poll, `mark` what the feed has promised, `gap_end`
    the end of the last gap, `rate` the new events a second, `cost` the requests a poll, `interval` the station's
    seconds to the next one. `poll_interval` is what the server states, `due_at` when page 1 is to be asked for again.
    `polls` are those of the last hour, of a sampled feed: what its coverage is told by.
    """

    settled: bytes = b""
    unsettled: bytes = b""
    etags: tuple[str | None, ...] = ()
    newest: int | None = None
    complete_at: int | None = None
    mark: int | None = None
    gap_end: int | None = None
    rate: float = 0.0
    cost: float = 1.0
    interval: float = 0.0
    poll_interval: float | None = None
    due_at: float = 0.0
    polls: tuple[Poll, ...] = ()

    def __post_init__(self) -> None:
        if len(self.settled) % 8 or len(self.unsettled) % 8:
            raise ValueError("hashes have eight bytes each")

    @property
    def seen(self) -> Seen:
        """What the feed has shown."""
        return Seen.decode(self.settled, self.unsettled)


encode_github: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(GithubCursor).decode


def decode_github(feed: str, data: bytes | None) -> GithubCursor:
    """The cursor of an earlier run, or a new one. Raises `StreamsError` for what is none.

    A poll interval that cannot be true is not believed, nor what was planned by it: the feed is asked at once.
    """
    if data is None:
        return GithubCursor()
    cursor = decoded(feed, _decode, data)
    if cursor.poll_interval is None or 0 <= cursor.poll_interval <= LONGEST_INTERVAL:
        return cursor
    return replace(cursor, poll_interval=None, interval=0.0, due_at=0.0)
