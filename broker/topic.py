"""Topics, partitions and producers as they stand in memory; their truth is in the file."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from broker.configs import SETTINGS, number

SHIFT: Final = 40
OFFSETS: Final = (1 << SHIFT) - 1
REMEMBERED: Final = 5


@dataclass(slots=True)
class Producer:
    """An idempotent producer as one partition knows it: its epoch, its last batches as (first sequence, last sequence,
    offset), and when it was last seen (ms).
    """

    epoch: int
    recent: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    seen: int = 0


@dataclass(slots=True, eq=False)
class Partition:
    """One partition. Offsets: `first` is the log's start, `end` the next to be given, `cleaned` the last that
    compaction has looked at.

    `taken` is the newest time of arrival in ms (it never goes back), `size` the bytes of an ordinary topic's rows,
    `open` the first offset of each open transaction.
    """

    id: int
    topic: str
    number: int
    first: int = 0
    end: int = 0
    cleaned: int = -1
    size: int = 0
    taken: int = 0
    producers: dict[int, Producer] = field(default_factory=dict)
    open: dict[str, int] = field(default_factory=dict)

    def row(self, offset: int) -> int:
        """The row id of an offset: partition and offset in one number, so that a table's own tree is the offset index.

        >>> Partition(2, "activity", 0).row(5) == (2 << 40) + 5
        True
        """
        return self.id << SHIFT | offset

    @property
    def stable(self) -> int:
        """The first offset of the oldest open transaction, or the end: what a reader of committed records may see."""
        return min(self.open.values(), default=self.end)


@dataclass(slots=True, eq=False)
class Topic:
    """A topic and its settings; what is not set has Kafka's default."""

    name: str
    settings: dict[str, str]
    partitions: list[Partition]

    def setting(self, name: str) -> str:
        return self.settings.get(name, SETTINGS[name].default)

    def number(self, name: str) -> int:
        return number(self.setting(name))

    @property
    def compacted(self) -> bool:
        return "compact" in self.setting("cleanup.policy")

    @property
    def deleting(self) -> bool:
        return "delete" in self.setting("cleanup.policy")

    @property
    def table(self) -> tuple[str, str]:
        """(table, column of bytes): an ordinary topic keeps a row a batch, a compacted one a row a record."""
        return ("records", "tail") if self.compacted else ("batches", "data")
