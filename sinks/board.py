"""The board: the latest state of the topic `measurements`, as a table. Everything that is shown comes from here."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, Literal, TypeVar

from agents.catalogue import CATALOGUE
from agents.measurements import (
    EVALUATION,
    LATENCY,
    Evaluation,
    HealthReport,
    Measurement,
    is_health,
    read,
    series,
)
from agents.metric import PREFIX
from streams.activity import Foreign
from streams.kafka.consume import Guard

World = Literal["real", "simulated"]
SIMULATED: Final = "SIMULATED WORLD: every name and every figure is invented"

# Labels that what reads the board asks for by name: a row without one of them cannot be shown.
_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    PREFIX + "window_coverage_ratio": ("platform", "window"),
    PREFIX + "covered_since_timestamp_seconds": ("scope", "platform"),
    PREFIX + "top_repository_activity": ("scope", "platform", "feature", "window", "repository"),
    PREFIX + "release_engagement": ("release",),
    PREFIX + "dead_letters_total": ("reason",),
    PREFIX + "feed_polls_total": ("outcome",),
    PREFIX + "feed_gaps_total": ("reason",),
    PREFIX + "feed_gap_seconds_total": ("reason",),
    PREFIX + "feed_coverage_ratio": ("feed",),
    PREFIX + "feed_lag_seconds": ("feed",),
}
# A role that has published nothing for this long (µs) is away, and what it published no longer holds.
STALE_AFTER: Final = 60_000_000


# The families that belong in a report: not the health of feeds, nor what is about the program itself.
_FIGURES: Final = frozenset(row.name for row in CATALOGUE if row.group not in ("H", "P"))


def wall_clock() -> int:
    """The time now, µs UTC."""
    return time.time_ns() // 1000


class Board:
    """The measurements of the latest complete evaluation, and the latest health report of each role.

    Measurements are shown once the record that ends their evaluation has arrived; health is shown at once. A `live`
    board drops what is older than a minute by `now` (µs UTC); any other board, of a replay or a report, keeps the last
    state. `simulated`: the figures are known to come from a simulated world. Foreign records are passed over and
    counted (`guard`); the first one is logged unless `quiet`.

    Where a role reports a series that is also measured, the role's value is shown: pollers know the coverage of their
    samples, and popularity, better than the records of activities tell.

    >>> from agents.measurements import encode, series
    >>> board = Board()
    >>> board.put(series("nomadwatch_commits", {}), encode(Measurement("nomadwatch_commits", {}, 3.0)))
    >>> board.measurements
    []
    """

    def __init__(
        self, *, live: bool = False, simulated: bool = False, now: Callable[[], int] = wall_clock, quiet: bool = False
    ) -> None:
        self.guard = Guard("measurements", quiet=quiet)
        self._live = live
        self._simulated = simulated
        self._now = now
        self.clear()

    def clear(self) -> None:
        """Forget everything, to read the topic again."""
        self.evaluation: Evaluation | None = None
        self._shown: dict[bytes, Measurement] = {}
        self._pending: dict[bytes, Measurement | None] = {}
        self._reports: dict[bytes, HealthReport] = {}
        # The watched repositories of the Hub that are not models, with what they are.
        self.artefacts: dict[str, str] = {}

    def take(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Take in records of the topic, in order; foreign ones are passed over."""
        for key, value in records:
            self.guard.read(self.put, key, value)

    def put(self, key: bytes | None, value: bytes | None) -> None:
        """Take in one record; None is a tombstone.

        Raises Foreign, and changes nothing, for a record of another kind.
        """
        found = _shown(read(key, value))
        assert key is not None
        if is_health(key):
            if isinstance(found, HealthReport):
                self._reports[key] = found
                self.artefacts = found.artefacts or self.artefacts
            else:
                self._reports.pop(key, None)
        elif key == EVALUATION:
            self._show(found if isinstance(found, Evaluation) else None)
        else:
            self._pending[key] = found if isinstance(found, Measurement) else None

    def _show(self, evaluation: Evaluation | None) -> None:
        """Show an evaluation: its measurements came before the record that ends it."""
        for changed, measurement in self._pending.items():
            if measurement is None:
                self._shown.pop(changed, None)
            else:
                self._shown[changed] = measurement
        self._pending.clear()
        self.evaluation = evaluation

    @property
    def shown(self) -> Collection[Measurement]:
        """The measurements of the evaluation that no role reports itself, in no order."""
        if self.is_stale:
            return ()
        reported = {series(row.name, row.labels) for report in self.reports for row in report.rows}
        if reported.isdisjoint(self._shown):
            return self._shown.values()
        return [measurement for key, measurement in self._shown.items() if key not in reported]

    @property
    def measurements(self) -> list[Measurement]:
        """`shown`, sorted by name and labels."""
        return in_order(self.shown)

    @property
    def figures(self) -> list[Measurement]:
        """What a report of this board holds: the figures that are measured or that a role reports, sorted."""
        if self.evaluation is None or self.is_stale:
            return self.measurements
        reported = (row for report in self.reports for row in report.rows if row.name in _FIGURES)
        return in_order([*self.shown, *reported])

    @property
    def reports(self) -> list[HealthReport]:
        """The latest health report of each role, sorted by role."""
        return sorted(
            (report for report in self._reports.values() if self._is_fresh(report.evaluated_at)),
            key=lambda report: report.role,
        )

    @property
    def health(self) -> list[Measurement]:
        """What the evaluation says about the input, then what each role reports. None of it is in `shown`."""
        rows = [row for report in self.reports for row in report.rows]
        return rows if self.evaluation is None or self.is_stale else [*_health_of(self.evaluation), *rows]

    @property
    def world(self) -> World:
        """The world of the figures: simulated if any part of them is."""
        said = (self.evaluation, *self._reports.values())
        return "simulated" if self._simulated or any(each.simulated for each in said if each is not None) else "real"

    @property
    def is_stale(self) -> bool:
        """Whether there is an evaluation that is too old to be shown."""
        return self.evaluation is not None and not self._is_fresh(self.evaluation.evaluated_at)

    def has_lost(self, ends: dict[int, int]) -> bool:
        """Whether it has reached these offsets, but records before them had been deleted unread."""
        seen = self.evaluation
        return (
            seen is not None
            and seen.missing > 0
            and all(seen.offsets.get(partition, 0) >= end for partition, end in ends.items())
        )

    def has_reached(self, ends: dict[int, int]) -> bool:
        """Whether it covers everything before these offsets of `activity`, and every feed has ended."""
        seen = self.evaluation
        return (
            seen is not None
            and seen.closed
            and all(seen.offsets.get(partition, 0) >= end for partition, end in ends.items())
        )

    def _is_fresh(self, evaluated_at: int) -> bool:
        return not self._live or self._now() - evaluated_at <= STALE_AFTER


