"""Refusals by the Hub: gated, private and disabled repositories are read as far as they are public, and a state says
why.
"""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from aiohttp import web

from streams.live.common.clock import Clock
from streams.live.hub.poller import CHANGES, REPOSITORIES
from streams.live.hub.refusals import DISABLED, GATED, GATED_FOR_TOKEN, LEGAL, NOT_PUBLIC
from streams.watchlist import Project, Watchlist
from tests.streams.live.hub.small import SmallHub, Station, station

Answer = Callable[[web.Request], web.StreamResponse | None]


def refusing(status: int, *parts: str, code: str = "", message: str = "") -> Answer:
    """Refuse these parts of the repositories named `gated`, or all parts if none is named."""
    headers = {key: value for key, value in (("X-Error-Code", code), ("X-Error-Message", message)) if value}

    def answer(request: web.Request) -> web.StreamResponse | None:
        refused = "/gated/" in request.path and (not parts or any(f"/{part}" in request.path for part in parts))
        return web.json_response({"error": message}, status=status, headers=headers) if refused else None

    return answer


def hub_of(answer: Answer, kind: str = "models", owner: str = "allenai") -> SmallHub:
    """An open repository and a gated one; both have a commit, a thread and a liker."""
    hub = SmallHub(answer=answer)
    for number, name in enumerate(("gated", "open")):
        repo = hub.repo(f"{owner}/{name}", kind=kind, likers=["eve"], gated="manual" if name == "gated" else False)
        repo.commit(number, 60, "Ada")
        repo.open(number, 60, "bob")
    return hub


def seen_of(it: Station, name: str) -> set[str]:
    return {activity.kind for activity in it.kept.activities if activity.repo == name}


