"""Hours of an archive with far fewer events than their neighbours: they were read to the end, but much may be missing.

The rule: fewer than a third of the median of the hours up to three hours before and after, and below that median by
more than three times its square root, which is more than chance explains. An hour without neighbours is not doubted.
"""

from collections.abc import Iterator
from math import sqrt
from typing import Final

import msgspec

from streams.activity import HOUR

REASON: Final = "hour_doubtful"
REACH: Final = 3 * HOUR
_SHARE: Final = 1 / 3
_DEVIATIONS: Final = 3.0


class HourRead(msgspec.Struct, array_like=True):
    """An hour that was read: its beginning (µs UTC), its number of events, and whether it was judged."""

    hour: int
    events: int
    judged: bool = False


class Doubt(msgspec.Struct, frozen=True):
    """An hour (its beginning in µs UTC) with `events`, where its neighbours have about `usual`."""

    hour: int
    events: int
    usual: int


def doubt(hours: list[HourRead], one: HourRead) -> Doubt | None:
    """The doubt about an hour among its neighbours, or None.

    >>> hours = [HourRead(0, 900), HourRead(HOUR, 90), HourRead(2 * HOUR, 1000), HourRead(99 * HOUR, 5)]
    >>> [doubt(hours, one) for one in hours]
    [None, Doubt(hour=3600000000, events=90, usual=950), None, None]
    """
    neighbours = sorted(other.events for other in hours if other is not one and abs(other.hour - one.hour) <= REACH)
    if not neighbours:
        return None
    usual = (neighbours[len(neighbours) // 2] + neighbours[(len(neighbours) - 1) // 2]) / 2  # the median
    if one.events < usual * _SHARE and one.events < usual - _DEVIATIONS * sqrt(usual):
        return Doubt(one.hour, one.events, round(usual))
    return None


def judge(hours: list[HourRead], until: int) -> Iterator[Doubt]:
    """Judge the hours (in their order) whose neighbours have all been read when the reading has come to `until` (µs).
    Hours that are no longer needed are removed.

    >>> hours = [HourRead(hour * HOUR, 5 if hour == 2 else 1000) for hour in range(6)]
    >>> list(judge(hours, 3 * HOUR)), list(judge(hours, 6 * HOUR)), len(hours)
    ([], [Doubt(hour=7200000000, events=5, usual=1000)], 6)
    """
    for one in hours:
        if not one.judged and one.hour + REACH < until:
            one.judged = True
            found = doubt(hours, one)
            if found is not None:
                yield found
    waiting = next((one.hour for one in hours if not one.judged), until)
    hours[:] = [one for one in hours if one.hour >= waiting - REACH]
