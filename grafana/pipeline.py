"""The dashboard *Pipeline*: whether what arrives is counted and shown, and how soon."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana import layout, panels
from grafana.layout import Row, Section
from grafana.panels import TableColumn, meaning, number, over_time, rows
from grafana.queries import ONCE

_JOB: Final = 'job="nomadwatch"'
_ARRIVED: Final = f'nomadwatch_activities_total{{scope="all", {ONCE}}}'
_BEHIND: Final = "time() - max(nomadwatch_watermark_timestamp_seconds)"
# The pollers hold the watermark back for up to 5400 s without a token, for half an hour at most with one
# (`nomadwatch:watermark_wait_seconds`).
_LATE: Final = ((None, "green"), (1800.0, "orange"), (5400.0, "red"))
_WAIT: Final = "More than half an hour is normal without a token; the alert PipelineLag says when it is too long."
_TROUBLE: Final = ((None, "green"), (1.0, "orange"))


def dashboard() -> Dashboard:
    """The dashboard, from receipt to what Prometheus shows."""
    return layout.dashboard(
        "pipeline",
        "Pipeline",
        "Whether the station is up, keeps up, and can read its input; and which alerts fire.",
        [],
        [
            Section("At a glance", [Row(_glance(), 4)]),
            Section("Alerts", [Row([(_alerts(), 24)], 7)]),
            Section("What is counted", [Row([(_counted(), 12), (_set_aside(), 12)])]),
            Section("How soon", [Row([(_watermark(), 12), (_latency(), 12)])]),
            Section("The scrape", [Row([(_samples(), 12), (_duration(), 12)], 7)]),
        ],
    )


def _glance() -> list[tuple[Panel, int]]:
    up = "Whether Prometheus can scrape /metrics of the station."
    dead = "sum(nomadwatch_dead_letters_total) or 0 * max(nomadwatch_duplicates_total)"
    return [
        (
            number(
                "Station up",
                up,
                panels.PLAIN,
                f"min(up{{{_JOB}}})",
                steps=((None, "red"), (1.0, "green")),
                words={"1": "up", "0": "down"},
            ),
            4,
        ),
        (
            number(
                "Behind",
                meaning("watermark_timestamp_seconds", _WAIT),
                panels.SECONDS,
                _BEHIND,
                steps=_LATE,
                decimals=0,
            ),
            5,
        ),
        (
            number(
                "Counted",
                meaning("activities_total"),
                panels.COUNT,
                f"sum({_ARRIVED})",
            ),
            5,
        ),
        (number("Dead letters", meaning("dead_letters_total"), panels.COUNT, dead, steps=_TROUBLE), 5),
        (
            number(
                "Too late to count",
                meaning("late_total"),
                panels.COUNT,
                "max(nomadwatch_late_total)",
                steps=_TROUBLE,
            ),
            5,
        ),
    ]


def _alerts() -> Panel:
    labels = {
        "alertname": "alert",
        "severity": "severity",
        "platform": "platform",
        "feed": "feed",
        "project": "project",
        "reason": "reason",
    }
    expr = f'max by ({", ".join(labels)}) (ALERTS{{alertstate="firing", alertname!="Watchdog"}})'
    return rows(
        "Firing alerts",
        "The alerts of prometheus/rules/alerts.yml that fire now. The name links to the runbook. Alertmanager may "
        "inhibit some. Watchdog, which always fires, is left out.",
        "alertname",
        [TableColumn("firing", expr, panels.PLAIN)],
        names=labels,
        link="${runbooks}/${__data.fields.alert}.md",
        none="no alert fires",
    )


def _counted() -> Panel:
    expr = f"sum by (platform) (rate({_ARRIVED}[$__rate_interval]))"
    description = meaning("activities_total", "People and bots, from all feeds.")
    return over_time("Activities counted", description, panels.PER_SECOND, {"{{platform}}": expr}, stacked=True, low=0)


def _set_aside() -> Panel:
    def rate(name: str, by: str = "") -> str:
        return f"sum{by} (rate(nomadwatch_{name}[$__rate_interval]))"

    queries = {
        "duplicates": rate("duplicates_total"),
        "too late": rate("late_total"),
        "dead letters: {{reason}}": rate("dead_letters_total", " by (reason)"),
    }
    description = " ".join(meaning(name) for name in ("duplicates_total", "late_total", "dead_letters_total"))
    return over_time("Not counted", description, panels.PER_SECOND, queries, low=0)


def _watermark() -> Panel:
    description = meaning(
        "watermark_timestamp_seconds", "The world of a demo begins in May 2024 and approaches the present time."
    )
    return over_time("Watermark behind the clock", description, panels.SECONDS, {"behind": _BEHIND})


def _latency() -> Panel:
    bucket = "sum by (le, stage) (rate(nomadwatch_pipeline_latency_seconds_bucket[$__rate_interval]))"
    queries = {f"{{{{stage}}}}, p{int(100 * q)}": f"histogram_quantile({q}, {bucket})" for q in (0.5, 0.95)}
    return over_time("Latency of the stages", meaning("pipeline_latency_seconds"), panels.SECONDS, queries, low=0)


def _samples() -> Panel:
    description = "The number of series of a scrape: at most 50,000."
    return over_time("Series", description, panels.COUNT, {"series": f"max(scrape_samples_scraped{{{_JOB}}})"}, low=0)


def _duration() -> Panel:
    description = "The duration of a scrape. It must stay below the scrape interval."
    return over_time(
        "Duration of a scrape",
        description,
        panels.SECONDS,
        {"duration": f"max(scrape_duration_seconds{{{_JOB}}})"},
        low=0,
    )
