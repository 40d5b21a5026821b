"""The settings of a topic: Kafka's names, defaults and units, of those that our clients set."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from broker.errors import Code, Refused

DAY_MS: Final = 86_400_000


class Setting(NamedTuple):
    """Its default, and what a value must be (ValueError counts as no)."""

    default: str
    valid: Callable[[str], bool]


def _at_least(least: int) -> Callable[[str], bool]:
    return lambda value: int(value) >= least


def _only(expected: str) -> Callable[[str], bool]:
    return lambda value: value == expected


SETTINGS: Final[dict[str, Setting]] = {
    "cleanup.policy": Setting("delete", lambda value: set(value.split(",")) <= {"compact", "delete"}),
    "retention.ms": Setting(str(7 * DAY_MS), _at_least(-1)),
    "retention.bytes": Setting("-1", _at_least(-1)),
    "min.compaction.lag.ms": Setting("0", _at_least(0)),
    "delete.retention.ms": Setting(str(DAY_MS), _at_least(0)),
    "max.message.bytes": Setting("1048588", _at_least(0)),
    # These are taken so that one set of topics fits both brokers; without segments and replicas they change nothing here.
    "message.timestamp.type": Setting("CreateTime", _only("CreateTime")),
    "compression.type": Setting("producer", _only("producer")),
    "min.insync.replicas": Setting("1", _only("1")),
    "segment.ms": Setting(str(7 * DAY_MS), _at_least(1)),
    "segment.bytes": Setting(str(1 << 30), _at_least(1)),
    "max.compaction.lag.ms": Setting(str((1 << 63) - 1), _at_least(1)),
    "min.cleanable.dirty.ratio": Setting("0.5", lambda value: 0 <= float(value) <= 1),
}


def check_settings(settings: Mapping[str, str | None]) -> None:
    """Raises Refused for a setting that is not known, or a value that it cannot have."""
    for name, value in settings.items():
        if name not in SETTINGS:
            raise Refused(Code.INVALID_CONFIG, f"{name}: this broker does not know this setting")
        try:
            valid = value is not None and SETTINGS[name].valid(value)
        except ValueError:
            valid = False
        if not valid:
            raise Refused(Code.INVALID_CONFIG, f"{name}={value}: not a value that this broker takes")
