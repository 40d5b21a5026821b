"""Endless answers: what exceeds a limit becomes a dead letter of that feed, and no other feed waits."""

import asyncio
import json
import threading
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from aiohttp import web

from streams.errors import DeadLetter
from streams.identities import Repository
from streams.kafka.dead_letters import Misread
from streams.live.common.clock import Clock
from streams.live.common.health import FeedHealth
from streams.live.common.http import LARGE, LARGEST_BODY, Oversized, fetch, off_loop, open_session
from streams.live.hub import changes as hub_changes
from streams.live.hub import client as hub_client
from streams.live.hub.activities import HubTarget
from streams.live.hub.changes import ChangedRepository, HubChanges
from streams.live.hub.client import HubClient
from streams.live.hub.limits import HubLimits
from streams.live.hub.poller import PLATFORM, REPOSITORIES
from streams.live.hub.shapes import (
    Listed,
    decode_details,
    decode_list,
    decode_threads,
    read_commit,
    read_event,
    read_liker,
    read_listed,
    read_thread,
)
from streams.watchlist import Project, Watchlist
from tests.streams.live.common.raw_serving import RawServer, raw
from tests.streams.live.github.serving import FEED, ORG, WATCHED, MemoryOutlet, ScriptedGithub, polling, until
from tests.streams.live.hub.small import Kept, SmallHub, ago, station
from tests.streams.made import event

DEEP = "[" * 100_000 + "]" * 100_000
LONE = '"\\ud83d"'
OTHER = "github:/events"


def dead_letters(outlet: MemoryOutlet | Kept) -> list[Misread]:
    return [msgspec.json.decode(letter, type=Misread) for result in outlet.results for letter in result.dead_letters]


def github_page(odd: str) -> str:
    """Two events of now, and an odd element between them."""
    rows = [json.dumps(event(number=number, created_at=ago(60)[:19] + "Z")) for number in (1, 2)]
    return f"[{rows[0]}, {odd}, {rows[1]}]"


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (json.dumps(event(number=3))[:-1] + f', "x": {DEEP}}}', "json"),
        (DEEP, "json"),
        (f'{{"id": "3", "type": {LONE}}}', "unknown-type"),
        ("0", "not-an-event"),
        ('{"id": "3"' + " " * (5 << 20) + "}", "too-long"),
    ],
    ids=["nested", "brackets", "surrogate", "scalar", "large"],
)
def test_one_odd_element_of_github_costs_itself(odd: str, reason: str) -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.script = lambda server, path, page: (
                web.Response(text=github_page(odd), headers={"X-Poll-Interval": "0.1"}) if path == ORG else None
            )
            async with polling(server, MemoryOutlet(), watchlist=WATCHED) as run:
                await until(lambda: run.feeds.by_name[FEED].state == "ok")
                assert run.outlet.ids() == ["2", "1"]
                (letter,) = dead_letters(run.outlet)
                assert (letter.source, letter.line, letter.reason) == (FEED, 2, reason)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "body",
    [b"[" + b"0," * (1 << 20) + b"0]", b"[" + b",".join([b'{"id":1}'] * 301) + b"]", b" " * (LARGEST_BODY + 1)],
    ids=["zeros", "one too many", "bytes"],
)
def test_a_page_of_github_that_exceeds_a_limit_is_a_dead_letter_and_no_others_wait(body: bytes) -> None:
    async def scenario() -> None:
        clock = Clock(600, origin=time.time())
        headers = b"X-Poll-Interval: 0.02"
        async with (
            RawServer.open(lambda path: raw(body if path.startswith(ORG) else b"[]", headers), clock) as server,
            polling(server, MemoryOutlet(), interval_cap=60.0) as run,
        ):
            await until(lambda: run.feeds.by_name[FEED].polls["failed"] >= 2)
            assert run.feeds.by_name[FEED].state.startswith("failing: ")
            assert (run.feeds.by_name[FEED].coverage or 0.0) < 0.5
            assert run.feeds.by_name[OTHER].state == "ok"
            # However often the same answer comes.
            (letter,) = dead_letters(run.outlet)
            assert (letter.source, letter.reason) == (FEED, "too-long")

    asyncio.run(scenario())


