"""The table that people read."""

import io

from rich.console import Console

from agents.measurements import Measurement
from sinks.report import build
from sinks.table import render
from tests.sinks.made import evaluation, measurement


def shown(measurements: list[Measurement], window: str | None = "24h", width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(render(build(evaluation(), measurements, files=1), window))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_parts_come_in_the_order_in_which_they_must_be_read() -> None:
    text = shown(
        [
            measurement(
                "top_repository_activity",
                9.0,
                scope="all",
                platform="github",
                feature="exchange",
                window="24h",
                repository="a/b",
            ),
            measurement("dominance_ratio", 0.75, scope="all", feature="exchange", window="24h"),
            measurement(
                "intensity", 1.5, scope="all", platform="github", feature="exchange", window="24h", stat="mean"
            ),
            measurement("activity", 1234.0, scope="all", platform="github", feature="exchange", window="24h"),
            measurement("window_coverage_ratio", 0.5417, scope="all", platform="github", window="24h"),
        ]
    )
    places = [text.index(word) for word in ("54.17 %", "1,234", "1.5", "0.75", "a/b")]
    assert places == sorted(places)
    assert text.index("100 activities from 1 file") < places[0]


def test_what_is_unknown_is_a_dash_and_never_a_zero() -> None:
    text = shown([measurement("activity", 7.0, scope="all", platform="github", feature="review", window="24h")])
    row = next(line for line in text.splitlines() if "review" in line)
    assert row.split() == ["GitHub", "review", "–", "7", "–", "–", "–", "–"]
    assert "Hugging Face" not in text
    assert "Coverage" not in text


def covered(share: float, window: str, platform: str = "github") -> Measurement:
    return measurement("window_coverage_ratio", share, scope="all", platform=platform, window=window)


FIRST_HOUR = [
    covered(1.0, "1h"),
    covered(1 / 24, "24h"),
    covered(1 / 168, "7d"),
    covered(1 / 720, "30d"),
    *(
        measurement("activity", value, scope="all", platform="github", feature="review", window=window)
        for window, value in {"1h": 11.0, "24h": 1660.0, "7d": 1661.0, "30d": 1662.0}.items()
    ),
    *(
        measurement(
            "top_repository_activity",
            5.0,
            scope="all",
            platform="github",
            feature="exchange",
            window=window,
            repository=f"a/in-{window}",
        )
        for window in ("1h", "24h")
    ),
]


def test_a_window_that_is_not_covered_by_half_shows_since_when_it_is_and_no_figure() -> None:
    text = shown(FIRST_HOUR, None)
    rows = [line.split() for line in text.splitlines()]
    assert ["GitHub", "review", "11", "–", "–", "–", "–", "–"] in rows
    assert rows.count(["since", "10:59"] * 3) == 2, "beside the coverage, and beside the activity"
    assert ["GitHub", "100", "%", "4.167", "%", "0.5952", "%", "0.1389", "%"] in rows
    assert "166" not in text
    # What is shown in detail is the longest window that is covered.
    assert "Busiest repositories on GitHub, 1h" in text
    assert "a/in-1h" in text
    assert "a/in-24h" not in text


def test_who_asks_for_a_window_that_is_covered_too_little_is_told() -> None:
    text = shown(FIRST_HOUR, "24h")
    assert "No figures for 24h: less than half of it is covered: GitHub since 10:59 (4.167 %)" in text
    assert "a/in-24h" not in text
    assert "No figures" not in shown(FIRST_HOUR, None)


def test_half_is_enough_and_a_coverage_that_is_unknown_withholds_nothing() -> None:
    activity = measurement("activity", 1660.0, scope="all", platform="github", feature="review", window="24h")
    assert "1,660" in shown([activity, covered(0.5, "24h")])
    assert "1,660" not in shown([activity, covered(0.4999, "24h")])
    assert "1,660" in shown([activity], None), "of an export of activities nobody knows what it covers"


def test_the_scopes_are_apart_and_only_shown_when_known() -> None:
    everything = measurement("activity", 7.0, scope="all", platform="github", feature="review", window="24h")
    watched = measurement("activity", 3.0, scope="watched", platform="github", feature="review", window="24h")
    assert "Watched" not in shown([everything])
    text = shown([everything, watched])
    assert text.index("Everything seen") < text.index("Watched repositories")


def test_the_rest_of_the_repositories_is_no_repository() -> None:
    labels = {"scope": "all", "platform": "github", "feature": "exchange", "window": "24h"}
    text = shown(
        [
            measurement("top_repository_activity", 900.0, **labels, repository="_other"),
            measurement("top_repository_activity", 2.0, **labels, repository="b/quiet"),
            measurement("top_repository_activity", 30.0, **labels, repository="a/loud"),
        ]
    )
    assert "_other" not in text
    assert text.index("a/loud") < text.index("b/quiet")


def test_releases_stand_with_the_watched_repositories() -> None:
    release = measurement("release_engagement", 41.0, platform="huggingface", window="24h", release="allenai/OLMo-next")
    activity = measurement("activity", 7.0, scope="all", platform="github", feature="review", window="24h")
    text = shown([release, activity])
    assert text.index("Watched repositories") < text.index("Releases, 24h") < text.index("allenai/OLMo-next")
    assert "Releases" not in shown([activity])


def test_a_name_that_looks_like_markup_is_shown_as_it_is() -> None:
    labels = {"scope": "all", "platform": "huggingface", "feature": "exchange", "window": "24h"}
    assert "[red]/x[/red]" in shown([measurement("top_repository_activity", 2.0, **labels, repository="[red]/x[/red]")])


def test_nothing_yet_is_said() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(render(build(None, [], files=0)))
    assert isinstance(console.file, io.StringIO)
    assert "Nothing has arrived yet" in console.file.getvalue()
