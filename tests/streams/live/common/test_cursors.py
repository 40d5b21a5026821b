"""Cursors of this version and earlier ones are continued; one that cannot be read is reported in one line."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from nomadwatch.failures import explain
from streams.errors import StreamsError
from streams.live.common.clock import Clock
from streams.live.common.context import Context
from streams.live.common.coverage import COVERAGE_CURSOR, FeedCoverage
from streams.live.common.health import Feeds
from streams.live.common.http import open_session
from streams.live.github.limits import LIMITS_FEED as GITHUB_LIMITS
from streams.live.github.poller import GithubPoller
from streams.live.github.popularity import POPULARITY_CURSOR
from streams.live.hub.limits import LIMITS_FEED as HUB_LIMITS
from streams.live.hub.poller import CHANGES, REPOSITORIES, REPOSITORY, HubPoller
from streams.live.hub.popularity import POPULARITY_CURSOR as HUB_POPULARITY
from streams.live.hub.state import RepositoryState, decode_state
from streams.live.hub.walk import WalkCursor, decode_walk
from streams.watchlist import Project, Watchlist
from tests.streams.live.hub.small import Kept
from tests.streams.made import KEY

WATCHLIST = Watchlist([Project("olmo", github=("allenai",), huggingface=("allenai",))])
OLMO = POPULARITY_CURSOR + "allenai/olmo"
OF_GITHUB = [
    "github:/events",
    "github:/orgs/allenai/events",
    "github:/users/allenai/events/public",
    GITHUB_LIMITS,
    OLMO,
]
OF_THE_HUB = [
    "huggingface:models",
    "huggingface:datasets",
    REPOSITORIES,
    CHANGES,
    REPOSITORY + "7",
    HUB_LIMITS,
    HUB_POPULARITY + "7",
]


def started(cursors: dict[str, bytes]) -> tuple[GithubPoller, HubPoller]:
    """Both pollers, and the coverage, with what was saved."""

    async def start() -> tuple[GithubPoller, HubPoller]:
        FeedCoverage.restore(cursors, Feeds())
        context = Context(
            watchlist=WATCHLIST, actor_key=KEY, outlet=Kept(), cursors=cursors, feeds=Feeds(), clock=Clock()
        )
        async with open_session("tests") as session:
            return GithubPoller("http://127.0.0.1:9", "t", session, context), HubPoller(
                "http://127.0.0.1:9", "t", session, context
            )

    return asyncio.run(start())


@pytest.mark.parametrize(
    "other", [b"\xc1", b'{"of": "another version"}', b"[[]]", msgspec.msgpack.encode({"of": "another version"})]
)
@pytest.mark.parametrize("feed", [*OF_GITHUB, *OF_THE_HUB, COVERAGE_CURSOR + "github:/events"])
def test_a_cursor_of_another_version_is_one_line_that_says_what_to_do(feed: str, other: bytes) -> None:
    with pytest.raises(StreamsError) as raised:
        started({feed: other})
    assert str(explain(raised.value)).startswith(
        f"the cursor {feed} cannot be read, another version has written it: begin anew"
    )


def test_cursors_that_were_saved_before_are_gone_on_with() -> None:
    """As they were written at first: what was added since is at its default."""
    packed: dict[str, Any] = {
        "github:/events": [b"", b"", [], 5, 6, 7, None, 1.5, 1.0, 60.0, None, 0.0],
        GITHUB_LIMITS: [1, 0.0, 0, [1, 2]],
        "huggingface:models": [1, 2, {3: 4}, {}],
        REPOSITORIES: [7],
        REPOSITORY + "7": [5, None, [1], 9],
        HUB_LIMITS: [4_000_000_000.0],
    }
    cursors = {feed: msgspec.msgpack.encode(each) for feed, each in packed.items()}
    hour_ago = round((time.time() - 3_600) * 1e6)
    cursors[OLMO] = b'["olmo",%d,{"stargazers_count":3,"forks_count":1,"subscribers_count":null}]' % hour_ago
    cursors[COVERAGE_CURSOR + "github:/events"] = b'{"60000000":{"1":6e7},"3600000000":{},"86400000000":{}}'
    github, hub = started(cursors)
    assert [(row.project, row.kind, row.value) for row in github.popularity()] == [
        ("olmo", "stars", 3),
        ("olmo", "forks", 1),
        ("olmo", "watchers", None),
    ]
    assert list(hub.popularity()) == []
    assert decode_walk("f", cursors["huggingface:models"]) == WalkCursor(1, 2, {3: 4}, {})
    assert decode_walk("f", None) == WalkCursor()
    assert decode_state("f", cursors[REPOSITORY + "7"]) == RepositoryState(5, None, [1], 9)
