"""Times of sources become integer microseconds UTC."""

from datetime import UTC, datetime, timedelta
from typing import Final

from streams.errors import DeadLetter

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIMELINE: Final = "%Y/%m/%d %H:%M:%S %z"
_MICROSECOND: Final = timedelta(microseconds=1)


def parse_time(text: str) -> int:
    """Microseconds UTC of an ISO 8601 time with an offset. Anything else, and times before 1970, are a dead letter
    `bad-time`.

    >>> parse_time("2015-02-22T22:00:00Z"), parse_time("2012-03-10T22:00:00-08:00")
    (1424642400000000, 1331445600000000)
    >>> parse_time("2012/03/10 22:00:00 -0800")  # as the timeline wrote it
    1331445600000000
    >>> parse_time("2015-02-01T00:00:00.00001Z") - parse_time("2015-02-01T00:00:00+00:00")
    10
    """
    try:
        moment = datetime.strptime(text, _TIMELINE) if text[4:5] == "/" else datetime.fromisoformat(text)
    except ValueError:
        raise DeadLetter("bad-time") from None
    if moment.tzinfo is None or moment < _EPOCH:
        raise DeadLetter("bad-time")
    return micros(moment)


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware time.

    >>> micros(datetime(1970, 1, 1, 1, tzinfo=UTC))
    3600000000
    """
    return (moment - _EPOCH) // _MICROSECOND


def format_time(time: int) -> str:
    """RFC 3339 of microseconds UTC.

    >>> format_time(1424642400000000)
    '2015-02-22T22:00:00Z'
    """
    return (_EPOCH + timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")


class Times(dict[str, int]):
    """`parse_time` with a cache: neighbours in an archive share their second.

    >>> times = Times()
    >>> times["1970-01-01T00:00:01Z"], times["1970-01-01T00:00:01Z"], len(times)
    (1000000, 1000000, 1)
    """

    LIMIT: Final = 100_000

    def __missing__(self, text: str) -> int:
        if len(self) >= self.LIMIT:
            self.clear()
        self[text] = time = parse_time(text)
        return time
