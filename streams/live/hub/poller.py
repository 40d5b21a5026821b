"""The Hugging Face Hub has no feed of events: what happens there is found by asking, within the quota, watched
repositories first.

huggingface:models, :datasets, :spaces walks by last modification: creations, lineage, and what has changed
huggingface:repositories the watched repositories, each at least once in `interval_cap`: commits, threads, likers
huggingface:changes the others that have changed, as far as the quota lets: commits, threads
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import aiohttp
import msgspec

from streams.activity import HOUR, SECOND
from streams.assignment import Assignment
from streams.identities import Identities
from streams.kafka.cursors import decoded
from streams.live.common.backoff import is_waiting
from streams.live.common.context import Context
from streams.live.common.health import Scope
from streams.live.common.http import Unreachable
from streams.live.common.ledger import MARGIN, PATIENCE, Ledger
from streams.live.common.poll_result import Gap, PollResult
from streams.live.common.poller import Poller
from streams.live.common.popularity import Popularity
from streams.live.hub.activities import HubActivities
from streams.live.hub.changes import ChangedRepository, HubChanges
from streams.live.hub.client import HubClient
from streams.live.hub.dead_letters import HubLetters
from streams.live.hub.limits import LIMITS_FEED, HubLimits
from streams.live.hub.listing import HubListing
from streams.live.hub.places import HubPlaces
from streams.live.hub.platform import PLATFORM
from streams.live.hub.popularity import HubPopularity
from streams.live.hub.reading import READERS, REPOSITORY, FeedReader, HubReading
from streams.live.hub.repository import HubRepository
from streams.live.hub.shapes import FOLDERS
from streams.live.hub.state import decode_state
from streams.live.hub.walk import OVERLAP, HubWalks, Walk, decode_walk, encode_walk
from streams.live.hub.watched import EARLY, HubWatched

REPOSITORIES: Final = "huggingface:repositories"
CHANGES: Final = "huggingface:changes"
_WALK_SECONDS: Final = 60.0
# A watermark waits no longer than this for the last of very many repositories.
_LONGEST_ROUND: Final = 6 * HOUR


class _Cursor(msgspec.Struct, array_like=True):
    """The cursor of the feeds that are not walks: the watermark (µs)."""

    mark: int | None = None


_decode: Final = msgspec.msgpack.Decoder(_Cursor).decode


class HubPoller(Poller):
    """All feeds of the Hub; `token` may be empty."""

    def __init__(self, endpoint: str, token: str, session: aiohttp.ClientSession, context: Context) -> None:
        clock, outlet, cursors, watchlist = context.clock, context.outlet, context.cursors, context.watchlist
        self._outlet = outlet
        self._clock = clock
        self._interval = context.interval_cap
        self._began = clock.now()
        self._limits = HubLimits(clock.wall, cursors.get(LIMITS_FEED))
        self._client = HubClient(endpoint, token, session, self._limits, outlet, clock)
        self._assignment = Assignment(watchlist, PLATFORM, cursors, asked=True)
        identities = Identities(
            context.actor_key,
            watchlist,
            include_bots=context.include_bots,
            platform=PLATFORM,
            assignment=self._assignment,
        )
        self._activities = HubActivities(identities, context.actor_key)
        self._dead_letters = HubLetters(context.keep_dead_letters)
        names: dict[str, str] = {}
        self._watched = HubWatched(watchlist, names, self._interval, READERS)
        self._states = {key: value for key, value in cursors.items() if key.startswith(REPOSITORY)}
        # Cursors that cannot be read are reported in one line now: later the exception would be a task's.
        for key, state in self._states.items():
            decode_state(key, state)
        self._walks: list[tuple[HubWalks, Ledger]] = []
        for artefact, folder in FOLDERS.items():
            feed = f"{PLATFORM}:{folder}"
            cursor = decode_walk(feed, cursors.get(feed))
            health = context.feeds.open(feed, PLATFORM, scope="all")
            walks = HubWalks(artefact, self._client, self._activities, self._dead_letters, health, clock, names, cursor)
            self._walks.append((walks, Ledger(health, cursor.mark, self._began, walks.encode)))
        self._changes = HubChanges(self._began)
        feeds: tuple[tuple[str, Scope, Callable[[int], float | None] | None, Callable[[], float] | None], ...] = (
            (REPOSITORIES, "watched", None, self._watched.reached),
            (CHANGES, "all", self._changes.share, None),
        )
        self._ledgers = {
            feed: Ledger(
                context.feeds.open(feed, PLATFORM, scope=scope),
                _mark(cursors, feed),
                self._began,
                _encode,
                share=share,
                reached=reached,
            )
            for feed, scope, share, reached in feeds
        }
        watched, others = (
            FeedReader(HubRepository(self._client, self._activities, self._dead_letters, ledger.health), ledger)
            for ledger in self._ledgers.values()
        )
        self._reading = HubReading(self._watched, watched, self._changes, others, self._states, self._put, clock)
        self._popularity = HubPopularity(watchlist, self._activities, cursors)
        self._listing = HubListing(
            self._client,
            self._activities,
            self._dead_letters,
            self._watched,
            HubPlaces(watchlist, self._client, self._activities, identities, self._watched, clock),
            self._popularity,
            self._ledgers[REPOSITORIES],
            self._put,
            self._reading.news.set,
            clock,
            EARLY * self._interval,
        )

    @property
    def dropped(self) -> int:
        """How many watched repositories were gone or private when they were read, so far."""
        return self._watched.dropped

    def popularity(self) -> Iterator[Popularity]:
        """Likes and downloads of the watched repositories, as the Hub states them."""
        return self._popularity.get(self._clock.now())

    def artefacts(self) -> dict[str, str]:
        """The artefacts, by name, of the watched repositories that are not models."""
        return self._watched.artefacts()

    async def run(self) -> None:
        """Poll until cancelled. What servers and networks do ends up in the feeds' health, never in an exception."""
        if self._limits.backoff.shortened:
            await self._outlet.put(PollResult(feed=LIMITS_FEED, platform=PLATFORM, cursor=self._limits.cursor))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listing.run())
            for walks, ledger in self._walks:
                tasks.create_task(self._keep_walking(walks, ledger))
            tasks.create_task(self._reading.run())
            tasks.create_task(self._keep_marks())

    async def _keep_walking(self, walks: HubWalks, ledger: Ledger) -> None:
        # Only after the listings are derivatives known by their base's id, and changes known to be of watched
        # repositories.
        await self._listing.done.wait()
        failures = 0
        while True:
            try:
                walk = await walks.walk()
            except Unreachable as error:
                failures += 1
                await self._put_aside(ledger, error)
                await asyncio.sleep(self._client.growing(failures))
                continue
            failures = 0
            await self._publish_walk(walks, walk, ledger)
            self._reading.news.set()
            await self._rest(min(_WALK_SECONDS, self._interval))

    async def _publish_walk(self, walks: HubWalks, walk: Walk, ledger: Ledger) -> None:
        until = (walk.cursor.began or 0) - MARGIN
        # A walk goes back beyond the beginning of the last one, and no time is covered twice.
        since = max(walk.since, (walks.cursor.began or 0) - MARGIN)
        async with ledger.lock:
            await self._put(
                ledger,
                ledger.poll_result(
                    activities=walk.activities,
                    dead_letters=walk.dead_letters,
                    gaps=walk.gaps,
                    covered=ledger.cover(since, until),
                    mark=until,
                    cursor=encode_walk(msgspec.structs.replace(walk.cursor, mark=max(until, ledger.mark or 0))),
                ),
            )
            walks.cursor = walk.cursor
        for modified, target, listed in walk.changes.values():
            if target.repository.project is not None:
                self._watched.add(target, listed, walk.cursor.began or 0)
            else:
                self._changes.add(ChangedRepository(modified, target, listed))

    async def _keep_marks(self) -> None:
        """Publish the watermarks of the feeds that do not publish their own, and open a gap for one without
        progress.
        """
        await self._note_downtime()
        while True:
            await self._rest(min(self._interval, 60.0) / 4)
            now = self._clock.now()
            patience = max(PATIENCE, round(3 * self._interval * SECOND))
            held = self._limits.state
            if held is not None:
                for ledger in (*self._ledgers.values(), *(ledger for _, ledger in self._walks)):
                    ledger.health.state = held
            # If the quota is too small for all repositories, a round takes longer, and nothing is missed.
            around = min(round(2 * self._watched.round), _LONGEST_ROUND) if held is None else 0
            watched, changes = self._ledgers[REPOSITORIES], self._ledgers[CHANGES]
            watched.health.late_after, changes.health.late_after = around, patience
            await self._mark(watched, self._watched.complete_to(now), now, max(patience, around))
            times = [walks.cursor.began for walks, _ in self._walks]
            times += [self._changes.oldest() or now]
            known = [time for time in times if time is not None]
            if await self._mark(changes, min(known) if len(known) == len(times) else None, now, patience):
                # Only what is in the ledger is given up.
                self._changes.forget(now - patience)
            for _, ledger in self._walks:
                await self._mark(ledger, None, now, patience)

    async def _note_downtime(self) -> None:
        """Changes that waited when the last run ended, and are too old for the next walks, were missed: a gap."""
        ledger = self._ledgers[CHANGES]
        began = [walks.cursor.began for walks, _ in self._walks if walks.cursor.began is not None]
        end = min(began, default=0) - OVERLAP
        if ledger.mark is not None and ledger.mark < end:
            async with ledger.lock:
                await self._put(
                    ledger,
                    ledger.poll_result(gaps=[Gap(feed=CHANGES, start=ledger.mark, end=end, reason="down")], mark=end),
                )

    async def _mark(self, ledger: Ledger, known_to: int | None, now: int, patience: int) -> bool:
        """Publish a watermark that has risen, or a gap if it is overdue. Whether there was a gap."""
        async with ledger.lock:
            mark = None if known_to is None else known_to - MARGIN
            if mark is not None and mark >= now - patience:
                if ledger.health.state == "starting":
                    ledger.health.state = ledger.health.well  # there is nothing to poll
                if ledger.mark is None or mark > ledger.mark:
                    covered = ledger.cover(mark if ledger.mark is None else ledger.mark, mark)
                    await self._put(ledger, ledger.poll_result(covered=covered, mark=mark))
                return False
            unlisted = ledger is self._ledgers[REPOSITORIES] and bool(self._watched.unlisted)
            # The state may still show a wait that has just ended.
            waits = is_waiting(ledger.health.state) or (ledger.health.state == ledger.health.well and not unlisted)
            reason = "limited" if self._limits.backoff.holds else "quota" if waits else "failed"
            # Not a gap for every few seconds.
            gaps = ledger.overdue(now - patience, reason, least=patience // 3)
            if gaps:
                await self._put(ledger, ledger.poll_result(gaps=gaps, mark=gaps[-1].end))
            return bool(gaps)

    async def _put_aside(self, ledger: Ledger, error: Unreachable) -> None:
        """Keep an oversized answer as a dead letter, once."""
        if dead_letters := self._dead_letters.exceeding(ledger.health.feed, error):
            async with ledger.lock:
                await self._put(ledger, ledger.poll_result(dead_letters=dead_letters))

    async def _put(self, ledger: Ledger, result: PollResult) -> None:
        """Publish a poll result. It is counted, and the watermark moves, only when the broker has it."""
        learnt = self._assignment.changes()
        result = replace(
            result, dead_letters=self._dead_letters.once(result.dead_letters), cursors={**result.cursors, **learnt}
        )
        await self._outlet.put(result)
        self._assignment.saved(learnt)
        self._dead_letters.note(result.dead_letters)
        ledger.note(result, self._clock.now())

    async def _rest(self, seconds: float) -> None:
        """Sleep for seconds of the station's clock."""
        await asyncio.sleep(self._clock.wait(seconds))


def _mark(cursors: Mapping[str, bytes], feed: str) -> int | None:
    return decoded(feed, _decode, cursors[feed]).mark if feed in cursors else None


def _encode(mark: int | None) -> bytes:
    return msgspec.msgpack.encode(_Cursor(mark))
