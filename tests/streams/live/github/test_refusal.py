"""A refusal (403 or 451) concerns one feed: its state says why, it is polled rarely, and other feeds go on."""

import asyncio
import json

import pytest
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from streams.live.common.http import Answer
from streams.live.github.refusal import refusal_of
from streams.watchlist import Project, Watchlist
from tests.streams.live.github.serving import FEED, ORG, MemoryOutlet, ScriptedGithub, polling, until

TWO = Watchlist([Project("two", github=("allenai", "other-org"))])
OTHER = "/orgs/other-org/events"
EVERYTHING = "/events"


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (
            403,
            {"message": "the `acme` organization has enabled OAuth App access restrictions: "
                        "data access to third-parties is limited.",
             "documentation_url": "https://x.invalid/limits"},
            "refused (403): the `acme` organization has enabled OAuth App access restrictions: "
            "data access to third-parties is limited; "
            "use a personal access token, or let the organisation approve the app",
        ),
        (
            403,
            {"message": "Resource protected by organization SAML enforcement."},
            "refused (403): Resource protected by organization SAML enforcement; "
            "authorise the token for that organisation",
        ),
        (
            403,
            {"message": "The `acme` organization has an IP allow list enabled, "
                        "and 192.0.2.77 is not permitted to access this resource."},
            "refused (403): The `acme` organization has an IP allow list enabled, "
            "and … is not permitted to access this resource; ask from an address that the organisation allows",
        ),
        (
            403,
            {"message": "Repository access blocked", "block": {"reason": "tos", "created_at": "2020-01-01T00:00:00Z"}},
            "refused (403): Repository access blocked (tos); "
            "it is blocked for everybody; nothing can be done about it here",
        ),
        (
            451,
            {"message": "Repository access blocked", "block": {"reason": "dmca", "html_url": "https://x.invalid"}},
            "refused (451): Repository access blocked (dmca); "
            "it is blocked for everybody; nothing can be done about it here",
        ),
        (403, {"message": "no \x1b[31m\u202ecolours\n\nhere, @ada"}, "refused (403): no [31mcolours here,"),
        (403, {"message": 5}, "refused (403): no reason given"),
        (403, "<html><h1>Forbidden</h1> by a proxy</html>", "refused (403): Forbidden by a proxy"),
        (403, "", "refused (403): no reason given"),
    ],
)  # fmt: skip
def test_a_refusal_gives_its_reason_in_words(status: int, body: object, state: str) -> None:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    assert refusal_of(Answer(status, CIMultiDictProxy(CIMultiDict()), content)) == state


@pytest.mark.parametrize("status", [403, 451])
def test_a_feed_that_is_refused_is_asked_rarely_and_holds_up_nobody(status: int) -> None:
    """An organisation's policy says that access is limited; no header says so."""

    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            said = "The organization restricts OAuth Apps: access of third parties is limited."
            body = {"message": said, "documentation_url": "https://x.invalid/rate-limit"}
            server.script = lambda server, path, page: (
                web.json_response(body, status=status, headers={"X-RateLimit-Remaining": "4900"})
                if path == ORG
                else None
            )
            async with polling(server, MemoryOutlet(), watchlist=TWO) as run:
                await until(lambda: len(server.polls(OTHER)) > 20 and len(server.polls(EVERYTHING)) > 20)
                # Five minutes pass, or at least half of that, before it is polled again; the others are polled every
                # 1.2 s.
                assert len(server.polls()) == 1
                refused = run.feeds.by_name[FEED]
                assert refused.state.startswith(f"refused ({status}): The organization restricts OAuth Apps")
                assert "watchlist" not in refused.state
                assert (refused.polls["limited"], refused.polls["failed"]) == (0, 1)
                assert {run.feeds.by_name[f"github:{path}"].state for path in (OTHER, EVERYTHING)} == {"ok"}
                assert FEED.replace("orgs", "users") not in run.feeds.by_name

    asyncio.run(scenario())


def test_without_a_token_a_401_asks_for_one() -> None:
    async def scenario() -> None:
        async with ScriptedGithub.open() as server:
            server.script = lambda server, path, page: web.json_response(
                {"message": "Requires authentication"}, status=401
            )
            async with polling(server, MemoryOutlet(), token="") as run:
                await until(
                    lambda: run.feeds.by_name[FEED].state == "refused (401): it asks for a token; set GITHUB_TOKEN"
                )

    asyncio.run(scenario())
