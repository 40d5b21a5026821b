"""For how long rows are kept: longer than any view looks back, a replay's for ever."""

from pathlib import Path

import numpy as np

from agents.facts import ROW, WATCHED
from agents.measure.keep import KEPT, KEPT_WATCHED, Keep
from agents.measure.store import Place, Store
from agents.metrics import FAMILIES
from streams.activity import DAY, HOUR
from streams.windows import WINDOWS
from tests.measure.making import NOW


def filled(path: Path) -> Store:
    """A row a day over 450 days, and one of the watchlist beside it."""
    rows = np.zeros(900, ROW)
    rows["time"], rows["n"] = NOW - np.arange(900) // 2 * DAY, 1
    rows["flags"][::2] = WATCHED
    store = Store(path)
    store.append(rows, {0: Place(1, 0, b"")})
    store.write()
    return store


def ages(store: Store) -> tuple[int, int]:
    """Days since the oldest row, and since the oldest one that is not of the watchlist."""
    rows = store.read(0, NOW + DAY)
    plain = rows[rows["flags"] == 0]
    return (NOW - int(rows["time"].min())) // DAY, (NOW - int(plain["time"].min())) // DAY


def test_rows_go_when_no_view_can_ask_for_them_and_those_of_the_watchlist_later(tmp_path: Path) -> None:
    with filled(tmp_path / "s") as store:
        keep = Keep()
        keep.apply(store, None)
        assert ages(store) == (449, 449), "without a watermark nothing is known to be complete"
        keep.apply(store, NOW)
        assert ages(store) == (KEPT_WATCHED // DAY, KEPT // DAY)
        keep.apply(store, NOW + HOUR - 1)
        assert ages(store) == (KEPT_WATCHED // DAY, KEPT // DAY), "once an hour"
        keep.apply(store, NOW + DAY)
        assert ages(store) == (KEPT_WATCHED // DAY - 1, KEPT // DAY - 1)


def test_a_replay_keeps_everything(tmp_path: Path) -> None:
    with filled(tmp_path / "s") as store:
        Keep(everything=True).apply(store, NOW + 1000 * DAY)
        assert ages(store) == (449, 449)


def test_everything_that_looks_back_looks_no_further_than_rows_are_kept() -> None:
    assert all(NOW - window.bounds(NOW)[0] < KEPT for window in WINDOWS.values())
    for view in (view for family in FAMILIES for view in family.views()):
        kept = KEPT_WATCHED if view.watched else KEPT
        assert view.span is not None, "who needs everything needs a state of its own"
        assert NOW - view.span.bounds(NOW)[0] < kept
