"""How much of a window the feeds saw: it qualifies every other figure of the window."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from agents.family import Family, measurement, row
from agents.measurements import Measurement

if TYPE_CHECKING:
    from agents.operators.progress import Progress

_ROWS: Final = (
    row(
        "window_coverage_ratio",
        "scope platform window",
        "ratio",
        "exact",
        group="A",
        help=(
            "Read it before every other figure of the window: the share of its time in which the feeds were complete. "
            "Two hours after a first start that of 30 days is 0.003. Divide figures by it only where it is at least "
            "0.5: below, the window also holds activities from before the covered time, which the first look at a "
            "feed brought."
        ),
        formula=(
            "time that the feeds covered ÷ length of the window; the least of several partitions; live, the window of "
            "an hour leaves out the time of which its feeds have not yet reported and are not late to report"
        ),
    ),
    row(
        "covered_since_timestamp_seconds",
        "scope platform",
        "seconds",
        "exact",
        group="A",
        help=(
            "Since when the feeds have been watched without a break of more than half an hour, as a Unix time. Only "
            "live stations state it. Older activities came with the first look at a feed: they are counted, but the "
            "coverage does not include their time."
        ),
        formula="start of a feed's latest stretch of covered time; of several feeds the median",
    ),
)


def _of_coverage(window: str, bounds: tuple[int, int], progress: "Sequence[Progress | None]") -> Iterator[Measurement]:
    """The least share of all partitions. What covers the repositories of everyone covers the watched ones too."""
    from streams.activity import PLATFORMS

    for platform in PLATFORMS:
        shares = [_share(own, platform, bounds) for own in progress]
        known = [share for share in shares if share is not None]
        if known and len(known) == len(shares):
            for scope in ("all", "watched"):
                labels = {"scope": scope, "platform": platform, "window": window}
                yield measurement("window_coverage_ratio", labels, min(known))


def _share(progress: "Progress | None", platform: str, bounds: tuple[int, int]) -> float | None:
    """Which share of a window the feeds covered; None where none of them has said anything of the platform."""
    from agents.operators.coverage import Coverage

    feeds = [feed for feed in (progress.feeds.values() if progress else ()) if platform in feed.covered]
    coverage = Coverage()
    for feed in feeds:
        coverage.merge(feed.coverage(platform))
    share = coverage.share(*bounds)
    return 0.0 if share is None and feeds else share


FAMILY: Final = Family(70, _ROWS, of_coverage=_of_coverage)
