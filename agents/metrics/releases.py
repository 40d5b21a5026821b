"""What was published, and what people did to it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from agents.family import Family, measurement, row
from agents.measurements import Measurement

if TYPE_CHECKING:
    from agents.operators.window import WindowSums

_ROWS: Final = (
    row(
        "release_engagement",
        "platform release window",
        "activities",
        "scales",
        group="F",
        help=(
            "What people did in the window to watched repositories that were created, or published a version, in it: "
            "the swarm around a release. 0 means that nobody reacted. Shown are the 50 releases with most on each "
            "platform. Activity in derivatives of a release is not included."
        ),
        formula=(
            "human exchange, review, preference and adaptation in the window, of watched repositories with a human "
            "publication in it"
        ),
        source="Linåker, Osborne et al. 2025, 3.1; definition: nomadwatch",
    ),
)


# What people do to a release; what its makers commit to it is not engagement.
_ENGAGEMENT: Final = ("exchange", "review", "preference", "adaptation")


def _of_window(window: "WindowSums") -> Iterator[Measurement]:
    """The window stands for the time since the release."""
    import numpy as np

    from agents.operators.window import by_feature

    if window.scope != "watched":
        return
    for platform, own in window.platforms.items():
        done = {feature: (repositories, values) for feature, repositories, values in by_feature(*own)}
        if "publication" not in done:
            continue
        published, _ = done["publication"]
        engagement = np.zeros(len(published), np.int32)
        for repositories, values in [done[feature] for feature in _ENGAGEMENT if feature in done]:
            engaged = np.isin(repositories, published)
            engagement[np.searchsorted(published, repositories[engaged])] += values[engaged]
        for name, n in window.rank((platform, "release"), published, engagement).chosen:
            yield measurement("release_engagement", {"platform": platform, "window": window.name, "release": name}, n)


FAMILY: Final = Family(110, _ROWS, of_window=_of_window)
