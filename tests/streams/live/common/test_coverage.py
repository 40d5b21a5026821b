"""Coverage of windows: exact in whole minutes, and without the time that no feed can have reported yet."""

import pytest

from streams.activity import DAY, HOUR, MINUTE, SECOND
from streams.live.common.coverage import COVERAGE_CURSOR, FeedCoverage
from streams.live.common.health import Feeds

FEED = "github:/orgs/allenai/events"
NOW = 1_000 * HOUR + 30 * MINUTE + 20_000_000
SETTLING = 7 * MINUTE
FEEDS = Feeds()
for name in (FEED, *(f"github:/orgs/{name}/events" for name in ("other", "never", *range(200)))):
    FEEDS.open(name, "github")
FEEDS.open("github:/users/somebody/events/public", "github", has_total=False)
FEEDS.open("github:/events", "github", scope="all", sampled=True)


def share(coverage: FeedCoverage, window: str = "1h", now: int = NOW) -> float | None:
    return coverage.share("github", "watched", window, now)


def test_a_feed_that_is_well_covers_the_hour_although_its_mark_lags() -> None:
    strict, settled = FeedCoverage(FEEDS), FeedCoverage(FEEDS, SETTLING)
    for coverage in strict, settled:
        coverage.add(FEED, NOW - 2 * HOUR, NOW - 6 * MINUTE)
    assert share(settled) == 1.0
    assert share(strict) == pytest.approx(1 - 6 / 59.33, abs=0.001)


def test_a_gap_is_never_hidden_by_what_has_not_settled() -> None:
    coverage = FeedCoverage(FEEDS, SETTLING)
    coverage.add(FEED, NOW - 2 * HOUR, NOW - 40 * MINUTE)
    coverage.add(FEED, NOW - 37 * MINUTE, NOW)
    # From 29:00 before the hour's end up to 7 minutes before now: 52 whole minutes, three of them missed.
    assert share(coverage) == pytest.approx(49 / 52)
    late = FeedCoverage(FEEDS, SETTLING)
    late.add(FEED, NOW - 2 * HOUR, NOW - 10 * MINUTE)
    assert share(late) == pytest.approx(1 - (3 - 20 / 60) / 52)


def test_longer_windows_go_up_to_now() -> None:
    coverage = FeedCoverage(FEEDS, SETTLING)
    coverage.add(FEED, NOW - 30 * HOUR, NOW - 6 * MINUTE)
    length = 23 * 60 + 30 + 20 / 60
    assert share(coverage, "24h") == pytest.approx(1 - 6 / length)


def test_a_snapshot_keeps_what_was_covered() -> None:
    coverage = FeedCoverage(FEEDS, SETTLING)
    coverage.add(FEED, NOW - 2 * HOUR, NOW - 20 * MINUTE)
    again = FeedCoverage.restore({key: value for key, value in coverage.changes().items() if value}, FEEDS, SETTLING)
    assert share(again) == share(coverage) != 1.0


def test_a_feed_that_never_worked_counts_and_a_user_does_not() -> None:
    coverage = FeedCoverage(FEEDS)
    coverage.add(FEED, NOW - 2 * HOUR, NOW)
    coverage.expect(FEED)
    assert share(coverage) == 1.0
    coverage.expect("github:/users/somebody/events/public")
    assert share(coverage) == 1.0
    coverage.expect("github:/orgs/never/events")
    assert share(coverage) == 0.5
    assert coverage.share("github", "all", "1h", NOW) is None


