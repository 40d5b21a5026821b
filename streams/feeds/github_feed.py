"""One feed of GitHub: asked again and again, its finds handed over, its mark moved on; it fails alone."""

import asyncio
import logging
from typing import Final

import msgspec

from streams.activity import HOUR, MINUTE, SECOND, Activity, Cover
from streams.errors import DeadLetter
from streams.feeds.clock import Clock
from streams.feeds.find import Find, Gap, Outlet
from streams.feeds.github_coverage import GapCoverage, SampleCoverage
from streams.feeds.github_cursor import GithubCursor, encode_github
from streams.feeds.github_limits import sleep_until
from streams.feeds.github_look import Look
from streams.feeds.github_pace import GONE_WAIT, Pace, growing, updated_rate
from streams.feeds.github_page import GithubPages, Gone, Limited, Page, Shown, default_poll_interval
from streams.feeds.health import Health
from streams.feeds.http import Unreachable
from streams.github import GithubEvents
from streams.letters import Keep, misread

_LOG: Final = logging.getLogger("nomadwatch.streams")
PLATFORM: Final = "github"
# A poll shows what was there when it was answered: a mark keeps that far behind.
MARGIN: Final = MINUTE
# An old page that is shown for so long is believed: the newest events may have been removed.
_STALE_FOR: Final = 6 * HOUR
# What a person can do about a feed that is not there.
MISSING: Final = "correct the name in the watchlist"
# An unchanged feed says how far it has come, but not all the time.
_QUIET: Final = 5 * SECOND
# So many of its intervals after a poll the next one is late.
_LATE: Final = 1.5


