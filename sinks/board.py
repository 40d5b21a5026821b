"""What `measure` has published, as of its latest evaluation: the topic `measurements` read into a table."""

from collections.abc import Iterable

from agents.measurements import EVALUATION, Evaluation, Measurement, decode_evaluation, decode_measurement


class Board:
    """The measurements of the latest complete evaluation; what comes before its evaluation is not shown.

    >>> from agents.measurements import encode, series
    >>> board = Board()
    >>> board.put(series("nomadwatch_commits", {}), encode(Measurement("nomadwatch_commits", {}, 3.0)))
    >>> board.measurements
    []
    """

    def __init__(self) -> None:
        self.evaluation: Evaluation | None = None
        self._shown: dict[bytes, Measurement] = {}
        self._pending: dict[bytes, Measurement | None] = {}

    def take(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Take in records of the topic, in their order."""
        for key, value in records:
            self.put(key, value)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Take in one record; None is a tombstone."""
        if key != EVALUATION:
            self._pending[key] = None if value is None else decode_measurement(value)
            return
        for series, measurement in self._pending.items():
            if measurement is None:
                self._shown.pop(series, None)
            else:
                self._shown[series] = measurement
        self._pending.clear()
        self.evaluation = None if value is None else decode_evaluation(value)

    @property
    def measurements(self) -> list[Measurement]:
        """Sorted by name, then by labels."""
        return sorted(self._shown.values(), key=lambda each: (each.name, sorted(each.labels.items())))

    def has_lost(self, ends: dict[int, int]) -> bool:
        """Whether it has come to these offsets, but by way of records that were deleted before."""
        seen = self.evaluation
        return seen is not None and seen.missing > 0 and all(seen.offsets.get(partition, 0) >= end for partition, end in ends.items())

    def has_reached(self, ends: dict[int, int]) -> bool:
        """Whether everything before these offsets of `activity` is in it, and every feed has ended."""
        seen = self.evaluation
        return seen is not None and seen.closed and all(seen.offsets.get(partition, 0) >= end for partition, end in ends.items())
