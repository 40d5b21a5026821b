"""The topics of nomadwatch: what they are called and how they are kept. `streams.kafka.admin` makes them."""

from dataclasses import dataclass
from typing import Final

_DAY: Final = 86_400_000
_LARGE: Final = str(8 << 20)
_COMPACTED: Final = {
    "cleanup.policy": "compact",
    "segment.ms": "600000",
    "segment.bytes": str(64 << 20),
    "min.cleanable.dirty.ratio": "0.1",
    # A reader that lags must not find a checkpoint's old progress without the values that a newer one has replaced.
    "min.compaction.lag.ms": "60000",
}
# Name → whether it has as many partitions as `activity` (the others have one), and its settings on the broker.
_KEPT: Final[dict[str, tuple[bool, dict[str, str]]]] = {
    "activity": (True, {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY), "max.message.bytes": _LARGE}),
    # Longer than ids are kept for (31 days) by more than a week, after which a name in use is published again.
    "facts": (True, {"cleanup.policy": "delete", "retention.ms": str(40 * _DAY), "max.message.bytes": _LARGE}),
    "facts-watched": (True, {"cleanup.policy": "delete", "retention.ms": str(400 * _DAY), "max.message.bytes": _LARGE}),
    "measurements": (False, _COMPACTED),
    "shifts": (False, {"cleanup.policy": "delete", "retention.ms": str(90 * _DAY)}),
    "gaps": (False, {"cleanup.policy": "delete", "retention.ms": str(90 * _DAY)}),
    "cursors": (False, _COMPACTED),
    "dead-letters": (False, {"cleanup.policy": "delete", "retention.ms": str(30 * _DAY)}),
}


@dataclass(frozen=True, slots=True)
class Topics:
    """The full names of all topics: `prefix` before each, `partitions` of `activity` and the facts.

    >>> topics = Topics("try-", partitions=4)
    >>> topics.activity, topics.dead_letters, topics.partitions_of(topics.facts), topics.partitions_of(topics.cursors)
    ('try-activity', 'try-dead-letters', 4, 1)
    """

    prefix: str = ""
    partitions: int = 8

    @property
    def activity(self) -> str:
        """Batches of activities."""
        return self.prefix + "activity"

    @property
    def facts(self) -> str:
        """What is counted, row by row, and the progress of each partition."""
        return self.prefix + "facts"

    @property
    def facts_watched(self) -> str:
        """The rows of the watchlist's projects once more, kept for longer."""
        return self.prefix + "facts-watched"

    @property
    def measurements(self) -> str:
        """The latest value of everything that is measured."""
        return self.prefix + "measurements"

    @property
    def shifts(self) -> str:
        """Detected changes."""
        return self.prefix + "shifts"

    @property
    def gaps(self) -> str:
        """What the feeds could not see."""
        return self.prefix + "gaps"

    @property
    def cursors(self) -> str:
        """How far each feed has come."""
        return self.prefix + "cursors"

    @property
    def dead_letters(self) -> str:
        """What could not be measured."""
        return self.prefix + "dead-letters"

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [self.prefix + name for name in _KEPT]

    def partitions_of(self, name: str) -> int:
        """How many partitions a topic has."""
        return self.partitions if _KEPT[name.removeprefix(self.prefix)][0] else 1

    def settings_of(self, name: str) -> dict[str, str]:
        """A topic's settings on the broker."""
        return _KEPT[name.removeprefix(self.prefix)][1]
