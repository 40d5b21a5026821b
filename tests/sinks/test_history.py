"""The past of the page's lines: a point a second, a point a minute, never more memory than at the start."""

import numpy as np
import pytest

from sinks.figures import Figures
from sinks.history import MINUTES, SECONDS, History, Ring
from streams.activity import HOUR, MINUTE, SECOND
from tests.sinks.made import NOON

MEGABYTE = 1_000_000


def figures(at: int, activity: float | None = 1.0, intensity: float | None = None, status: str = "ok") -> Figures:
    known = {name: value for name, value in (("activity", activity), ("intensity", intensity)) if value is not None}
    cells = {"watched": {"github": {"24h": {"exchange": known}}}}
    return Figures(status=status, evaluated_at=at, cells=cells)  # type: ignore[arg-type]


def test_the_last_of_a_second_stays_and_unknown_is_none() -> None:
    history = History()
    for at, value in ((NOON, 1.0), (NOON + 900_000, 2.0), (NOON + SECOND, 3.0), (NOON + 4 * SECOND, None)):
        history.add(figures(at, value, intensity=0.5))
    line = history.past("watched", "24h", "exchange").seconds
    assert line.times == [NOON / 1e6 + 0.9, NOON / 1e6 + 1, NOON / 1e6 + 4]
    assert line.values["github"] == {"activity": [2.0, 3.0, None], "intensity": [0.5, 0.5, 0.5]}
    assert line.values["huggingface"] == {"activity": [None] * 3, "intensity": [None] * 3}
    minutes = history.past("watched", "24h", "exchange").minutes
    assert minutes.times == [NOON / 1e6 + 4]
    assert history.past("all", "24h", "exchange").seconds.values["github"]["activity"] == [None] * 3


def test_ten_minutes_of_seconds_and_a_day_of_minutes_are_kept_in_the_same_memory() -> None:
    history = History()
    before = [ring.nbytes for ring in history.rings]
    for n in range(MINUTES + 10):
        history.add(figures(NOON + n * MINUTE, float(n)))
    assert history.past("watched", "24h", "exchange").minutes.values["github"]["activity"] == [
        float(n) for n in range(10, MINUTES + 10)
    ]
    assert len(history.past("watched", "24h", "exchange").seconds.times) == SECONDS
    assert [ring.nbytes for ring in history.rings] == before
    assert sum(before) < 6 * MEGABYTE


@pytest.mark.parametrize("status", ["starting", "stale"])
def test_what_is_not_measured_now_makes_no_point(status: str) -> None:
    history = History()
    history.add(figures(NOON, status=status))
    history.add(Figures(status="ok", evaluated_at=None))
    assert history.past("watched", "24h", "exchange").seconds.times == []


def test_each_point_says_where_its_windows_ended() -> None:
    history = History()
    for at, front in ((NOON, NOON - HOUR), (NOON + SECOND, None), (NOON + 2 * SECOND, NOON - HOUR + MINUTE)):
        one = figures(at)
        one.front = front
        history.add(one)
    line = history.past("watched", "24h", "exchange").seconds
    assert line.times == [NOON / 1e6, NOON / 1e6 + 1, NOON / 1e6 + 2]
    assert line.ends == [NOON / 1e6 - 3600, None, NOON / 1e6 - 3540]


def test_a_clock_that_was_set_back_begins_anew() -> None:
    history = History()
    history.add(figures(NOON))
    history.add(figures(NOON + MINUTE))
    history.add(figures(NOON + MINUTE - SECOND, 5.0))
    line = history.past("watched", "24h", "exchange").seconds
    assert (line.times, line.values["github"]["activity"]) == ([NOON / 1e6 + 59], [5.0])


@pytest.mark.parametrize(
    "asked",
    [("none", "24h", "exchange"), ("watched", "2h", "exchange"), ("watched", "24h", "love")],
    ids=["scope", "window", "feature"],
)
def test_what_there_is_not_is_a_key_error(asked: tuple[str, str, str]) -> None:
    with pytest.raises(KeyError):
        History().past(*asked)


def test_a_ring_gives_back_the_newest_rows_in_order_wherever_it_stands() -> None:
    ring = Ring(3, 1, step=1)
    assert ring.newest is None
    for time in range(1, 8):
        ring.put(time, np.array([float(time)]))
        times, rows = ring.rows()
        assert times.tolist() == rows[:, 0].tolist() == list(range(max(1, time - 2), time + 1))
    ring.put(7, np.array([70.0]))
    assert ring.rows()[1][:, 0].tolist() == [5.0, 6.0, 70.0]
    ring.clear()
    assert (ring.newest, ring.rows()[0].tolist()) == (None, [])
