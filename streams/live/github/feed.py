"""One feed of GitHub: polls, publishes what is new, and moves its watermark. A failure concerns this feed alone."""

import asyncio
import logging
from typing import Final

from msgspec.structs import replace

from streams.activity import HOUR, SECOND, Activity, Cover
from streams.elements import LARGEST_ELEMENT
from streams.errors import DeadLetter
from streams.github_events import GithubEvents
from streams.kafka.dead_letters import Keep, misread
from streams.live.common.backoff import is_waiting, sleep_until
from streams.live.common.clock import Clock
from streams.live.common.health import FeedHealth
from streams.live.common.http import Gone, Oversized, Unreachable, growing, off_loop
from streams.live.common.ledger import MARGIN, Ledger
from streams.live.common.poll_result import Gap, Outlet, PollResult
from streams.live.github.coverage import SampleCoverage
from streams.live.github.cursor import GithubCursor, encode_github
from streams.live.github.named import WatchedRepository
from streams.live.github.pace import GONE_WAIT, LONGEST_WAIT, SHORTEST_WAIT, Due, PollPace
from streams.live.github.page import FeedPage, GithubPages, Limited, Shown
from streams.live.github.page_overlap import PageOverlap
from streams.live.github.refusal import FeedRefused

_LOG: Final = logging.getLogger("nomadwatch.streams")
# An old page that is shown for so long is accepted: the newest events may have been removed.
_STALE_FOR: Final = 6 * HOUR
# What to do about a feed that does not exist.
MISSING: Final = "correct the name in the watchlist"
# An unchanged feed publishes its watermark at most this often.
_QUIET: Final = 5 * SECOND
# A poll is late this many intervals after the last one.
_LATE: Final = 1.5
# A feed that has worked counts as gone after so many 404s in a row (ten to fifteen minutes). A single 404 may come from
# an outage.
_BELIEVED: Final = 6


