"""The role `streams` of a live station: the pollers of all platforms and their outlet, in one process."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from nomadwatch import __version__
from nomadwatch.processes.tasks import until_first
from streams.activity import PLATFORMS

if TYPE_CHECKING:
    from nomadwatch.settings import Settings
    from nomadwatch.state import Kept
    from streams.live.common.health import Row
    from streams.live.common.http import WorldSign
    from streams.live.common.poller import Poller
    from streams.live.common.popularity import Popularity

USER_AGENT: Final = f"nomadwatch/{__version__}"
_LAST_WORDS: Final = 4.0
_ARTEFACTS_EVERY: Final = 20.0
# Seconds beyond the longest interval within which a mark arrives: it is a minute behind its poll, and is published
# within another minute.
_SETTLING: Final = 120.0
_LOG: Final = logging.getLogger("nomadwatch.streams")


class Polling(msgspec.Struct, frozen=True, kw_only=True):
    """What the pollers need to know; plain values, so that it can be handed to another process.

    `access` has the address and the token of each platform that is polled.
    """

    bootstrap: str
    prefix: str
    partitions: int
    actor_key: bytes
    watchlist: str
    dead_letters: Literal["raw", "digest"]
    access: dict[str, tuple[str, str]]
    interval_cap: float
    time_scale: float
    time_origin: float


def polling_of(settings: "Settings", kept: "Kept", bootstrap: str, actor_key: bytes) -> Polling:
    """What the pollers need of the settings."""
    return Polling(
        bootstrap=bootstrap,
        prefix=kept.prefix,
        partitions=kept.partitions,
        actor_key=actor_key,
        watchlist=settings.watchlist,
        dead_letters=settings.dead_letters,
        access={platform: access for platform in PLATFORMS if (access := settings.access(platform))[0]},
        interval_cap=settings.interval_cap,
        time_scale=settings.time_scale,
        time_origin=time.time() if settings.time_origin is None else settings.time_origin,
    )


def poll(polling: Polling) -> None:
    """Poll until SIGTERM or SIGINT. Raises StreamsError for problems with the broker or the watchlist."""
    from streams.errors import UnreadableCursor
    from streams.kafka.consume import Guard

    guard, foreign = Guard("cursors"), set[str]()
    while True:
        try:
            asyncio.run(_poll(polling, foreign))
            return
        except UnreadableCursor as error:
            # That feed starts again, as the first time.
            guard.pass_over(f"{error.key} begins anew")
            foreign.add(error.key)


async def _poll(polling: Polling, foreign: Collection[str]) -> None:
    """Poll, without the cursors under the `foreign` keys."""
    from streams import platforms
    from streams.kafka.cursors import sound_key
    from streams.kafka.deliver import Delivery, read_table
    from streams.kafka.topics import Topics
    from streams.live.common.clock import Clock
    from streams.live.common.context import Context
    from streams.live.common.health import Feeds
    from streams.live.common.http import WorldSign, open_session
    from streams.live.common.outlet import KafkaOutlet
    from streams.platform import imported
    from streams.watchlist import Watchlist

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    topics = Topics(prefix=polling.prefix, partitions=polling.partitions)
    clock = Clock(polling.time_scale, polling.time_origin)
    feeds = Feeds()
    # A world whose time runs faster is simulated. For others, the platforms' answers say whether they are simulated.
    world = WorldSign(simulated=polling.time_scale != 1)
    table = await read_table(polling.bootstrap, topics, topics.cursors, sound_key)
    cursors = {key.decode(): value for key, value in table.items() if key.decode() not in foreign}
    async with (
        Delivery.open(polling.bootstrap, topics, "nomadwatch-streams") as delivery,
        AsyncExitStack() as sessions,
    ):
        report = Reporter(world)
        outlet = KafkaOutlet(delivery, topics, clock, feeds, cursors, report, polling.interval_cap + _SETTLING, world)
        context = Context(
            watchlist=Watchlist.load(polling.watchlist or None),
            actor_key=polling.actor_key,
            outlet=outlet,
            cursors=cursors,
            feeds=feeds,
            clock=clock,
            keep_dead_letters=polling.dead_letters,
            interval_cap=polling.interval_cap,
        )
        pollers: dict[str, Poller] = {}
        for platform, access in polling.access.items():
            session = await sessions.enter_async_context(open_session(USER_AGENT, world))
            pollers[platform] = imported(platforms.BY_ID[platform].poller)(*access, session, context)
        report.artefacts = lambda: {
            name: artefact for poller in pollers.values() for name, artefact in poller.artefacts().items()
        }
        outlet.more_rows = lambda: [
            row for name, poller in pollers.items() for each in poller.popularity() for row in _popularity(name, each)
        ]
        try:
            await until_first(outlet.run(), *(poller.run() for poller in pollers.values()), stop.wait())
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await outlet.flush()


def _popularity(platform: str, stated: "Popularity") -> "Iterator[Row]":
    """The popularity, if known, and the shares of repositories that it covers."""
    labels = {"project": stated.project, "platform": platform, "artefact": stated.artefact, "kind": stated.kind}
    if stated.value is not None:
        yield "nomadwatch_repository_popularity", labels, stated.value
    for share in ("answered", "counted"):
        yield "nomadwatch_repository_popularity_share_ratio", {**labels, "share": share}, getattr(stated, share)


class Reporter:
    """Makes the record of `measurements` with the health of the feeds. Its time is real time, not the station's.

    `artefacts` may be large: it is in the record only every `_ARTEFACTS_EVERY` seconds.
    """

    def __init__(self, world: "WorldSign", now: Callable[[], float] = time.monotonic) -> None:
        self.artefacts: Callable[[], dict[str, str]] = dict
        self._world, self._now = world, now
        self._next = 0.0

    def __call__(self, now: int, rows: "list[Row]", states: dict[str, str]) -> tuple[bytes, bytes]:
        """The key and value of the record. `now`: the station's time (µs)."""
        from agents.measurements import HealthReport, Measurement, encode, health_key

        artefacts: dict[str, str] = {}
        if self._now() >= self._next and (artefacts := self.artefacts()):
            self._next = self._now() + _ARTEFACTS_EVERY
        shown = [Measurement(name, labels, value) for name, labels, value in rows]
        at = time.time_ns() // 1000
        simulated = self._world.simulated
        report = HealthReport(
            role="streams", evaluated_at=at, rows=shown, states=states, simulated=simulated, artefacts=artefacts
        )
        return health_key("streams"), encode(report)
