"""Time in the generated world: integer microseconds UTC."""

from datetime import UTC, datetime, timedelta
from typing import Final

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 3_600 * SECOND
DAY: Final = 24 * HOUR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def micros(time: datetime) -> int:
    """Microseconds since the epoch of an aware datetime.

    >>> micros(datetime(1970, 1, 2, tzinfo=UTC)) == DAY
    True
    """
    return (time - _EPOCH) // timedelta(microseconds=1)


def rfc3339(time: int, *, fraction: bool = False) -> str:
    """A time as both platforms write it; without fraction it is cut to whole seconds.

    >>> rfc3339(SECOND + 5), rfc3339(SECOND + 5, fraction=True)
    ('1970-01-01T00:00:01Z', '1970-01-01T00:00:01.000005Z')
    """
    moment = _EPOCH + timedelta(microseconds=time)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if fraction else "%Y-%m-%dT%H:%M:%SZ")


def hour_name(start: int) -> str:
    """The archive's name of an hour; the hour of the day is not padded.

    >>> hour_name(3 * HOUR)
    '1970-01-01-3'
    """
    moment = _EPOCH + timedelta(microseconds=start)
    return f"{moment:%Y-%m-%d}-{moment.hour}"