class GithubFeed:
    """A feed and its task.

    `sampled`: the feed of everything, in which more happens between two polls than it holds. `of_user`: it shows what
    an account does, not what others do in its repositories, so it has no coverage. `named`: the repository of a feed
    that the watchlist names.

    After `patience` (µs) without progress there is a gap. A feed that never existed misses nothing; then `gone` is set.
    """

    def __init__(
        self,
        path: str,
        cursor: GithubCursor,
        *,
        health: FeedHealth,
        pages: GithubPages,
        events: GithubEvents,
        outlet: Outlet,
        clock: Clock,
        pace: PollPace,
        patience: int,
        keep: Keep,
        sampled: bool = False,
        of_user: bool = False,
        missing: str = MISSING,
        named: WatchedRepository | None = None,
    ) -> None:
        self.health = health
        self.cursor = cursor
        self.gone = asyncio.Event()
        self._missing, self._of_user = missing, of_user
        self._path, self._sampled, self._named = path, sampled, named
        self._pages, self._events, self._outlet = pages, events, outlet
        self._clock, self._pace = clock, pace
        self._patience, self._keep = patience, keep
        self._sample = SampleCoverage(cursor.polls)
        share = (lambda now: self._sample.get()) if sampled else None
        self._ledger = Ledger(
            health, cursor.mark, clock.now(), lambda mark: encode_github(replace(self.cursor, mark=mark)), share=share
        )
        self._due = Due(clock, cursor, pages.limits.backoff.until, patience / SECOND)
        self._fresh = True
        self._failures = self._absences = self._doubts = 0
        self._stale_since: int | None = None
        self._put_at = 0
        self._oversized = b""
        self._trouble: str | None = None
        self._told = ""
        health.newest = cursor.newest
        health.state = self._due.slowed or health.state
        pace.note(health.feed, cursor.rate)
        health.late_after = self._late_after

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await sleep_until(self._clock.wall, self._due.at)
            try:
                await self._poll()
            except Limited:
                self._trouble = "limited"
                self._due.wait(0.0)
            except Gone:
                self._trouble = "failed"
                self._absences += 1
                worked = self.cursor.complete_at is not None
                if not worked or self._absences >= _BELIEVED:
                    self.health.state = f"{self.health.state}; {self._missing}"
                    self.gone.set()
                    self._pace.forget(self.health.feed)
                self._due.wait(growing(self._absences, SHORTEST_WAIT, GONE_WAIT) if worked else GONE_WAIT)
            except Unreachable as error:
                self._trouble = "failed"
                self._failures += 1
                self._absences = 0
                shortest, longest = (
                    (LONGEST_WAIT, GONE_WAIT) if isinstance(error, FeedRefused) else (SHORTEST_WAIT, LONGEST_WAIT)
                )
                self._due.wait(growing(self._failures, shortest, longest))
                if isinstance(error, Oversized):
                    await self._put_aside(error)
            else:
                self._failures = 0
            self._tell()

    async def keep_mark(self, now: int) -> None:
        """Open a gap and move the watermark if the feed has made no progress for longer than its patience; `now`
        in µs.
        """
        limits = self._pages.limits
        self.health.late_after = self._late_after
        if self._due.at <= self._clock.wall():
            self.health.state = limits.state or self.health.state
        async with self._ledger.lock:
            cursor = self.cursor
            mark = max(now - MARGIN, cursor.mark or 0)
            if self.is_nowhere:
                # The feed does not exist, so nothing is expected from it, and no other feed has to wait for it.
                await self._put(replace(cursor, mark=mark), self._ledger.poll_result(mark=mark))
                return
            since = max(self._ledger.began, cursor.complete_at or 0, cursor.gap_end or 0)
            # If the feed is late already, the next gap does not wait until it would be late again.
            late = cursor.gap_end is not None and cursor.gap_end == cursor.mark
            if now - since < (self._patience if late else max(self._patience, self._late_after)):
                return
            reason = (
                "limited"
                if limits.held or self._due.slowed
                else self._trouble or ("quota" if limits.budgeted else "failed")
            )
            gaps = self._ledger.overdue(mark, reason, least=MARGIN)
            cursor = replace(cursor, mark=mark, gap_end=mark)
            await self._put(cursor, self._ledger.poll_result(cursor=encode_github(cursor), gaps=gaps, mark=mark))

    @property
    def is_nowhere(self) -> bool:
        """Whether the feed does not exist and never did."""
        return self.gone.is_set() and self.cursor.complete_at is None

    @property
    def _late_after(self) -> int:
        """How long (µs) after a poll the next one is late. A feed that may be polled only rarely is not late."""
        expected = self._due.expected
        next_one = self._pace.interval(self.health.feed, self.cursor, 0, expected, sampled=self._sampled)
        planned = self.cursor.interval if self._due.slowed is None else 0.0
        return round(_LATE * SECOND * max(2 * expected, planned, next_one))

    async def _poll(self) -> None:
        overlap = PageOverlap(self.cursor.seen, first=self.cursor.complete_at is None)
        trouble: Unreachable | Limited | Gone | None = None
        try:
            async with self._pages.limits.poll():
                while not overlap.pages or not overlap.done:
                    overlap.take(await self._ask(len(overlap.pages) + 1))
                    if self._is_stale(overlap):
                        return
        except (Unreachable, Limited, Gone) as error:
            if not overlap.pages:
                raise
            # The pages that came are published. The next poll finds the rest, because none of this is settled.
            trouble = error
        if self._named is not None and not await self._named.shows(overlap, self.health):
            self._path = self._named.path
            self._due.wait(0.0)
            return
        self._doubts = self._doubts + 1 if overlap.doubtful else 0
        # An old page that is shown twice in a row is no accident.
        complete = trouble is None and self._doubts != 1
        await self._publish(overlap, complete)
        if trouble is not None:
            raise trouble
        self.health.state = self._due.slowed or self._pages.limits.state or self.health.well
        if complete:
            self._trouble = None
            self._fresh = False

    async def _ask(self, number: int) -> FeedPage:
        etags, stated = self.cursor.etags, None
        try:
            etag = etags[number - 1] if number <= len(etags) else None
            page, stated = await self._pages.get(self._path, number, etag, self.health)
            return page
        finally:
            if number == 1:
                self._due.asked(stated)

    def _is_stale(self, overlap: PageOverlap) -> bool:
        now = self._clock.now()
        if len(overlap.pages) > 1 or not overlap.is_stale(self.cursor.newest, now):
            self._stale_since = None if len(overlap.pages) == 1 else self._stale_since
            return False
        self._stale_since = self._stale_since or now
        if now - self._stale_since >= _STALE_FOR:
            return False
        self.health.state, self._trouble = "stale: shows an old page", "stale"
        self._due.wait(self.cursor.interval)
        return True

    async def _publish(self, overlap: PageOverlap, complete: bool) -> None:
        """Publish what a poll found. The cursor moves only when the broker has it."""
        self.gone.clear()
        self._absences = 0
        first, new = overlap.pages[0], overlap.new
        unchanged = first.shown is None
        async with self._ledger.lock:
            cursor = self.cursor
            earlier = cursor.seen.unsettled
            elapsed = 0 if cursor.complete_at is None else first.asked - cursor.complete_at
            activities, dead_letters = await off_loop(sum(len(each.raw) for each in new), self._read, new)
            rate = overlap.rate(cursor.rate, elapsed / SECOND)
            self._pace.note(self.health.feed, rate)
            seen = (
                cursor.seen
                if unchanged
                else cursor.seen.known((each.hash for each in reversed(overlap.shown)), settle=complete)
            )
            settled, unsettled = seen.encode()
            cursor = replace(
                cursor,
                settled=settled,
                unsettled=unsettled,
                newest=max((time for time in (cursor.newest, overlap.newest) if time is not None), default=None),
                rate=rate,
                cost=(cursor.cost + sum(page.requests for page in overlap.pages)) / 2,
                poll_interval=self._due.poll_interval,
            )
            interval = self._pace.interval(self.health.feed, cursor, len(new), self._due.least, sampled=self._sampled)
            self._due.wait(interval)
            cursor = replace(cursor, interval=interval, due_at=self._due.at)
            if not complete:
                await self._put(
                    cursor,
                    self._ledger.poll_result(
                        cursor=encode_github(cursor), activities=activities, dead_letters=dead_letters
                    ),
                )
                return
            if unchanged and first.asked - self._put_at < _QUIET:
                return
            gaps = self._missed(overlap)
            mark = max(first.asked - MARGIN, cursor.mark or 0)
            cursor = replace(
                cursor,
                etags=tuple(page.etag for page in overlap.pages),
                # If an old page is accepted in the end, the feed goes on from there.
                newest=overlap.newest if self._stale_since and not unchanged else cursor.newest,
                complete_at=first.asked,
                mark=mark,
                gap_end=gaps[-1].end if gaps else cursor.gap_end,
            )
            if self._sampled:
                # The estimate covers the last hour, so no more of a longer pause counts. Events that incomplete polls
                # saw since the last complete one count as seen.
                shown, span = overlap.stretch
                self._sample.add(
                    first.asked, min(elapsed, HOUR), len(new) + earlier, whole=overlap.overlaps, shown=shown, span=span
                )
                self.health.coverage = self._sample.get()
                cursor = replace(cursor, polls=self._sample.polls)
            result = self._ledger.poll_result(
                cursor=encode_github(cursor),
                activities=activities,
                dead_letters=dead_letters,
                gaps=gaps,
                covered=self._covered(overlap, gaps),
                mark=mark,
            )
            await self._put(cursor, result)
            self._stale_since = None

    def _read(self, new: list[Shown]) -> tuple[list[Activity], list[bytes]]:
        """The activities of events, the oldest first, and the dead letters of those that cannot be measured."""
        activities: list[Activity] = []
        dead_letters = []
        for each in reversed(new):
            try:
                if len(each.raw) > LARGEST_ELEMENT:
                    raise DeadLetter("too-long")
                activities += self._events.read(each.raw, each.received)
            except DeadLetter as letter:
                where = f"{self._path}?page={each.page}"
                dead_letters.append(misread(self.health.feed, where, each.line, letter.reason, each.raw, self._keep))
        return activities, dead_letters

    def _missed(self, overlap: PageOverlap) -> list[Gap]:
        """The gap before a complete poll that does not reach back to the previous one. Samples have no such gaps."""
        before, oldest = self.cursor.newest or self.cursor.mark, overlap.oldest
        if self._sampled or overlap.first or overlap.overlaps or before is None or oldest is None:
            return []
        start, end = min(before, oldest), max(before, oldest)
        # The ledger already has the gap up to here.
        start = max(start, self.cursor.gap_end or 0)
        return (
            [Gap(feed=self.health.feed, start=start, end=end, reason="down" if self._fresh else "overflow")]
            if start < end
            else []
        )

    def _covered(self, overlap: PageOverlap, gaps: list[Gap]) -> list[Cover]:
        """The time that a complete poll shows as seen: all since the previous complete poll, without what was
        missed.
        """
        start = self.cursor.complete_at
        if self._sampled or self._of_user or start is None:
            return []
        start, end = max([start, *(gap.end for gap in gaps)]), overlap.pages[0].asked
        if not overlap.overlaps:
            # For an outage that is in the ledger already there is no new gap, but the feed still shows no more than it
            # holds.
            start = max(start, end if overlap.oldest is None else overlap.oldest)
        return self._ledger.cover(start, end)

    async def _put(self, cursor: GithubCursor, result: PollResult) -> None:
        """Publish a poll result. The feed goes on from its cursor only when the broker has it."""
        await self._outlet.put(result)
        self.cursor, self._put_at = cursor, self._clock.now()
        self._ledger.note(result, self._put_at)
        self.health.newest = cursor.newest
        if self._of_user or self.is_nowhere:
            # There is no total that it could be a share of.
            self.health.coverage = None

    async def _put_aside(self, answer: Oversized) -> None:
        """Keep an oversized answer as a dead letter, once for as long as it stays the same."""
        if answer.raw == self._oversized:
            return
        letter = misread(self.health.feed, f"{self._path}: {answer.address}", 0, "too-long", answer.raw, self._keep)
        async with self._ledger.lock:
            await self._put(
                self.cursor, self._ledger.poll_result(cursor=encode_github(self.cursor), dead_letters=[letter])
            )
        self._oversized = answer.raw

    def _tell(self) -> None:
        """Log a change of state once. What holds up all feeds is not logged for each of them."""
        state = self.health.state
        of_all = is_waiting(state)
        if state != self._told and not of_all and (self._told or state != "ok"):
            _LOG.info("%s: %s", self.health.feed, state)
        self._told = self._told if of_all else state
