"""Asks Prometheus what a dashboard's panels ask, with variables put in as Grafana does.

Escaping and joining of values: grafana/grafana, `prometheusSpecialRegexEscape` and `interpolateQueryExpr` of its
Prometheus datasource.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

Json = dict[str, Any]
Choice = str | list[str]
# How wide a panel is taken to be, in points.
_POINTS = 800
_SPECIAL = re.compile(r"[$^*{}\[\]+?.()|]")


@dataclass(frozen=True)
class Answer:
    """What a query of a panel brought; `asked` is what Prometheus was sent."""

    panel: Json
    target: Json
    asked: str
    series: list[Json]
    error: str | None = None


@dataclass(frozen=True)
class Asker:
    """A dashboard before a Prometheus at `address` that scrapes every `scrape` seconds; it shows the time from `start`
    to `end`.
    """

    address: str
    start: float
    end: float
    scrape: int = 1

    def choices(self, dashboard: Json, **wanted: Choice) -> dict[str, Choice]:
        """The values of all variables: those wanted, else as the dashboard opens."""
        chosen: dict[str, Choice] = {}
        for variable in dashboard["templating"]["list"]:
            name = variable["name"]
            value = wanted.get(name, variable.get("current", {}).get("value", ""))
            if variable["type"] in ("query", "custom"):
                options = self.options(variable, dashboard, chosen)
                assert options, f"{dashboard['title']}: nothing to choose for ${name}"
                if value in ("$__all", ["$__all"]):
                    value = options
                elif not value:
                    value = options[0]
                assert set([value] if isinstance(value, str) else value) <= set(options), (name, value, options)
            chosen[name] = value
        return chosen

    def options(self, variable: Json, dashboard: Json, chosen: Mapping[str, Choice]) -> list[str]:
        """What can be chosen."""
        if variable["type"] == "custom":
            return [str(option) for option in variable["query"].split(",")]
        found = re.fullmatch(
            r"label_values\((.*), *(\w+)\)", self.substitute(variable["query"]["query"], dashboard, chosen)
        )
        assert found, variable
        answer = self._get(f"label/{found[2]}/values", {"match[]": found[1], "start": self.start, "end": self.end})
        values: list[str] = sorted(answer["data"], key=str.casefold)
        return values

    def substitute(self, text: str, dashboard: Json, chosen: Mapping[str, Choice]) -> str:
        """A query as it is sent. KeyError for a variable that the dashboard has not."""
        variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
        step = self.step
        own = {
            "__rate_interval": f"{max(step + self.scrape, 4 * self.scrape)}s",
            "__range": f"{round(self.end - self.start)}s",
        }

        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            if name in own:
                return own[name]
            variable, choice = variables[name], chosen[name]
            if not variable.get("multi") and not variable.get("includeAll"):
                assert isinstance(choice, str)
                return choice.replace("\\", "\\\\")
            values = [_escaped(each) for each in ([choice] if isinstance(choice, str) else choice)]
            return values[0] if len(values) == 1 else f"({'|'.join(values)})"

        # `$` before another letter than a variable's is a regular expression's or a replacement's.
        return re.sub(r"\$(?:([A-Za-z_]\w*)|\{(\w+)\})", value, text)

    @property
    def step(self) -> int:
        """Seconds between points."""
        return max(self.scrape, round((self.end - self.start) / _POINTS))

    def ask(self, dashboard: Json, chosen: Mapping[str, Choice]) -> Iterator[Answer]:
        """Every query of every panel."""
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                asked = self.substitute(target["expr"], dashboard, chosen)
                try:
                    now = target.get("instant")
                    answer = self._get("query", {"query": asked, "time": self.end}) if now else self._range(asked)
                except HTTPError as error:
                    yield Answer(panel, target, asked, [], error.read().decode())
                    continue
                assert answer["data"]["resultType"] in ("vector", "matrix"), asked
                said = answer.get("warnings")
                yield Answer(
                    panel,
                    target,
                    asked,
                    [each for each in answer["data"]["result"] if _is_known(each)],
                    said and str(said),
                )

    def range(self, query: str) -> list[Json]:
        """A query over the time shown."""
        series: list[Json] = self._range(query)["data"]["result"]
        return series

    def raw(self, metric: str) -> list[tuple[dict[str, str], float]]:
        """The series of a metric, or of a function of it, at the end of the time shown: their labels and values."""
        return [
            (each["metric"], float(each["value"][1]))
            for each in self._get("query", {"query": metric, "time": self.end})["data"]["result"]
        ]

    def _range(self, query: str) -> Json:
        return self._get("query_range", {"query": query, "start": self.start, "end": self.end, "step": self.step})

    def _get(self, path: str, parameters: Mapping[str, object]) -> Json:
        with urlopen(f"http://{self.address}/api/v1/{path}?{urlencode(parameters)}", timeout=60) as answer:
            found: Json = json.load(answer)
        assert found["status"] == "success"
        return found


def _escaped(value: str) -> str:
    return _SPECIAL.sub(r"\\\\\g<0>", value.replace("\\", "\\\\\\\\"))


def _is_known(series: Json) -> bool:
    """Whether there is a number in it."""
    values = series.get("values") or [series["value"]]
    return any(value not in ("NaN", "+Inf", "-Inf") for _, value in values)
