"""One repository of the Hub: its commits, discussions, pull requests and likers since it was last looked at."""

from collections.abc import Container
from copy import copy
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

import msgspec
from huggingface_hub.constants import DEFAULT_REVISION

from streams.activity import DAY, SECOND, Activity
from streams.errors import DeadLetter
from streams.live.common.health import FeedHealth
from streams.live.common.http import Broken, Gone, Oversized, unhurried
from streams.live.common.poll_result import Gap
from streams.live.hub.activities import DELETED, HubActivities, HubTarget
from streams.live.hub.client import HubClient
from streams.live.hub.dead_letters import HubLetters
from streams.live.hub.refusals import GATED, NOT_PUBLIC, HubRefused
from streams.live.hub.shapes import (
    HubDetails,
    HubEvent,
    HubPerson,
    HubThread,
    Listed,
    decode_details,
    decode_list,
    decode_threads,
    read_commit,
    read_event,
    read_liker,
    read_said,
    read_thread,
)
from streams.live.hub.state import RepositoryState, ThreadState, bounded, settled, shows_the_same
from streams.times import parse_time

# How far back the first reading publishes. What is older is the baseline for later readings.
FIRST_READING: Final = DAY
COMMITS: Final = 50
PARTS: Final = ("commits", "threads", "likers")
# More commits are remembered than a page holds, so that a page with a known one has nothing unknown below it.
_KNOWN: Final = 64
_MOST_COMMIT_PAGES: Final = 20
_MOST_THREAD_PAGES: Final = 50
# Threads: all pages of a small repository are read each time; of a large one the newest, and the others in turns of so
# many pages.
_TURN: Final = 4
_MOST_EVENTS: Final = 500
_MOST_LIKERS: Final = 20_000


@dataclass(slots=True)
class RepositoryRead:
    """What a reading found, and the state after it.

    The parts are `commits`, `threads` and `likers`. `refused`: the reasons of parts that may not be seen. `seen`: the
    parts that answered. `exceeded`: why a part was left unfinished, in words.
    """

    state: RepositoryState
    activities: list[Activity] = field(default_factory=list)
    dead_letters: list[bytes] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    exceeded: str | None = None


