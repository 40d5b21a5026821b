"""What the pages of a poll mean, compared with what was seen: new, complete, doubtful, old."""

import pytest

from streams.activity import DAY, HOUR, MINUTE, SECOND
from streams.live.github.coverage import SampleCoverage
from streams.live.github.cursor import GithubCursor, Seen, decode_github, encode_github
from streams.live.github.pace import PollPace
from streams.live.github.page import PAGES, FeedPage, Shown
from streams.live.github.page_overlap import PageOverlap

NOW = 1_000 * DAY


def shown(*events: int, page: int = 1, start: int = NOW) -> list[Shown]:
    """Events of a feed by their numbers; number n happened n seconds after `start`."""
    return [Shown(number, start + number * SECOND, b"{}", page, line, NOW) for line, number in enumerate(events, 1)]


def page(number: int, events: list[Shown] | None, *, last: bool = False) -> FeedPage:
    return FeedPage(number, events, '"tag"', NOW, NOW, last or number == PAGES)


def overlap(seen: Seen, *pages: list[Shown] | None, last: bool = False) -> PageOverlap:
    made = PageOverlap(seen, first=not seen.encode()[0])
    for number, events in enumerate(pages, 1):
        made.take(page(number, events, last=last and number == len(pages)))
    return made


def down(newest: int, count: int = 100) -> range:
    """Numbers from the newest on."""
    return range(newest, newest - count, -1)


@pytest.fixture
def seen() -> Seen:
    """A feed of 300 events, 1 to 300, whose last 100 were settled by page 1."""
    return Seen().known(range(1, 301), settle=True)


def test_a_page_with_known_ones_at_its_foot_is_enough(seen: Seen) -> None:
    made = overlap(seen, shown(*down(320)))
    assert made.done
    assert made.overlaps
    assert [each.hash for each in made.new] == list(down(320, 20))


def test_a_single_known_one_amid_new_ones_is_not_enough(seen: Seen) -> None:
    made = overlap(seen, shown(*down(400, 96), 300, 304, 303, 302))
    assert not made.done
    made.take(page(2, shown(301, *down(299, 99))))
    assert made.done
    assert not made.doubtful
    assert len(made.new) == 100


def test_a_feed_that_ends_is_whole_and_one_that_goes_on_is_not(seen: Seen) -> None:
    assert overlap(seen, shown(900, 901), last=True).overlaps
    assert not overlap(seen, shown(*down(900)), shown(*down(800)), shown(*down(700))).overlaps
    assert overlap(seen, shown(*down(500)), shown(*down(400)), shown(*down(300))).overlaps


def test_the_first_look_takes_all_pages() -> None:
    made = overlap(Seen(), shown(*down(300)), shown(*down(200)))
    assert made.first
    assert not made.done
    assert len(made.new) == 200


@pytest.mark.parametrize(
    ("second", "doubtful"),
    [
        (down(320), False),  # it goes on with new ones
        (down(435), False),  # it repeats the end of the first
        (down(300), True),  # the first has 421 to 520; 301 to 420 are missing
        (None, True),  # unchanged, though all of it must have moved
    ],
)
def test_a_second_page_of_another_time_is_doubtful(seen: Seen, second: range | None, doubtful: bool) -> None:
    made = overlap(seen, shown(*down(520)), None if second is None else shown(*second, page=2))
    assert made.doubtful is doubtful


def test_what_an_incomplete_poll_found_is_known_but_proves_nothing(seen: Seen) -> None:
    after = seen.known(reversed(down(500)))
    again = overlap(after, shown(*down(500)))
    assert not again.done
    assert again.new == []
    again.take(page(2, shown(*down(400))))
    again.take(page(3, shown(*down(300))))
    assert again.done
    assert [each.hash for each in again.new] == list(down(400))
    settled = after.known((each.hash for each in reversed(again.shown)), settle=True)
    assert settled.unsettled == 0
    assert settled.settled(500)


@pytest.mark.parametrize(
    ("events", "stale"),
    [
        (down(300), False),  # as it was
        (down(301), False),
        ([*down(250), 301], False),
        (down(290), True),  # some minutes old
        (down(-700), True),  # older than anything known
        ([], True),
        ([*down(290, 50), -5], False),  # the newest were removed, and a late one came
    ],
)
def test_an_old_page_is_told_by_what_it_lacks(seen: Seen, events: list[int], stale: bool) -> None:
    newest = NOW + 300 * SECOND
    assert overlap(seen, shown(*events)).is_stale(newest, NOW + HOUR) is stale
    assert not overlap(seen, shown(*events)).is_stale(newest, NOW + 31 * DAY), "after 30 days events leave a feed"
    assert not overlap(Seen(), shown(*events)).is_stale(None, NOW)


