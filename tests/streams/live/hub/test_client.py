"""Where the Hub's links send a poller: to the next page at our own endpoint, never anywhere else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from streams.live.common.clock import Clock
from streams.live.common.health import FeedHealth
from streams.live.common.http import Unreachable, WorldSign, fetch, open_session
from streams.live.hub.client import HubClient
from streams.live.hub.limits import HubLimits
from streams.live.hub.poller import REPOSITORIES
from streams.live.hub.shapes import decode_list
from tests.streams.live.hub.small import Kept, SmallHub, now, station

NEXT = "/api/models?cursor=3"


def linking(link: str) -> SmallHub:
    """A Hub whose first page of models links to a second, the last; HOST in the link stands for its own address."""
    hub = SmallHub()

    def answer(request: web.Request) -> web.StreamResponse | None:
        if request.path != "/api/models" or "cursor" in request.query:
            return None
        return web.json_response([], headers={"Link": f'<{link.replace("HOST", request.host)}>; rel="next"'})

    hub.answer = answer
    return hub


@asynccontextmanager
async def asking(hub: SmallHub, prefix: str = "") -> AsyncIterator[HubClient]:
    async with hub.serve(), open_session("tests") as session:
        wall = Clock().wall
        yield HubClient(
            hub.endpoint + prefix, "hf_test", session, HubLimits(wall), Kept(), Clock(scale=1e6, origin=wall())
        )


@pytest.mark.parametrize(
    "link",
    [
        NEXT,
        "?cursor=3",
        "models?cursor=3",
        f"http://HOST{NEXT}",
        # The mirror names its original.
        f"https://huggingface.invalid{NEXT}",
        f"//elsewhere.invalid{NEXT}",
        f"http://name:word@HOST{NEXT}",
    ],
)
def test_the_next_page_is_asked_for_at_our_endpoint_whatever_the_link_names(link: str) -> None:
    async def run() -> list[str]:
        hub = linking(link)
        async with asking(hub) as client:
            assert (
                len([page async for page in client.pages("models", decode_list, FeedHealth("f", "huggingface"))]) == 2
            )
        return [path for _, path in hub.requests]

    assert asyncio.run(run()) == ["/api/models", NEXT]


def test_an_endpoint_below_a_folder_is_kept() -> None:
    async def run() -> list[str]:
        hub = SmallHub()
        links = {"/hf/api/models": f"https://huggingface.invalid{NEXT}", f"/hf{NEXT}": f"/hf{NEXT.replace('3', '6')}"}

        def answer(request: web.Request) -> web.StreamResponse:
            link = links.get(request.path_qs)
            return web.json_response([], headers={"Link": f'<{link}>; rel="next"'} if link else {})

        hub.answer = answer
        async with asking(hub, "/hf") as client:
            _ = [page async for page in client.pages("models", decode_list, FeedHealth("f", "huggingface"))]
        return [path for _, path in hub.requests]

    assert asyncio.run(run()) == ["/hf/api/models", "/hf/api/models?cursor=3", "/hf/api/models?cursor=6"]


BROKEN = ["http://[bad", "mailto:api", "ftp:"]


@pytest.mark.parametrize("link", BROKEN)
def test_a_link_that_leads_nowhere_is_a_failure_of_the_feed(link: str) -> None:
    async def run() -> None:
        health = FeedHealth("f", "huggingface")
        async with asking(linking(link)) as client:
            with pytest.raises(Unreachable):
                await client.get("models", decode_list, health)
        assert health.state == "failing: broken link"
        assert health.polls["failed"] > 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "value"), [("Link", f'<{BROKEN[0]}>; rel="next"'), ("Location", "http://name:word@HOST/")]
)
def test_an_odd_header_ends_no_poller(name: str, value: str) -> None:
    async def run() -> None:
        hub = SmallHub()
        odd = [True]

        def answer(request: web.Request) -> web.StreamResponse | None:
            if not odd[0]:
                return None
            return web.json_response(
                [], headers={name: value.replace("HOST", request.host)}, status=302 if name == "Location" else 200
            )

        hub.answer = answer
        hub.repo("allenai/OLMo").commit(1, 60, "Ada")
        async with station(hub, clock=Clock(scale=1_000, origin=now() / 1e6)) as it:
            await it.until(lambda: it.feeds.by_name[REPOSITORIES].polls["failed"] >= 1)
            odd[0] = False
            await it.until(lambda: bool(it.kept.of("commit")))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("location", "asked"), [("/api/here", 2), ("ELSEWHERE", 1), ("http://name:word@HOST/api/here", 1)]
)
def test_a_redirect_is_followed_on_the_same_server_only_and_is_a_request_of_the_quota(
    location: str, asked: int
) -> None:
    async def run() -> None:
        hub, other = SmallHub(), SmallHub()

        def answer(request: web.Request) -> web.StreamResponse | None:
            if request.path != "/api/there":
                return web.json_response([1])
            place = location.replace("HOST", request.host).replace("ELSEWHERE", other.endpoint + "/api/here")
            return web.Response(status=307, headers={"Location": place})

        hub.answer = other.answer = answer
        health = FeedHealth("f", "huggingface")
        async with other.serve(), asking(hub) as client:
            if asked == 2:
                page = await client.get("there", decode_list, health)
                assert [bytes(each) for each in page.content] == [b"1"]
                assert health.remaining == hub.quota - 2
            else:
                with pytest.raises(Unreachable):
                    await client.get("there", decode_list, health)
                assert health.state == "failing: 307 to another server, which is not asked"
        assert len({path for _, path in hub.requests}) == asked
        assert not other.requests

    asyncio.run(run())


def test_redirects_in_a_circle_are_a_failure() -> None:
    async def run() -> None:
        hub = SmallHub()
        hub.answer = lambda request: web.Response(status=302, headers={"Location": request.path})
        health = FeedHealth("f", "huggingface")
        async with asking(hub) as client:
            with pytest.raises(Unreachable):
                await client.get("models", decode_list, health)
        assert health.state == "failing: too many redirects"

    asyncio.run(run())


def test_a_number_of_any_length_is_read() -> None:
    limits = HubLimits(Clock().wall)
    digits: Any = "9" * 400
    limits.note(
        {"RateLimit": f'"api";r={digits};t={digits}', "RateLimit-Policy": f'"fixed window";"api";q={digits};w={digits}'}
    )
    assert limits.remaining > 0
    assert msgspec.msgpack.decode(limits.cursor) == [0.0]


@pytest.mark.parametrize(
    ("said", "simulated"), [({"X-World": "simulated"}, True), ({"X-World": "real"}, False), ({}, False)]
)
def test_an_answer_that_says_so_makes_the_world_simulated(said: dict[str, str], simulated: bool) -> None:
    async def run() -> WorldSign:
        hub, world = SmallHub(), WorldSign()
        hub.answer = lambda request: web.json_response([], headers=said)
        async with hub.serve(), open_session("tests", world) as session:
            await fetch(session, f"{hub.endpoint}/api/models")
            hub.answer = lambda request: web.json_response([])
            await fetch(session, f"{hub.endpoint}/api/models")
        return world

    assert asyncio.run(run()).simulated is simulated
