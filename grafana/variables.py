"""What a watcher chooses at the top of a dashboard: variables that stand in its queries as `$name`."""

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

from streams.windows import WINDOWS

# The datasource that `provisioning/datasources` makes; another Prometheus can be chosen instead.
DATASOURCE_UID: Final = "nomadwatch"
PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
# Where Grafana itself can serve `docs/runbooks` from: its folder of public files.
RUNBOOKS: Final = "/public/runbooks"
_ALL: Final = "$__all"


def datasource() -> VariableModel:
    """Which Prometheus is asked."""
    return VariableModel(
        type_val=VariableType.DATASOURCE,
        name="datasource",
        label="Prometheus",
        description="The Prometheus that scrapes the station.",
        query="prometheus",
        current=VariableOption(text=DATASOURCE_UID, value=DATASOURCE_UID),
    )


def scope() -> VariableModel:
    """The repositories of the watchlist, or everything that was seen."""
    return _choice(
        "scope",
        "Scope",
        "The repositories of the watchlist, or everything that any feed saw.",
        ("watched", "all"),
        "watched",
    )


def window() -> VariableModel:
    """The trailing window that figures are of."""
    return _choice("window", "Window", "Figures are of this trailing window of event time.", tuple(WINDOWS), "24h")


def feature(features: Sequence[str]) -> VariableModel:
    """What was done; one of the vocabulary's features."""
    return _choice("feature", "Feature", "What was done, of what is drawn over time.", features, features[0])


def actor() -> VariableModel:
    """People, bots, or both, where a metric tells them apart."""
    made = _choice(
        "actor",
        "Who",
        "People, bots or both. Only the pulse tells them apart: every other figure is of people.",
        ("human", "bot"),
        "human",
    )
    made.multi = True
    made.current = VariableOption(text=["human"], value=["human"])
    return made


def platforms() -> VariableModel:
    """Both platforms unless one is chosen."""
    made = _choice("platform", "Platform", "Feeds of one platform or of both.", ("github", "huggingface"), "github")
    made.multi = True
    made.include_all = True
    made.current = VariableOption(text=["All"], value=[_ALL])
    return made


def label_values(name: str, label: str, description: str, query: str, *, many: bool = False) -> VariableModel:
    """The values of a label, as Prometheus has them; the first, or all of them if `many` may be chosen."""
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
    """Where the pages stand that say what to do about an alert."""
    return VariableModel(
        type_val=VariableType.TEXTBOX,
        name="runbooks",
        label="Runbooks",
        description="Address of the folder docs/runbooks.",
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
