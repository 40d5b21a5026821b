"""What exists on the generated Hub: repositories with their commits, threads and likers. What can be derived is not
stored.
"""

import hashlib
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from simulator.clock import DAY, SECOND

TYPES: Final = ("model", "dataset", "space")
RELATIONS: Final = ("finetune", "adapter", "merge", "quantized")
# The creation time stated for repositories older than the Hub's record: 2022-03-02T23:29:04Z in µs.
SENTINEL: Final = 1_646_263_744 * SECOND
# What is kept of one repository and one thread, so that a busy world stays small. Older things are no longer shown.
MOST_COMMITS: Final = 10_000
MOST_THREADS: Final = 2_000
MOST_EVENTS: Final = 400
_TREND_HALF_LIFE: Final = 2 * DAY


def whole(time: int) -> int:
    """A time in µs as the Hub keeps it: whole seconds.

    >>> whole(7_900_000)
    7000000
    """
    return time - time % SECOND


def object_id(time: int, name: str) -> str:
    """24 hexadecimal digits: 8 of the second, 16 of a hash.

    >>> object_id(1_646_263_744_000_000, "example-lab")
    '621ffdc0100d4377341d8a93'
    """
    return f"{time // SECOND:08x}{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"


class Commits:
    """A history in columns, 12 bytes a commit. A copied repository shares the first SHAs with its original."""

    def __init__(self, key: str, origin: "Commits | None" = None, copied: int = 0) -> None:
        self.key = key
        self.times: array[int] = array("q", origin.times[:copied] if origin else ())
        self.authors: array[int] = array("I", origin.authors[:copied] if origin else ())
        # For merges: (number of the pull request, its opener).
        self.merged: dict[int, tuple[int, int]] = {}
        self.forgotten = 0
        self._origin = origin.key if origin else key
        self._copied = copied

    def __len__(self) -> int:
        """The number of all commits ever made, forgotten ones too."""
        return self.forgotten + len(self.times)

    def sha(self, index: int) -> str:
        key = self._origin if index < self._copied else self.key
        return hashlib.blake2b(f"{key}/{index}".encode(), digest_size=20).hexdigest()

    @property
    def head(self) -> str:
        return self.sha(len(self) - 1)

    def add(self, time: int, author: int, merged: tuple[int, int] | None = None) -> str:
        """The SHA of a new commit."""
        index = len(self)
        self.times.append(time)
        self.authors.append(author)
        if merged:
            self.merged[index] = merged
        if len(self.times) >= 2 * MOST_COMMITS:
            self._forget(len(self.times) - MOST_COMMITS)
        return self.sha(index)

    def _forget(self, count: int) -> None:
        del self.times[:count], self.authors[:count]
        self.forgotten += count
        self.merged = {index: pair for index, pair in self.merged.items() if index >= self.forgotten}


class ThreadEvent(NamedTuple):
    """Something in a thread; `detail` is the new status, or both titles."""

    time: int
    type: str
    author: int
    detail: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class HubServerThread:
    """A discussion or pull request."""

    number: int
    pull_request: bool
    title: str
    author: int
    created: int
    status: str
    events: list[ThreadEvent] = field(default_factory=list)
    comments: int = 0
    merge_commit: str | None = None


class SimulatedBase(NamedTuple):
    """What a model was made from: the name in its card stays even if the base moves."""

    name: str
    repository: "HubServerRepository"


@dataclass(slots=True, eq=False)
class HubServerRepository:
    """A repository; times in µs, `key` is its permanent id, `slope` downloads a day. `crowd` and `place`: where draws
    find it.
    """

    key: str
    type: str
    name: str
    owner: str
    organisation: bool
    created: int
    modified: int
    commits: Commits
    project: str | None = None
    private: bool = False
    gated: bool | str = False
    was_gated: bool = False
    pinned: bool = False
    discussions: bool = True
    slope: float = 0.0
    earlier_downloads: int = 0
    relation: str | None = None
    bases: tuple[SimulatedBase, ...] = ()
    children: Counter[str] = field(default_factory=Counter)
    threads: list[HubServerThread] = field(default_factory=list)
    last_thread: int = 0
    # Account: serial number of the like.
    likers: dict[int, int] = field(default_factory=dict)
    old_names: list[str] = field(default_factory=list)
    gone: int | None = None
    crowd: "list[HubServerRepository] | None" = None
    place: int = 0
    _heat: float = 0.0
    _heated: int = 0

    def thread(self, number: int) -> HubServerThread | None:
        """A thread by its number, unless it never existed or is forgotten."""
        index = number - 1 - (self.last_thread - len(self.threads))
        return self.threads[index] if 0 <= index < len(self.threads) else None

    def downloads_all(self, now: int) -> int:
        return self.earlier_downloads + int(self.slope * max(0, now - self.created) / DAY)

    def downloads(self, now: int) -> int:
        """Downloads of the last 30 days."""
        since = max(self.created, now - 30 * DAY)
        return int(self.slope * max(0, now - self.created) / DAY) - int(self.slope * max(0, since - self.created) / DAY)

    def heat(self, now: int, more: float = 0.0) -> float:
        """How much it is liked recently: likes that fade."""
        faded = self._heat * 0.5 ** ((now - self._heated) / _TREND_HALF_LIFE) if self._heat else 0.0
        if more:
            self._heat, self._heated = faded + more, now
        return faded + more


def event_id(repository: HubServerRepository, thread: HubServerThread, index: int) -> str:
    """The id of a thread's event by its index."""
    return object_id(thread.events[index].time, f"{repository.key}/{thread.number}/{index}")
