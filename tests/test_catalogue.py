"""The catalogue is complete, consistent, and what the documentation says."""

from pathlib import Path

import msgspec
import pytest

from agents.catalogue import CATALOGUE, by_name
from agents.metric import LABELS, Metric, problems, render
from sinks.enough import ENOUGH
from streams.features import meanings

ROOT = Path(__file__).parent.parent


def test_the_catalogue_has_no_problems() -> None:
    assert problems(CATALOGUE) == []


def test_the_documentation_is_the_catalogue() -> None:
    written = (ROOT / "docs" / "metrics.md").read_text()
    assert written == render(CATALOGUE), "run `python -m agents.catalogue > docs/metrics.md`"


def test_every_metric_of_activity_and_intensity_has_a_row() -> None:
    rows = {
        group: {row.name.removeprefix("nomadwatch_") for row in CATALOGUE if row.group == group} for group in "ABFH"
    }
    assert rows["A"] == {
        "activities_total", "activity", "commits", "active_developers", "active_repositories", "project_activity",
        "top_repository_activity", "repository_popularity", "repository_popularity_share_ratio",
        "window_coverage_ratio", "covered_since_timestamp_seconds",
    }  # fmt: skip
    assert rows["B"] == {
        "intensity", "intensity_gap_ratio", "mann_whitney_u", "mann_whitney_z", "mann_whitney_p", "dominance_ratio",
        "feature_correlation",
    }  # fmt: skip
    assert rows["F"] == {"release_engagement"}
    assert rows["H"] == {
        *("feed_polls_total", "feed_coverage_ratio", "feed_gaps_total", "feed_gap_seconds_total", "feed_lag_seconds"),
        *(
            "feed_rate_limit_remaining",
            "duplicates_total",
            "late_total",
            "dead_letters_total",
            "watermark_timestamp_seconds",
        ),
        *("series_left_out", "pipeline_latency_seconds"),
    }


def test_a_metric_of_features_says_where_it_stands_what_they_mean() -> None:
    where = "docs/metrics.md#features"
    written = (ROOT / "docs" / "metrics.md").read_text()
    assert "\n## Features\n" in written
    assert all((where in row.help) is bool({"feature", "a"} & set(row.labels)) for row in CATALOGUE if row.group != "I")
    for row in meanings():
        assert row.event in written, row


def test_every_label_that_is_explained_is_used() -> None:
    assert set(LABELS) == {label for row in CATALOGUE for label in row.labels}


def test_statistics_over_repositories_are_invalid_when_under_sampled() -> None:
    assert {row.under_sampling for row in CATALOGUE if row.group == "B"} == {"invalid"}


def test_a_row_is_found_by_its_full_name() -> None:
    assert by_name("nomadwatch_activity").name == "nomadwatch_activity"
    with pytest.raises(KeyError):
        by_name("activity")


GOOD = by_name("nomadwatch_commits")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "commits"}, "no Prometheus name"),
        ({"name": "nomadwatch_Commits"}, "no Prometheus name"),
        ({"name": "nomadwatch_commits_total"}, "_total"),
        ({"type": "counter"}, "_total"),
        ({"name": "nomadwatch_commits_ratio"}, "_ratio"),
        ({"unit": "ratio"}, "_ratio"),
        ({"name": "nomadwatch_commits_seconds"}, "_seconds"),
        ({"unit": "seconds"}, "_seconds"),
        ({"labels": ("scope", "login")}, "unexplained labels ['login']"),
        ({"labels": ("scope", "scope")}, "repeats a label"),
        ({"group": "Z"}, "no group Z"),
        ({"help": "No full stop"}, "help"),
        ({"source": ""}, "source"),
    ],
)
def test_a_wrong_row_is_told(change: dict[str, object], problem: str) -> None:
    assert [text for text in problems([msgspec.structs.replace(GOOD, **change)]) if problem in text]


def test_a_gauge_and_a_counter_of_one_family_collide() -> None:
    counter: Metric = msgspec.structs.replace(GOOD, name="nomadwatch_commits_total", type="counter")
    assert problems([GOOD, counter]) == [
        "nomadwatch_commits_total: there is another metric of the family nomadwatch_commits"
    ]


def test_what_scales_with_its_window_says_how_and_under_which_condition() -> None:
    told = "divide by its `window_coverage_ratio`, and only where that is at least 0.5."
    said = {row.name for row in CATALOGUE if told in row.help}
    assert said == {row.name for row in CATALOGUE if row.under_sampling == "scales" and "window" in row.labels}
    assert "nomadwatch_activity" in said
    written = " ".join((ROOT / "docs" / "metrics.md").read_text().split())
    assert "Do so only where that coverage is at least 0.5. Below 0.5 the result is far too high" in written
    assert f"{ENOUGH:g}" == "0.5", "the page and the terminal go by the same"
