import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from simulator.clock import DAY, HOUR, MINUTE
from simulator.deed import FEATURES, Deed
from simulator.spread import correlations, mann_whitney, statistics
from simulator.stream import START
from simulator.truth import StreamTruth, TrueFigure, windows

quick = settings(deadline=None, database=None, derandomize=True)
counts = some.lists(some.integers(0, 40), min_size=1, max_size=60)
END = START + 12 * HOUR


def deed(number: int = 0, **changes: Any) -> Deed:
    fields = {
        "platform": "github",
        "feature": "contribution",
        "occurred_at": END - 1,
        "repository": 1,
        "name": "o/r",
        "actor": 1,
    }
    return Deed(f"id-{number}", **{**fields, **changes})


def truth(*deeds: Deed, mark: int = END) -> StreamTruth:
    told = StreamTruth()
    for done in deeds:
        told.arrive(done, END)
    told.mark(mark)
    return told


def value(told: StreamTruth, name: str, **labels: str) -> float | None:
    """The one measurement with these labels and perhaps others; None if it is absent."""
    found = [m.value for m in told.measurements() if m.name == name and labels.items() <= m.labels.items()]
    assert len(found) <= 1, found
    return found[0] if found else None


ALL_HOUR = {"scope": "all", "window": "1h"}


@quick
@given(counts)
def test_statistics_equal_numpys(values: list[int]) -> None:
    found = dict(statistics(values))
    assert found["mean"] == pytest.approx(np.mean(values))
    for name, share in (("median", 50), ("p90", 90), ("p99", 99), ("max", 100)):
        assert found[name] == pytest.approx(np.percentile(values, share))
    differences = np.abs(np.subtract.outer(values, values)).mean()
    assert found.get("gini") == (pytest.approx(differences / 2 / np.mean(values)) if any(values) else None)


@quick
@given(counts, counts)
def test_the_rank_test_equals_scipys(first: list[int], second: list[int]) -> None:
    found = mann_whitney(first, second)
    if len({*first, *second}) == 1:
        assert found == (len(first) * len(second) / 2, None, None)
        return
    expected = stats.mannwhitneyu(first, second, method="asymptotic", use_continuity=True)
    assert found.u == expected.statistic
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.z is not None
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.z)), rel=1e-9)
    assert found.z * (found.u - len(first) * len(second) / 2) >= 0


@quick
@given(some.lists(some.tuples(some.integers(0, 9), some.integers(0, 9)), min_size=2, max_size=40))
def test_correlations_equal_scipys(pairs: list[tuple[int, int]]) -> None:
    a, b = FEATURES[1], FEATURES[5]
    found = {(x, y): r for x, y, r in correlations([{a: x, b: y} for x, y in pairs])}
    xs, ys = zip(*pairs, strict=True)
    if len(set(xs)) == 1 or len(set(ys)) == 1:
        assert found == {}
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        expected = stats.pearsonr(xs, ys).statistic
    assert found == {(a, b): pytest.approx(expected, abs=1e-12)}


def test_windows_end_with_the_step_that_the_front_stands_in() -> None:
    bounds = windows(END + 90 * 1_000_000)
    assert bounds["1h"] == (END + 2 * MINUTE - HOUR, END + 2 * MINUTE)
    assert bounds["24h"] == (END + HOUR - DAY, END + HOUR)
    assert bounds["7d"] == (END + HOUR - 7 * DAY, END + HOUR)
    assert bounds["30d"] == (START + DAY - 30 * DAY, START + DAY)


def test_a_window_takes_its_first_moment_and_not_its_last() -> None:
    told = truth(deed(1, occurred_at=END - HOUR), deed(2, occurred_at=END - HOUR - 1), deed(3, occurred_at=END))
    # The newest event carries the front into the next minute.
    assert told.front == END
    assert value(told, "activity", **ALL_HOUR) == 1
    assert (
        value(truth(deed(1, occurred_at=END - HOUR), deed(2, occurred_at=END - HOUR - 1)), "activity", **ALL_HOUR) == 1
    )


def test_the_front_is_never_more_than_a_minute_beyond_the_arrival() -> None:
    told = truth(deed(1, occurred_at=END + 5 * HOUR))
    assert told.front == END + MINUTE
    assert value(told, "activity", **ALL_HOUR) is None
    assert value(told, "activities_total", scope="all") == 1


def test_what_is_stamped_more_than_a_day_ahead_is_a_dead_letter() -> None:
    told = truth(deed(1, occurred_at=END + DAY), deed(2, occurred_at=END + DAY + 1))
    assert told.dead_letters == {"future": 1}
    assert len(told.deeds) == 1


def test_a_deed_counts_once() -> None:
    told = truth(deed(1), deed(1), deed(2))
    assert told.duplicates == 1
    assert value(told, "activity", **ALL_HOUR) == 2


def test_bots_count_in_totals_only_until_they_are_taken_for_people() -> None:
    told = truth(deed(1, bot=True), deed(2, feature="preference"))
    assert value(told, "activities_total", actor="bot", scope="all") == 1
    assert value(told, "activity", feature="contribution", **ALL_HOUR) is None
    humans = told.measurements(include_bots=True)
    assert (
        TrueFigure("activity", {"scope": "all", "platform": "github", "feature": "contribution", "window": "1h"}, 1)
        in humans
    )
    assert not any(m.labels.get("actor") == "bot" for m in humans)