def test_pages_of_github_without_end_are_three() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            link = {"Link": '<https://x.invalid/?page=2>; rel="next"', "X-Poll-Interval": "5"}
            server.script = lambda server, path, page: (
                web.json_response([event(number=1)] * 100, headers=link) if path == ORG else None
            )
            async with polling(server, MemoryOutlet()) as run:
                await until(lambda: run.feeds.by_name[FEED].state == "ok")
                assert [asked.page for asked in server.asked if asked.path == ORG] == [1, 2, 3]
                assert run.outlet.ids() == ["1"]

    asyncio.run(scenario())


@asynccontextmanager
async def asking(hub: SmallHub) -> AsyncIterator[HubClient]:
    async with hub.serve(), open_session("tests") as session:
        wall = Clock().wall
        yield HubClient(hub.endpoint, "hf_test", session, HubLimits(wall), Kept(), Clock(scale=1e6, origin=wall()))


def listing(answer: Callable[[int], tuple[int, int]]) -> SmallHub:
    """A Hub whose page number n has so many elements and leads to another."""
    hub = SmallHub()

    def respond(request: web.Request) -> web.StreamResponse:
        length, following = answer(int(request.query.get("cursor", 0)))
        return web.json_response([0] * length, headers={"Link": f'</api/models?cursor={following}>; rel="next"'})

    hub.answer = respond
    return hub


@pytest.mark.parametrize(
    ("answer", "pages", "state"),
    [
        (lambda n: (1, n), 1, "failing: pages lead in a circle"),
        (lambda n: (1, n % 2 + 1), 3, "failing: pages lead in a circle"),
        (lambda n: (1, n + 1), 20, "failing: the pages do not end"),
        (lambda n: (100, n + 1), 11, "failing: the pages do not end"),
    ],
)
def test_pages_of_the_hub_that_do_not_end_are_left(
    monkeypatch: pytest.MonkeyPatch, answer: Any, pages: int, state: str
) -> None:
    monkeypatch.setattr(hub_client, "_MOST_PAGES", 20)
    monkeypatch.setattr(hub_client, "_MOST_ELEMENTS", 1_000)

    async def run() -> None:
        health = FeedHealth("f", PLATFORM)
        hub = listing(answer)
        async with asking(hub) as client:
            with pytest.raises(Oversized, match=state):
                _ = [page async for page in client.pages("models", decode_list, health)]
        # The first page has an address of its own, without a cursor.
        assert abs(len(hub.requests) - pages) <= 1
        assert health.state == state

    asyncio.run(run())


@pytest.mark.parametrize("limit", ["_MOST_REQUESTS", "_MOST_BYTES", "_MOST_SECONDS"])
def test_a_look_at_the_hub_has_an_allowance_of_its_own(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(hub_client, limit, 0)

    async def run() -> None:
        hub = SmallHub()
        async with asking(hub) as client:
            with pytest.raises(Oversized, match="too many requests, seconds or bytes"):
                await client.bounded().get("models", decode_list, FeedHealth("f", PLATFORM))
            assert not hub.requests
            monkeypatch.undo()
            await client.bounded().get("models", decode_list, FeedHealth("f", PLATFORM))

    asyncio.run(run())


def test_likers_without_end_cost_the_likers_and_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_client, "_MOST_PAGES", 20)

    async def run() -> None:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo", likers=["ada"])
        repo.commit(1, 60, "Ada")
        repo.open(1, 60, "Bob")
        hub.repo("allenai/other").commit(2, 60, "Ada")

        def answer(request: web.Request) -> web.StreamResponse | None:
            if not request.path.endswith("/likers"):
                return None
            number = int(request.query.get("cursor", 0))
            return web.json_response(
                [{"user": f"u{number}"}], headers={"Link": f'<{request.path}?cursor={number + 1}>; rel="next"'}
            )

        hub.answer = answer
        async with station(hub, clock=Clock(3_600, origin=time.time()), interval_cap=60.0) as it:
            # Beyond four looks in vain nobody waits for it.
            await it.until(lambda: it.feeds.by_name[REPOSITORIES].state == "failing: 1 of 2 repositories")
            assert {activity.repo for activity in it.kept.of("commit")} == {"allenai/OLMo", "allenai/other"}
            assert len(it.kept.of("discussion")) >= 1
            found = dead_letters(it.kept)
            assert {(letter.source, letter.reason) for letter in found} == {(REPOSITORIES, "too-long")}
            assert len({letter.digest for letter in found}) == len(found) == 1
            await it.until(lambda: (it.feeds.by_name[REPOSITORIES].coverage or 1.0) < 0.6)

    asyncio.run(run())


