"""Times as people write them, and lengths of time as they are shown."""

from datetime import UTC, datetime

from nomadwatch.errors import Misuse
from streams.times import micros


def parse_time(text: str, name: str) -> int:
    """A date or an RFC 3339 time as µs UTC; without an offset it is UTC. Raises Misuse with the name of the option.

    >>> parse_time("2015-01-01T15:00:00Z", "--as-of"), parse_time("2015-01-01T16:00:00+01:00", "--as-of")
    (1420124400000000, 1420124400000000)
    >>> parse_time("2015-01-01", "--as-of")
    1420070400000000
    """
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return micros(aware)
    except (ValueError, OverflowError):
        raise Misuse(f"{name}: {text!r} is not a time; write it as 2015-01-01T15:00:00Z") from None


def span(seconds: float) -> str:
    """A length of time, short.

    >>> span(4.26), span(75), span(7_260), span(200_000)
    ('4.3 s', '1.2 min', '2 h', '2.3 d')
    """
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.2g} {unit}" if seconds < 10 * length else f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.2g} s"