def in_order(rows: Iterable[Measurement]) -> list[Measurement]:
    """Rows sorted by name, then by labels."""
    return sorted(rows, key=lambda row: (row.name, sorted(row.labels.items())))


_Said = TypeVar("_Said", bound=Measurement | Evaluation | HealthReport | None)


def _shown(said: _Said) -> _Said:
    """Returns its argument. Raises Foreign if a row lacks a label that is needed."""
    rows = said.rows if isinstance(said, HealthReport) else [said] if isinstance(said, Measurement) else []
    for row in rows:
        if not all(label in row.labels for label in _NEEDED.get(row.name, ())):
            raise Foreign(f"{row.name} without one of its labels")
    return said


def _health_of(evaluation: Evaluation) -> Iterator[Measurement]:
    """The series that an evaluation gives about the input."""
    yield Measurement("nomadwatch_duplicates_total", {}, evaluation.duplicates)
    yield Measurement("nomadwatch_late_total", {}, evaluation.late)
    for reason, count in sorted(evaluation.dead_letters.items()):
        yield Measurement("nomadwatch_dead_letters_total", {"reason": reason}, count)
    if evaluation.watermark is not None:
        yield Measurement("nomadwatch_watermark_timestamp_seconds", {"role": "measure"}, evaluation.watermark / 1e6)
    for stage, latency in evaluation.latencies.items():
        yield from latency.rows(LATENCY, {"stage": stage})
