"""What Prometheus scrapes is what stands on the board, said as the catalogue says it."""

import random
import subprocess
from collections.abc import Callable, Iterable

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as as_text
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest as as_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from agents.catalogue import CATALOGUE
from agents.measurements import LATENCY, Histogram, Measurement, series
from agents.metric import Metric
from sinks.board import STALE_AFTER, Board
from sinks.prometheus import MOST, BoardCollector, registry_of
from tests.prometheus.programs import program
from tests.sinks.made import NOON, evaluation_record, measurement, record
from tests.sinks.publishing import health_record, polled
from tests.sinks.test_live_board import Clock

FORMATS: list[tuple[Callable[[CollectorRegistry], bytes], Callable[[str], Iterable[Family]]]] = [
    (as_text, read_text),
    (as_openmetrics, read_openmetrics),
]
COMMITS = measurement("commits", 5.0, scope="all", platform="github", window="1h")


class Scraped:
    """A live board with its registry, at noon."""

    def __init__(self, *records: tuple[bytes, bytes | None], most: int = MOST) -> None:
        self.clock = Clock()
        self.board = Board(live=True, now=self.clock)
        self.board.take(records)
        self.collector = BoardCollector(self.board, self.clock, most)
        self.registry = registry_of(self.collector)

    def samples(self, form: int = 1) -> dict[bytes, float]:
        """Every sample by its series."""
        write, read = FORMATS[form]
        found: dict[bytes, float] = {}
        for family in read(write(self.registry).decode()):
            for sample in family.samples:
                key = series(sample.name, sample.labels)
                assert key not in found, "Prometheus refuses a series that comes twice"
                found[key] = sample.value
        return found

    def get(self, name: str, **labels: str) -> float | None:
        return self.samples().get(series("nomadwatch_" + name, labels))


def row_of(metric: Metric) -> list[Measurement]:
    """One value of a row, with all its labels."""
    labels = {label: f"a {label}" for label in metric.labels}
    if metric.type != "histogram":
        return [Measurement(metric.name, labels, 0.5)]
    buckets = [
        Measurement(metric.name + "_bucket", {**labels, "le": le}, n)
        for le, n in (("0.5", 1.0), ("10.0", 2.0), ("+Inf", 4.0))
    ]
    return [*buckets, Measurement(metric.name + "_count", labels, 4.0), Measurement(metric.name + "_sum", labels, 77.5)]


def everything() -> Scraped:
    """A board with a value of every row of the catalogue."""
    measured = [row for metric in CATALOGUE if metric.group != "H" for row in row_of(metric)]
    health = [row for metric in CATALOGUE if metric.group == "H" for row in row_of(metric)]
    return Scraped(*map(record, measured), evaluation_record(), health_record(NOON, rows=health))


@pytest.mark.parametrize(("write", "read"), FORMATS)
def test_every_row_of_the_catalogue_is_a_family_with_its_type_help_and_unit(
    write: Callable[[CollectorRegistry], bytes], read: Callable[[str], Iterable[Family]]
) -> None:
    families = {family.name: family for family in read(write(everything().registry).decode())}
    assert set(families) == {metric.family for metric in CATALOGUE}
    for metric in CATALOGUE:
        family = families[metric.family]
        assert family.type == metric.type
        if family.name.endswith(f"_{metric.unit}"):
            assert family.documentation == metric.help
            assert family.unit == (metric.unit if read is read_openmetrics else "")
        else:
            assert family.documentation == f"{metric.help} Unit: {metric.unit}."
            assert family.unit == ""


@pytest.mark.parametrize("form", [0, 1])
def test_names_labels_and_values_are_those_of_the_measurements(form: int) -> None:
    found = everything().samples(form)
    said = {"nomadwatch_duplicates_total": 2, "nomadwatch_late_total": 1, "nomadwatch_series_left_out": 0}
    for metric in CATALOGUE:
        for row in row_of(metric):
            # What an evaluation says of itself comes before what a role says of it.
            assert found[series(row.name, row.labels)] == said.get(row.name, row.value)


@pytest.mark.parametrize("form", [0, 1])
def test_any_text_comes_through_as_a_label(form: int) -> None:
    strange = 'back\\slash "quoted" line\nbreak é {}=,'
    scraped = Scraped(record(measurement("commits", 1e-9, scope=strange)), evaluation_record())
    assert scraped.samples(form)[series("nomadwatch_commits", {"scope": strange})] == 1e-9