def test_a_walk_without_end_publishes_what_it_came_through_and_a_gap() -> None:
    async def run() -> None:
        hub = SmallHub()
        hub.repo("else/new", created=ago(60), modified=ago(60))

        def answer(request: web.Request) -> web.StreamResponse | None:
            if request.path != "/api/models" or request.query.get("sort") != "lastModified":
                return None
            rows = [repo.listed() for repo in hub.repos]
            return web.json_response(rows, headers={"Link": f'<{request.path_qs}>; rel="next"'})

        hub.answer = answer
        async with station(hub) as it:
            feed = f"{PLATFORM}:models"
            await it.until(lambda: bool(it.kept.of("repository")) and bool(it.feeds.by_name[feed].gaps))
            assert it.feeds.by_name[feed].gaps.keys() == {"overflow"}
            assert {(letter.source, letter.reason) for letter in dead_letters(it.kept)} == {(feed, "too-long")}

    asyncio.run(run())


def test_a_listing_without_end_is_told_while_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_client, "_MOST_PAGES", 5)
    endless = [True]

    async def run() -> None:
        hub = SmallHub()
        hub.repo("allenai/OLMo").commit(1, 60, "Ada")
        hub.repo("huggingfacetb/smollm").commit(2, 60, "Bob")

        def answer(request: web.Request) -> web.StreamResponse | None:
            if request.path != "/api/models" or request.query.get("author") != "allenai" or not endless[0]:
                return None
            return web.json_response(
                [], headers={"Link": f'<{request.path}?author=allenai&n={len(hub.requests)}>; rel="next"'}
            )

        hub.answer = answer
        async with station(hub, clock=Clock(60, origin=time.time()), interval_cap=60.0) as it:
            health = it.feeds.by_name[REPOSITORIES]
            await it.until(
                lambda: bool(it.kept.of("commit")) and health.state == "failing: the pages do not end (listing allenai)"
            )
            assert {letter.reason for letter in dead_letters(it.kept)} == {"too-long"}
        endless[0] = False
        async with station(hub, clock=Clock(60, origin=time.time()), interval_cap=60.0) as it:
            await it.until(lambda: len(it.kept.of("commit")) == 2 and it.feeds.by_name[REPOSITORIES].state == "ok")

    asyncio.run(run())


@pytest.mark.parametrize("odd", [DEEP, f'{{"num": {LONE}, "id": {DEEP}}}', "7", '{"num": ""}'])
def test_one_odd_element_of_the_hub_costs_itself(odd: str) -> None:
    async def run() -> None:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo")
        repo.commit(1, 60, "Ada")
        repo.open(1, 60, "Bob")

        def answer(request: web.Request) -> web.StreamResponse | None:
            honest = hub.respond(request)
            assert isinstance(honest, web.Response)
            whole = json.loads(str(honest.text))
            rows = whole if isinstance(whole, list) else whole.get("discussions")
            if not rows:
                return None
            text = json.dumps(rows)[:-1] + f", {odd}]"
            return web.Response(text=text if rows is whole else f'{{"odd": {odd}, "discussions": {text}, "count": 1}}')

        hub.answer = answer
        async with station(hub) as it:
            await it.until(lambda: bool(it.kept.of("commit") and it.kept.of("discussion")))
            await it.until(lambda: len(dead_letters(it.kept)) >= 1)
            assert {letter.line for letter in dead_letters(it.kept)} == {2}

    asyncio.run(run())