def test_commits_are_absent_unless_stated_and_may_be_0() -> None:
    assert value(truth(deed()), "commits", **ALL_HOUR) is None
    assert value(truth(deed(commits=0)), "commits", **ALL_HOUR) == 0
    assert value(truth(deed(1, commits=2), deed(2, commits=3, bot=True), deed(3)), "commits", **ALL_HOUR) == 2


def test_developers_and_repositories_are_counted_once_each() -> None:
    told = truth(
        deed(1, actor=1, repository=1), deed(2, actor=2, repository=1), deed(3, actor=2, repository=2, name="o/s")
    )
    assert value(told, "active_developers", **ALL_HOUR) == 2
    assert value(told, "active_repositories", **ALL_HOUR) == 2


def test_watched_repositories_have_a_scope_and_their_projects_a_count() -> None:
    told = truth(deed(1, project="fabula"), deed(2))
    assert value(told, "activity", scope="watched", window="1h") == 1
    assert value(told, "activity", **ALL_HOUR) == 2
    labels = {
        "project": "fabula",
        "platform": "github",
        "artefact": "software",
        "feature": "contribution",
        "window": "1h",
    }
    assert TrueFigure("project_activity", labels, 1) in told.measurements()


def test_the_fifty_busiest_are_named_and_the_rest_is_one() -> None:
    deeds = [deed(number, repository=number, name=f"o/{number:02}") for number in range(53)]
    told = truth(*deeds, deed(60, repository=52, name="o/52"), deed(61, repository=51, name="o/51"))
    rows = {
        m.labels["repository"]: m.value
        for m in told.measurements()
        if m.name == "top_repository_activity" and m.labels["window"] == "1h"
    }
    assert len(rows) == 51
    assert rows["o/52"] == rows["o/51"] == 2
    assert rows["_other"] == 3
    assert "o/47" in rows
    assert "o/48" not in rows
    assert value(truth(deed()), "top_repository_activity", repository="_other", **ALL_HOUR) is None


def test_a_repository_is_shown_under_its_newest_name() -> None:
    told = truth(deed(1, name="o/new"), deed(2, name="o/old", occurred_at=END - 9))
    assert value(told, "top_repository_activity", repository="o/new", **ALL_HOUR) == 2


def test_intensity_counts_repositories_that_were_active_in_anything() -> None:
    told = truth(deed(1), deed(2, repository=2, name="o/s", feature="upkeep"))
    assert value(told, "intensity", feature="contribution", stat="mean", **ALL_HOUR) == 0.5
    assert value(told, "intensity", feature="review", stat="mean", **ALL_HOUR) == 0
    assert value(told, "intensity", feature="review", stat="gini", **ALL_HOUR) is None


def test_platforms_are_compared_only_if_both_have_repositories() -> None:
    assert value(truth(deed()), "mann_whitney_u", feature="contribution", **ALL_HOUR) is None
    told = truth(
        deed(1),
        deed(2, platform="huggingface"),
        deed(3, platform="huggingface", repository=2, name="o/s", feature="upkeep"),
    )
    assert value(told, "intensity_gap_ratio", feature="contribution", **ALL_HOUR) == 2
    assert value(told, "intensity_gap_ratio", feature="review", **ALL_HOUR) is None
    assert value(told, "mann_whitney_u", feature="contribution", **ALL_HOUR) == 1.5
    assert value(told, "dominance_ratio", feature="contribution", **ALL_HOUR) == 0.75
    assert value(told, "dominance_ratio", feature="review", **ALL_HOUR) == 0.5
    assert value(told, "mann_whitney_p", feature="review", **ALL_HOUR) is None


def test_coverage_is_the_share_of_the_window_that_files_cover() -> None:
    told = truth(deed())
    assert value(told, "window_coverage_ratio", platform="github", **ALL_HOUR) is None
    told.cover("github", END - HOUR, END)
    told.cover("github", END - HOUR, END)
    assert value(told, "window_coverage_ratio", platform="github", **ALL_HOUR) == 1
    assert value(told, "window_coverage_ratio", platform="github", scope="watched", window="24h") == 1 / 24
    told.mark(END + 30 * MINUTE)
    assert value(told, "window_coverage_ratio", platform="github", **ALL_HOUR) == 0.5


def test_a_report_says_what_was_read() -> None:
    told = truth(deed(1), deed(1), deed(2, occurred_at=END + 2 * DAY))
    told.drop("json")
    report = told.report()
    assert report["as_of"] == "2024-05-01T11:59:59.999999Z"
    assert report["input"] == {"files": 0, "activities": 1, "duplicates": 1, "dead_letters": {"future": 1, "json": 1}}
    assert all(row["name"].startswith("nomadwatch_") for row in report["measurements"])


def test_before_anything_arrived_there_is_no_front() -> None:
    with pytest.raises(ValueError, match="nothing has arrived"):
        _ = StreamTruth().front
