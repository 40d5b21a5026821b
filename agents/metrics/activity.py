"""How much is done."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from agents.family import YE_ZHOU, Family, measurement, row
from agents.measurements import Measurement

if TYPE_CHECKING:
    from agents.operators.progress import Progress
    from agents.operators.window import WindowSums

_ROWS: Final = (
    row(
        "activities_total",
        "scope platform feature actor",
        "activities",
        "scales",
        type="counter",
        group="A",
        help=(
            "Everything that was counted since the state began, bots beside humans. Use its rate to see the pulse of "
            "a platform. Leave accepted out of rates and sums: a merge is upkeep already, and its total can fall by "
            "one, which a rate takes for a reset."
        ),
        formula=(
            "number of different activities; of accepted, of the merges credited (docs/decisions/0006-accepted.md)"
        ),
        source=f"features of {YE_ZHOU}, RQ1; bots by its rule and by listed logins",
    ),
    row(
        "activity",
        "scope platform feature window",
        "activities",
        "scales",
        group="A",
        help=(
            "How much people did in the window. Compare a feature with its own past; the two platforms count "
            "different kinds of work. Live, preference of scope `all` is seen only in part: no coverage holds for "
            "it."
        ),
        formula="number of different human activities whose time lies in the window",
        source=f"features of {YE_ZHOU}, RQ1",
    ),
)


def _of_window(window: "WindowSums") -> Iterator[Measurement]:
    for (platform, feature), n in window.humans.items():
        yield measurement("activity", window.labels | {"platform": platform, "feature": feature}, n)


def _of_totals(progress: "Sequence[Progress | None]") -> Iterator[Measurement]:
    """From counts by `PLATFORM/FEATURE/human|bot`; other names are passed over."""
    for scope in ("all", "watched"):
        counts: Counter[str] = Counter()
        for own in progress:
            counts.update(own.totals[scope] if own else {})
        for key, n in sorted(counts.items()):
            match key.split("/"):
                case [platform, feature, actor] if n:
                    labels = {"scope": scope, "platform": platform, "feature": feature, "actor": actor}
                    yield measurement("activities_total", labels, n)


FAMILY: Final = Family(10, _ROWS, of_window=_of_window, of_totals=_of_totals)
