"""Open-source software against open models, feature by feature: the pair that the paper compares."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from agents.family import YE_ZHOU, Family, measurement, row
from agents.measurements import Measurement
from streams.activity import COMPARED

if TYPE_CHECKING:
    from agents.operators.window import WindowSums

_ROWS: Final = (
    row(
        "intensity_gap_ratio",
        "scope feature window",
        "ratio",
        "invalid",
        group="B",
        help=(
            "The mean of GitHub's repositories as a multiple of the mean of the Hub's. Above 1, GitHub is busier. The "
            "paper found about 137 for commits, 180 for issues, 154 for stars, over the whole lives of repositories "
            "and with silent ones included. So compare the features with each other, not with the paper's levels."
        ),
        formula=(
            "mean activities per active repository on GitHub ÷ the same on Hugging Face; absent if the latter is 0"
        ),
        source=f"{YE_ZHOU}, RQ1, table 2",
    ),
    row(
        "mann_whitney_u",
        "scope feature window",
        "pairs",
        "invalid",
        group="B",
        help=(
            "Of all pairs of one GitHub and one Hub repository: in how many GitHub's has more of the feature. Its "
            "size depends on the numbers of repositories: read `dominance_ratio` for the effect and `mann_whitney_p` "
            "for the evidence."
        ),
        formula="pairs that GitHub wins + ½ · ties, over the same repositories as `intensity`",
        source=f"{YE_ZHOU}, RQ1; Mann & Whitney 1947",
    ),
    row(
        "mann_whitney_z",
        "scope feature window",
        "standard deviations",
        "invalid",
        group="B",
        help=(
            "How far the two platforms are from being alike, in standard deviations. Positive: GitHub has more; "
            "negative: the Hub has more."
        ),
        formula=(
            "(U - n1·n2÷2 ∓ ½) ÷ its standard deviation under equality, corrected for ties; absent if all values are "
            "the same"
        ),
        source=("Mann & Whitney 1947, normal approximation; equals scipy.stats.mannwhitneyu(method='asymptotic')"),
    ),
    row(
        "mann_whitney_p",
        "scope feature window",
        "probability",
        "invalid",
        group="B",
        help=(
            "The probability that two equal platforms differ at least this much by chance. With many repositories it "
            "is small even for negligible differences: read it together with `dominance_ratio`."
        ),
        formula="two-sided tail of the normal distribution beyond z; absent if all values are the same",
        source=("Mann & Whitney 1947, normal approximation; equals scipy.stats.mannwhitneyu(method='asymptotic')"),
    ),
    row(
        "dominance_ratio",
        "scope feature window",
        "ratio",
        "invalid",
        group="B",
        help=(
            "The chance that a random GitHub repository has more of the feature than a random Hub one, ties counted "
            "half. 0.5: the platforms are alike; 0.7: GitHub's repository has more in seven of ten pairs."
        ),
        formula="U ÷ (n1·n2)",
        source="Vargha & Delaney 2000 (measure A); McGraw & Wong 1992 (common language effect size)",
    ),
)


def _of_window(window: "WindowSums") -> Iterator[Measurement]:
    """Other platforms are measured, and are not part of this comparison."""
    from agents.operators.mann_whitney import mann_whitney

    github, hub = (window.histograms.get(platform, {}) for platform in COMPARED)
    for feature, a in github.items():
        b = hub.get(feature)
        if b is None:
            continue
        own = window.labels | {"feature": feature}
        if b.total:
            yield measurement("intensity_gap_ratio", own, a.total * b.n / (a.n * b.total))
        test = mann_whitney(a, b)
        if test is None:
            continue
        yield measurement("mann_whitney_u", own, test.u)
        yield measurement("dominance_ratio", own, test.dominance)
        if test.z is not None and test.p is not None:
            yield measurement("mann_whitney_z", own, test.z)
            yield measurement("mann_whitney_p", own, test.p)


FAMILY: Final = Family(90, _ROWS, of_window=_of_window)
