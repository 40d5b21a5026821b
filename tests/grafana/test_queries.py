"""Every query of every panel, put to a real Prometheus that scraped a real station on the simulated platforms, brings
something.
"""

import json
import re
import time
from typing import Any

import pytest

from grafana.__main__ import FOLDER
from tests.grafana.asking import Answer, Asker, Choice
from tests.grafana.watching import SCRAPE, Watched

DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
SHOWN = 6 * 3600.0
# Rightly empty: in a single hour nobody may have released anything.
SELDOM = ("Swarms around releases",)


def failures(asker: Asker, dashboard: dict[str, Any], **wanted: Choice) -> list[str]:
    """The queries that fail or bring nothing, with the variables wanted."""
    answers = list(asker.ask(dashboard, asker.choices(dashboard, **wanted)))
    assert answers
    seldom = SELDOM if wanted.get("window") == "1h" else ()
    return [said(each) for each in answers if each.error or not (each.series or each.panel["title"].startswith(seldom))]


def said(answer: Answer) -> str:
    return f"{answer.panel['title']} {answer.target['refId']}: {answer.error or 'nothing'}: {answer.asked}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_shows_something_in_every_panel_as_it_opens(name: str, watching: Watched) -> None:
    now = time.time()
    assert failures(Asker(watching.prometheus, now - SHOWN, now, SCRAPE), DASHBOARDS[name]) == []


@pytest.mark.parametrize("window", ["1h", "7d", "30d"])
@pytest.mark.parametrize("name", ["oss-osm", "project"])
def test_every_window_can_be_chosen(name: str, window: str, watching: Watched) -> None:
    assert (
        failures(Asker(watching.prometheus, watching.since, time.time(), SCRAPE), DASHBOARDS[name], window=window) == []
    )


def test_everything_seen_can_be_chosen_while_the_sample_is_complete(watching: Watched) -> None:
    asker = Asker(watching.prometheus, watching.since, watching.complete, SCRAPE)
    assert failures(asker, DASHBOARDS["oss-osm"], scope="all", window="1h", actor=["human", "bot"]) == []


def test_what_a_thin_sample_makes_invalid_is_withheld(watching: Watched) -> None:
    asker = Asker(watching.prometheus, watching.since, time.time(), SCRAPE)
    dashboard = DASHBOARDS["oss-osm"]
    answers = list(asker.ask(dashboard, asker.choices(dashboard, scope="all", window="30d")))
    withheld = {answer.panel["title"].partition(":")[0] for answer in answers if not answer.series}
    assert {"People", "Mean intensity", "Dominance of OSS, $window"} <= withheld
    assert "Activity" not in withheld


def test_one_feed_and_one_platform_can_be_chosen(watching: Watched) -> None:
    asker = Asker(watching.prometheus, watching.since, time.time(), SCRAPE)
    dashboard = DASHBOARDS["feeds"]
    chosen = asker.choices(dashboard, platform=["huggingface"], feed=["huggingface:models"])
    answers = [answer for answer in asker.ask(dashboard, chosen) if '"feed"' not in answer.asked]
    feeds = {series["metric"]["feed"] for answer in answers for series in answer.series if "feed" in series["metric"]}
    assert feeds == {"huggingface:models"}
    every = asker.choices(dashboard, platform=["huggingface"])["feed"]
    assert every
    assert all(feed.startswith("huggingface:") for feed in every)


def test_the_papers_values_stand_beside_ours(watching: Watched) -> None:
    asker = Asker(watching.prometheus, watching.since, time.time(), SCRAPE)
    dashboard = DASHBOARDS["oss-osm"]
    answers = {
        (answer.panel["title"], answer.target["refId"]): answer
        for answer in asker.ask(dashboard, asker.choices(dashboard))
    }

    def by(title: str, name: str, label: str) -> dict[str, float]:
        return {series["metric"][label]: float(series["value"][1]) for series in answers[title, name].series}

    beside = "Gap OSS ÷ OSM beside the paper, $window"
    ours, papers = by(beside, "A", "feature"), by(beside, "B", "feature")
    assert papers == pytest.approx(
        {"contribution": 1464.28 / 10.65, "exchange": 35.94 / 0.20, "preference": 142.78 / 0.93}
    )
    assert by(beside, "C", "feature") == pytest.approx(
        {feature: gap / ours["contribution"] for feature, gap in ours.items()}
    )
    assert by(beside, "D", "feature") == pytest.approx(
        {feature: gap / papers["contribution"] for feature, gap in papers.items()}
    )
    pairs = by("Correlation of features, $window", "C", "pair")
    assert set(pairs) >= {"contribution × exchange", "contribution × preference", "exchange × preference"}
    assert set(pairs.values()) == {0.04}


def test_no_query_is_heavy(watching: Watched) -> None:
    """Of no query does Prometheus load more than a tenth of the series that the station has."""
    asker = Asker(watching.prometheus, watching.since, time.time(), SCRAPE)
    every = float(asker.range("max(scrape_samples_scraped)")[0]["values"][-1][1])
    for dashboard in DASHBOARDS.values():
        chosen = asker.choices(dashboard)
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                asked = asker.substitute(target["expr"], dashboard, chosen)
                for selector in re.findall(r"nomadwatch_\w+(?:\{[^}]*\})?", asked):
                    found = asker.range(f"count({selector})")
                    loaded = max((float(value) for series in found for _, value in series["values"]), default=0.0)
                    assert loaded <= every / 10, selector
