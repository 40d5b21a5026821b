"""The past that the lines of the page show, in fixed memory: one point a second for ten minutes, one a minute for a
day.
"""

from typing import Final

import msgspec
import numpy as np

from sinks.figures import Figures, cells_in_order
from streams.activity import MINUTE, PLATFORMS, SECOND

SECONDS: Final = 600
MINUTES: Final = 1440
LINES: Final = ("activity", "intensity")

Values = list[float | None]


class Line(msgspec.Struct, frozen=True):
    """Points measured at `times` (s UTC, rising), for windows that ended at `ends` (event time, s UTC).

    `values`: by platform and measure, None if unknown. In a simulated world, `ends` shows the time of that world.
    """

    times: list[float]
    ends: Values
    values: dict[str, dict[str, Values]]


class LinesPast(msgspec.Struct, frozen=True):
    """The answer of `/live/history`: the lines in both lengths."""

    seconds: Line
    minutes: Line


class Ring:
    """The newest `size` rows of `width` numbers, one for each `step` (µs): the last row of a step stays. NaN: unknown.

    >>> ring = Ring(2, 1, step=10)
    >>> for time, value in (5, 1.0), (9, 2.0), (12, 3.0), (31, 4.0):
    ...     ring.put(time, np.array([value]))
    >>> times, rows = ring.rows()
    >>> times.tolist(), rows[:, 0].tolist()
    ([12, 31], [3.0, 4.0])
    """

    def __init__(self, size: int, width: int, step: int) -> None:
        self._step = step
        self._times = np.zeros(size, np.int64)
        self._rows = np.full((size, width), np.nan)
        self._next = 0
        self._held = 0

    @property
    def newest(self) -> int | None:
        """The time of the last row, µs."""
        return int(self._times[self._next - 1]) if self._held else None

    @property
    def nbytes(self) -> int:
        """The memory that the ring takes (bytes), however full it is."""
        return self._times.nbytes + self._rows.nbytes

    def put(self, time: int, row: np.ndarray) -> None:
        """Add a row that is not older than the newest."""
        if self.newest is not None and self.newest // self._step == time // self._step:
            self._next = (self._next - 1) % len(self._times)
            self._held -= 1
        self._times[self._next] = time
        self._rows[self._next] = row
        self._next = (self._next + 1) % len(self._times)
        self._held = min(self._held + 1, len(self._times))

    def clear(self) -> None:
        """Remove all rows."""
        self._next = self._held = 0

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """(times, rows), the oldest first."""
        order = np.arange(self._next - self._held, self._next) % len(self._times)
        return self._times[order], self._rows[order]


class History:
    """The past figures of all cells, by the time of their evaluation."""

    def __init__(self) -> None:
        self._column = {cell: 2 * place for place, cell in enumerate(cells_in_order())}
        width = len(LINES) * len(self._column) + 1
        self.rings: Final = (Ring(SECONDS, width, SECOND), Ring(MINUTES, width, MINUTE))

    def add(self, figures: Figures) -> None:
        """Add the figures of an evaluation.

        Stale ones leave a gap in the lines; a clock that was set back clears them.
        """
        time = figures.evaluated_at
        if time is None or figures.status != "ok":
            return
        row = np.full(len(LINES) * len(self._column) + 1, np.nan)
        if figures.front is not None:
            row[-1] = figures.front / 1e6
        for (scope, platform, window, feature), column in self._column.items():
            cell = figures.cells.get(scope, {}).get(platform, {}).get(window, {}).get(feature, {})
            for place, measure in enumerate(LINES):
                row[column + place] = cell.get(measure, np.nan)
        for ring in self.rings:
            if ring.newest is not None and time < ring.newest:
                ring.clear()
            ring.put(time, row)

    def past(self, scope: str, window: str, feature: str) -> LinesPast:
        """The lines of every platform. Raises KeyError for an unknown scope, window or feature."""
        columns = {platform: self._column[scope, platform, window, feature] for platform in PLATFORMS}
        return LinesPast(*(_line(ring, columns) for ring in self.rings))


def _line(ring: Ring, columns: dict[str, int]) -> Line:
    times, rows = ring.rows()
    known = {
        platform: {measure: _values(rows[:, column + place]) for place, measure in enumerate(LINES)}
        for platform, column in columns.items()
    }
    return Line((times / 1e6).tolist(), _values(rows[:, -1]), known)


def _values(column: np.ndarray) -> Values:
    return [None if np.isnan(value) else value for value in column.tolist()]
