"""Reads repositories of the Hub: the watched ones that are due, and others that have changed while none is due."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import msgspec

from streams.activity import SECOND
from streams.live.common.clock import Clock
from streams.live.common.http import Gone, Unreachable
from streams.live.common.ledger import PATIENCE, Ledger
from streams.live.common.poll_result import Gap, PollResult
from streams.live.hub.changes import ChangedRepository, HubChanges
from streams.live.hub.refusals import HubRefused, TokenRefused
from streams.live.hub.repository import HubRepository, RepositoryRead
from streams.live.hub.state import RepositoryState, decode_state, encode_state
from streams.live.hub.watched import GIVEN_UP, HubWatched, Watch

_LOG: Final = logging.getLogger(__name__)
# The key of a watched repository's cursor, before its id.
REPOSITORY: Final = "huggingface:repo:"
# How many watched repositories are read at the same time. Requests still go out one at a time; while one reading waits
# to try again after a failure, the others go on.
READERS: Final = 2
# Seconds of the station's clock between two checks whether a watched repository is due.
_GLANCE: Final = 1.0
_LONGEST_REST: Final = 60.0
# Seconds of the station's clock until others that have changed are read again after the token was refused.
_AFTER_REFUSED_TOKEN: Final = 60.0

Put = Callable[[Ledger, PollResult], Awaitable[None]]


class FeedReader(NamedTuple):
    """The reader of one feed's repositories, and the feed's ledger."""

    reader: HubRepository
    ledger: Ledger


class HubReading:
    """The tasks that read; `put` publishes a poll result, `states` are the cursors of watched repositories.

    Set `news` when something may have become due earlier than expected.
    """

    def __init__(
        self,
        watched: HubWatched,
        watched_lookout: FeedReader,
        changes: HubChanges,
        changes_lookout: FeedReader,
        states: dict[str, bytes],
        put: Put,
        clock: Clock,
    ) -> None:
        self.news = asyncio.Event()
        self._watched, self._changes = watched, changes
        self._watched_reader, self._watched_ledger = watched_lookout
        self._changes_reader, self._changes_ledger = changes_lookout
        self._states, self._put = states, put
        self._clock = clock

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(READERS):
                tasks.create_task(self._keep_reading_watched())
            tasks.create_task(self._keep_reading_changes())

    async def _keep_reading_watched(self) -> None:
        while True:
            self.news.clear()
            watch, now = self._watched.next(), self._clock.now()
            if watch is not None and watch.due <= now:
                with self._watched.busy(watch):
                    await self._look_at_watched(watch, now)
            else:
                await self._await_news(_LONGEST_REST if watch is None else (watch.due - now) / SECOND)

    async def _keep_reading_changes(self) -> None:
        """Read one repository at a time, and begin only while no watched one is due."""
        while True:
            self.news.clear()
            watch, now = self._watched.next(), self._clock.now()
            waiting = None if watch is not None and watch.due <= now else self._changes.next()
            if waiting is not None:
                await self._look_at_change(*waiting, now)
            else:
                await self._await_news(_GLANCE)

    async def _await_news(self, seconds: float) -> None:
        """Wait for news, at most for seconds of the station's clock."""
        try:
            async with asyncio.timeout(max(0.001, self._clock.wait(min(seconds, _LONGEST_REST)))):
                await self.news.wait()
        except TimeoutError:
            pass

    async def _look_at_watched(self, watch: Watch, now: int) -> None:
        ledger, name = self._watched_ledger, watch.target.repository.name
        key = REPOSITORY + watch.target.key
        # Whatever comes of this reading, the next one is planned: one that always fails must not hold up others.
        self._watched.schedule(watch, now + self._watched.pause(watch, now))
        before = self._states.get(key)
        listed, known_to = watch.listed, min(now, watch.listed_at)
        try:
            state = decode_state(key, before) if before else None
            reading = await self._watched_reader.read(
                watch.target, listed, state, now, likers=True, without=watch.waiting(now)
            )
        except Unreachable as error:
            await self._fail(watch, error)
            return
        except Gone as gone:
            reason = gone.reason if isinstance(gone, HubRefused) else None
            if reason not in {why for why, _ in watch.refused.values()} or reason is None:
                _LOG.info(
                    "%s: nothing of a watched repository can be seen: %s: %s",
                    ledger.health.feed,
                    name,
                    reason or "gone or private",
                )
            self._watched.drop(watch, listed, now, reason)
            self._tell()
            return
        for reason in self._watched.refuse(watch, reading.refused, reading.seen, now):
            _LOG.info("%s: not all of a watched repository can be seen: %s: %s", ledger.health.feed, name, reason)
        if before is not None:
            await self._keep_likes(key, before, reading)
        reading.state.pending = {}
        after = encode_state(reading.state)
        if after != before or reading.dead_letters or reading.activities:
            async with ledger.lock:
                await self._put(
                    ledger,
                    ledger.poll_result(
                        activities=reading.activities,
                        dead_letters=reading.dead_letters,
                        gaps=reading.gaps,
                        cursors={key: after},
                    ),
                )
            self._states[key] = after
        if any(activity.thread is not None for activity in reading.activities):
            watch.talked_at = now
        if reading.exceeded is not None:
            await self._fail(watch, Unreachable(reading.exceeded))
            return
        self._watched.settle(watch, known_to, self._clock.now() - now)
        self._tell()

    def _tell(self) -> None:
        """Set the feed's state: what cannot be seen, or that all is well."""
        health = self._watched_ledger.health
        health.well, health.state = self._watched.well, self._watched.state

    async def _fail(self, watch: Watch, error: Unreachable) -> None:
        """A failed reading is repeated soon. One that keeps failing gets a gap once, and watermarks no longer wait for
        it.
        """
        ledger = self._watched_ledger
        if self._watched.fail(watch):
            start, watch.told_to = max(watch.known_to, watch.told_to), self._clock.now()
            async with ledger.lock:
                await self._put(
                    ledger,
                    ledger.poll_result(
                        gaps=[Gap(feed=ledger.health.feed, start=start, end=watch.told_to, reason="failed")]
                    ),
                )
            _LOG.info(
                "%s: a watched repository cannot be looked at: %s", ledger.health.feed, watch.target.repository.name
            )
        longest = self._watched.longest if watch.failures < GIVEN_UP else PATIENCE
        wait = min(longest, SECOND << min(watch.failures, 20))
        self._watched.schedule(watch, self._clock.now() + wait)
        ledger.health.well = self._watched.well
        # If the token is refused, all repositories fail, and the token is what to report.
        ledger.health.state = str(error) if isinstance(error, TokenRefused) else self._watched.trouble or str(error)

    async def _keep_likes(self, key: str, before: bytes, reading: RepositoryRead) -> None:
        """Save the times of likes before they are published: a like has no time of its own and must not be published
        with two.
        """
        ledger = self._watched_ledger
        likes = {activity.actor: activity.occurred_at for activity in reading.activities if activity.kind == "like"}
        earlier = decode_state(key, before)
        if likes and likes != earlier.pending:
            pending = encode_state(msgspec.structs.replace(earlier, pending=likes))
            async with ledger.lock:
                await self._put(ledger, ledger.poll_result(cursors={key: pending}))
            self._states[key] = pending

    async def _look_at_change(self, change: ChangedRepository, state: RepositoryState | None, now: int) -> None:
        ledger = self._changes_ledger
        try:
            reading = await self._changes_reader.read(change.target, change.listed, state, now, likers=False)
        except Unreachable as error:
            self._changes.defer(change)
            if isinstance(error, TokenRefused):
                await asyncio.sleep(self._clock.wait(_AFTER_REFUSED_TOKEN))
            return
        except Gone:
            self._changes.done(change, None)
            return
        if reading.activities or reading.dead_letters or reading.gaps:
            async with ledger.lock:
                await self._put(
                    ledger,
                    ledger.poll_result(
                        activities=reading.activities, dead_letters=reading.dead_letters, gaps=reading.gaps
                    ),
                )
        self._changes.done(change, reading.state)
