"""The figures of one scope as the table of a report looks them up, and how numbers and shares are written there."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.text import Text

from agents.measurements import Measurement
from sinks.covered import SEEN_IN_PART, Coverages
from sinks.enough import CoveredWindows
from streams.activity import COMPARED, PLATFORMS
from streams.platforms import TITLES

_REST: Final = "_other"
_UNKNOWN: Final = Text("–", style="dim")


class ScopeFigures:
    """The figures of one scope, by name and labels. Figures of windows that are covered too little are left out.

    Releases belong to the scope `watched`; other rows without a scope compare whole platforms and belong to `all`.
    """

    def __init__(self, measurements: Sequence[Measurement], scope: str, windows: CoveredWindows) -> None:
        self._scope, self._coverages, self._windows = scope, Coverages(measurements), windows
        self._values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self._is_known = False
        for each in measurements:
            labels = dict(each.labels)
            name = each.name.removeprefix("nomadwatch_")
            if labels.pop("scope", "watched" if name == "release_engagement" else "all") == scope:
                self._is_known = True
                if "window" not in labels or all(
                    self.since(place, labels["window"]) is None for place in _platforms(labels)
                ):
                    self._values[name, frozenset(labels.items())] = each.value

    @property
    def in_part(self) -> str:
        """What the coverage does not hold for, as the end of a heading."""
        if self._scope == "all" and self._coverages.is_live:
            return f" · the coverage does not hold for {SEEN_IN_PART}"
        return ""

    def __bool__(self) -> bool:
        return self._is_known

    def since(self, platform: str, window: str) -> str | None:
        """In words, since when a window is covered; None if it is covered enough for its figures to be shown."""
        place = self._scope, platform, window
        if self.coverage(platform, window) is None or self._windows.enough(*place):
            return None
        return self._windows.since_words(*place)

    def get(self, name: str, **labels: str) -> float | None:
        return self._values.get((name, frozenset(labels.items())))

    def coverage(self, platform: str, window: str) -> float | None:
        """The share of a platform's window that was seen (0 to 1); None if unknown."""
        return self._coverages.known.get((self._scope, platform, window))

    def covered(self, window: str, platforms: Sequence[str] = PLATFORMS) -> str:
        """The coverage of a window, as the end of a heading."""
        told = [f"{TITLES[platform]} {percent(self.coverage(platform, window))}" for platform in platforms]
        return f" · coverage {', '.join(told)}"

    def ranked(self, name: str, by: str, **wanted: str) -> list[tuple[str, float]]:
        """(value of the label `by`, figure) of the rows with the labels `wanted`, the greatest figure first."""
        found = []
        for (each, labels), value in self._values.items():
            if each == name and wanted.items() < labels and (shown := dict(labels)[by]) != _REST:
                found.append((shown, value))
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def _platforms(labels: Mapping[str, str]) -> Sequence[str]:
    """The platforms that a row is about."""
    return [labels["platform"]] if "platform" in labels else COMPARED


def number(value: float | None) -> Text:
    """Whole numbers with separators, others with four significant digits; a dash if unknown."""
    if value is None:
        return _UNKNOWN
    if value == int(value) and abs(value) < 1e15:
        return Text(f"{int(value):,}")
    return Text(f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}")


def percent(share: float | None) -> Text:
    """A share of 0 to 1 as a percentage; a dash if unknown."""
    return _UNKNOWN if share is None else Text(f"{100 * share:.4g} %")
