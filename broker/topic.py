"""Topics, partitions and producers in memory; the file has their saved state."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from broker.configs import SETTINGS, number

SHIFT: Final = 40
OFFSETS: Final = (1 << SHIFT) - 1
REMEMBERED: Final = 5


@dataclass(slots=True)
class Producer:
    """An idempotent producer of one partition. `seen`: when it last wrote (ms).

    `recent`: its last batches as (first sequence, last sequence, offset).
    """

    epoch: int
    recent: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    seen: int = 0


@dataclass(slots=True, eq=False)
class Partition:
    """A partition.

    Offsets: `first` is the start of the partition, `end` the next offset, `cleaned` the last one that compaction has
    processed, `open` the first one of each open transaction. `taken`: the newest time of arrival (ms), which never goes
    back. `size`: the bytes of an ordinary topic's rows.
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
        """The row id of an offset: partition and offset in one number, so that the primary key is the offset index.

        >>> Partition(2, "activity", 0).row(5) == (2 << 40) + 5
        True
        """
        return self.id << SHIFT | offset

    @property
    def stable(self) -> int:
        """The end of what a reader of committed records may see: the oldest open transaction, or the end."""
        return min(self.open.values(), default=self.end)


@dataclass(slots=True, eq=False)
class Topic:
    """A topic and its settings; other settings have Kafka's defaults."""

    name: str
    settings: dict[str, str]
    partitions: list[Partition]

    def setting(self, name: str) -> str:
        """The value of a setting."""
        return self.settings.get(name, SETTINGS[name].default)

    def number(self, name: str) -> int:
        """The value of a setting, as a number."""
        return number(self.setting(name))

    @property
    def compacted(self) -> bool:
        """Whether the topic is compacted."""
        return "compact" in self.setting("cleanup.policy")

    @property
    def deleting(self) -> bool:
        """Whether old records are deleted."""
        return "delete" in self.setting("cleanup.policy")

    @property
    def table(self) -> tuple[str, str]:
        """(table, column of the bytes) that holds the topic's rows."""
        return ("records", "tail") if self.compacted else ("batches", "data")
