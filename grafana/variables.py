"""The choices at the top of a dashboard: variables, used in queries as `$name`."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import (
    VariableHide,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
    VariableType,
)

from streams.activity import PLATFORMS
from streams.windows import WINDOWS

# The datasource of `provisioning/datasources`; another Prometheus can be chosen.
DATASOURCE_UID: Final = "nomadwatch"
PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
# Where Grafana serves `docs/runbooks`: in its folder of public files.
RUNBOOKS: Final = "/public/runbooks"
_ALL: Final = "$__all"


def datasource() -> VariableModel:
    """The Prometheus to query."""
    return VariableModel(
        type_val=VariableType.DATASOURCE,
        name="datasource",
        label="Prometheus",
        description="The Prometheus that scrapes the station.",
        query="prometheus",
        current=VariableOption(text=DATASOURCE_UID, value=DATASOURCE_UID),
    )


def scope() -> VariableModel:
    """The repositories of the watchlist, or everything."""
    return _choice(
        "scope",
        "Scope",
        "The repositories of the watchlist, or everything that any feed saw.",
        ("watched", "all"),
        "watched",
    )


def window() -> VariableModel:
    """The trailing window of the figures."""
    return _choice("window", "Window", "The trailing window of the figures, in event time.", tuple(WINDOWS), "24h")


def feature(features: Sequence[str]) -> VariableModel:
    """A feature of the vocabulary."""
    return _choice("feature", "Feature", "The feature of the lines over time.", features, features[0])


def actor() -> VariableModel:
    """People, bots, or both, for metrics that tell them apart."""
    made = _choice(
        "actor",
        "Who",
        "People, bots or both. It applies to the pulse only: every other figure is of people.",
        ("human", "bot"),
        "human",
    )
    made.multi = True
    made.current = VariableOption(text=["human"], value=["human"])
    return made


def platforms() -> VariableModel:
    """All platforms unless some are chosen."""
    made = _choice("platform", "Platform", "The platforms of the feeds.", PLATFORMS, PLATFORMS[0])
    made.multi = True
    made.include_all = True
    made.current = VariableOption(text=["All"], value=[_ALL])
    return made


def label_values(name: str, label: str, description: str, query: str, *, many: bool = False) -> VariableModel:
    """The values of a label in Prometheus. The default is the first one, or all of them if `many` may be chosen."""
    made = VariableModel(
        type_val=VariableType.QUERY,
        name=name,
        label=label,
        description=description,
        query={"query": query, "refId": "values"},
        definition=query,
        datasource=PROMETHEUS,
        refresh=VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC,
        multi=many,
        include_all=many,
    )
    if many:
        made.current = VariableOption(text=["All"], value=[_ALL])
    return made


def runbooks() -> VariableModel:
    """Where the runbooks are served."""
    return VariableModel(
        type_val=VariableType.TEXTBOX,
        name="runbooks",
        label="Runbooks",
        description="Address under which the folder docs/runbooks is served.",
        query=RUNBOOKS,
        current=VariableOption(text=RUNBOOKS, value=RUNBOOKS),
        hide=VariableHide.HIDE_VARIABLE,
    )


def _choice(name: str, label: str, description: str, values: Sequence[str], default: str) -> VariableModel:
    return VariableModel(
        type_val=VariableType.CUSTOM,
        name=name,
        label=label,
        description=description,
        query=",".join(values),
        options=[VariableOption(selected=value == default, text=value, value=value) for value in values],
        current=VariableOption(selected=True, text=default, value=default),
        allow_custom_value=False,
    )
