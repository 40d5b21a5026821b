"""What a watcher reads in a dashboard: the figures of its panels, named, joined and renamed as Grafana does it."""

import re
from typing import Any

from tests.grafana.asking import Answer, Asker, Json


def drawn(dashboard: Json, asker: Asker, **wanted: str) -> Json:
    """A dashboard with what Prometheus answers, by the panels' places."""
    chosen = asker.choices(dashboard, **wanted)
    answers: dict[int, list[Answer]] = {}
    for answer in asker.ask(dashboard, chosen):
        answers.setdefault(answer.panel["id"], []).append(answer)

    def text(template: str) -> str:
        return asker.substitute(template, dashboard, chosen)

    panels = []
    for panel in dashboard["panels"]:
        made = {"type": panel["type"], "title": text(panel["title"]), "place": panel["gridPos"]}
        if panel["type"] != "row":
            made |= _looks(panel) | (
                _table(panel, answers[panel["id"]])
                if panel["type"] == "table"
                else _series(panel, answers[panel["id"]])
            )
        panels.append(made)
    said = " · ".join(
        f"{name}: {value if isinstance(value, str) else ', '.join(value)}" for name, value in chosen.items()
    )
    return {"title": dashboard["title"], "chosen": said, "panels": panels}


def _looks(panel: Json) -> Json:
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults.get("custom", {})
    steps = defaults.get("thresholds", {}).get("steps", [])
    line = custom.get("thresholdsStyle", {}).get("mode") == "dashed"
    return {
        "unit": defaults["unit"],
        "decimals": defaults.get("decimals"),
        "low": defaults.get("min"),
        "high": defaults.get("max"),
        "none": defaults.get("noValue"),
        "steps": steps,
        "colour": defaults.get("color", {}).get("fixedColor"),
        "line": steps[-1]["value"] if line else None,
        "stacked": custom.get("stacking", {}).get("mode") == "normal",
        "beside": panel["options"].get("legend", {}).get("placement") == "right",
        "words": _words(defaults.get("mappings", [])),
        "logarithmic": custom.get("scaleDistribution", {}).get("type") == "log",
    }


def _words(mappings: list[Json]) -> dict[str, str]:
    return {value: result["text"] for mapping in mappings for value, result in mapping["options"].items()}


def _overrides(panel: Json) -> dict[str, Json]:
    return {
        each["matcher"]["options"]: {p["id"]: p["value"] for p in each["properties"]}
        for each in panel["fieldConfig"].get("overrides", ())
    }


def _series(panel: Json, answers: list[Answer]) -> Json:
    found = []
    overrides = _overrides(panel)
    for answer in answers:
        for series in answer.series:
            legend = answer.target.get("legendFormat", "")
            name = re.sub(
                r"\{\{(\w+)\}\}",
                lambda match, labels=series["metric"]: labels.get(match[1], ""),
                "" if legend == "__auto" else legend,
            )
            override = overrides.get(name, {})
            points = [
                [float(at), float(value)]
                for at, value in series.get("values") or [series["value"]]
                if value not in ("NaN", "+Inf")
            ]
            colour = override.get("color", {}).get("fixedColor")
            found.append({"name": override.get("displayName", name), "colour": colour, "points": points})
    return {"series": found}


def _table(panel: Json, answers: list[Answer]) -> Json:
    """The transformations of our tables: join by a field if there are several queries, keep some fields, order and
    rename them.
    """
    steps = {each["id"]: each["options"] for each in panel["transformations"]}
    assert set(steps) <= {"joinByField", "filterFieldsByName", "organize"}
    rows: dict[object, dict[str, Any]] = {}
    for answer in answers:
        value = f"Value #{answer.target['refId']}" if len(answers) > 1 else "Value"
        for n, series in enumerate(answer.series):
            key = series["metric"][steps["joinByField"]["byField"]] if "joinByField" in steps else n
            rows.setdefault(key, {}).update({"Time": None, **series["metric"], value: float(series["value"][1])})
    pattern, titles = steps["filterFieldsByName"]["include"]["pattern"], steps["organize"]["renameByName"]
    fields = sorted(
        {name for row in rows.values() for name in row if re.search(pattern, name)},
        key=steps["organize"]["indexByName"].__getitem__,
    )
    overrides = _overrides(panel)
    columns = []
    for title in (titles[name] for name in fields):
        looks = overrides.get(title, {})
        columns.append(
            {
                "title": title,
                "unit": looks.get("unit"),
                "decimals": looks.get("decimals"),
                "steps": looks.get("thresholds", {}).get("steps"),
                "words": _words(looks.get("mappings", [])),
            }
        )
    shown = [[row.get(name) for name in fields] for row in rows.values()]
    first = (
        [column["title"] for column in columns].index(panel["options"]["sortBy"][0]["displayName"]) if columns else 0
    )
    return {"columns": columns, "rows": sorted(shown, key=lambda row: str(row[first]))}
