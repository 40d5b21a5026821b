"""What the pollers say of themselves: every second, with the long list of artefacts now and then."""

import msgspec

from agents.measurements import HealthReport
from nomadwatch.processes.polling import Reporter
from streams.live.common.http import WorldSign


def test_the_artefacts_of_the_hub_are_said_when_they_are_known_and_then_every_twenty_seconds() -> None:
    now = 100.0
    reporter = Reporter(WorldSign(simulated=False), lambda: now)

    def said() -> dict[str, str]:
        key, value = reporter(0, [("nomadwatch_feed_lag_seconds", {"feed": "f"}, 3.0)], {"f": "ok"})
        report = msgspec.json.decode(value, type=HealthReport)
        assert (key, report.states, report.rows[0].value) == (b"health/streams", {"f": "ok"}, 3.0)
        return report.artefacts

    assert said() == {}
    reporter.artefacts = lambda: {"a/corpus": "dataset"}
    assert said() == {"a/corpus": "dataset"}
    now += 19.0
    assert said() == {}
    now += 1.0
    assert said() == {"a/corpus": "dataset"}
