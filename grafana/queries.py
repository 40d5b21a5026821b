"""The parts that queries of several panels have in common, in PromQL."""

from typing import Final

from streams.activity import COMPARED
from streams.platforms import TITLES

# A figure of a sample that is less complete says nothing where sampling makes it invalid (docs/metrics.md).
COMPLETE: Final = 0.95
# Open-source software, open-source models: the two platforms of the comparison.
SHORT: Final = dict(zip(COMPARED, ("OSS", "OSM"), strict=True))
PLATFORMS: Final = {
    platform: f"{SHORT[platform]} · {title}" if platform in SHORT else title for platform, title in TITLES.items()
}
# A merge is upkeep, and `accepted` of who opened it: adding both would count it twice. And a credit may be withdrawn,
# and a total falls by one: a rate would take that for a reset, and count everything again.
ONCE: Final = 'feature!="accepted"'

CHOSEN: Final = 'scope="$scope", window="$window"'
COVERAGE: Final = f"nomadwatch_window_coverage_ratio{{{CHOSEN}}}"
_BOTH: Final = f'platform=~"{"|".join(COMPARED)}"'


def _trusted(*matchers: str) -> str:
    """The coverages that allow such a figure: any for the watchlist, beside which it is shown; a complete one else."""
    chosen = ", ".join((CHOSEN, *matchers))
    coverage = "nomadwatch_window_coverage_ratio"
    return f'{coverage}{{{chosen}, scope="watched"}} or {coverage}{{{chosen}}} >= {COMPLETE}'


def trusted(expr: str) -> str:
    """Of a figure that sampling makes invalid, by platform: where the coverage of its platform allows it."""
    return f"{expr} and on (platform) ({_trusted()})"


def trusted_both(expr: str) -> str:
    """The same of a comparison, which needs both platforms."""
    return f"{expr} and on () (count(group by (platform) ({_trusted(_BOTH)})) == {len(COMPARED)})"


def of(name: str, *matchers: str, **labels: str) -> str:
    """A metric in the scope and window chosen, by further matchers and values of labels.

    >>> of("intensity", 'feature=~"$feature"', stat="mean")
    'nomadwatch_intensity{scope="$scope", window="$window", feature=~"$feature", stat="mean"}'
    """
    return f"nomadwatch_{name}{{{', '.join((CHOSEN, *matchers, *(_equal(*each) for each in labels.items())))}}}"


def reference(**labels: str) -> str:
    """A value that a paper states, without the labels of where it was scraped.

    >>> reference(metric="intensity")
    'max by (metric, platform, feature, stat) (nomadwatch_reference{metric="intensity"})'
    """
    return f"max by (metric, platform, feature, stat) (nomadwatch_reference{{{', '.join(_equal(*each) for each in labels.items())}}})"


def _equal(label: str, value: str) -> str:
    return f'{label}="{value}"'
