"""The windows in which everything is counted: their names, steps and lengths. This is the only table of them.

A window is a number of steps of event time. It ends with the step of the front, including the current partial one.
"""

from typing import Final, NamedTuple

from streams.activity import DAY, HOUR, MINUTE


class Window(NamedTuple):
    """A window of `steps` steps, each `step` µs long."""

    step: int
    steps: int

    @property
    def length(self) -> int:
        """µs.

        >>> WINDOWS["7d"].length // DAY
        7
        """
        return self.step * self.steps

    def bounds(self, front: int) -> tuple[int, int]:
        """[begin, end) in µs when the front stands there.

        >>> begin, end = WINDOWS["24h"].bounds(30 * HOUR + 5)
        >>> begin / HOUR, end / HOUR
        (7.0, 31.0)
        """
        end = front - front % self.step + self.step
        return end - self.length, end


WINDOWS: Final = {
    "1h": Window(MINUTE, 60),
    "24h": Window(HOUR, 24),
    "7d": Window(HOUR, 168),
    "30d": Window(DAY, 30),
}
"""By name, the shortest first."""
SHORTEST: Final = "1h"
