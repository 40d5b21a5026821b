"""All pages of one poll put together: what is new in them, and whether anything may be missing between them and the
last poll.
"""

from statistics import median_low
from typing import Final, NamedTuple

from streams.activity import DAY, SECOND
from streams.live.github.cursor import Seen
from streams.live.github.pace import updated_rate
from streams.live.github.page import PAGES, FeedPage, Shown

# About a quarter of neighbours in a feed stand out of order: one known event at the foot of a page does not prove that
# all behind it are.
_FOOT: Final = 5
# An event stays in a feed for so long; then it may go without anything new.
_HORIZON: Final = 30 * DAY


class Stretch(NamedTuple):
    """So many events of a feed over so many seconds; of one poll these can be none or negative, but their mean over
    many is right.
    """

    shown: int
    span: float


class PageOverlap:
    """The pages of a poll, taken in order, beside what was seen before.

    A page has *reached* what was seen if all at its foot is settled. Between two requests a feed moves down: the next
    page begins with some of the last one's, or goes on right behind it. Where it begins with settled ones right behind
    unsettled ones it is an older page, and what it would show now is missing: the look is doubtful. Before the `first`
    complete poll there is nothing to reach.
    """

    def __init__(self, seen: Seen, *, first: bool) -> None:
        self._seen = seen
        self._shown: dict[int, Shown] = {}
        self._foot: list[Shown] | None = None
        self.pages: list[FeedPage] = []
        self.reached = False
        self.ended = False
        self.doubtful = False
        self.first = first

    def take(self, page: FeedPage) -> None:
        """Put the next page behind the others."""
        self.pages.append(page)
        shown = page.shown
        repeats = shown is not None and any(each.hash in self._shown for each in shown)
        if self._foot is not None and not repeats and not any(self._seen.settled(each.hash) for each in self._foot):
            self.doubtful |= shown is None or bool(shown and self._seen.settled(shown[0].hash))
        if shown is None:
            self.reached = True
            return
        for each in shown:
            self._shown.setdefault(each.hash, each)
        self._foot = shown[-_FOOT:]
        self.reached = bool(self._foot) and all(self._seen.settled(each.hash) for each in self._foot)
        self.ended = page.last and page.number < PAGES

    @property
    def done(self) -> bool:
        """Whether there is nothing to be asked for any more."""
        return self.reached or self.pages[-1].last

    @property
    def shown(self) -> list[Shown]:
        """Each event once, the first of the feed first."""
        return list(self._shown.values())

    @property
    def new(self) -> list[Shown]:
        """Those that were not known before."""
        return [each for each in self._shown.values() if each.hash not in self._seen]

    @property
    def overlaps(self) -> bool:
        """Whether nothing can be missing: the feed reaches back to the last complete poll, or to its own beginning."""
        return self.reached or self.ended or any(self._seen.settled(each) for each in self._shown)

    @property
    def newest(self) -> int | None:
        """The newest event time, in µs."""
        return max((each.time for each in self._shown.values() if each.time is not None), default=None)

    @property
    def oldest(self) -> int | None:
        """About the time from which on the feed shows everything, in µs: of its last events, for single ones arrive
        hours late.
        """
        times = [each.time for each in self._shown.values() if each.time is not None]
        return median_low(times[-2 * _FOOT :]) if times else None

    @property
    def stretch(self) -> Stretch:
        """What the pages show, each over its own time: between two requests a busy feed moves, and a later page may be
        the newer one.
        """
        stretches = [_stretch(page.shown) for page in self.pages if page.shown is not None]
        return Stretch(sum(each.shown for each in stretches), sum(each.span for each in stretches))

    def rate(self, before: float, seconds: float) -> float:
        """New events a second, as far as it is known: from what was known before, and so many seconds since the last
        complete poll.
        """
        shown, span = self.stretch
        if self.pages[0].shown is not None and not self.overlaps and span > 0:
            return shown / span
        if self.first and self.oldest is not None:
            return len(self._shown) / max(1.0, (self.pages[0].asked - self.oldest) / SECOND)
        return updated_rate(before, len(self.new), seconds)

    def is_stale(self, newest: int | None, now: int) -> bool:
        """Whether page 1 is an old one: it is older than what was seen (µs) and shows nothing new, or nothing that was
        seen.
        """
        page = self.pages[0]
        if page.shown is None:
            # Nothing has changed since a poll before the last one: that cannot be.
            return self._seen.unsettled > 0
        if newest is None or newest <= now - _HORIZON:
            return False
        if any(each.time is not None and each.time >= newest for each in page.shown):
            return False
        known = sum(each.hash in self._seen for each in page.shown)
        return known in (0, len(page.shown))


def _stretch(shown: list[Shown]) -> Stretch:
    """One page, none of it where it has too few events to say.

    The middle time of the first third and that of the last one are two thirds apart, whatever single events arrive
    late. Times are cut to the second on both sides alike, so the mean over many pages is right.
    """
    times = [each.time for each in shown if each.time is not None]
    third = len(times) // 3
    if third < _FOOT:
        return Stretch(0, 0.0)
    return Stretch(len(times), 1.5 * (median_low(times[:third]) - median_low(times[-third:])) / 1e6)