def test_what_is_unknown_is_absent() -> None:
    scraped = Scraped()
    assert as_text(scraped.registry) == b""
    assert as_openmetrics(scraped.registry) == b"# EOF\n"
    scraped.board.take([record(COMMITS), evaluation_record()])
    text = as_text(scraped.registry).decode()
    assert "nomadwatch_commits{" in text
    assert "nomadwatch_activity" not in text
    assert "NaN" not in text


def test_a_scrape_is_a_view_of_the_board_as_it_is_then() -> None:
    scraped = Scraped(record(COMMITS), evaluation_record())
    assert scraped.get("commits", **COMMITS.labels) == 5.0
    changed = record(measurement("commits", 6.0, **COMMITS.labels))
    scraped.board.put(*changed)
    assert scraped.get("commits", **COMMITS.labels) == 5.0
    scraped.board.put(*evaluation_record())
    assert scraped.get("commits", **COMMITS.labels) == 6.0
    scraped.board.take([(changed[0], None), evaluation_record()])
    assert scraped.get("commits", **COMMITS.labels) is None


def test_what_is_too_old_is_absent_and_the_young_stays() -> None:
    scraped = Scraped(record(COMMITS), evaluation_record(), polled(NOON))
    scraped.clock.now += STALE_AFTER + 1
    scraped.board.put(*polled(scraped.clock.now))
    names = {key.partition(b"{")[0] for key in scraped.samples()}
    assert b"nomadwatch_feed_polls_total" in names
    assert names.isdisjoint(
        {b"nomadwatch_commits", b"nomadwatch_duplicates_total", b"nomadwatch_watermark_timestamp_seconds"}
    )


def test_the_pollers_rows_come_out_as_they_went_in() -> None:
    scraped = Scraped(polled(NOON))
    assert scraped.get("feed_polls_total", feed="huggingface:models", outcome="failed") == 5
    assert scraped.get("feed_polls_total", feed="github:/events", outcome="failed") == 0
    assert scraped.get("feed_gap_seconds_total", feed="huggingface:models", reason="overflow") == 45.5
    assert scraped.get("feed_gaps_total", feed="huggingface:models", reason="overflow") == 3
    assert scraped.get("feed_coverage_ratio", feed="github:/events") == 0.0412
    assert scraped.get("feed_lag_seconds", feed="github:/events") == 95
    assert scraped.get("feed_rate_limit_remaining", feed="huggingface:models") == 0
    assert scraped.get("feed_lag_seconds", feed="github:/repos/huggingface/transformers/events") is None
    assert scraped.collector.strangers == set()


def test_what_the_evaluation_says_of_the_input_is_shown() -> None:
    scraped = Scraped(evaluation_record())
    assert scraped.get("duplicates_total") == 2
    assert scraped.get("late_total") == 1
    assert scraped.get("dead_letters_total", reason="late-stamp") == 3
    assert scraped.get("watermark_timestamp_seconds", role="measure") == NOON / 1e6


def test_a_series_that_two_roles_say_is_shown_once_and_counted() -> None:
    lag = measurement("feed_lag_seconds", 4.0, feed="huggingface:models")
    other = measurement("feed_lag_seconds", 9.0, feed="huggingface:models")
    scraped = Scraped(health_record(NOON, "a", rows=[lag]), health_record(NOON, "b", rows=[other]))
    assert scraped.get("feed_lag_seconds", feed="huggingface:models") == 4.0
    assert scraped.collector.repeated == 1


def test_no_scrape_has_more_series_than_its_bound_and_says_what_it_left_out() -> None:
    most = 150
    scraped = Scraped(
        *(record(measurement("commits", n, scope=f"s{n}")) for n in range(200)),
        evaluation_record(),
        polled(NOON),
        most=most,
    )
    found = scraped.samples(1)
    assert len(found) == most
    kept = sum(key.startswith(b"nomadwatch_commits") for key in found)
    assert found[series("nomadwatch_series_left_out", {})] == 200 - kept > 0
    # What the feeds say of themselves is never crowded out.
    assert scraped.get("feed_coverage_ratio", feed="github:/events") == 0.0412
    where = {"scope": "all", "platform": "github", "feature": "review", "window": "24h"}
    named = [record(measurement("top_repository_activity", n, repository=f"a/{n}", **where)) for n in range(200)]
    late = Scraped(*named, record(COMMITS), evaluation_record(), most=most)
    assert late.get("commits", **COMMITS.labels) == 5.0
    few = Scraped(record(COMMITS), evaluation_record(), most=most)
    assert few.get("series_left_out") == 0


