"""The order in which repositories of the Hub are read: watched ones soon, whatever the others do."""

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from streams.activity import DAY, MINUTE, SECOND
from streams.identities import Identities
from streams.live.common.clock import Clock
from streams.live.hub.activities import HubActivities
from streams.live.hub.shapes import Listed
from streams.live.hub.watched import EARLY, HubWatched
from tests.streams.live.hub.small import WATCHLIST, SmallHub, station
from tests.streams.made import KEY

INTERVAL = 300.0


def watching(count: int, readers: int = 1) -> HubWatched:
    """So many repositories, each of which takes a second to read."""
    activities = HubActivities(Identities(KEY, WATCHLIST, platform="huggingface"), KEY)
    watched = HubWatched(WATCHLIST, {}, INTERVAL, readers)
    for number in range(count):
        listed = Listed(f"allenai/m{number}", native=f"{number}")
        watched.add(activities.target("model", listed), listed, 0)
    for _ in range(200):
        watched.settle(watched.by_key["0"], 0, SECOND)
    return watched


@pytest.mark.parametrize(
    ("count", "readers", "seconds"),
    [
        (5, 1, 60.0),
        (50, 1, 100.0),
        # At the same time they take half the time.
        (100, 2, 100.0),
        (500, 1, EARLY * INTERVAL),
    ],
)
def test_watched_repositories_are_read_as_often_as_half_of_the_quota_allows(
    count: int, readers: int, seconds: float
) -> None:
    watched = watching(count, readers)
    assert watched.pause(watched.by_key["1"], 0) == pytest.approx(seconds * SECOND, rel=0.001)


def test_a_repository_whose_threads_were_busy_in_the_last_day_is_looked_at_three_times_as_often() -> None:
    watched = watching(100)
    now = 10 * DAY
    for key in ("1", "2"):
        watched.by_key[key].talked_at = now - DAY // 2
    watched.by_key["3"].talked_at = now - 2 * DAY
    assert watched.pause(watched.by_key["1"], now) == pytest.approx(2 * 104 * SECOND / 3, rel=0.001)
    assert watched.pause(watched.by_key["3"], now) == pytest.approx(2 * 104 * SECOND, rel=0.001)


def test_what_is_looked_at_is_not_looked_at_twice_at_once() -> None:
    watched = watching(2)
    first = watched.next()
    assert first is not None
    with watched.busy(first):
        # It changes while it is being read.
        watched.schedule(first, -MINUTE)
        second = watched.next()
        assert second is not None
        assert second is not first
        watched.schedule(second, MINUTE)
    assert watched.next() is first, "and then once more"


def paths_between(hub: SmallHub, text: str) -> list[list[str]]:
    """The paths that were requested between each two requests for a text."""
    paths = [path for _, path in hub.requests]
    found = [place for place, path in enumerate(paths) if text in path]
    return [paths[start + 1 : end] for start, end in pairwise(found)]


def test_a_repository_that_fails_does_not_hold_up_the_others_while_it_is_tried_again() -> None:
    def failing(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500) if "allenai/broken" in request.path else None

    async def run() -> SmallHub:
        hub = SmallHub(answer=failing)
        hub.repo("allenai/broken").commit(1, 60, "Ada")
        hub.repo("allenai/OLMo").commit(2, 60, "Ada")
        async with station(hub, clock=Clock(60.0, time.time()), interval_cap=1.0) as it:
            await it.until(lambda: hub.asked("broken/commits") >= 5)
        return hub

    # The waits between the five attempts of a reading grow from a second to eight, and the other is due each second.
    between = paths_between(asyncio.run(run()), "broken/commits")
    assert all(any("OLMo/discussions" in path for path in paths) for paths in between[1:4])


def test_a_watched_repository_does_not_wait_for_a_long_look_at_another_one() -> None:
    async def run() -> list[str]:
        hub = SmallHub(quota=8_000.0, window=20.0)
        hub.repo("allenai/OLMo").commit(2, 60, "Ada")
        large = hub.repo("mallory/large")
        large.commit(1, 5, "mallory")
        for number in range(1, 121):
            large.open(number, 86_400 * 9, "bob")
        async with station(hub, interval_cap=0.05) as it:
            await it.until(lambda: hub.asked("large/discussions?sort=recently-created&p=39") >= 1)
        return [path for _, path in hub.requests]

    paths = asyncio.run(run())
    first = next(place for place, path in enumerate(paths) if "large/discussions?" in path)
    last = next(place for place, path in enumerate(paths) if "large/discussions?sort=recently-created&p=39" in path)
    during: list[Any] = [path for path in paths[first:last] if "OLMo/discussions" in path]
    assert len(during) >= 2


def test_what_is_no_model_is_told_by_its_name_unless_a_model_has_it_too() -> None:
    activities = HubActivities(Identities(KEY, WATCHLIST, platform="huggingface"), KEY)
    watched = watching(1)
    for number, (artefact, name) in enumerate(
        [("dataset", "allenai/corpus"), ("space", "allenai/demo"), ("dataset", "allenai/m0")]
    ):
        listed = Listed(name, native=f"other-{number}")
        watched.add(activities.target(artefact, listed), listed, 0)
    assert watched.artefacts() == {"allenai/corpus": "dataset", "allenai/demo": "space"}