@pytest.mark.parametrize(
    ("token", "kind", "answer", "state", "coverage"),
    [
        (
            "",
            "models",
            refusing(401, "commits", code="GatedRepo", message="Access is restricted. Please log in."),
            GATED,
            5 / 6,
        ),
        ("", "datasets", refusing(401, "commits", code="GatedRepo"), GATED, 5 / 6),
        # The listing says that it is gated where the refusal does not.
        ("", "models", refusing(401, "commits", message="Invalid username or password."), GATED, 5 / 6),
        ("", "models", refusing(401, "commits", "likers", code="GatedRepo"), GATED, 4 / 6),
        (
            "hf_x",
            "models",
            refusing(403, "commits", code="GatedRepo", message="You are not in the authorized list."),
            GATED_FOR_TOKEN,
            5 / 6,
        ),
        ("hf_x", "models", refusing(401, "commits", code="GatedRepo"), GATED_FOR_TOKEN, 5 / 6),
        (
            "hf_x",
            "models",
            refusing(403, "commits", message="Not in your region"),
            "refused: Not in your region",
            5 / 6,
        ),
        ("", "models", refusing(451, "commits"), LEGAL, 5 / 6),
    ],
)
def test_of_a_repository_that_refuses_its_commits_the_rest_is_seen(
    token: str, kind: str, answer: Answer, state: str, coverage: float, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> tuple[Station, SmallHub]:
        hub = hub_of(answer, kind)
        async with station(hub, token=token) as it:
            await it.rounds(3)
            hub.repos[0].open(7, 1, "cy")
            said: set[str] = set()

            def published() -> bool:
                said.add(it.feeds.by_name[REPOSITORIES].state)
                return any(activity.thread == 7 for activity in it.kept.activities)

            await it.until(published)
            assert said == {f"{state} (allenai/gated)"}, "it does not change from request to request"
            return it, hub

    it, hub = asyncio.run(run())
    assert seen_of(it, "allenai/gated") == {"discussion"}
    assert seen_of(it, "allenai/open") == {"commit", "discussion"}
    assert hub.asked("gated/commits") == 1, "what is refused is not asked for again within an hour"
    assert hub.asked("gated/likers") == 1
    assert it.feeds.by_name[REPOSITORIES].coverage == pytest.approx(coverage)
    assert it.kept.gaps == []
    assert "token is refused" not in caplog.text


@pytest.mark.parametrize(
    ("token", "answer", "state"),
    [
        ("", refusing(401, code="GatedRepo"), f"{GATED} (allenai/gated)"),
        ("", refusing(403, message="Access to this resource is disabled."), f"{DISABLED} (allenai/gated)"),
        ("hf_x", refusing(451), f"{LEGAL} (allenai/gated)"),
        # A private repository cannot be told from one that never existed.
        ("", refusing(401, code="RepoNotFound"), "listed, but gone or private (allenai/gated)"),
        ("hf_x", refusing(404, code="RepoNotFound"), "listed, but gone or private (allenai/gated)"),
    ],
)
def test_a_repository_that_refuses_everything_is_told_and_left_alone(token: str, answer: Answer, state: str) -> None:
    async def run() -> tuple[Station, SmallHub]:
        hub = hub_of(answer)
        async with station(hub, token=token) as it:
            await it.until(lambda: hub.asked("open/discussions?") > 5 and hub.asked("author=") > 12)
            await it.until(lambda: it.feeds.by_name[REPOSITORIES].state == state)
            return it, hub

    it, hub = asyncio.run(run())
    assert seen_of(it, "allenai/open") == {"commit", "discussion"}
    assert hub.asked("gated/commits") == 1
    assert hub.asked("gated/discussions") <= 1
    assert it.feeds.by_name[REPOSITORIES].coverage == 0.5
    assert it.poller.dropped == 1


def test_commits_are_seen_once_the_terms_are_accepted() -> None:
    """Everything since the first reading, without a restart."""

    async def run() -> None:
        refuse = refusing(403, "commits", code="GatedRepo")
        accepted: list[bool] = []
        hub = hub_of(lambda request: None if accepted else refuse(request))
        async with station(hub, clock=Clock(6_000.0, time.time()), interval_cap=60.0) as it:
            await it.until(lambda: it.feeds.by_name[REPOSITORIES].state.startswith("gated"))
            accepted.append(True)
            await it.until(
                lambda: "commit" in seen_of(it, "allenai/gated") and it.feeds.by_name[REPOSITORIES].state == "ok"
            )

    asyncio.run(run())


def test_a_change_of_gating_is_looked_at_at_once() -> None:
    async def run() -> None:
        refuse = refusing(401, "commits", code="GatedRepo")
        hub = hub_of(lambda request: refuse(request) if hub.repos[0].gated else None)
        async with station(hub, token="") as it:
            await it.until(lambda: it.feeds.by_name[REPOSITORIES].state == f"{GATED} (allenai/gated)")
            hub.repos[0].gated = False
            await it.until(
                lambda: "commit" in seen_of(it, "allenai/gated") and it.feeds.by_name[REPOSITORIES].state == "ok"
            )

    asyncio.run(run())


@pytest.mark.parametrize(
    ("token", "answer", "state"),
    [
        ("", refusing(451), f"{LEGAL} (acme/gated)"),
        ("hf_x", refusing(403, message="Access to this resource is disabled."), f"{DISABLED} (acme/gated)"),
        (
            "",
            refusing(401, code="RepoNotFound"),
            "not listed: acme/gated; correct the name in the watchlist, or set HF_TOKEN if it is private",
        ),
        (
            "hf_x",
            refusing(404, code="RepoNotFound"),
            "not listed: acme/gated; correct the name in the watchlist",
        ),
    ],
)
def test_a_repository_that_the_watchlist_names_and_no_listing_shows_is_told_with_the_reason(
    token: str, answer: Answer, state: str
) -> None:
    async def run() -> None:
        def whole(request: web.Request) -> web.StreamResponse | None:
            # Of the repository itself too.
            return answer(request.clone(rel_url=f"{request.path}/")) if request.path.endswith("/gated") else None

        hub = SmallHub(answer=whole)
        hub.repo("allenai/open").commit(1, 60, "Ada")
        watchlist = Watchlist([Project("olmo", huggingface=("allenai", "acme/gated"))])
        async with station(hub, token=token, watchlist=watchlist) as it:
            health = it.feeds.open(REPOSITORIES, "huggingface")
            await it.until(lambda: (health.state, health.coverage) == (state, 0.5))
            assert seen_of(it, "allenai/open") == {"commit"}

    asyncio.run(run())


def test_several_gated_repositories_are_counted_in_one_state() -> None:
    async def run() -> None:
        hub = hub_of(refusing(401, "commits", code="GatedRepo"))
        hub.repo("HuggingFaceTB/SmolGated", gated="auto").commit(5, 60, "Ada")
        refuse = hub.answer

        def answer(request: web.Request) -> web.StreamResponse | None:
            gated = "Gated/commits" in request.path
            return web.Response(status=401, headers={"X-Error-Code": "GatedRepo"}) if gated else refuse(request)

        hub.answer = answer
        async with station(hub, token="") as it:
            await it.until(
                lambda: it.feeds.by_name[REPOSITORIES].state == f"{GATED} (HuggingFaceTB/SmolGated and 1 more)"
            )

    asyncio.run(run())


def test_others_that_are_gated_hold_nothing_up_and_trouble_no_feed() -> None:
    async def run() -> tuple[Station, SmallHub]:
        hub = hub_of(refusing(401, "commits", code="GatedRepo"), owner="mallory")
        async with station(hub, token="") as it:
            await it.until(lambda: bool(seen_of(it, "mallory/gated")) and len(seen_of(it, "mallory/open")) == 2)
            return it, hub

    it, hub = asyncio.run(run())
    assert seen_of(it, "mallory/gated") == {"discussion"}
    assert hub.asked("gated/commits") == 1
    assert it.feeds.by_name[CHANGES].state == "ok"


def test_a_token_that_is_refused_is_told_once_and_not_tried_over_and_over(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> SmallHub:
        valid: list[bool] = [True]
        message = "Invalid credentials in Authorization header"
        hub = hub_of(lambda request: None if valid else web.Response(status=401, headers={"X-Error-Message": message}))
        async with station(hub, token="hf_revoked", interval_cap=60.0, clock=Clock(60.0, time.time())) as it:
            await it.until(lambda: bool(seen_of(it, "allenai/open")))
            valid.clear()
            before = len(hub.requests)
            feeds = it.feeds.by_name
            await it.until(lambda: feeds[REPOSITORIES].state == feeds["huggingface:models"].state == "token refused")
            # Walks, listings and readings each ask by themselves, and none repeats a request at once.
            paths = [path for _, path in hub.requests[before:]]
            assert all(first != second for first, second in pairwise(paths))
            return hub

    asyncio.run(run())
    assert caplog.text.count("the token is refused") == 1


def test_a_hub_that_wants_a_token_for_everything_says_so() -> None:
    async def run() -> None:
        hub = SmallHub(answer=lambda request: web.Response(status=401))
        async with station(hub, token="") as it:
            wanted = f"failing: the listing is refused: {NOT_PUBLIC}"
            await it.until(
                lambda: {it.feeds.by_name[feed].state for feed in (REPOSITORIES, "huggingface:models")} == {wanted}
            )

    asyncio.run(run())