def test_only_what_has_changed_is_to_be_saved() -> None:
    feeds = [f"github:/orgs/{number}/events" for number in range(200)]
    coverage = FeedCoverage(FEEDS)
    for feed in feeds:
        coverage.add(feed, NOW - 30 * DAY, NOW)
    changes = coverage.changes()
    assert changes.keys() == {COVERAGE_CURSOR + feed for feed in feeds}
    sizes = [len(value or b"") for value in changes.values()]
    assert max(sizes) < 10_000 < 1_000_000 < sum(sizes), "together they would be no record"
    coverage.saved()
    assert coverage.changes() == {}
    again = FeedCoverage.restore(
        {**{key: value for key, value in changes.items() if value}, "github:/orgs/1/events": b"of another kind"},
        FEEDS,
    )
    assert again.changes() == {}
    again.add(feeds[7], NOW, NOW + MINUTE)
    again.keep(set(feeds[1:]))
    kept = again.changes()
    assert kept.pop(COVERAGE_CURSOR + feeds[0]) is None, "what is not watched any more leaves nothing behind"
    assert kept.keys() == {COVERAGE_CURSOR + feeds[7]}


def test_what_was_never_covered_is_unknown() -> None:
    assert share(FeedCoverage(FEEDS, SETTLING)) is None


def asked_every(seconds: int, until: int) -> FeedCoverage:
    """The coverage of a feed that is well and saw everything up to its last look, which was at most so many seconds
    ago.
    """
    coverage = FeedCoverage(FEEDS, SETTLING)
    last = until // (seconds * SECOND) * seconds * SECOND
    coverage.add(FEED, last - 3 * HOUR, last)
    return coverage


