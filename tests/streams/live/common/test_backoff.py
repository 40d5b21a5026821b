"""Sleeping while the clock is set."""

import asyncio

import pytest

from streams.live.common.backoff import Backoff, Hold, sleep_until


class Wall:
    """A clock that sleeping moves; `jumps`: by how much it is set once so much has been slept (s)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, jumps: dict[float, float]) -> None:
        self.time = 1_000_000.0
        self.slept = 0.0
        self._jumps = dict(jumps)
        monkeypatch.setattr("streams.live.common.backoff.asyncio.sleep", self._sleep)

    def __call__(self) -> float:
        return self.time

    async def _sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.time += seconds
        for after in [after for after in self._jumps if after <= self.slept]:
            self.time += self._jumps.pop(after)


@pytest.mark.parametrize(
    ("jumps", "shortest", "longest"),
    [
        ({}, 1_000, 1_000),
        # It is forward to the end, and a look away from there.
        ({300: 500}, 500, 560),
        ({300: 7_200}, 300, 360),
        ({300: -7_200}, 1_000, 1_060),
        ({300: -7_200, 600: -7_200}, 1_000, 1_120),
    ],
)
def test_a_sleeper_is_neither_early_nor_much_too_late(
    monkeypatch: pytest.MonkeyPatch, jumps: dict[float, float], shortest: float, longest: float
) -> None:
    wall = Wall(monkeypatch, jumps)
    asyncio.run(sleep_until(wall, wall.time + 1_000))
    assert shortest <= wall.slept <= longest


def test_a_hold_is_moved_and_a_ban_only_made_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = Wall(monkeypatch, {})
    hold, backoff = Hold(wall), Backoff(wall)
    assert not hold.holds
    assert not backoff.holds
    for each in (hold, backoff):
        each.set(100.0)
    hold.set(10.0)
    backoff.extend(10.0)
    assert (hold.until, backoff.until) == (wall.time + 10, wall.time + 100)
    backoff.extend(200.0)
    assert wall.time + 200 <= backoff.until < wall.time + 201
    assert backoff.state == "limited until 13:50:00"
    wall.time -= 7_200
    assert hold.until == wall.time + 10
    assert wall.time + 200 <= backoff.until < wall.time + 201
    wall.time += 100
    assert not hold.holds, "it ends once, however often it is looked at"
