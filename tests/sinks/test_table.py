"""The table that people read."""

import io

from rich.console import Console

from agents.measurements import Measurement
from sinks.report import build
from sinks.table import render
from tests.sinks.made import evaluation, measurement


def shown(measurements: list[Measurement], window: str = "24h", width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(render(build(evaluation(), measurements, files=1), window))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_parts_come_in_the_order_in_which_they_must_be_read() -> None:
    text = shown(
        [
            measurement("top_repository_activity", 9.0, scope="all", platform="github", feature="exchange", window="24h", repository="a/b"),
            measurement("dominance_ratio", 0.75, scope="all", feature="exchange", window="24h"),
            measurement("intensity", 1.5, scope="all", platform="github", feature="exchange", window="24h", stat="mean"),
            measurement("activity", 1234.0, scope="all", platform="github", feature="exchange", window="24h"),
            measurement("window_coverage_ratio", 0.0417, scope="all", platform="github", window="24h"),
        ]
    )
    places = [text.index(word) for word in ("4.17 %", "1,234", "1.5", "0.75", "a/b")]
    assert places == sorted(places)
    assert text.index("100 activities from 1 file") < places[0]


def test_what_is_unknown_is_a_dash_and_never_a_zero() -> None:
    text = shown([measurement("activity", 7.0, scope="all", platform="github", feature="review", window="24h")])
    row = next(line for line in text.splitlines() if "review" in line)
    assert row.split() == ["GitHub", "review", "–", "7", "–", "–", "–", "–"]
    assert "Hugging Face" not in text
    assert "Coverage" not in text


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
