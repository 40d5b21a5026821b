"""How long rows are kept. This is the only place that decides it."""

from typing import Final

from agents.measure.store import Store
from streams.activity import DAY, HOUR

# Age behind the watermark. The longest window has 30 days, up to the end of a day. Rows of the watchlist are kept
# longer for figures that look back a year.
KEPT: Final = 33 * DAY
KEPT_WATCHED: Final = 400 * DAY


class Keep:
    """Drops old rows of a store, once in an hour of event time. `everything`: keep all rows (a replay, for its
    history).
    """

    def __init__(self, everything: bool = False) -> None:
        self._everything = everything
        self._done: int | None = None

    def apply(self, store: Store, complete_to: int | None) -> None:
        """Drop rows that are too old. `complete_to` (µs): up to when everything has arrived."""
        if self._everything or complete_to is None or (self._done is not None and complete_to < self._done + HOUR):
            return
        self._done = complete_to
        store.forget(complete_to - KEPT, complete_to - KEPT_WATCHED)
