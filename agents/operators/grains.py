"""The grains of event time: how long a pane is, when it closes, how long it is kept behind the watermark.

A pane is closed as soon as the watermark has passed its end by the grain's lag; nothing else decides it, so whoever
knows the watermark knows which panes are closed.
"""

from typing import Final

from streams.activity import DAY, HOUR, MINUTE

GRAINS: Final = ("minute", "hour", "day")
SCOPES: Final = ("all", "watched")

STEP: Final = {"minute": MINUTE, "hour": HOUR, "day": DAY}
CLOSING_LAG: Final = {"hour": 10 * MINUTE, "day": HOUR}
KEEP: Final = {
    "all": {"minute": 2 * HOUR, "hour": 8 * DAY, "day": 35 * DAY},
    "watched": {"minute": 2 * HOUR, "hour": 90 * DAY, "day": 400 * DAY},
}
# Ids are the memory of what was counted: what is older than their keep is refused, because it could not be told from a
# duplicate.
ACCEPTED: Final = 31 * DAY


def floor(time: int, grain: str) -> int:
    """The start of the pane that a time (µs) falls into.

    >>> floor(3 * HOUR + 5, "hour") == 3 * HOUR
    True
    """
    return time - time % STEP[grain]


def is_closed(grain: str, start: int, watermark: int | None) -> bool:
    """Whether the watermark has closed the pane; minutes never close, they are merged when their hour does.

    >>> due = HOUR + 10 * MINUTE
    >>> is_closed("hour", 0, due - 1), is_closed("hour", 0, due), is_closed("minute", 0, DAY)
    (False, True, False)
    """
    return grain != "minute" and watermark is not None and watermark >= start + STEP[grain] + CLOSING_LAG[grain]


def is_kept(scope: str, grain: str, start: int, watermark: int | None) -> bool:
    """Whether the pane is still kept: its start is not further behind the watermark than its keep."""
    return watermark is None or start >= watermark - KEEP[scope][grain]


def oldest_day(scope: str, watermark: int | None) -> int | None:
    """The start of the oldest day that is kept; None while there is no watermark.

    >>> oldest_day("all", 40 * DAY), oldest_day("all", 40 * DAY + 1)
    (432000000000, 518400000000)
    """
    return None if watermark is None else -((KEEP[scope]["day"] - watermark) // DAY) * DAY
