"""How far behind the watermark things still count, and the scopes of what is counted."""

from typing import Final

from streams.activity import DAY

SCOPES: Final = ("all", "watched")

# Ids are known for this long. Anything older is late: it could not be told from a duplicate.
ACCEPTED: Final = 31 * DAY
# Turns of pull requests are known for this long, by whole days.
_TURNS: Final = 35 * DAY


def oldest_turn(watermark: int | None) -> int | None:
    """The time (µs) before which turns of pull requests are unknown; None while there is no watermark.

    >>> oldest_turn(40 * DAY), oldest_turn(40 * DAY + 1)
    (432000000000, 518400000000)
    """
    return None if watermark is None else -((_TURNS - watermark) // DAY) * DAY
