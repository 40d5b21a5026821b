"""The settings of a topic, with Kafka's names, defaults and units: those that our clients set."""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from broker.errors import Code, Refused

DAY_MS: Final = 86_400_000


LONGEST: Final = (1 << 63) - 1
MOST_PARTITIONS: Final = 1000
MOST_PRODUCE_BYTES: Final = 32 << 20
_LARGEST_INT: Final = (1 << 31) - 1


class Setting(NamedTuple):
    """The default of a setting, a check of its values, and the valid values in words."""

    default: str
    valid: Callable[[str], bool]
    values: str


def _whole(least: int, most: int = LONGEST) -> tuple[Callable[[str], bool], str]:
    """A whole number in decimal digits, as Kafka reads it. The maximum fits the columns of the log."""

    def valid(value: str) -> bool:
        return re.fullmatch(r"-?[0-9]{1,19}", value) is not None and least <= int(value) <= most

    return valid, f"a whole number from {least} to {most}"


def _only(expected: str) -> tuple[Callable[[str], bool], str]:
    return (lambda value: value == expected), f"{expected} only"


def _share(value: str) -> bool:
    return re.fullmatch(r"[0-9]{0,3}\.?[0-9]{1,19}", value) is not None and 0 <= float(value) <= 1


SETTINGS: Final[dict[str, Setting]] = {
    "cleanup.policy": Setting(
        "delete", lambda value: set(value.split(",")) <= {"compact", "delete"}, "compact, delete, or both"
    ),
    "retention.ms": Setting(str(7 * DAY_MS), *_whole(-1)),
    "retention.bytes": Setting("-1", *_whole(-1)),
    "min.compaction.lag.ms": Setting("0", *_whole(0)),
    "delete.retention.ms": Setting(str(DAY_MS), *_whole(0)),
    # A Produce request is not longer than this, so a larger batch could never arrive.
    "max.message.bytes": Setting("1048588", *_whole(0, MOST_PRODUCE_BYTES)),
    # Accepted so that the same topics can be created on Apache Kafka and here. Without segments and replicas they have
    # no effect here.
    "message.timestamp.type": Setting("CreateTime", *_only("CreateTime")),
    "compression.type": Setting("producer", *_only("producer")),
    "min.insync.replicas": Setting("1", *_only("1")),
    "segment.ms": Setting(str(7 * DAY_MS), *_whole(1)),
    "segment.bytes": Setting(str(1 << 30), *_whole(14, _LARGEST_INT)),
    "max.compaction.lag.ms": Setting(str(LONGEST), *_whole(1)),
    "min.cleanable.dirty.ratio": Setting("0.5", _share, "a number from 0 to 1"),
}


def number(value: str) -> int:
    """A setting as a number that fits the columns of the log, even if an earlier version did not check it.

    >>> number("1" + "0" * 30) == LONGEST, number("-5"), number("7")
    (True, -1, 7)
    """
    return max(-1, min(int(value), LONGEST))


def check_settings(settings: Mapping[str, str | None]) -> None:
    """Raises Refused for an unknown setting or an invalid value."""
    for name, value in settings.items():
        if name not in SETTINGS:
            raise Refused(Code.INVALID_CONFIG, f"{name}: this broker does not have this setting")
        if value is None or not SETTINGS[name].valid(value):
            raise Refused(Code.INVALID_CONFIG, f"{name}={value}: must be {SETTINGS[name].values}")
