"""The dashboards are what the code builds, and every panel says what it shows."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.catalogue import CATALOGUE
from grafana.__main__ import FOLDER, texts

ROOT = Path(__file__).parents[2]
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
PANELS = [
    pytest.param(name, panel, id=f"{name}: {panel['title']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
    if panel["type"] != "row"
]
ROWS = {
    row.name + part: row
    for row in CATALOGUE
    for part in (("_bucket", "_count", "_sum") if row.type == "histogram" else ("",))
}
# What Prometheus itself says.
OWN = {
    "up": {"job"},
    "scrape_samples_scraped": {"job"},
    "scrape_duration_seconds": {"job"},
    "ALERTS": {"alertname", "alertstate"},
}
BUILT_IN = {"__rate_interval", "__range", "__data", "__all"}
Json = dict[str, Any]


def expressions(panel: Json) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def used(text: str) -> set[str]:
    """The variables of a text; `$1` is a replacement's."""
    return set(re.findall(r"\$\{?([A-Za-z_]\w*)", text))


def test_the_files_are_what_the_code_builds() -> None:
    written = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert written == texts(), "run `make grafana`"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_found_by_its_address_and_leads_to_the_others(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert dashboard["uid"] == f"nomadwatch-{name}"
    assert dashboard["title"]
    assert dashboard["description"].endswith(".")
    assert (dashboard["timezone"], dashboard["schemaVersion"], dashboard["time"]) == (
        "utc",
        42,
        {"from": "now-6h", "to": "now"},
    )
    assert "id" not in dashboard
    links = {link["type"]: link for link in dashboard["links"]}
    assert set(links["dashboards"]["tags"]) == set(dashboard["tags"])
    assert links["link"]["url"].startswith("${runbooks}/")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_links_to_runbooks_lead_to_pages_that_exist(name: str) -> None:
    alerts = re.findall(r"alert: (\w+)", (ROOT / "prometheus" / "rules" / "alerts.yml").read_text())
    found = re.findall(r"\$\{runbooks\}/([^\"]*)", json.dumps(DASHBOARDS[name]))
    pages = {page.replace("${__data.fields.alert}", alert) for page in found for alert in alerts}
    assert pages
    assert {page for page in pages if not (ROOT / "docs" / "runbooks" / page).is_file()} == set()


@pytest.mark.parametrize(("name", "panel"), PANELS)
def test_a_panel_says_what_it_shows_in_what_unit(name: str, panel: Json) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for asked in (panel, *panel["targets"]):
        assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert [target["refId"] for target in panel["targets"]] == sorted({target["refId"] for target in panel["targets"]})
    for override in panel["fieldConfig"].get("overrides", ()):
        if panel["type"] == "table":
            titles = panel["transformations"][-1]["options"]["renameByName"].values()
            assert override["matcher"]["options"] in titles, "a column that is not there"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_stand_beside_each_other_on_the_grid(name: str) -> None:
    panels = DASHBOARDS[name]["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    places = [
        {(x, y) for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])}
        for p in (q["gridPos"] for q in panels)
    ]
    for one, other in combinations(places, 2):
        assert one.isdisjoint(other)
    filled = Counter(y for place in places for _, y in place)
    assert set(filled.values()) == {24}, "no row is broken"


@pytest.mark.parametrize(("name", "panel"), PANELS)
def test_a_panel_asks_for_metrics_and_labels_that_exist(name: str, panel: Json) -> None:
    for expr in expressions(panel):
        plain = re.sub(r'"[^"]*"', '""', expr)
        asked = re.findall(r"\b(nomadwatch_\w+|up|ALERTS|scrape_\w+)\b(?:\{([^}]*)\})?", plain)
        assert asked, expr
        for metric, matchers in asked:
            labels = OWN[metric] if metric in OWN else set(ROWS[metric].labels)
            assert set(re.findall(r"(\w+)(?==|!=|=~|!~)", matchers)) <= labels, expr


@pytest.mark.parametrize(("name", "panel"), PANELS)
def test_a_counter_is_asked_for_its_rate_over_what_grafana_thinks_fit(name: str, panel: Json) -> None:
    for expr in expressions(panel):
        assert set(re.findall(r"\[([^]]*)\]", expr)) <= {"$__rate_interval", "$__range", "30m", "3h"}, expr
        assert not re.search(r"(?:rate|increase)\(\s*sum", expr), "the sum of rates, never the rate of a sum"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_variable_is_used_and_every_one_used_is_there(name: str) -> None:
    dashboard = DASHBOARDS[name]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert used(json.dumps(dashboard)) - BUILT_IN == variables
    for variable in dashboard["templating"]["list"]:
        assert variable["label"]
        assert variable["description"].endswith(".")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_coverage_stands_beside_what_depends_on_it(name: str) -> None:
    covered = False
    first = True
    for panel in DASHBOARDS[name]["panels"]:
        if panel["type"] == "row":
            # Of a project both sides rest on what is said once, at the top.
            covered = covered and name == "project"
            first = True
            continue
        asked = " ".join(expressions(panel))
        if (
            first
            and "nomadwatch_window_coverage_ratio{" in asked
            and set(re.findall(r"nomadwatch_\w+", asked)) == {"nomadwatch_window_coverage_ratio"}
        ):
            covered = True
        first = False
        if "$window" in asked:
            assert covered, panel["title"]


@pytest.mark.parametrize(("name", "panel"), PANELS)
def test_what_sampling_makes_invalid_is_withheld_where_the_coverage_is_low(name: str, panel: Json) -> None:
    for expr in expressions(panel):
        invalid = {metric for metric in re.findall(r"nomadwatch_\w+", expr) if ROWS[metric].under_sampling == "invalid"}
        if invalid and "0 * max by (pair)" not in expr:
            assert re.search(r'\{scope="\$scope", window="\$window"[^}]*\} >= 0\.95', expr), expr


def test_what_is_provisioned_leads_to_the_dashboards_and_their_datasource() -> None:
    folder = ROOT / "grafana" / "provisioning"
    source = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())["datasources"][0]
    provider = yaml.safe_load((folder / "dashboards" / "nomadwatch.yaml").read_text())["providers"][0]
    defaults = {
        variable["name"]: variable["current"]["value"] for variable in DASHBOARDS["feeds"]["templating"]["list"]
    }
    assert (source["type"], source["uid"], source["name"]) == (
        "prometheus",
        defaults["datasource"],
        defaults["datasource"],
    )
    scraped = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped
    told = (ROOT / "docs" / "grafana.md").read_text()
    for text in (source["url"], provider["options"]["path"]):
        name = re.fullmatch(r"\$\{(\w+)\}", text)
        assert name, "Grafana expands names of the environment, and no defaults"
        assert name[1] in told
