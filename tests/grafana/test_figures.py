"""What a watcher reads are the right figures: each is computed once more, in plain Python, from the single series that
Prometheus has.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.grafana.asking import Asker
from tests.grafana.page import drawn
from tests.grafana.test_dashboards import DASHBOARDS
from tests.grafana.watching import IMPERFECT, SCRAPE, Watched, await_known

# By the names of a panel's series or columns; of a table by its rows, too.
Figures = dict[str, Any]
Series = Iterable[tuple[dict[str, str], float]]
OSS, OSM = "OSS · GitHub", "OSM · Hugging Face"
NAMES = {"github": OSS, "huggingface": OSM}
PROJECTS = ("figment", "fabula")
# Rates are taken over 28 s: the step of six hours on 800 points, and a scrape more.
STEP, POINTS = 27, 800
RATE = f"[{STEP + SCRAPE}s]"
_PULSE = f'rate(nomadwatch_activities_total{{scope="all", feature="contribution", actor="human"}}{RATE})'
# A project's merges and a bot's, which must not be added; and both platforms have a pulse, for on a busy machine a
# station can stand still.
BUSY = f"""
  nomadwatch_project_activity{{project="{PROJECTS[0]}", window="24h", feature="accepted"}}
  and on () nomadwatch_activities_total{{scope="all", feature="accepted", actor="bot"}}
  and on () count(sum by (platform) ({_PULSE}) > 0) == 2