@pytest.mark.parametrize("seconds", [300, 1_900, 2_880])
def test_a_feed_that_is_asked_rarely_and_is_well_covers_the_hour_at_every_moment(seconds: int) -> None:
    late_after = {FEED: 3 * seconds * SECOND // 2}
    for now in range(NOW, NOW + 3 * HOUR, 97 * SECOND):
        coverage = asked_every(seconds, now)
        assert coverage.share("github", "watched", "1h", now, late_after) == 1.0
        shown = {labels["window"]: value for _, labels, value in coverage.rows(now, late_after) if "window" in labels}
        assert shown["1h"] == 1.0
        assert shown["24h"] < 1.0, "only the hour leaves out what was not asked for yet"


def test_a_feed_that_is_late_is_not_covered_from_then_on() -> None:
    """It is asked every 1,900 s, so after 2,850 s it is late."""
    late_after = {FEED: 2_850 * SECOND}
    coverage = FeedCoverage(FEEDS, SETTLING)
    coverage.add(FEED, NOW - 5 * HOUR, NOW)
    shares = [
        coverage.share("github", "watched", "1h", NOW + minute * MINUTE, late_after) or 0.0 for minute in range(120)
    ]
    assert shares[:47] == [1.0] * 47
    # The hour begins nine minutes before the last look, and only what is overdue counts of the silence.
    assert shares[50] == pytest.approx((9 + 20 / 60) / 11)
    assert shares[60:] == [0.0] * 60
    assert sorted(shares, reverse=True) == shares


def test_of_a_feed_that_may_be_silent_for_longer_than_an_hour_nothing_is_known() -> None:
    late_after = {FEED: 2 * HOUR}
    coverage = FeedCoverage(FEEDS, SETTLING)
    coverage.add(FEED, NOW - 5 * HOUR, NOW - 70 * MINUTE)
    assert coverage.share("github", "watched", "1h", NOW, late_after) is None
    assert coverage.share("github", "watched", "24h", NOW, late_after) is not None
    coverage.add("github:/orgs/other/events", NOW - 2 * HOUR, NOW)
    assert coverage.share("github", "watched", "1h", NOW, late_after) == 1.0
    assert coverage.share("github", "watched", "1h", NOW) == 0.5


def test_a_blind_feed_that_says_so_counts_as_nothing_until_a_look_heals_it() -> None:
    late_after = {FEED: 2 * HOUR}
    coverage = FeedCoverage(FEEDS, SETTLING)
    coverage.add(FEED, NOW - 5 * HOUR, NOW - 2 * HOUR)
    assert coverage.share("github", "watched", "1h", NOW, late_after) is None
    coverage.miss(FEED, NOW - 2 * HOUR, NOW - MINUTE)
    assert coverage.share("github", "watched", "1h", NOW, late_after) == 0.0
    coverage.add("github:/orgs/other/events", NOW - 2 * HOUR, NOW)
    assert coverage.share("github", "watched", "1h", NOW, late_after) == 0.5
    again = FeedCoverage.restore({key: value for key, value in coverage.changes().items() if value}, FEEDS, SETTLING)
    assert again.share("github", "watched", "1h", NOW, late_after) == 0.5
    again.add(FEED, NOW - 2 * HOUR, NOW)
    assert again.share("github", "watched", "1h", NOW, late_after) == 1.0


def test_what_a_user_missed_is_no_share_of_anything() -> None:
    coverage = FeedCoverage(FEEDS)
    coverage.miss("github:/users/somebody/events/public", NOW - HOUR, NOW)
    assert share(coverage) is None
    assert coverage.changes() == {}


def test_a_gap_counts_although_the_feed_may_be_silent_for_long() -> None:
    coverage = FeedCoverage(FEEDS, SETTLING)
    coverage.add(FEED, NOW - 2 * HOUR, NOW - 40 * MINUTE)
    coverage.add(FEED, NOW - 37 * MINUTE, NOW)
    assert coverage.share("github", "watched", "1h", NOW, {FEED: 2_850 * SECOND}) == pytest.approx(49 / 52)


def test_a_feed_is_seen_since_the_latest_stretch_without_a_break_began() -> None:
    coverage = FeedCoverage(FEEDS)
    assert coverage.since("github", "watched") is None
    coverage.miss(FEED, NOW - 3 * HOUR, NOW - 2 * HOUR)
    assert coverage.since("github", "watched") is None, "what was missed is not seen"
    coverage.add(FEED, NOW - 150 * MINUTE, NOW - 140 * MINUTE)
    coverage.add(FEED, NOW - 110 * MINUTE, NOW - 100 * MINUTE, share=0.04)
    assert coverage.since("github", "watched") == NOW - 150 * MINUTE, "half an hour is no break, and a sample is seen"
    coverage.add(FEED, NOW - 69 * MINUTE, NOW - 40 * MINUTE)
    assert coverage.since("github", "watched") == NOW - 69 * MINUTE
    coverage.add(FEED, NOW - 200 * MINUTE, NOW - 180 * MINUTE)
    assert coverage.since("github", "watched") == NOW - 69 * MINUTE, (
        "what is learnt about the time before the break changes nothing"
    )
    coverage.add(FEED, NOW - 75 * MINUTE, NOW - 69 * MINUTE)
    assert coverage.since("github", "watched") == NOW - 75 * MINUTE, "a look that reaches further back does"


def test_a_scope_is_seen_since_the_median_of_its_feeds_and_that_is_kept() -> None:
    coverage = FeedCoverage(FEEDS)
    for number, minutes in enumerate((50, 40, 2)):
        coverage.add(f"github:/orgs/{number}/events", NOW - minutes * MINUTE, NOW)
    coverage.add("github:/events", NOW - 30 * MINUTE, NOW, share=0.04)
    kept = {key: value for key, value in coverage.changes().items() if value is not None}
    restored = FeedCoverage.restore(kept, FEEDS)
    for each in (coverage, restored):
        assert each.since("github", "watched") == NOW - 40 * MINUTE
        assert each.since("github", "all") == NOW - 30 * MINUTE
        assert each.since("huggingface", "watched") is None
        rows = {
            labels["scope"]: value
            for name, labels, value in each.rows(NOW)
            if name == "nomadwatch_covered_since_timestamp_seconds"
        }
        assert rows == {"watched": (NOW - 40 * MINUTE) / 1e6, "all": (NOW - 30 * MINUTE) / 1e6}


def test_coverage_that_was_kept_before_stretches_were_goes_on() -> None:
    kept = {
        COVERAGE_CURSOR
        + FEED: b'{"60000000":{"59970":60000000.0},"3600000000":{"999":60000000.0},"86400000000":{"41":60000000.0}}'
    }
    coverage = FeedCoverage.restore(kept, FEEDS)
    assert coverage.since("github", "watched") is None
    coverage.add(FEED, NOW - MINUTE, NOW)
    assert coverage.since("github", "watched") == NOW - MINUTE
