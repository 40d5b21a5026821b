"""The papers' values are those that were published, and stand beside what is measured."""

from agents.catalogue import by_name
from agents.measurements import series
from sinks.reference import NAME, REFERENCE
from tests.sinks.made import NOON, evaluation_record, measurement, record
from tests.sinks.publishing import polled
from tests.sinks.test_prometheus import Scraped


def value(**labels: str) -> float:
    """The one value with these labels."""
    (found,) = [row.value for row in REFERENCE if labels.items() <= row.labels.items()]
    return found


def test_they_have_the_catalogues_name_and_labels_and_no_series_comes_twice() -> None:
    row = by_name(NAME)
    assert {tuple(each.labels) for each in REFERENCE} == {row.labels}
    assert len({series(each.name, each.labels) for each in REFERENCE}) == len(REFERENCE) == 6 + 2 + 8 * 4 + 10
    assert all(0 <= each.value <= 1 for each in REFERENCE if each.labels["metric"].endswith("_ratio"))


def test_they_are_what_the_papers_state() -> None:
    assert value(metric="intensity", platform="github", feature="preference", stat="mean") == 142.78
    assert value(metric="intensity", platform="huggingface", feature="exchange", stat="mean") == 0.20
    network = {"platform": "huggingface", "feature": "contribution"}
    assert value(metric="network_connected_ratio", stat="developer", **network) == 0.9204
    assert value(metric="network_degree", stat="repository mean_connected", **network) == 85.0
    assert value(metric="network_degree", platform="github", feature="exchange", stat="developer max") == 93441
    assert value(metric="participation", stat="external", source="Dias et al.") == 0.567
    assert value(metric="theme_ratio", platform="github", stat="bug") == 0.427


def test_they_are_scraped_only_while_something_is_measured() -> None:
    scraped = Scraped(polled(NOON))
    assert not any(key.startswith(NAME.encode()) for key in scraped.samples())
    scraped.board.take(
        [record(measurement("commits", 5.0, scope="all", platform="github", window="1h")), evaluation_record()]
    )
    found = scraped.samples()
    assert {key: found[key] for key in found if key.startswith(NAME.encode())} == {
        series(each.name, each.labels): each.value for each in REFERENCE
    }