"""


def asker_at(watching: Watched, condition: str) -> Asker:
    """One that shows six hours up to the latest moment of a condition, of which all that was scraped is there."""
    at = await_known(condition, watching.prometheus, watching.since, watching.station)
    await_known(f'timestamp(up{{job="nomadwatch"}}) > {at}', watching.prometheus, watching.since, watching.station)
    asker = Asker(watching.prometheus, at - STEP * POINTS, at, SCRAPE)
    assert asker.step == STEP
    return asker


def figures(name: str, asker: Asker, change: Callable[[str], str] = str, **wanted: str) -> dict[str, Figures]:
    """What stands in a dashboard at its end, by the titles of the panels; `change` is done to each query."""
    dashboard = json.loads(json.dumps(DASHBOARDS[name]))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            target["expr"] = change(target["expr"])
    found: dict[str, Figures] = {}
    for panel in drawn(dashboard, asker, **wanted)["panels"]:
        if panel["type"] == "table":
            titles = [column["title"] for column in panel["columns"]][1:]
            found[panel["title"]] = {
                title: {key: cells[n] for key, *cells in panel["rows"] if cells[n] is not None}
                for n, title in enumerate(titles)
            }
        elif panel["type"] != "row":
            ends = {each["name"]: each["points"][-1] for each in panel["series"]}
            found[panel["title"]] = {each: value for each, (at, value) in ends.items() if at == asker.end}
    return found


def where(series: Series, **labels: str) -> list[tuple[dict[str, str], float]]:
    """Those that have the labels."""
    return [(has, value) for has, value in series if all(has[label] == wanted for label, wanted in labels.items())]


def added(series: Series, by: str) -> dict[str, float]:
    """Sums by the values of a label; of platforms by the names that are shown."""
    sums: dict[str, float] = defaultdict(float)
    for labels, value in series:
        sums[NAMES.get(labels[by], labels[by])] += value
    return dict(sums)


def total(series: Series) -> float:
    return sum(value for _, value in series)


def arrived(series: Series) -> list[tuple[dict[str, str], float]]:
    """Without the credits of merges, of which there must be some."""
    kept = [(labels, value) for labels, value in series if labels["feature"] != "accepted"]
    assert len(kept) < len(list(series))
    return kept


def test_a_projects_figures_are_right(watching: Watched) -> None:
    asker = asker_at(watching, BUSY)
    shown = figures("project", asker, project=PROJECTS[0], other=PROJECTS[1])
    every = where(asker.raw("nomadwatch_project_activity"), window="24h")
    done = arrived(every)
    for project in PROJECTS:
        by_platform = added(where(done, project=project), "platform")
        assert set(by_platform) == {OSS, OSM}
        assert shown[f"{project}: activity, 24h"] == by_platform
        assert shown[f"{project}: share on the Hub, 24h"] == {
            "on the Hub": pytest.approx(by_platform[OSM] / sum(by_platform.values()))
        }
        assert shown[f"{project}: activity by artefact, 24h"] == added(where(done, project=project), "artefact")
        assert shown[f"{project}: activity by feature, 24h"] == {
            name: added(where(every, project=project, platform=platform), "feature") for platform, name in NAMES.items()
        }


def test_the_figures_of_both_platforms_are_right(watching: Watched) -> None:
    asker = asker_at(watching, BUSY)
    watched, every = (figures("oss-osm", asker, scope=scope) for scope in ("watched", "all"))

    def by_feature(metric: str, platform: str) -> dict[str, float]:
        return {
            labels["feature"]: value
            for labels, value in where(asker.raw(metric), platform=platform, window="24h", scope="watched")
        }

    assert watched["Every feature, 24h"] == {
        f"{title} {short}": by_feature(metric, platform)
        for title, metric in (
            ("activities", "nomadwatch_activity"),
            ("people", "nomadwatch_active_developers"),
            ("repositories", "nomadwatch_active_repositories"),
        )
        for short, platform in (("OSS", "github"), ("OSM", "huggingface"))
    }
    assert watched["Activity: contribution, 24h"] == {
        name: by_feature("nomadwatch_activity", platform)["contribution"] for platform, name in NAMES.items()
    }

    counted = arrived(where(asker.raw("nomadwatch_activities_total"), scope="all"))
    of_bots, of_all = added(where(counted, actor="bot"), "platform"), added(counted, "platform")
    assert every["Share of bots since the station started counting"] == pytest.approx(
        {name: of_bots[name] / of_all[name] for name in NAMES.values()}
    )

    rates = where(
        asker.raw(f"rate(nomadwatch_activities_total{RATE})"), scope="all", feature="contribution", actor="human"
    )
    pulse = {name: 3600 * rate for name, rate in added(rates, "platform").items()}
    assert all(pulse.values()), pulse
    assert every["Pulse: contribution by human"] == pytest.approx(pulse)


def test_the_figures_of_the_pipeline_are_right(watching: Watched) -> None:
    asker = asker_at(watching, BUSY)
    shown = figures("pipeline", asker)
    assert shown["Counted"] == {"": total(arrived(where(asker.raw("nomadwatch_activities_total"), scope="all")))}
    rates = arrived(where(asker.raw(f"rate(nomadwatch_activities_total{RATE})"), scope="all"))
    assert shown["Activities counted"] == pytest.approx(added(rates, "platform"))


def test_the_figures_of_the_feeds_are_right(watching: Watched) -> None:
    asker = asker_at(watching, IMPERFECT)
    shown = figures("feeds", asker)
    coverage = {labels["feed"]: value for labels, value in asker.raw("nomadwatch_feed_coverage_ratio")}
    assert shown["Coverage of each feed"] == coverage
    worst = min(value for feed, value in coverage.items() if feed != "github:/events")
    ((feed, ratio),) = shown["Worst coverage"].items()
    assert ratio == worst == coverage[feed] < 1
    polls = asker.raw(f"rate(nomadwatch_feed_polls_total{RATE})")
    per_minute = {outcome: 60 * rate for outcome, rate in added(polls, "outcome").items()}
    assert any(per_minute.values())
    assert shown["Polls by outcome"] == pytest.approx(per_minute)


def test_of_accepted_there_is_no_pulse(watching: Watched) -> None:
    """Its total can fall by one; everything else about it is shown."""
    shown = figures("oss-osm", asker_at(watching, BUSY), scope="all", feature="accepted")
    assert shown["Pulse: accepted by human"] == {}
    assert set(shown["Activity: accepted, 24h"]) == {OSS, OSM}


def test_a_station_that_has_moved_is_not_counted_twice(watching: Watched) -> None:
    """Prometheus, started again with another address, has each series twice for five minutes. What is of a window is
    the same.
    """

    def twice(expr: str) -> str:
        return re.sub(
            r"nomadwatch_\w+\{[^}]*\}(?!\[)", r'(\g<0> or label_replace(\g<0>, "instance", "moved", "", ""))', expr
        )

    asker = asker_at(watching, BUSY)
    assert figures("oss-osm", asker, twice) == figures("oss-osm", asker)
