"""How the feeds are doing; pollers publish it."""

from typing import Final

from agents.family import Family, row

_ROWS: Final = (
    row(
        "feed_polls_total",
        "feed outcome",
        "requests",
        "exact",
        type="counter",
        group="H",
        help=(
            "HTTP requests of a feed by their outcome. Mostly `unchanged` is healthy: the feed is polled more often "
            "than it changes. `limited` means that the rate limit was hit, `failed` that the platform or the network "
            "has a problem."
        ),
        formula=(
            "answers with 200 (new), 304 (unchanged), refusals of a limit (limited), everything else and broken "
            "bodies (failed)"
        ),
    ),
    row(
        "feed_coverage_ratio",
        "feed",
        "ratio",
        "exact",
        group="H",
        help=(
            "The share of a feed's events of the last hour that were seen. 1 while its polls overlap; `/events` is a "
            "sample of a few per cent by nature. To scale the figures of a window, use `window_coverage_ratio`, not "
            "this."
        ),
        formula=(
            "1 while polls overlap; else events seen ÷ (rate within a poll × time), the rate from the span of a "
            "poll's times"
        ),
    ),
    row(
        "feed_gaps_total",
        "feed reason",
        "gaps",
        "exact",
        type="counter",
        group="H",
        help=(
            "How often a feed could not see everything. Activities in a gap may be missing from all figures of that "
            "time."
        ),
        formula="rows of the gap ledger, by reason",
    ),
    row(
        "feed_gap_seconds_total",
        "feed reason",
        "seconds",
        "exact",
        type="counter",
        group="H",
        help="How long a feed could not see everything. Its rate is the share of time that was lost.",
        formula="summed lengths of the gap ledger's rows, by reason",
    ),
    row(
        "feed_lag_seconds",
        "feed",
        "seconds",
        "exact",
        group="H",
        help=(
            "How old the newest event is that a feed has shown. GitHub delays events by 30 seconds or more, so a few "
            "minutes are usual; a quiet feed lags because nothing happens: `feed_polls_total` shows whether it is "
            "still answered."
        ),
        formula="time of evaluation - newest event time seen",
    ),
    row(
        "feed_rate_limit_remaining",
        "feed",
        "requests",
        "exact",
        group="H",
        help=(
            "Requests left in the platform's current rate-limit window, as it states them. Near 0 the feed waits, and "
            "a gap may open."
        ),
        formula="as in the latest answer's x-ratelimit-remaining (GitHub) or RateLimit (Hugging Face)",
        source="GitHub REST API, rate limits; Hugging Face Hub, rate limits",
    ),
)

FAMILY: Final = Family(120, _ROWS)