def test_unchanged_since_before_what_is_known_is_old(seen: Seen) -> None:
    assert not overlap(seen, None).is_stale(NOW, NOW)
    assert overlap(seen.known([301]), None).is_stale(NOW, NOW)


def test_seen_forgets_what_was_shown_longest_ago(seen: Seen) -> None:
    grown = seen.known(range(301, 1_001)).known([5]).known([2_000])
    assert 5 in grown
    assert 1 not in grown
    assert 2_000 in grown
    assert grown.settled(5)
    settled, unsettled = grown.encode()
    assert len(settled) + len(unsettled) == 8 * Seen.LIMIT
    cursor = GithubCursor(settled=settled, unsettled=unsettled, etags=('W/"a"', None), newest=5, due_at=1.5)
    assert decode_github("f", encode_github(cursor)) == cursor
    assert cursor.seen.encode() == (settled, unsettled)


def test_single_late_events_do_not_change_what_a_poll_spans() -> None:
    usual = [Shown(n, NOW - n * SECOND // 10, b"", 1, n, NOW) for n in range(300)]
    late = [each._replace(time=NOW - HOUR) if each.hash % 5 == 0 else each for each in usual]
    for events in (usual, late):
        count, span = overlap(Seen(), events).stretch
        assert count == 300
        assert span == pytest.approx(30, rel=0.15)
    assert overlap(Seen(), usual[:9]).stretch == (0, 0)


@pytest.mark.parametrize("delay", [0.0, 1.0, 3.0])
def test_what_a_firehose_spans_is_right_although_it_moves_between_two_pages(delay: float) -> None:
    """132 events a second: a second later page 2 is newer than page 1, three seconds later it has nothing next to
    what page 1 has.
    """
    rate, coverage, published = 132.0, SampleCoverage(), set[int]()
    for poll in range(60):
        # Not a whole number of seconds: real polls do not begin at the same fraction of a second.
        asked = NOW + poll * (MINUTE + 317_000)
        made = PageOverlap(Seen(), first=poll == 0)
        for number in range(1, PAGES + 1):
            head = int((asked - NOW + (number - 1) * delay * SECOND) * rate) // SECOND
            events = range(head - 100 * (number - 1), head - 100 * number, -1)
            cut = [NOW + int(event / rate) * SECOND for event in events]
            made.take(
                page(number, [Shown(event, time, b"", number, 1, NOW) for event, time in zip(events, cut, strict=True)])
            )
        count, span = made.stretch
        assert count == 300
        coverage.add(asked, MINUTE + 317_000 if poll else 0, len(made.new), whole=made.overlaps, shown=count, span=span)
        published |= {each.hash for each in made.new} if poll else set()
    share = coverage.get()
    assert share == pytest.approx(len(published) / (59 * 60.317 * rate), abs=0.004)
    assert share == pytest.approx(300 / (rate * 60), abs=0.02)


def test_the_pace_expects_half_of_what_a_feed_holds() -> None:
    pace = PollPace(300.0, budgeted=False)
    assert pace.interval("f", GithubCursor(rate=1.0, interval=300.0), 0, 60.0, sampled=False) == 150
    assert pace.interval("f", GithubCursor(rate=50.0, interval=300.0), 9, 60.0, sampled=False) == 60
    assert pace.interval("f", GithubCursor(interval=100.0), 0, 60.0, sampled=False) == 150
    assert pace.interval("f", GithubCursor(interval=290.0), 0, 60.0, sampled=False) == 300
    assert pace.interval("f", GithubCursor(interval=100.0), 0, 600.0, sampled=False) == 600
    dithered = [pace.interval("f", GithubCursor(interval=100.0), 0, 60.0, sampled=True) for _ in range(100)]
    assert 60 <= min(dithered) < 60.3 < 60.7 < max(dithered) < 61, "a sample at every moment of a second"


def test_a_sample_forgets_after_an_hour_and_knows_what_was_whole() -> None:
    coverage = SampleCoverage()
    coverage.add(0, MINUTE, 300, whole=False, shown=300, span=1.0)
    coverage.add(30 * MINUTE, 30 * MINUTE, 100, whole=True, shown=0, span=0.0)
    share = coverage.get()
    assert share == pytest.approx((1 + 30 * 60) / (31 * 60))
    coverage.add(61 * MINUTE, MINUTE, 0, whole=True, shown=0, span=0.0)
    assert coverage.get() == 1.0