def test_names_without_a_row_are_left_out_and_told() -> None:
    scraped = Scraped(
        record(measurement("from_the_future", 1.0)),
        record(COMMITS),
        evaluation_record(),
        health_record(NOON, rows=[measurement("of_another_version", 7.0)]),
    )
    assert {key for key in scraped.samples() if b"future" in key or b"version" in key} == set()
    assert scraped.get("commits", **COMMITS.labels) == 5.0
    assert scraped.collector.strangers == {"nomadwatch_from_the_future", "nomadwatch_of_another_version"}


def test_what_a_role_knows_itself_is_shown_instead_of_what_was_measured() -> None:
    labels = {"scope": "all", "platform": "github", "window": "1h"}
    scraped = Scraped(
        record(measurement("window_coverage_ratio", 1.0, **labels)),
        evaluation_record(),
        health_record(NOON, rows=[measurement("window_coverage_ratio", 0.04, **labels)]),
    )
    assert scraped.get("window_coverage_ratio", **labels) == 0.04
    assert scraped.collector.repeated == 0


def test_the_age_of_what_a_scrape_shows_is_observed_by_each_scrape() -> None:
    scraped = Scraped(evaluation_record())
    for age in (0, 100_000, 700_000, 59_000_000):
        scraped.clock.now = NOON + age
        found = scraped.samples()
    bucket = {
        le: found[series(LATENCY + "_bucket", {"stage": "shown", "le": le})]
        for le in ("0.1", "0.5", "1.0", "30.0", "60.0", "+Inf")
    }
    assert bucket == {"0.1": 2, "0.5": 2, "1.0": 3, "30.0": 3, "60.0": 4, "+Inf": 4}
    assert found[series(LATENCY + "_count", {"stage": "shown"})] == 4
    assert found[series(LATENCY + "_sum", {"stage": "shown"})] == pytest.approx(59.8)
    scraped.clock.now = NOON + STALE_AFTER + 1
    assert scraped.get("pipeline_latency_seconds_count", stage="shown") == 4, "what is not shown has no age"


def test_the_stages_before_are_those_of_the_evaluation() -> None:
    folded, none = Histogram(), Histogram()
    for seconds in (0.05, 0.3, 90.0, -1.0):
        folded.observe(seconds)
    scraped = Scraped(evaluation_record(latencies={"folded": folded, "measured": none}))
    found = scraped.samples()
    bucket = {
        le: found[series(LATENCY + "_bucket", {"stage": "folded", "le": le})]
        for le in ("0.1", "0.25", "0.5", "60.0", "+Inf")
    }
    assert bucket == {"0.1": 2, "0.25": 2, "0.5": 3, "60.0": 3, "+Inf": 4}
    assert scraped.get("pipeline_latency_seconds_sum", stage="folded") == pytest.approx(90.35)
    assert series(LATENCY + "_count", {"stage": "measured"}) not in found, "nothing was measured yet"


def test_a_histogram_of_another_role_stands_beside_ours_in_whatever_order_it_came() -> None:
    row = next(metric for metric in CATALOGUE if metric.name == LATENCY)
    rows = row_of(row)
    random.Random(1).shuffle(rows)
    scraped = Scraped(evaluation_record(), health_record(NOON, "measure", rows=rows))
    found = scraped.samples()
    assert found[series(LATENCY + "_count", {"stage": "a stage"})] == 4
    assert found[series(LATENCY + "_count", {"stage": "shown"})] == 1


def test_families_are_unique_and_declared_before_there_is_a_value() -> None:
    described = [family.name for family in BoardCollector(Board()).describe()]
    assert len(set(described)) == len(described) == len(CATALOGUE)
    scraped = Scraped()
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        scraped.registry.register(BoardCollector(Board()))


def test_promtool_has_nothing_to_say_against_it() -> None:
    text = as_text(everything().registry)
    checked = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, timeout=60)
    assert (checked.returncode, checked.stdout.decode() + checked.stderr.decode()) == (0, "")
