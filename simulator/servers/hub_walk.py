"""Paging through the generated Hub: orders, filters, and cursors that say where a page ended."""

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from heapq import nsmallest
from itertools import groupby, islice
from typing import Final

from simulator.servers.hub_repositories import Repositories
from simulator.servers.hub_state import HubServerRepository

# A position in an order: what it is ordered by, descending, then the `_id` among equals.
Place = tuple[int, str]

_BY_TIME: Final[dict[str, Callable[[HubServerRepository], int]]] = {
    "lastModified": lambda repository: repository.modified,
    "createdAt": lambda repository: repository.created,
}
_BY_NUMBER: Final[dict[str, Callable[[HubServerRepository, int], int]]] = {
    "likes": lambda repository, _: len(repository.likers),
    "trendingScore": lambda repository, now: int(repository.heat(now)),
    "downloads": lambda repository, now: repository.downloads(now),
}
SORTS: Final = (*_BY_TIME, *_BY_NUMBER)


class BadCursor(ValueError):
    """A cursor that this server did not make."""


def encode_cursor(*place: int | str) -> str:
    """An opaque text for clients.

    >>> decode_cursor(encode_cursor(5, "a"))
    (5, 'a')
    """
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def decode_cursor(cursor: str) -> tuple[int, str]:
    try:
        number, name = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadCursor(cursor) from error
    if not isinstance(number, int) or not isinstance(name, str):
        raise BadCursor(cursor)
    return number, name


def walk(
    repositories: Repositories,
    type_: str,
    sort: str,
    after: Place | None,
    now: int,
    limit: int,
    fits: Callable[[HubServerRepository], bool],
) -> tuple[list[HubServerRepository], str | None]:
    """A page of an order as it is now, and the cursor of the next one.

    The order may have changed since the cursor was made: what has moved to its head since does not come again.
    """
    order = _by_time if sort in _BY_TIME else _by_number
    found = list(islice(order(repositories, type_, sort, after, now, limit + 1, fits), limit + 1))
    page = [each for _, each in found[:limit]]
    return page, encode_cursor(found[limit - 1][0], page[-1].key) if len(found) > limit else None


def _by_time(
    repositories: Repositories,
    type_: str,
    sort: str,
    after: Place | None,
    _: int,
    __: int,
    fits: Callable[[HubServerRepository], bool],
) -> Iterator[tuple[int, HubServerRepository]]:
    """The newest first; those of the same second, which the Hub cannot order, by their ids."""
    order = repositories.modified if sort == "lastModified" else repositories.created
    for second, group in groupby(reversed(order[type_].values()), key=_BY_TIME[sort]):
        if after is not None and second > after[0]:
            continue
        for each in sorted(group, key=lambda each: each.key):
            if fits(each) and (after is None or second < after[0] or each.key > after[1]):
                yield second, each


def _by_number(
    repositories: Repositories,
    type_: str,
    sort: str,
    after: Place | None,
    now: int,
    most: int,
    fits: Callable[[HubServerRepository], bool],
) -> Iterator[tuple[int, HubServerRepository]]:
    """The highest first, by the present numbers."""
    number = _BY_NUMBER[sort]
    rows = ((-number(each, now), each.key, each) for each in repositories.created[type_].values() if fits(each))
    start = (-after[0], after[1]) if after else None
    for negative, _, each in nsmallest(most, (row for row in rows if start is None or row[:2] > start)):
        yield -negative, each
