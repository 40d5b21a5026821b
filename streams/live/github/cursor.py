"""How far a feed of GitHub has come: which events it has shown, and when it was polled. Ids are never compared by size,
because they have no order.
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
    """The 64-bit hashes of the last events that a feed has shown, the latest at the end.

    Events of complete polls are *settled*: a poll that meets one of them has missed nothing since. Events of an
    incomplete poll are known, so that they are not published again, but they are not settled.

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
        """Whether a complete poll has shown the event."""
        return self._hashes.get(event, False)

    @property
    def unsettled(self) -> int:
        """The number of events that only incomplete polls have shown since the last complete one."""
        return sum(not settled for settled in self._hashes.values())

    def known(self, shown: Iterable[int], *, settle: bool = False) -> "Seen":
        """This, with the events of one more poll; with `settle` all of them become settled."""
        hashes = dict(self._hashes)
        for event in shown:
            hashes[event] = hashes.pop(event, False)
        kept = list(hashes.items())[-self.LIMIT :]
        return Seen(
            (event for event, settled in kept if settled or settle),
            (event for event, settled in kept if not (settled or settle)),
        )

    def encode(self) -> tuple[bytes, bytes]:
        """The settled and the unsettled hashes, eight bytes each."""
        both = ([event for event, settled in self._hashes.items() if settled is which] for which in (True, False))
        settled, unsettled = (array("Q", events).tobytes() for events in both)
        return settled, unsettled

    @classmethod
    def decode(cls, settled: bytes, unsettled: bytes) -> Self:
        """The inverse of `encode`. Raises ValueError."""
        return cls(array("Q", settled), array("Q", unsettled))


class GithubCursor(msgspec.Struct, array_like=True, frozen=True):
    """Where a feed goes on. Times of events and polls are µs, None before the first; waits are seconds of real time.

    `settled` and `unsettled`: the hashes of events that it has shown. `etags`: those of the last complete poll's pages,
    as received. `newest`: the newest event time. `complete_at`: the last complete poll. `mark`: the watermark.
    `gap_end`: the end of the last gap. `rate`: new events a second. `cost`: requests a poll. `interval`: seconds of the
    station's clock to the next poll. `poll_interval`: what the server demands. `due_at`: when page 1 is due again.
    `polls`: those of the last hour of a sampled feed, from which its coverage is estimated.
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
        """The events that the feed has shown."""
        return Seen.decode(self.settled, self.unsettled)


encode_github: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(GithubCursor).decode


def decode_github(feed: str, data: bytes | None) -> GithubCursor:
    """The cursor of an earlier run, or a new one. Raises `StreamsError` for one that cannot be read.

    An implausible poll interval is dropped, and so is the time that was planned with it: the feed is polled at once.
    """
    if data is None:
        return GithubCursor()
    cursor = decoded(feed, _decode, data)
    if cursor.poll_interval is None or 0 <= cursor.poll_interval <= LONGEST_INTERVAL:
        return cursor
    return replace(cursor, poll_interval=None, interval=0.0, due_at=0.0)
