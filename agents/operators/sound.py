"""What a record of the topic `panes` must be: a pane's summary or a partition's progress, of the partition that it
stands in.

Whoever reads the topic asks here first. Anything else was not written by an aggregate worker, or by one of another
version.
"""

from itertools import pairwise
from typing import Final, NoReturn

import msgspec
import numpy as np

from agents.operators.accepted import is_place
from agents.operators.counts import Counts
from agents.operators.grains import GRAINS, SCOPES, STEP
from agents.operators.ids import Ids
from agents.operators.keys import HEADER_BYTES
from agents.operators.names import Names
from agents.operators.pane import RecordKey
from agents.operators.progress import Progress, decode_progress
from agents.operators.tally import Tally
from agents.operators.threads import ACCEPTED, Threads
from streams.activity import FEATURES, LATEST, PLATFORMS, Foreign

PROGRESS: Final = b"progress/"
_MOST_SHARDS: Final = 1 << 16
# What 64 bits hold.
_MOST: Final = 1 << 64
_ACTORS: Final = ("human", "bot")


def read(partition: int, key: bytes | None, value: bytes | None) -> RecordKey | Progress | None:
    """The key of a pane's record that is as it must be, or the progress; None for the tombstone of a pane. Raises
    Foreign.

    >>> read(3, b"all/3/people/hour/1424642400/0-1", None) is None
    True
    >>> read(0, b"hello", b"world")
    Traceback (most recent call last):
    streams.activity.Foreign: the key is none of a pane: hello
    """
    if key is None:
        raise Foreign("a record without a key")
    if key.startswith(PROGRESS):
        return _progress(partition, key, value)
    address = _address(partition, key)
    if value is None:
        return None
    try:
        _CHECKS[address.summary](value)
    except (ValueError, OverflowError, MemoryError) as error:
        raise Foreign(f"the value of {key.decode()} is none of a pane: {error}") from None
    return address


def _address(partition: int, key: bytes) -> RecordKey:
    try:
        address = RecordKey.parse(key)
        sound = bytes(address) == key
    except (ValueError, OverflowError):
        sound = False
    if not sound:
        raise Foreign(f"the key is none of a pane: {key[:60].decode(errors='replace')}")
    if (
        address.partition != partition
        or address.scope not in SCOPES
        or address.summary not in _CHECKS
        or (address.summary in _WITH_IDS and address.scope != "all")
        or address.grain not in GRAINS
        or not 0 <= address.start < LATEST
        or address.start % STEP[address.grain]
        or not 0 < address.shards <= _MOST_SHARDS
        or address.shards & (address.shards - 1)
        or not 0 <= address.shard < address.shards
        or (address.summary == "counts" and address.shards > 1)
    ):
        raise Foreign(f"there is no such pane in partition {partition}: {key[:60].decode()}")
    return address


def _progress(partition: int, key: bytes, value: bytes | None) -> Progress:
    if key != b"%s%d" % (PROGRESS, partition) or value is None:
        raise Foreign(f"no progress of partition {partition}: {key[:60].decode(errors='replace')}")
    try:
        progress = decode_progress(value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Foreign(f"a progress that cannot be read: {error}") from None
    numbers = (
        progress.offset,
        progress.activities,
        progress.duplicates,
        progress.late,
        progress.missing,
        *progress.dead_letters.values(),
    )
    times = (progress.watermark, progress.front, *(feed.mark for feed in progress.feeds.values()))
    if (
        not all(0 <= number < _MOST for number in numbers)
        or not all(time is None or 0 <= time < LATEST for time in times)
        or not all(-1 <= feed.sequence < _MOST and _is_sorted(feed.covered) for feed in progress.feeds.values())
        or progress.totals.keys() != set(SCOPES)
        or not all(
            abs(n) < _MOST and _is_counter(name) for totals in progress.totals.values() for name, n in totals.items()
        )
    ):
        raise Foreign("a progress with a number that cannot be")
    return progress


def _is_sorted(covered: dict[str, list[tuple[int, int]]]) -> bool:
    for platform, intervals in covered.items():
        bounds = [bound for interval in intervals for bound in interval]
        rising = all(first < second for first, second in pairwise(bounds))
        if platform not in PLATFORMS or not rising or (bounds and not (bounds[0] >= 0 and bounds[-1] <= LATEST)):
            return False
    return True


def _is_counter(name: str) -> bool:
    """Whether it is the name of one of the counters of `Columns`."""
    if name.startswith("project/"):
        _, *rest = name.removeprefix("project/").rsplit("/", 3)
        return len(rest) == 3 and rest[0] in PLATFORMS and rest[2] in FEATURES
    match name.split("/"):
        case [platform, "commits" | "commits_stated"]:
            return platform in PLATFORMS
        case [platform, feature, actor]:
            return platform in PLATFORMS and feature in FEATURES and actor in _ACTORS
    return False


def _check_counts(data: bytes) -> None:
    for name, n in Counts.restore(data).get().items():
        if not 0 < n < _MOST or not _is_counter(name):
            _refuse(f"no counter: {name}")


def _check_tally(data: bytes) -> None:
    keys, values = Tally.restore(data).pack()
    _check_keys(keys)
    if (values <= 0).any():
        _refuse("a count that cannot be")
    _check_length(data, len(keys), 12, 16)


def _check_ids(data: bytes) -> None:
    ids = Ids.restore(data).pack()
    _check_keys(ids)
    _check_length(data, len(ids), 8)


def _check_names(data: bytes) -> None:
    packed = Names.restore(data).pack()
    _check_keys(packed.keys)
    _check_ends(packed.ends)
    packed.text.decode()
    inside = packed.ends[packed.ends < len(packed.text)]
    # No name begins in the middle of a character.
    if (np.frombuffer(packed.text, np.uint8)[inside] & 0xC0 == 0x80).any():
        _refuse("a name that ends in the middle of a character")


def _check_threads(data: bytes) -> None:
    threads = Threads.restore(data)
    packed = threads.pack()
    _check_ends(packed.ends)
    if (packed.kinds > ACCEPTED << 1 | 1).any() or (packed.times < 0).any() or (packed.times >= LATEST).any():
        _refuse("a turn that cannot be")
    if not all(is_place(turn.place) for turn in threads.get() if turn.place):
        _refuse("a turn of no place")


def _check_keys(keys: "np.ndarray") -> None:
    if (keys[1:] <= keys[:-1]).any():
        _refuse("its keys do not rise")


def _check_ends(ends: "np.ndarray") -> None:
    if (ends[1:] < ends[:-1]).any():
        _refuse("its texts end before they begin")


def _check_length(data: bytes, count: int, *widths: int) -> None:
    if len(data) - HEADER_BYTES not in [count * width for width in widths]:
        _refuse("it is longer than its header says")


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)


_CHECKS: Final = {
    "counts": _check_counts,
    "repositories": _check_tally,
    "people": _check_tally,
    "names": _check_names,
    "ids": _check_ids,
    "threads": _check_threads,
}
_WITH_IDS: Final = ("ids", "threads")