class HubRepository:
    """Reads one repository after the other; `health` is that of the feed that it is read for."""

    def __init__(
        self, client: HubClient, activities: HubActivities, dead_letters: HubLetters, health: FeedHealth
    ) -> None:
        self._client = client
        self._activities = activities
        self._dead_letters = dead_letters
        self._health = health

    async def read(
        self,
        target: HubTarget,
        listed: Listed,
        state: RepositoryState | None,
        now: int,
        *,
        likers: bool,
        without: Container[str] = (),
    ) -> RepositoryRead:
        """Everything new. `state` is that of the last reading, None at the first; `without` are parts to leave out.

        Raises `Gone` if commits are due and nothing exists, `HubRefused` if nothing may be seen, `Unreachable`.
        """
        # Readings go on at the same time, and each has limits of its own.
        one = copy(self)
        one._client = self._client.bounded()
        reading = RepositoryRead(
            msgspec.structs.replace(state) if state is not None else RepositoryState(now - FIRST_READING)
        )
        moved = listed.sha is None or listed.sha != reading.state.head
        liked = likers and listed.likes != 0 and (reading.state.likers is None or listed.likes != reading.state.likes)
        parts = zip(PARTS, (moved, True, liked), (one._commits, one._threads, one._likers), strict=True)
        wanted = [(name, part) for name, due, part in parts if due and name not in without]
        for name, part in wanted:
            try:
                await part(target, listed, reading)
                reading.seen.add(name)
            except HubRefused as refused:
                reading.refused[name] = _reason(refused, listed)
            except Gone:
                # Discussions may be switched off, or a repository empty: the other parts may still exist.
                continue
            except Oversized as error:
                # What the other parts found is still published.
                reading.exceeded = str(error)
                reading.dead_letters += self._dead_letters.exceeding(self._health.feed, error)
            except Broken as error:
                reading.exceeded = str(error)
        if reading.exceeded:
            return reading
        if reading.refused and not reading.seen:
            raise HubRefused(next(iter(reading.refused.values())))
        if not reading.seen and any(name == "commits" for name, _ in wanted):
            raise Gone
        if likers and listed.likes == 0:
            reading.state.likes, reading.state.likers = 0, reading.state.likers or []
        return reading

    async def _commits(self, target: HubTarget, listed: Listed, reading: RepositoryRead) -> None:
        """The newest first, until a page holds a known one. The order is git's: a commit further up is not always
        newer.
        """
        state = reading.state
        known = set(state.commits)
        first = not known
        met: set[int] = set()
        found: list[tuple[int, Activity]] = []
        head: str | None = None
        reached = False
        above = pages = 0
        oldest = None
        async for page in self._client.pages(
            f"{target.path}/commits/{DEFAULT_REVISION}", decode_list, self._health, [("limit", COMMITS)]
        ):
            pages += 1
            async for line, raw in unhurried(page.content):
                try:
                    commit = read_commit(raw)
                    number = int(commit.id[:16], 16)
                    head = head or commit.id
                    # Pages move while they are read: entries of one page come again on the next.
                    again = number in met
                    met.add(number)
                    if number in known:
                        # What is below everything known is older: an old answer may be shown once more.
                        reached, above = True, len(found)
                    if again or number in known:
                        continue
                    oldest = parse_time(commit.date)
                    found.append((number, self._activities.commit(target, commit, page.received)))
                except (DeadLetter, ValueError) as error:
                    reading.dead_letters += self._dead_letters.write(self._health.feed, page.address, line, error, raw)
            if reached or (first and oldest is not None and oldest < state.since):
                break
            if pages == _MOST_COMMIT_PAGES:
                start = state.newest or state.since
                reading.gaps.append(
                    Gap(feed=self._health.feed, start=start, end=max(start, oldest or page.received), reason="overflow")
                )
                break
        if first:
            new = found
            floor = state.since
        else:
            # If none is known, history was rewritten (all SHAs are new) or the answer is very old: then time decides.
            floor = 0 if reached else state.newest + 1
            new = [
                (number, activity)
                for number, activity in (found[:above] if reached else found)
                if activity.occurred_at >= floor
            ]
        reading.activities += [activity for _, activity in new if activity.occurred_at >= floor]
        state.head = head
        state.commits = [*(number for number, _ in new), *state.commits][:_KNOWN]
        state.newest = max([state.newest, *(activity.occurred_at for _, activity in new)])

    async def _threads(self, target: HubTarget, listed: Listed, reading: RepositoryRead) -> None:
        state = reading.state
        known = state.threads if state.threads is not None else {}
        threads = dict(known)
        first = state.threads is None
        met: set[int] = set()
        number = looked = 0
        turn = state.page
        while True:
            path = f"{target.path}/discussions"
            page = await self._client.get(
                path, decode_threads, self._health, [("sort", "recently-created"), ("p", number)]
            )
            rows = page.content.discussions
            unknown = False
            async for line, raw in unhurried(rows):
                try:
                    thread = read_thread(raw)
                    old = known.get(thread.num)
                    unknown |= old is None
                    shown = ThreadState(thread.num_comments, thread.status, _title(thread))
                    if thread.num in met or (old is not None and shows_the_same(old, shown)):
                        continue
                    met.add(thread.num)
                    if old is None and parse_time(thread.created_at) < state.since:
                        threads[thread.num] = shown
                    else:
                        try:
                            threads[thread.num] = await self._thread(target, thread, old, reading)
                        except Broken as error:
                            # The other threads are read; this one is asked for again at the next reading.
                            reading.exceeded = str(error)
                except DeadLetter as error:
                    reading.dead_letters += self._dead_letters.write(self._health.feed, page.address, line, error, raw)
            pages = -(-page.content.count // len(rows)) if rows else 0
            number = _page_after(number, pages, turn, everything=unknown or first)
            looked += 1
            if number >= pages or looked == _MOST_THREAD_PAGES:
                break
        state.page = (turn + _TURN if turn + _TURN < pages else 1) if pages > 1 + _TURN else 1
        state.threads = bounded(threads, page.received)

    async def _thread(
        self, target: HubTarget, thread: HubThread, old: ThreadState | None, reading: RepositoryRead
    ) -> ThreadState:
        """What happened in a thread that is new or has changed."""
        try:
            page = await self._client.get(f"{target.path}/discussions/{thread.num}", decode_details, self._health)
        except Gone:
            before = old or ThreadState(None, "")
            return msgspec.structs.replace(
                before, comments=thread.num_comments, status=thread.status, title=_title(thread)
            )
        details = page.content
        events: list[tuple[int, HubEvent]] = []
        async for line, raw in unhurried(details.events):
            try:
                event = read_event(raw)
                events.append((parse_time(event.created_at), event))
            except DeadLetter as error:
                reading.dead_letters += self._dead_letters.write(self._health.feed, page.address, line, error, raw)
        events.sort(key=lambda pair: pair[0])
        opening = _opening(details, events)
        if old is None:
            author = opening.author if opening else None
            reading.activities.append(self._activities.opened(target, details, _body(opening), author, page.received))
        floor = max(old.floor if old else 0, reading.state.since)
        known = set(old.known) if old else set()
        met: list[tuple[int, int]] = []
        for time, event in events:
            digest = crc32(event.id.encode())
            met.append((time, digest))
            if event is opening or time < floor or digest in known:
                continue
            try:
                if event.type == "comment":
                    reading.activities.append(self._activities.commented(target, details, event, page.received))
                elif event.type == "status-change":
                    reading.activities += self._activities.changed(target, details, event, page.received)
                elif event.type == "title-change":
                    reading.activities.append(self._activities.renamed(target, details, event, page.received))
            except DeadLetter as error:
                reading.dead_letters += self._dead_letters.write(
                    self._health.feed, page.address, 1, error, msgspec.json.encode(event)
                )
        if len(met) > _MOST_EVENTS:
            floor = max(floor, met[-_MOST_EVENTS][0])
        shown = sum(event.type == "comment" for _, event in events)
        comments = settled(thread.num_comments, shown, old.comments if old else None)
        shown_now = {digest for time, digest in met if time >= floor}
        # Known events stay known when an older answer is shown once more.
        all_known = shown_now | known if len(known) <= 2 * _MOST_EVENTS else shown_now
        return ThreadState(comments, details.status, _title(details), floor, sorted(all_known))

    async def _likers(self, target: HubTarget, listed: Listed, reading: RepositoryRead) -> None:
        """Who likes it now and did not at the last reading. A like that is taken back and given again counts once."""
        state = reading.state
        if (listed.likes or 0) > _MOST_LIKERS:
            return
        known = set(state.likers or ())
        found: list[Activity] = []
        shown = 0
        async for page in self._client.pages(f"{target.path}/likers", decode_list, self._health):
            shown += len(page.content)
            if shown > 2 * _MOST_LIKERS:
                raise Oversized("the likers do not end", page.address, page.address.encode())
            async for line, raw in unhurried(page.content):
                try:
                    account = self._activities.account(read_liker(raw).user, "")
                    if account.hash not in known:
                        known.add(account.hash)
                        # A reading that was published but not saved comes again: the like keeps its time.
                        found.append(
                            self._activities.liked(target, account, state.pending.get(account.hash, page.received))
                        )
                except DeadLetter as error:
                    reading.dead_letters += self._dead_letters.write(self._health.feed, page.address, line, error, raw)
        if state.likers is not None:
            reading.activities += found
        state.likes = settled(listed.likes, shown, state.likes)
        state.likers = sorted(known)


def _reason(refused: HubRefused, listed: Listed) -> str:
    """Why something is refused. If the Hub names no reason, the listing may say that the repository is gated."""
    return GATED if refused.reason == NOT_PUBLIC and listed.gated else refused.reason


def _opening(thread: HubDetails, events: list[tuple[int, HubEvent]]) -> HubEvent | None:
    """The comment that a thread was opened with: it is the opening itself, not an answer to it."""
    for time, event in events:
        if event.type == "comment":
            same = _name(event.author) == _name(thread.author)
            return event if same and time <= parse_time(thread.created_at) + SECOND else None
    return None


def _name(person: HubPerson | None) -> str | None:
    """An account's name. A deleted account is named `deleted` in some answers and absent in others."""
    return person.name if person is not None and person.name != DELETED else None


def _title(thread: HubThread) -> int:
    return crc32((thread.title or "").encode())


def _body(opening: HubEvent | None) -> str | None:
    try:
        said = read_said(opening.data).latest if opening is not None else None
    except DeadLetter:
        return None
    return said.raw if said is not None else None


def _page_after(number: int, pages: int, turn: int, *, everything: bool) -> int:
    """The next page to read; pages are 0 to `pages` - 1, and any higher number ends the reading.

    >>> [_page_after(number, 100, 9, everything=False) for number in (0, 9, 12)]
    [9, 10, 100]
    """
    if everything or pages <= 1 + _TURN:
        return number + 1
    if number < turn:
        return turn
    return number + 1 if number + 1 < turn + _TURN else pages
