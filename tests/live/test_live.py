"""A live station on the simulated platforms: nothing that they showed is lost or counted twice, whatever dies, and it
is counted soon enough.
"""

from pathlib import Path

from tests.live.day import watch
from tests.live.delays import EXCHANGE, GITHUB, REVIEWS


def test_what_was_shown_is_counted_once_whatever_dies(tmp_path: Path) -> None:
    day = watch(tmp_path, rate=1.0, scale=240.0, hours=2.5)
    assert day.kills >= 5
    assert len(day.expected) > 100
    assert day.expected <= day.github <= day.shown
    assert len(day.hub_expected) > 50
    # A station that was dead for long missed something, and states it.
    assert day.unexplained == []
    assert len(day.hub_missing) <= len(day.hub_expected) / 100
    assert day.evaluation is not None
    assert day.evaluation.activities == len(day.ids)
    assert day.evaluation.activities + day.evaluation.duplicates == len(day.published)
    assert (day.evaluation.late, day.evaluation.missing, day.evaluation.dead_letters) == (0, 0, {})
    assert min(day.bans, *day.refused) > 0, "whoever looks was told not to ask"
    assert day.offences == []
    assert day.logins_found == []


def test_events_are_counted_soon_and_the_coverage_of_a_sample_is_known(tmp_path: Path) -> None:
    day = watch(tmp_path, rate=15.0, scale=60.0, hours=0.5, calm=True)
    assert len(day.delays[GITHUB].unhurried) > 300
    for group, least in ((GITHUB, 0.99), (EXCHANGE, 0.95), (REVIEWS, 0.95)):
        delays = day.delays[group]
        assert delays.soon(delays.unhurried) >= least, group
    assert day.expected <= day.github
    assert day.coverage is not None
    said, true = day.coverage
    assert true < 0.9, "a sample"
    assert abs(said - true) <= 0.02
    assert day.offences == []
