"""The configuration and the rules: valid, tried by promtool, about metrics that exist, each alert explained."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from agents.catalogue import CATALOGUE
from agents.metric import Metric
from grafana.variables import RUNBOOKS
from tests.prometheus.programs import checked, program

ROOT = Path(__file__).parents[2]
RULES = ROOT / "prometheus" / "rules"
CASES = sorted((RULES / "tests").glob("*.yml"))
SEVERITIES = {"critical", "warning", "info", "none"}
# Whose silence is the news.
ALWAYS_FIRING = "Watchdog"
# A name that is a metric's, rather than a part of a recorded one; and its selector, if there is one.
_METRIC = re.compile(r"(?<![:\w])(nomadwatch_\w+)(?!\w*:)(?:\{([^}]*)\})?")
_RECORDED = re.compile(r"\w+:\w+(?::\w+)?")
_PARTS = ("_bucket", "_count", "_sum")


def rules(kind: str) -> list[dict[str, Any]]:
    """All rules of a kind, `alert` or `record`."""
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def row_of(name: str) -> Metric | None:
    """The catalogue's row of a series' name."""
    names = {row.name + part: row for row in CATALOGUE for part in (_PARTS if row.type == "histogram" else ("",))}
    return names.get(name)


ALERTS = {rule["alert"]: rule for rule in rules("alert")}
RECORDS = {rule["record"]: rule for rule in rules("record")}


def test_promtool_takes_the_configuration_and_the_rules() -> None:
    said = checked(
        program("promtool"), "check", "config", "--lint=all", "--lint-fatal", ROOT / "prometheus" / "prometheus.yml"
    )
    assert f"SUCCESS: {len(ALERTS)} rules found" in said
    assert f"SUCCESS: {len(RECORDS)} rules found" in said


def test_amtool_takes_the_configuration_of_alertmanager() -> None:
    assert "SUCCESS" in checked(program("amtool"), "check-config", ROOT / "prometheus" / "alertmanager.yml")


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_promtool_sees_every_alert_fire_and_stay_silent_when_it_should(cases: Path) -> None:
    assert "SUCCESS" in checked(program("promtool"), "test", "rules", cases.name, cwd=cases.parent)


def test_the_documented_query_scales_what_is_covered_by_half_and_nothing_else(tmp_path: Path) -> None:
    documented = (ROOT / "docs" / "metrics.md").read_text()
    (query,) = re.findall(r"In PromQL:\n\n```\n(.*?)\n```", documented, re.DOTALL)
    place = 'scope="watched", window="24h"'
    series = {
        f'nomadwatch_activity{{platform="github", feature="review", {place}}}': 300,
        f'nomadwatch_activity{{platform="github", feature="upkeep", {place}}}': 60,
        f'nomadwatch_activity{{platform="huggingface", feature="review", {place}}}': 300,
        f'nomadwatch_window_coverage_ratio{{platform="github", {place}}}': 0.6,
        f'nomadwatch_window_coverage_ratio{{platform="huggingface", {place}}}': 0.4,
    }
    wanted = {"review": 500, "upkeep": 100}
    samples = [
        {"labels": f'{{platform="github", feature="{name}", {place}}}', "value": value}
        for name, value in wanted.items()
    ]
    case = {
        "input_series": [{"series": name, "values": f"{value}x5"} for name, value in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": "1m", "exp_samples": samples}],
    }
    (tmp_path / "documented.yml").write_text(yaml.safe_dump({"tests": [case]}))
    assert "SUCCESS" in checked(program("promtool"), "test", "rules", "documented.yml", cwd=tmp_path)


def test_every_alert_has_a_case_that_fires_and_one_that_stays_silent() -> None:
    tried: dict[str, set[bool]] = {name: set() for name in ALERTS}
    for path in CASES:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test.get("alert_rule_test", []):
                tried[case["alertname"]].add(bool(case["exp_alerts"]))
    assert tried == {name: {True} if name == ALWAYS_FIRING else {True, False} for name in ALERTS}


@pytest.mark.parametrize(
    "rule", [*ALERTS.values(), *RECORDS.values()], ids=lambda rule: rule.get("alert") or rule["record"]
)
def test_a_rule_asks_for_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    asked = _METRIC.findall(rule["expr"])
    recorded = set(_RECORDED.findall(re.sub(r'"[^"]*"', "", rule["expr"])))
    assert asked or recorded or rule.get("alert") == ALWAYS_FIRING
    assert recorded <= RECORDS.keys()
    for name, selector in asked:
        row = row_of(name)
        assert row is not None, f"{name} has no row in the catalogue"
        assert set(re.findall(r"(\w+)\s*[=!]", selector)) <= set(row.labels), name


def test_what_is_recorded_is_used_by_an_alert_or_another_record() -> None:
    everything = "\n".join(rule["expr"] for rule in (*ALERTS.values(), *RECORDS.values()))
    assert {name for name in RECORDS if not re.search(rf"{re.escape(name)}(?!\w)", everything)} == set()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_what_it_means_and_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in SEVERITIES
    assert {"summary", "description", "runbook_url"} == set(alert["annotations"])
    assert alert["annotations"]["runbook_url"] == f'{{{{ or $externalLabels.runbooks "docs/runbooks" }}}}/{name}.md'
    page = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text()
    headings = re.findall(r"^#+ .*", page, re.MULTILINE)
    assert headings == [f"# {name}", "## What it means", "## How to see it", "## What to do"]
    for query in re.findall(r"```promql\n(.*?)```", page, re.DOTALL):
        assert all(row_of(metric) for metric, _ in _METRIC.findall(query)), query
        assert set(_RECORDED.findall(re.sub(r'"[^"]*"', "", query))) <= RECORDS.keys(), query


def test_the_links_of_alerts_lead_where_grafana_serves_the_pages() -> None:
    config = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    assert urlsplit(config["global"]["external_labels"]["runbooks"]).path == RUNBOOKS


def test_there_is_no_page_without_its_alert() -> None:
    assert {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} == set(ALERTS)


def test_no_address_that_could_be_a_secret_stands_in_the_configuration() -> None:
    manager = yaml.safe_load((ROOT / "prometheus" / "alertmanager.yml").read_text())
    for receiver in manager["receivers"]:
        for channel in receiver.get("slack_configs", []):
            assert channel["api_url_file"] == f"/etc/alertmanager/{receiver['name']}_url"
            assert "api_url" not in channel


def without_comments(text: str) -> str:
    """The configuration with its examples in force: lines of comments that are YAML by their looks lose their mark."""
    example = re.compile(r"^( +)# ((?:  )*(?:- )?[a-z_]+:(?: \S+)?)$")
    return "\n".join(example.sub(r"\1\2", line) for line in text.splitlines())


def test_the_examples_of_other_ways_are_valid_and_go_where_they_say(tmp_path: Path) -> None:
    shipped = (ROOT / "prometheus" / "alertmanager.yml").read_text()
    (tmp_path / "alertmanager.yml").write_text(without_comments(shipped))
    (tmp_path / "smtp_password").write_text("secret")
    assert "SUCCESS" in checked(program("amtool"), "check-config", tmp_path / "alertmanager.yml")
    receivers = {
        each["name"]: set(each) - {"name"}
        for each in yaml.safe_load((tmp_path / "alertmanager.yml").read_text())["receivers"]
    }
    assert receivers["watchdog"] == {"webhook_configs"}
    assert receivers["operators"] == {"slack_configs", "email_configs", "webhook_configs"}
    assert yaml.safe_load(shipped)["receivers"][0] == {"name": "watchdog"}, "as shipped nothing is sent to anybody"


def test_the_alert_that_always_fires_goes_its_own_way_and_nothing_holds_it_back() -> None:
    config = ROOT / "prometheus" / "alertmanager.yml"
    said = checked(
        program("amtool"), "config", "routes", "test", f"--config.file={config}", "alertname=Watchdog", "severity=none"
    )
    assert said.splitlines()[-1] == "watchdog"
    for rule in yaml.safe_load(config.read_text())["inhibit_rules"]:
        for matcher in rule["target_matchers"]:
            kind, _, value = re.fullmatch(r'(?:alertname) (=~|!~|=|!=) (")(.*)"', matcher).groups()  # type: ignore[union-attr]
            matches = re.fullmatch(value, ALWAYS_FIRING) is not None
            assert matches is (kind in ("!~", "!=")), matcher


@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "operators"), ("warning", "operators"), ("info", "findings")]
)
def test_findings_go_another_way_than_faults(severity: str, receiver: str) -> None:
    config = f"--config.file={ROOT / 'prometheus' / 'alertmanager.yml'}"
    said = checked(program("amtool"), "config", "routes", "test", config, f"severity={severity}")
    # Debian's amtool has a word of its own to say first.
    assert said.splitlines()[-1] == receiver
