"""For how long rows are kept: the one rule."""

from typing import Final

from agents.measure.store import Store
from streams.activity import DAY, HOUR

# Behind the watermark. The longest window is 30 days up to the end of a day; networks and openness look a year back, at
# the watchlist.
KEPT: Final = 33 * DAY
KEPT_WATCHED: Final = 400 * DAY


class Keep:
    """Applies the rule to a store, once an hour of event time. `everything`: a replay keeps all, for its history."""

    def __init__(self, everything: bool = False) -> None:
        self._everything = everything
        self._done: int | None = None

    def apply(self, store: Store, complete_to: int | None) -> None:
        """Drop what is older than the rule says, behind a moment (µs) up to which everything has come."""
        if self._everything or complete_to is None or (self._done is not None and complete_to < self._done + HOUR):
            return
        self._done = complete_to
        store.forget(complete_to - KEPT, complete_to - KEPT_WATCHED)
