"""Likes and downloads of the watched repositories: sums that change with what happens there, and with no failed
answer.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from streams.identities import Identities
from streams.live.common.clock import Clock
from streams.live.hub.activities import HubActivities
from streams.live.hub.poller import HubPoller
from streams.live.hub.popularity import HubPopularity
from streams.live.hub.shapes import Listed
from streams.watchlist import Project, Watchlist
from tests.streams.live.hub.small import WATCHLIST, Kept, SmallHub, Station, now, station
from tests.streams.made import KEY

HOUR = 3_600 * 1_000_000
TWO_OWNERS = Watchlist([Project("olmo", huggingface=("allenai", "ai2"))])
Row = tuple[str, str, str, int | None, float, float]


def rows_of(poller: HubPoller) -> set[tuple[str, str, str, int | None]]:
    return {(row.project, row.artefact, row.kind, row.value) for row in poller.popularity()}


def downloads_of(poller: HubPoller, artefact: str = "model") -> tuple[int | None, float, float] | None:
    """(sum, answered, counted) of the project `olmo`."""
    for row in poller.popularity():
        if (row.project, row.artefact, row.kind) == ("olmo", artefact, "downloads_all"):
            return row.value, round(row.answered, 3), round(row.counted, 3)
    return None


async def listed(it: Station, rounds: int = 2) -> None:
    """Wait for so many more rounds of listings."""
    before = it.hub.asked("spaces?author=")
    await it.until(lambda: it.hub.asked("spaces?author=") >= before + rounds * len(it.poller._watched.owners) + 1)


def test_popularity_is_what_the_listings_state_and_absent_before() -> None:
    async def run() -> None:
        hub = SmallHub()
        for number in range(5):
            hub.repo(f"allenai/m{number}", likers=["a"] * number, downloads=number)
        hub.repo("HuggingFaceTB/SmolLM", downloads=7)
        hub.repo("HuggingFaceTB/cosmo", downloads=100)
        async with station(hub, watchlist=WATCHLIST) as it:
            assert rows_of(it.poller) == set()
            await it.rounds(1)
            assert rows_of(it.poller) == {
                ("olmo", "model", "downloads", 10),
                ("olmo", "model", "downloads_all", 100),
                ("olmo", "model", "likes", 10),
            }
            assert {(row.answered, row.counted) for row in it.poller.popularity()} == {(1.0, 1.0)}

    asyncio.run(run())


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


FAULTS: dict[str, Callable[[SmallHub, web.Request], web.StreamResponse | None]] = {
    "the listing fails": lambda hub, request: web.Response(status=503),
    "the listing is refused": lambda hub, request: web.Response(status=403),
    "the body is cut": lambda hub, request: web.Response(body=b"[{"),
    "one is missing": lambda hub, request: web.json_response([hub.repos[0].listed()]),
    "a number is missing": lambda hub, request: web.json_response(
        [hub.repos[0].listed(), without(hub.repos[1].listed(), "downloadsAllTime")]
    ),
    "an element cannot be read": lambda hub, request: web.json_response(
        [hub.repos[0].listed(), {**hub.repos[1].listed(), "downloads": "many"}]
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_level_does_not_change_because_an_answer_failed(fault: str) -> None:
    async def run() -> None:
        hub = SmallHub()
        hub.repo("allenai/a", downloads=1)
        hub.repo("allenai/b", downloads=10)
        kept = Kept()
        options = {"clock": Clock(100.0, now() / 1e6), "interval_cap": 20.0}
        async with station(hub, kept, **options) as it:
            await listed(it)
            assert downloads_of(it.poller) == (110, 1.0, 1.0)

            def failing(request: web.Request) -> web.StreamResponse | None:
                return (
                    FAULTS[fault](hub, request) if request.path == "/api/models" and "author" in request.query else None
                )

            hub.answer = failing
            met: set[tuple[int | None, float, float] | None] = set()
            before = hub.asked("spaces?author=")
            await it.until(lambda: met.add(downloads_of(it.poller)) or hub.asked("spaces?author=") >= before + 5)
            assert {found[0] for found in met if found is not None} == {110}
            assert None not in met
            last = downloads_of(it.poller)
            # Whatever is missing in a listing is asked for by itself, and answers.
            missing = fault in ("one is missing", "an element cannot be read")
            assert last == (110, 1.0 if missing else 0.5 if fault == "a number is missing" else 0.0, 1.0)
        # Nor because the program is restarted while it fails.
        async with station(hub, kept, **options) as it:
            assert downloads_of(it.poller) == (110, 1.0, 1.0)
            await listed(it)
            assert downloads_of(it.poller) == last

    asyncio.run(run())


def test_a_repository_that_is_deleted_leaves_the_sum_for_good() -> None:
    async def run() -> None:
        hub, kept = SmallHub(), Kept()
        hub.repo("allenai/a", downloads=1)
        hub.repo("allenai/b", downloads=10)
        async with station(hub, kept) as it:
            await listed(it)
            hub.repos.pop()
            await listed(it)
            assert downloads_of(it.poller) == (10, 1.0, 1.0)
        async with station(hub, kept) as it:
            assert downloads_of(it.poller) == (10, 1.0, 1.0)

    asyncio.run(run())


def test_a_renamed_repository_counts_once() -> None:
    async def run() -> None:
        hub = SmallHub()
        hub.repo("allenai/a", native="7", downloads=1)
        async with station(hub) as it:
            await listed(it)
            hub.repos[0].name = "allenai/a-next"
            await listed(it)
            assert downloads_of(it.poller) == (10, 1.0, 1.0)

    asyncio.run(run())


def test_an_owner_that_cannot_be_listed_hides_no_other() -> None:
    async def run() -> None:
        hub = SmallHub(
            answer=lambda request: web.Response(status=403) if request.query.get("author") == "ai2" else None
        )
        hub.repo("allenai/a", downloads=1)
        hub.repo("ai2/b", downloads=10)
        async with station(hub, watchlist=TWO_OWNERS) as it:
            await listed(it)
            assert downloads_of(it.poller) == (10, 0.5, 0.5)
            hub.answer = lambda request: None
            await listed(it)
            assert downloads_of(it.poller) == (110, 1.0, 1.0)

    asyncio.run(run())


def kept_of(popularity: HubPopularity, now: int) -> dict[str, bytes]:
    cursors = popularity.changes(now)
    popularity.saved(cursors, now)
    return cursors


def test_what_is_a_day_old_is_not_known_any_more() -> None:
    activities = HubActivities(Identities(KEY, TWO_OWNERS, platform="huggingface"), KEY)

    def made(cursors: dict[str, bytes]) -> HubPopularity:
        return HubPopularity(TWO_OWNERS, activities, cursors)

    def listing(*stated: tuple[str, int | None]) -> dict[str, Any]:
        each = [Listed(name, native=name, author=name.partition("/")[0], likes=likes) for name, likes in stated]
        places = [activities.target("space", one) for one in each]
        return {place.key: (place, one) for place, one in zip(places, each, strict=True)}

    def rows(popularity: HubPopularity, now: int) -> list[Row]:
        return [tuple(row) for row in popularity.get(now) if row.artefact == "space"]

    first = made({})
    first.take("allenai", "space", listing(("allenai/a", 1), ("allenai/b", 10)), HOUR)
    assert rows(first, HOUR) == [], "another owner has not even been asked for"
    first.take("ai2", "space", listing(("ai2/c", 100)), HOUR)
    assert rows(first, HOUR) == [("olmo", "space", "likes", 111, 1.0, 1.0)]
    cursors = kept_of(first, HOUR)
    assert kept_of(first, HOUR + 1) == {}, "the numbers of the last hour are not saved again"
    first.take("allenai", "space", listing(("allenai/a", 2), ("allenai/b", 10)), 3 * HOUR)
    first.fail("ai2", "space", 3 * HOUR)
    assert rows(first, 3 * HOUR) == [("olmo", "space", "likes", 112, pytest.approx(2 / 3), 1.0)]
    cursors |= kept_of(first, 3 * HOUR)

    again = made(cursors)
    assert rows(again, 4 * HOUR) == [("olmo", "space", "likes", 112, 1.0, 1.0)]
    again.fail("allenai", "space", 26 * HOUR)
    again.fail("ai2", "space", 26 * HOUR)
    assert rows(again, 26 * HOUR) == [("olmo", "space", "likes", 12, 0.0, pytest.approx(2 / 3))]
    assert rows(again, 28 * HOUR) == [("olmo", "space", "likes", None, 0.0, 0.0)]
