"""Parts of PromQL queries that several panels share."""

from typing import Final

from streams.activity import COMPARED
from streams.platforms import TITLES

# Below this coverage, figures that are invalid under sampling are hidden (docs/metrics.md).
COMPLETE: Final = 0.95
# Open-source software, open-source models: the two platforms of the comparison.
SHORT: Final = dict(zip(COMPARED, ("OSS", "OSM"), strict=True))
PLATFORMS: Final = {
    platform: f"{SHORT[platform]} · {title}" if platform in SHORT else title for platform, title in TITLES.items()
}
# A merge counts as upkeep, and as `accepted` for the one who opened the pull request: a sum of both counts it twice.
# And a credit may be withdrawn: the total falls by one, which a rate takes for a reset of the counter.
ONCE: Final = 'feature!="accepted"'

CHOSEN: Final = 'scope="$scope", window="$window"'
COVERAGE: Final = f"nomadwatch_window_coverage_ratio{{{CHOSEN}}}"
_BOTH: Final = f'platform=~"{"|".join(COMPARED)}"'


def _trusted(*matchers: str) -> str:
    """The coverages that allow a figure that sampling makes invalid: any for the watchlist, else a complete one."""
    chosen = ", ".join((CHOSEN, *matchers))
    coverage = "nomadwatch_window_coverage_ratio"
    return f'{coverage}{{{chosen}, scope="watched"}} or {coverage}{{{chosen}}} >= {COMPLETE}'


def trusted(expr: str) -> str:
    """A figure that sampling makes invalid, by platform, where the coverage of the platform allows it."""
    return f"{expr} and on (platform) ({_trusted()})"


def trusted_both(expr: str) -> str:
    """A comparison that sampling makes invalid, where the coverage of both platforms allows it."""
    return f"{expr} and on () (count(group by (platform) ({_trusted(_BOTH)})) == {len(COMPARED)})"


def of(name: str, *matchers: str, **labels: str) -> str:
    """A metric in the chosen scope and window, with further matchers and label values.

    >>> of("intensity", 'feature=~"$feature"', stat="mean")
    'nomadwatch_intensity{scope="$scope", window="$window", feature=~"$feature", stat="mean"}'
    """
    return f"nomadwatch_{name}{{{', '.join((CHOSEN, *matchers, *(_equal(*each) for each in labels.items())))}}}"


def reference(**labels: str) -> str:
    """A figure of a paper, without the labels that Prometheus adds.

    >>> reference(metric="intensity")
    'max by (metric, platform, feature, stat) (nomadwatch_reference{metric="intensity"})'
    """
    matchers = ", ".join(_equal(*each) for each in labels.items())
    return f"max by (metric, platform, feature, stat) (nomadwatch_reference{{{matchers}}})"


def _equal(label: str, value: str) -> str:
    return f'{label}="{value}"'
