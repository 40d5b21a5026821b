"""What the roles have published, as of now: the topic `measurements` read into a table."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, Literal, TypeVar

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

# Labels without which a row cannot be shown: readers ask for them by name.
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
# Who has said nothing for so long is away, and what he said is no longer so. µs.
STALE_AFTER: Final = 60_000_000


def wall_clock() -> int:
    """µs UTC."""
    return time.time_ns() // 1000


class Board:
    """The measurements of the latest complete evaluation, and the latest health of each role.

    What comes before its evaluation is not shown; health is shown at once. A `live` board drops what is older than a
    minute by `now` (µs UTC); another one, of a replay, shows the last there was. `simulated`: what it will show is
    known to be a simulated world's. Foreign records are passed over (`guard`): the first is told, unless `quiet`.

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
        """Know nothing, to read the topic anew."""
        self.evaluation: Evaluation | None = None
        self._shown: dict[bytes, Measurement] = {}
        self._pending: dict[bytes, Measurement | None] = {}
        self._reports: dict[bytes, HealthReport] = {}
        # What the Hub's watched repositories are that are no models, as it was said last.
        self.artefacts: dict[str, str] = {}

    def take(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Take in records of the topic, in their order; foreign ones are passed over."""
        for key, value in records:
            self.guard.read(self.put, key, value)

    def put(self, key: bytes | None, value: bytes | None) -> None:
        """Take in one record; None is a tombstone. Raises Foreign for what is no such record, and is as before."""
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
        """The end of an evaluation: what came before it is what it found."""
        for changed, measurement in self._pending.items():
            if measurement is None:
                self._shown.pop(changed, None)
            else:
                self._shown[changed] = measurement
        self._pending.clear()
        self.evaluation = evaluation

    @property
    def shown(self) -> Collection[Measurement]:
        """Those of the evaluation, in no order.

        On a live board without the series that a role says itself: pollers know of their samples what no mark tells.
        """
        if self.is_stale:
            return ()
        said = {series(row.name, row.labels) for report in self.reports for row in report.rows} if self._live else set()
        if said.isdisjoint(self._shown):
            return self._shown.values()
        return [measurement for key, measurement in self._shown.items() if key not in said]

    @property
    def measurements(self) -> list[Measurement]:
        """The same, sorted by name, then by labels."""
        return sorted(self.shown, key=lambda each: (each.name, sorted(each.labels.items())))

    @property
    def reports(self) -> list[HealthReport]:
        """The health of each role, sorted by role."""
        return sorted(
            (report for report in self._reports.values() if self._is_fresh(report.evaluated_at)),
            key=lambda report: report.role,
        )

    @property
    def health(self) -> list[Measurement]:
        """What the evaluation says of the input, then what each role says; none of it is among the measurements of a
        live board.
        """
        rows = [row for report in self.reports for row in report.rows]
        return rows if self.evaluation is None or self.is_stale else [*_health_of(self.evaluation), *rows]

    @property
    def world(self) -> World:
        """The world that the figures are about; simulated if any part of them is."""
        said = (self.evaluation, *self._reports.values())
        return "simulated" if self._simulated or any(each.simulated for each in said if each is not None) else "real"

    @property
    def is_stale(self) -> bool:
        """Whether there is an evaluation that is too old to be shown."""
        return self.evaluation is not None and not self._is_fresh(self.evaluation.evaluated_at)

    def has_lost(self, ends: dict[int, int]) -> bool:
        """Whether it has come to these offsets, but by way of records that were deleted before."""
        seen = self.evaluation
        return (
            seen is not None
            and seen.missing > 0
            and all(seen.offsets.get(partition, 0) >= end for partition, end in ends.items())
        )

    def has_reached(self, ends: dict[int, int]) -> bool:
        """Whether everything before these offsets of `activity` is in it, and every feed has ended."""
        seen = self.evaluation
        return (
            seen is not None
            and seen.closed
            and all(seen.offsets.get(partition, 0) >= end for partition, end in ends.items())
        )

    def _is_fresh(self, evaluated_at: int) -> bool:
        return not self._live or self._now() - evaluated_at <= STALE_AFTER


_Said = TypeVar("_Said", bound=Measurement | Evaluation | HealthReport | None)


def _shown(said: _Said) -> _Said:
    """The same. Raises Foreign where a row lacks a label that is needed."""
    rows = said.rows if isinstance(said, HealthReport) else [said] if isinstance(said, Measurement) else []
    for row in rows:
        if not all(label in row.labels for label in _NEEDED.get(row.name, ())):
            raise Foreign(f"{row.name} without one of its labels")
    return said


def _health_of(evaluation: Evaluation) -> Iterator[Measurement]:
    """What an evaluation says about the input."""
    yield Measurement("nomadwatch_duplicates_total", {}, evaluation.duplicates)
    yield Measurement("nomadwatch_late_total", {}, evaluation.late)
    for reason, count in sorted(evaluation.dead_letters.items()):
        yield Measurement("nomadwatch_dead_letters_total", {"reason": reason}, count)
    if evaluation.watermark is not None:
        yield Measurement("nomadwatch_watermark_timestamp_seconds", {"role": "measure"}, evaluation.watermark / 1e6)
    for stage, latency in evaluation.latencies.items():
        yield from latency.rows(LATENCY, {"stage": stage})
