"""The pages of one poll together: which events are new, and whether some may be missing between this poll and the
last.
"""

from statistics import median_low
from typing import Final, NamedTuple

from streams.activity import DAY, SECOND
from streams.live.github.cursor import Seen
from streams.live.github.pace import updated_rate
from streams.live.github.page import PAGES, FeedPage, Shown

# About a quarter of the neighbours in a feed are out of order. A single known event at the end of a page does not prove
# that all later ones are known.
_FOOT: Final = 5
# An event stays in a feed for so long. A feed without newer ones becomes empty.
_HORIZON: Final = 30 * DAY


class Stretch(NamedTuple):
    """The number of events of a feed in a number of seconds. For one poll the seconds may be zero or negative; the mean
    over many polls is right.
    """

    shown: int
    span: float


class PageOverlap:
    """The pages of a poll in order, compared with the events seen before.

    A page has *reached* the events seen before if all events at its end are settled. A feed moves between two requests:
    the next page begins with some events of the last one, or goes on right after it. A page that begins with settled
    events right after unsettled ones is an older page, and what it would show now is missing: the poll is doubtful.
    Before the `first` complete poll there is nothing to reach.
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
        """Add the next page."""
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
        """Whether no further page is needed."""
        return self.reached or self.pages[-1].last

    @property
    def shown(self) -> list[Shown]:
        """Each event once, in the order of the feed."""
        return list(self._shown.values())

    @property
    def new(self) -> list[Shown]:
        """The events that were not known before."""
        return [each for each in self._shown.values() if each.hash not in self._seen]

    @property
    def overlaps(self) -> bool:
        """Whether nothing can be missing: the pages reach back to the last complete poll, or to the end of the feed."""
        return self.reached or self.ended or any(self._seen.settled(each) for each in self._shown)

    @property
    def newest(self) -> int | None:
        """The newest event time, in µs."""
        return max((each.time for each in self._shown.values() if each.time is not None), default=None)

    @property
    def oldest(self) -> int | None:
        """About the time (µs) since which the feed shows everything: that of its last events, because single ones
        arrive hours late.
        """
        times = [each.time for each in self._shown.values() if each.time is not None]
        return median_low(times[-2 * _FOOT :]) if times else None

    @property
    def stretch(self) -> Stretch:
        """The events of the pages, each page over its own time: a busy feed moves between two requests, and a later
        page may be the newer one.
        """
        stretches = [_stretch(page.shown) for page in self.pages if page.shown is not None]
        return Stretch(sum(each.shown for each in stretches), sum(each.span for each in stretches))

    def rate(self, before: float, seconds: float) -> float:
        """New events a second, from the rate known `before` and the seconds since the last complete poll."""
        shown, span = self.stretch
        if self.pages[0].shown is not None and not self.overlaps and span > 0:
            return shown / span
        if self.first and self.oldest is not None:
            return len(self._shown) / max(1.0, (self.pages[0].asked - self.oldest) / SECOND)
        return updated_rate(before, len(self.new), seconds)

    def is_stale(self, newest: int | None, now: int) -> bool:
        """Whether page 1 is an old one: older than what was seen (µs) and without new events, or without any that were
        seen.
        """
        page = self.pages[0]
        if page.shown is None:
            # "Unchanged" since a poll before the last one is impossible.
            return self._seen.unsettled > 0
        if newest is None or newest <= now - _HORIZON:
            return False
        if any(each.time is not None and each.time >= newest for each in page.shown):
            return False
        known = sum(each.hash in self._seen for each in page.shown)
        return known in (0, len(page.shown))


def _stretch(shown: list[Shown]) -> Stretch:
    """The events of one page over their time; zero if the page has too few to tell.

    The median time of the first third and that of the last third are two thirds of the page apart, even if single
    events arrive late. Times are cut to whole seconds on both sides alike, so the mean over many pages is right.
    """
    times = [each.time for each in shown if each.time is not None]
    third = len(times) // 3
    if third < _FOOT:
        return Stretch(0, 0.0)
    return Stretch(len(times), 1.5 * (median_low(times[:third]) - median_low(times[-third:])) / 1e6)