class GithubFeed:
    """A feed and its task. `sampled` is the feed of everything, which shows more between two polls than it holds; `of_user` is one that
    shows what an account does, and not what others do in its repositories: whom it covers is not known.

    `patience` (µs) is how long it may not get on before that is a gap; one that was never there has nothing to miss, and `gone` is set.
    """

    def __init__(
        self,
        path: str,
        cursor: GithubCursor,
        *,
        health: Health,
        pages: GithubPages,
        events: GithubEvents,
        outlet: Outlet,
        clock: Clock,
        pace: Pace,
        patience: int,
        keep: Keep,
        sampled: bool = False,
        of_user: bool = False,
        missing: str = MISSING,
    ) -> None:
        self.health = health
        self.cursor = cursor
        self.gone = asyncio.Event()
        self._missing, self._of_user = missing, of_user
        self._path, self._sampled = path, sampled
        self._pages, self._events, self._outlet = pages, events, outlet
        self._clock, self._pace = clock, pace
        self._patience, self._keep = patience, keep
        # Finds are built and put under it, so that they are committed in the order in which their cursors were made.
        self._lock = asyncio.Lock()
        self._began = clock.now()
        self._sample, self._gaps = SampleCoverage(cursor.polls), GapCoverage(self._began)
        self._poll_interval = default_poll_interval(clock) if cursor.poll_interval is None else cursor.poll_interval
        self._due_at = self._first_due()
        self._not_before = 0.0
        self._fresh = True
        self._failures = 0
        self._doubts = 0
        self._stale_since: int | None = None
        self._put_at = 0
        self._trouble: str | None = None
        self._told = ""
        health.newest = cursor.newest
        pace.note(health.feed, cursor.rate)

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await sleep_until(self._clock, self._due_at)
            try:
                await self._poll()
            except Limited:
                self._trouble = "limited"
                self._wait(0.0)
            except Gone:
                self._trouble = "failed"
                self.health.state = f"{self.health.state}; {self._missing}"
                self.gone.set()
                self._pace.forget(self.health.feed)
                self._wait(GONE_WAIT)
            except Unreachable:
                self._trouble = "failed"
                self._failures += 1
                self._wait(growing(self._failures))
            else:
                self._failures = 0
            self._tell()

    async def keep_mark(self, now: int) -> None:
        """Open a gap, and let the mark go on, where the feed has not got on for longer than its patience; `now` in µs."""
        limits = self._pages.limits
        if limits.banned and self._due_at <= self._clock.wall():
            self.health.state = self._pages.banned_state
        async with self._lock:
            cursor = self.cursor
            if self._is_nowhere:
                # Nobody knows it, so nothing is expected from it, and nobody shall wait for it.
                await self._put(msgspec.structs.replace(cursor, mark=now - MARGIN), complete_to=now - MARGIN)
                return
            since = max(self._began, cursor.complete_at or 0, cursor.gap_end or 0)
            if now - since < max(self._patience, round(_LATE * SECOND * self._planned)):
                return
            start, end = self._began - MARGIN if cursor.mark is None else cursor.mark, now - MARGIN
            reason = "limited" if limits.held else self._trouble or ("quota" if limits.budgeted else "failed")
            gaps = [Gap(feed=self.health.feed, start=max(start, min(self._began, end)), end=end, reason=reason)]
            if start < self._began - MARGIN:
                gaps.insert(0, Gap(feed=self.health.feed, start=start, end=self._began, reason="down"))
            await self._put(msgspec.structs.replace(cursor, mark=end, gap_end=end), gaps=gaps, complete_to=end)

    @property
    def _planned(self) -> float:
        """The station's seconds between two polls: whoever may only ask rarely is not late."""
        least = self._poll_interval * self._clock.scale
        next_one = self._pace.interval(self.health.feed, self.cursor, 0, least, sampled=self._sampled)
        return max(2 * least, self.cursor.interval, next_one)

    @property
    def _is_nowhere(self) -> bool:
        return self.gone.is_set() and self.cursor.complete_at is None

    async def _poll(self) -> None:
        look = Look(self.cursor.seen, first=self.cursor.complete_at is None)
        trouble: Unreachable | Limited | Gone | None = None
        try:
            async with self._pages.limits.poll():
                while not look.pages or not look.done:
                    look.take(await self._ask(len(look.pages) + 1))
                    if self._is_stale(look):
                        return
        except (Unreachable, Limited, Gone) as error:
            if not look.pages:
                raise
            # What is at hand is published; the next poll finds the rest, for none of this is settled.
            trouble = error
        self._doubts = self._doubts + 1 if look.doubtful else 0
        # The same seen twice is no accident of an old page.
        complete = trouble is None and self._doubts != 1
        await self._publish(look, complete)
        if trouble is not None:
            raise trouble
        self.health.state = "ok"
        if complete:
            self._trouble = None
            self._fresh = False

    async def _ask(self, number: int) -> Page:
        etags = self.cursor.etags
        try:
            etag = etags[number - 1] if number <= len(etags) else None
            page, stated = await self._pages.get(self._path, number, etag, self.health)
            if number == 1 and stated is not None:
                self._poll_interval = stated
            return page
        finally:
            if number == 1:
                self._not_before = self._clock.wall() + self._poll_interval

    def _is_stale(self, look: Look) -> bool:
        now = self._clock.now()
        if len(look.pages) > 1 or not look.is_stale(self.cursor.newest, now):
            self._stale_since = None if len(look.pages) == 1 else self._stale_since
            return False
        self._stale_since = self._stale_since or now
        if now - self._stale_since >= _STALE_FOR:
            return False
        self.health.state, self._trouble = "stale: shows an old page", "stale"
        self._wait(self.cursor.interval)
        return True

    async def _publish(self, look: Look, complete: bool) -> None:
        """Hand over what a poll found. Until the broker has it, nothing is forgotten."""
        self.gone.clear()
        first, new = look.pages[0], look.new
        unchanged = first.shown is None
        async with self._lock:
            cursor = self.cursor
            earlier = cursor.seen.unsettled
            elapsed = 0 if cursor.complete_at is None else first.asked - cursor.complete_at
            activities, letters = self._read(new)
            rate = self._rate(look, len(new), elapsed / SECOND)
            self._pace.note(self.health.feed, rate)
            seen = cursor.seen if unchanged else cursor.seen.known((each.hash for each in reversed(look.shown)), settle=complete)
            settled, unsettled = seen.encode()
            cursor = msgspec.structs.replace(
                cursor,
                settled=settled,
                unsettled=unsettled,
                newest=max((time for time in (cursor.newest, look.newest) if time is not None), default=None),
                rate=rate,
                cost=(cursor.cost + sum(page.requests for page in look.pages)) / 2,
                poll_interval=self._poll_interval,
            )
            least = self._poll_interval * self._clock.scale
            interval = self._pace.interval(self.health.feed, cursor, len(new), least, sampled=self._sampled)
            self._wait(interval)
            cursor = msgspec.structs.replace(cursor, interval=interval, due_at=self._due_at)
            if not complete:
                await self._put(cursor, activities=activities, letters=letters)
                return
            if unchanged and first.asked - self._put_at < _QUIET:
                return
            gaps = self._missed(look)
            mark = max(first.asked - MARGIN, cursor.mark or 0)
            cursor = msgspec.structs.replace(
                cursor,
                etags=tuple(page.etag for page in look.pages),
                # An old page that is believed in the end is where the feed goes on from.
                newest=look.newest if self._stale_since and not unchanged else cursor.newest,
                complete_at=first.asked,
                mark=mark,
                gap_end=gaps[-1].end if gaps else cursor.gap_end,
            )
            if self._sampled:
                # Of a longer time without a look only the last hour is part of what the estimate speaks of. What incomplete polls met
                # since the last complete one was seen too.
                shown, span = look.stretch
                self._sample.add(first.asked, min(elapsed, HOUR), len(new) + earlier, whole=look.overlaps, shown=shown, span=span)
                self.health.coverage = self._sample.get()
                cursor = msgspec.structs.replace(cursor, polls=self._sample.polls)
            covered = self._covered(look, gaps)
            await self._put(cursor, activities=activities, letters=letters, gaps=gaps, covered=covered, complete_to=mark)
            self._stale_since = None

    def _read(self, new: list[Shown]) -> tuple[list[Activity], list[bytes]]:
        """The activities of events, the oldest first, and the letters of those that cannot be measured."""
        activities: list[Activity] = []
        letters = []
        for each in reversed(new):
            try:
                activities += self._events.read(each.raw, each.received)
            except DeadLetter as letter:
                place = f"{self._path}?page={each.page}"
                letters.append(misread(self.health.feed, place, each.line, letter.reason, each.raw, self._keep))
        return activities, letters

    def _rate(self, look: Look, new: int, seconds: float) -> float:
        """New events a second, as far as it is known."""
        shown, span = look.stretch
        if look.pages[0].shown is not None and not look.overlaps and span > 0:
            return shown / span
        if look.first and look.oldest is not None:
            return len(look.shown) / max(1.0, (look.pages[0].asked - look.oldest) / SECOND)
        return updated_rate(self.cursor.rate, new, seconds)

    def _missed(self, look: Look) -> list[Gap]:
        """The gap before a complete poll that does not reach back to the one before; of a sample it is no news."""
        before, oldest = self.cursor.newest or self.cursor.mark, look.oldest
        if self._sampled or look.first or look.overlaps or before is None or oldest is None:
            return []
        start, end = min(before, oldest), max(before, oldest)
        # Up to here the ledger has it already.
        start = max(start, self.cursor.gap_end or 0)
        return [Gap(feed=self.health.feed, start=start, end=end, reason="down" if self._fresh else "overflow")] if start < end else []

    def _covered(self, look: Look, gaps: list[Gap]) -> list[Cover]:
        """What a complete poll shows the feed to have seen whole: all since the one before, but what was missed."""
        start = self.cursor.complete_at
        if self._sampled or self._of_user or start is None:
            return []
        start, end = max([start, *(gap.end for gap in gaps)]), look.pages[0].asked
        return [Cover(PLATFORM, start, end)] if start < end else []

    async def _put(
        self,
        cursor: GithubCursor,
        *,
        activities: list[Activity] | None = None,
        letters: list[bytes] | None = None,
        gaps: list[Gap] | None = None,
        covered: list[Cover] | None = None,
        complete_to: int | None = None,
    ) -> None:
        find = Find(
            feed=self.health.feed,
            platform=PLATFORM,
            cursor=encode_github(cursor),
            activities=activities or [],
            letters=letters or [],
            gaps=gaps or [],
            covered=covered or [],
            complete_to=complete_to,
        )
        await self._outlet.put(find)
        self.cursor = cursor
        now = self._put_at = self._clock.now()
        health = self.health
        health.seen += len(find.activities)
        health.newest = cursor.newest
        for gap in find.gaps:
            health.gaps[gap.reason] = health.gaps.get(gap.reason, 0) + 1
            health.gap_seconds[gap.reason] = health.gap_seconds.get(gap.reason, 0.0) + (gap.end - gap.start) / SECOND
        if not self._sampled and not self._of_user and not self._is_nowhere:
            self._gaps.add(find.gaps, find.covered)
            health.coverage = self._gaps.get(now)

    def _wait(self, seconds: float) -> None:
        """Be due after the station's seconds, but never before the server wants to be asked again."""
        self._due_at = max(self._not_before, self._clock.wall() + self._clock.wait(seconds))

    def _first_due(self) -> float:
        """When to ask first. A run that was killed may have asked, when it was due or somewhat later, and not been able to save that."""
        cursor, now = self.cursor, self._clock.wall()
        due = max(cursor.due_at, self._pages.limits.banned_until)
        if now >= due:
            due = min(now, due + self._poll_interval) + self._poll_interval
        # A clock that was set back must not hold up the feed for longer than it would have waited.
        return min(due, now + max(self._poll_interval, self._clock.wait(cursor.interval))) if cursor.due_at else now

    def _tell(self) -> None:
        """Log a change of state, once; a ban is that of all feeds and not told by each."""
        state = self.health.state
        if state != self._told and not state.startswith("limited") and (self._told or state != "ok"):
            _LOG.info("%s: %s", self.health.feed, state)
        self._told = self._told if state.startswith("limited") else state