def test_half_a_character_in_a_text_costs_nothing_on_either_platform() -> None:
    assert read_thread(f'{{"num": 2, "createdAt": "t", "status": "open", "title": {LONE}}}'.encode()).title == "\ufffd"
    assert read_listed(f'{{"id": "a/b", "tags": ["x", {LONE}]}}'.encode()).tags == ["x", "\ufffd"]

    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            odd = json.dumps(
                event(number=3, payload={"commits": [{"message": "?"}]}, created_at=ago(60)[:19] + "Z")
            ).replace('"?"', LONE)
            server.script = lambda server, path, page: web.Response(text=github_page(odd)) if path == ORG else None
            async with polling(server, MemoryOutlet(), watchlist=WATCHED) as run:
                await until(lambda: run.feeds.by_name[FEED].state == "ok")
                assert run.outlet.ids() == ["2", "3", "1"]
                assert not dead_letters(run.outlet)

    asyncio.run(scenario())


def test_a_thread_that_cannot_be_read_costs_itself_and_is_told() -> None:
    async def run() -> None:
        hub = SmallHub()
        repo = hub.repo("allenai/OLMo")
        repo.commit(1, 60, "Ada")
        repo.open(1, 60, "Bob")
        repo.open(2, 60, "Bob")
        odd = [True]
        hub.answer = lambda request: (
            web.json_response([]) if odd[0] and request.path.endswith("/discussions/2") else None
        )
        async with station(hub, clock=Clock(1_000, origin=time.time()), interval_cap=60.0) as it:
            health = it.feeds.by_name[REPOSITORIES]
            await it.until(lambda: health.state == "failing: 1 of 1 repositories")
            assert {activity.thread for activity in it.kept.of("discussion")} == {1}
            assert it.kept.of("commit")
            odd[0] = False
            await it.until(lambda: {activity.thread for activity in it.kept.of("discussion")} == {1, 2})

    asyncio.run(run())


def test_an_object_of_the_hub_keeps_its_list_and_what_can_be_read() -> None:
    details = f'{{"num": 5, "createdAt": "t", "status": "open", "title": {LONE}, "events": [1, {DEEP}]}}'.encode()
    read = decode_details(details)
    assert (read.num, read.status, read.title, [bytes(each) for each in read.events]) == (
        5,
        "open",
        "\ufffd",
        [b"1", DEEP.encode()],
    )
    threads = decode_threads(f'{{"count": 3, "discussions": [{LONE}], "x": {DEEP}}}'.encode())
    assert (threads.count, [bytes(each) for each in threads.discussions]) == (3, [LONE.encode()])
    with pytest.raises(msgspec.MsgspecError):
        decode_threads(b'{"count": 3, "x": "\\ud83d"}')


@pytest.mark.parametrize(
    ("read", "shape"),
    [
        (read_listed, {"id": "a/b", "_id": "LONG"}),
        (read_listed, {"id": "a/b", "sha": "LONG"}),
        (read_commit, {"id": "LONG", "date": "t"}),
        (read_thread, {"num": 1, "createdAt": "t", "status": "LONG"}),
        (read_event, {"id": "LONG", "type": "comment", "createdAt": "t"}),
        (read_liker, {"user": "LONG"}),
    ],
)
def test_what_the_hub_calls_something_is_no_longer_than_a_name(
    read: Callable[[bytes], object], shape: dict[str, Any]
) -> None:
    """It becomes part of an id or a cursor: a record that Kafka does not take would end the poller at each start."""
    text = json.dumps(shape)
    read(text.replace("LONG", "x" * 200).encode())
    with pytest.raises(DeadLetter, match="missing-field"):
        read(text.replace("LONG", "x" * 201).encode())


@pytest.mark.parametrize("name", ["x" * 301, "x" * 1_000_000, "/", ""])
def test_a_repository_of_github_that_states_no_name_ends_no_poller(name: str) -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open(scale=600) as server:
            stated = {
                "id": 42,
                "full_name": name,
                "stargazers_count": 10**30,
                "forks_count": 1,
                "subscribers_count": -5,
            }
            place = "/repos/allenai/OLMo"
            watchlist = Watchlist([Project("olmo", github=("allenai/OLMo",))])
            server.script = lambda server, path, page: (
                web.json_response(stated) if path.lower() == place.lower() else None
            )
            async with polling(server, MemoryOutlet(), watchlist=watchlist) as run:
                await until(lambda: any(asked.path.lower() == place.lower() for asked in server.asked))
                polls = run.feeds.by_name[OTHER].polls["new"]
                await until(
                    lambda: (
                        run.feeds.by_name[OTHER].polls["new"] + run.feeds.by_name[OTHER].polls["unchanged"] > polls + 5
                    )
                )
            assert max(len(cursor) for cursor in run.outlet.cursors.values()) < 100_000

    asyncio.run(scenario())


