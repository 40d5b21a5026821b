"""The Hub's poller and the simulated Hub, which knows the truth: everything that its API shows of watched repositories,
once.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from typing import Any

import pytest

from simulator.population import WATCHLIST
from simulator.servers.clock import WorldClock
from simulator.servers.faults import Faults
from simulator.servers.hub import HubServer
from simulator.servers.hub_truth import Happened
from streams.activity import Activity, hash_name
from streams.live.common.clock import Clock
from streams.live.common.context import Context
from streams.live.common.health import Feeds
from streams.live.common.http import open_session
from streams.live.hub.poller import HubPoller
from streams.watchlist import Watchlist
from tests.streams.live.hub.small import Kept
from tests.streams.made import KEY

SCALE = 300.0
SECOND = 1_000_000
# What reading a repository shows, whenever it is read.
KINDS = {
    "commit",
    "discussion",
    "discussion_comment",
    "pull_request",
    "pull_request_comment",
}


def named(login: str) -> int:
    return hash_name(f"huggingface:{login.casefold()}", KEY)


def has_enough(server: HubServer, began: int) -> bool:
    """Whether enough of every kind has happened to watched repositories for a comparison to say something."""
    kinds = Counter(deed.kind for deed in server.happened(began, server.clock.now()) if deed.project)
    return all(kinds[kind] >= 4 for kind in (*KINDS, "like"))


async def watch(
    faults: dict[str, float], token: str = "hf_right", **settings: bool
) -> tuple[HubServer, Kept, int, int]:
    """A poller and its server until enough has happened, then until its watermarks say that all of that is known."""
    origin = time.time()
    injected = Faults(7)
    clock = WorldClock(SCALE, origin)
    small: dict[str, Any] = {"repositories": 120, "people": 400, "history": 3_600.0, **settings}
    server = HubServer(3, clock, injected, token="hf_right", rate=0.6, **small)
    kept = Kept()
    address = await server.start()
    injected.set(**faults)
    try:
        async with open_session("tests") as session:
            poller = HubPoller(
                address,
                token,
                session,
                Context(
                    watchlist=Watchlist.load(WATCHLIST),
                    actor_key=KEY,
                    outlet=kept,
                    cursors={},
                    feeds=Feeds(),
                    clock=Clock(SCALE, origin),
                    interval_cap=240.0,
                ),
            )
            running = asyncio.create_task(poller.run())
            try:
                async with asyncio.timeout(60):
                    # Before the first reading of each repository there is only the baseline.
                    while not kept.marks(FEEDS[0]):
                        await asyncio.sleep(0.02)
                    began = server.clock.now()
                    while not has_enough(server, began):
                        await asyncio.sleep(0.05)
                    ended = server.clock.now()
                    while min(max(kept.marks(feed), default=0) for feed in FEEDS) < ended:
                        assert not running.done(), running.exception()
                        await asyncio.sleep(0.02)
                    # An old answer looks like any other, and nothing is promised about a gap: what they lack comes with
                    # a later reading.
                    wanted = {each for each, deed in wanted_of(server, began, ended).items() if is_due(deed, ended)}
                    if not token or settings:
                        wanted -= gated_of(server, began)
                    while (faults or kept.gaps) and wanted - {activity.id for activity in kept.activities}:
                        await asyncio.sleep(0.05)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
    finally:
        await server.stop()
    return server, kept, began, ended


FEEDS = ("huggingface:repositories", "huggingface:models", "huggingface:datasets", "huggingface:spaces")


def gone_of(server: HubServer) -> set[str]:
    """What has vanished: what happened there shortly before cannot be known."""
    return {
        deed.repository for deed in server.happened(server.world.began, server.clock.now()) if deed.kind == "delete"
    }


def wanted_of(server: HubServer, began: int, ended: int) -> dict[str, Happened]:
    """What the API shows of what happened to watched repositories that still exist, by id."""
    gone = gone_of(server)
    deeds = (deed for deed in server.happened(began, ended) if deed.project and deed.kind in KINDS)
    return {deed.id: deed for deed in deeds if deed.action != "copied" and deed.repository not in gone}


def gated_of(server: HubServer, began: int) -> set[str]:
    """Ids of the commits for those who have accepted the terms of their repository."""
    gated = {each.key for each in server.world.repositories if each.was_gated}
    happened = server.happened(began, server.clock.now())
    return {deed.id for deed in happened if deed.kind == "commit" and deed.repository in gated}


def is_due(deed: Happened, ended: int) -> bool:
    """Whether it must be known when everything up to a time is known. A commit can be pushed long after its date; what
    was taken back before any reading does not change the list of threads.
    """
    return deed.visible_at < ended and deed.action not in ("closed", "reopened", "renamed")


def check(server: HubServer, kept: Kept, began: int, ended: int, hidden: Collection[str] = ()) -> Counter[str]:
    """Compare what was published of watched repositories with the truth. Returns the number of each kind.

    What is `hidden` (ids) may be known, but need not be.
    """
    wanted = {each: deed for each, deed in wanted_of(server, began, ended).items() if each not in hidden}
    gone = gone_of(server)
    left = set(server.left())
    seen: dict[str, Activity] = {}
    for activity in kept.activities:
        assert activity.id not in seen, "published twice"
        seen[activity.id] = activity
    watched = {
        activity.id: activity
        for activity in seen.values()
        if activity.project and activity.kind in KINDS and began <= activity.occurred_at < ended
    }
    native = {deed.id: deed.repository for deed in server.happened(server.world.began, server.clock.now())}
    watched = {identity: activity for identity, activity in watched.items() if native.get(identity) not in gone}
    missing = {each for each in wanted if each not in watched and is_due(wanted[each], ended)}
    extra = watched.keys() - wanted.keys() - set(hidden)
    assert not missing, [(wanted[each].kind, wanted[each].action, wanted[each].name) for each in sorted(missing)[:5]]
    assert not extra, sorted(extra)[:5]
    for identity in wanted.keys() & watched.keys():
        deed, activity = wanted[identity], watched[identity]
        assert (activity.kind, activity.occurred_at, activity.project) == (deed.kind, deed.occurred_at, deed.project), (
            identity
        )
        assert (activity.action, activity.thread, activity.artefact) == (deed.action, deed.thread, deed.type), identity
        assert activity.repo_id == hash_name(f"huggingface:{deed.repository}")
        if deed.actor not in left:
            assert (activity.actor, activity.bot) == (named(deed.actor), deed.bot), identity
    return Counter(deed.kind for deed in wanted.values())


def check_likes(server: HubServer, kept: Kept) -> int:
    """Each like that was published was given; the truth has their logins, the activities their hashes."""
    given = {
        (hash_name(f"huggingface:{deed.repository}"), named(deed.actor))
        for deed in server.happened(server.world.began, server.clock.now())
        if deed.kind == "like"
    }
    likes = kept.of("like")
    assert {(like.repo_id, like.actor) for like in likes} <= given
    return len(likes)


def check_lineage(server: HubServer, kept: Kept, began: int, ended: int) -> int:
    """Publications and derivatives of all repositories: the walks show them."""
    everything = server.happened(began, server.clock.now())
    gone = gone_of(server)
    counts = 0
    for kind in ("repository", "derivative"):
        wanted = {
            deed.id: deed
            for deed in everything
            if deed.kind == kind
            and began <= deed.occurred_at < ended
            and deed.repository not in gone
            and deed.mark not in gone
        }
        published = {activity.id: activity for activity in kept.of(kind)}
        assert wanted.keys() <= published.keys()
        for identity, deed in wanted.items():
            assert (published[identity].occurred_at, published[identity].repo_id) == (
                deed.occurred_at,
                hash_name(f"huggingface:{deed.repository}"),
            ), identity
            assert (published[identity].relation, published[identity].project) == (deed.relation, deed.project)
        counts += len(wanted)
    return counts


def test_all_that_the_api_tells_of_watched_repositories_is_published_once() -> None:
    server, kept, began, ended = asyncio.run(watch({}))
    kinds = check(server, kept, began, ended)
    assert set(kinds) == KINDS
    assert check_likes(server, kept) > 0
    assert check_lineage(server, kept, began, ended) > 5
    assert server.offences == []
    assert server.statuses[429] == 0
    logins = {login.casefold() for login in server.logins()}
    assert not any(logins.intersection(activity.id.casefold().split(":")) for activity in kept.activities)


def test_nothing_is_lost_or_doubled_by_faults() -> None:
    faults = {"dropped": 0.03, "cut": 0.03, "error": 0.05, "truncated": 0.03, "garbage": 0.03, "stale": 0.03}
    server, kept, began, ended = asyncio.run(watch(faults))
    check(server, kept, began, ended)
    check_likes(server, kept)
    assert server.offences == []


@pytest.mark.parametrize(("token", "settings"), [("", {}), ("hf_right", {"granted": False})])
def test_of_gated_repositories_all_is_published_but_their_commits(token: str, settings: dict[str, bool]) -> None:
    server, kept, began, ended = asyncio.run(watch({}, token, **settings))
    hidden = gated_of(server, began)
    kinds = check(server, kept, began, ended, hidden)
    assert set(kinds) == KINDS
    gated = {hash_name(f"huggingface:{each.key}") for each in server.world.repositories if each.gated}
    assert hidden, "there is something that is not for us"
    assert {activity.kind for activity in kept.activities if activity.repo_id in gated} >= {
        "discussion_comment",
        "like",
    }
    assert server.offences == []
