"""What is remembered of one repository of the Hub between two readings: one record, whatever happens to the
repository.
"""

from typing import Final

import msgspec

from streams.kafka.cursors import decoded

_MOST_THREADS: Final = 5_000
_MOST_KNOWN: Final = 50_000


class ThreadState(msgspec.Struct, array_like=True, omit_defaults=True):
    """A thread as it was; `title` is a 32-bit hash.

    `known` are 32-bit hashes of the events met so far, because they may come in any order; of long threads only the
    newest. Events older than `floor` (µs) are known too.
    """

    comments: int | None
    status: str
    title: int = 0
    floor: int = 0
    known: list[int] = []


class RepositoryState(msgspec.Struct, array_like=True):
    """What is known of a repository: a cursor of at most about 600 kB.

    `since`: nothing older was ever published (µs). `commits`: the first 64 bits of the newest SHAs; `newest`: their
    newest time. `likers`: keyed hashes; None before the baseline. `page`: where the next turn through old threads
    begins. `pending`: likes that are being published, with the times given to them (µs).
    """

    since: int
    head: str | None = None
    commits: list[int] = []
    newest: int = 0
    threads: dict[int, ThreadState] | None = None
    likes: int | None = None
    likers: list[int] | None = None
    page: int = 1
    pending: dict[int, int] = {}


encode_state: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(RepositoryState).decode


def decode_state(key: str, data: bytes) -> RepositoryState:
    """The state in a cursor. Raises `StreamsError` for one that cannot be read."""
    return decoded(key, _decode, data)


def shows_the_same(before: ThreadState, now: ThreadState) -> bool:
    """Whether a list shows a thread unchanged: nothing that the list could reveal has happened there.

    >>> before = ThreadState(2, "open", 0, 5, [7])
    >>> shows_the_same(before, ThreadState(2, "open")), shows_the_same(before, ThreadState(3, "open"))
    (True, False)
    """
    return (before.comments, before.status, before.title) == (now.comments, now.status, now.title)


def bounded(threads: dict[int, ThreadState], now: int) -> dict[int, ThreadState]:
    """The newest threads, and of those the newest with their events. In the others all events before `now` (µs) count
    as known.

    >>> list(bounded({number: ThreadState(0, "open") for number in range(6_000)}, 0))[-1]
    1000
    """
    kept: dict[int, ThreadState] = {}
    events = 0
    for number in sorted(threads, reverse=True)[:_MOST_THREADS]:
        thread = threads[number]
        events += len(thread.known)
        kept[number] = (
            thread if events <= _MOST_KNOWN else ThreadState(thread.comments, thread.status, thread.title, now)
        )
    return kept


def settled(stated: int | None, shown: int, before: int | None) -> int | None:
    """A stated number, when as many were shown. A list may lag behind its number; then it is asked for once more.

    Until then the number is kept as -1 - number, which no later statement equals.

    >>> settled(3, 3, 2), settled(3, 2, 2), settled(3, 2, -4), settled(None, 0, 1)
    (3, -4, 3, None)
    """
    return stated if stated is None or shown >= stated or before == -1 - stated else -1 - stated