def test_of_too_many_changes_the_stalest_are_dropped_and_the_ledger_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_changes, "_MOST_WAITING", 2)
    changes = HubChanges(0)
    for number in (1, 2, 3):
        place = HubTarget(
            "model", f"models/a/{number}", str(number), Repository(str(number), f"a/{number}", number, "a", None)
        )
        changes.add(ChangedRepository(10 * number, place, Listed(f"a/{number}")))
    assert changes.oldest() == 10, "nobody has looked at the one that was dropped"
    changes.forget(11)
    assert changes.oldest() == 20
    assert changes.share(100) == 0.0


def test_a_packed_answer_is_unpacked_no_further_than_the_largest_body() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1_024)) + packer.flush()

    async def run() -> None:
        async with (
            RawServer.open(lambda path: raw(bomb, b"Content-Encoding: gzip")) as server,
            open_session("tests") as session,
        ):
            tracemalloc.start()
            with pytest.raises(Oversized):
                await fetch(session, server.address)
            assert tracemalloc.get_traced_memory()[1] < 4 * LARGEST_BODY
            tracemalloc.stop()

    asyncio.run(run())


def test_what_is_kept_of_a_too_large_answer_is_the_same_however_the_network_cuts_it() -> None:
    answer = raw(bytes(range(251)) * (LARGEST_BODY // 251 + 1))

    async def kept(first: int) -> bytes:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer[:first])
                await writer.drain()
                # The client, on the same event loop, takes what was sent before the rest is.
                for _ in range(200):
                    await asyncio.sleep(0)
                writer.write(answer[first:])
                await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, open_session("tests") as session:
            with pytest.raises(Oversized) as raised:
                await fetch(session, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            return raised.value.raw

    async def run() -> None:
        heads = [await kept(first) for first in (1_000, 70_000, 1 << 20)]
        assert heads[0] == heads[1] == heads[2]
        assert heads[0]
        assert answer.partition(b"\r\n\r\n")[2].startswith(heads[0])

    asyncio.run(run())


def test_a_large_body_is_decoded_beside_the_event_loop() -> None:
    async def run() -> None:
        here = threading.get_ident()
        assert await off_loop(LARGE - 1, threading.get_ident) == here
        assert await off_loop(LARGE, threading.get_ident) != here
        # What waits for the event loop would wait for ever on it.
        loop_goes_on = threading.Event()
        asyncio.get_running_loop().call_soon(loop_goes_on.set)
        assert await off_loop(LARGE, loop_goes_on.wait, 20)

    asyncio.run(run())


@pytest.mark.parametrize("large", [False, True])
def test_both_platforms_decode_their_large_bodies_there(monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    body = b"[" + b" " * (LARGE if large else 1) + b"]"
    decoded: list[bool] = []

    def decode(content: bytes, most: int = 0) -> list[msgspec.Raw]:
        decoded.append(threading.current_thread() is threading.main_thread())
        return []

    monkeypatch.setattr("streams.live.github.page.elements", decode)

    async def run() -> None:
        clock = Clock(600, origin=time.time())
        async with RawServer.open(lambda path: raw(body, b"X-Poll-Interval: 1"), clock) as server:
            async with polling(server, MemoryOutlet()):
                await until(lambda: decoded)
            of_github = len(decoded)
            async with open_session("tests") as session:
                client = HubClient(server.address, "t", session, HubLimits(clock.wall), Kept(), clock)
                await client.get("models", decode, FeedHealth("f", PLATFORM))
        assert len(decoded) == of_github + 1
        assert set(decoded) == {not large}

    asyncio.run(run())
