"""The layout of a dashboard: sections of rows of panels, on a grid of 24 columns, numbered in reading order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.models.dashboard import (
    AnnotationContainer,
    Dashboard,
    DashboardCursorSync,
    DashboardDashboardTemplating,
    DashboardDashboardTime,
    DashboardLink,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableModel,
)

from grafana.panels import world
from grafana.variables import datasource, runbooks

WIDTH: Final = 24
TAG: Final = "nomadwatch"
_WORLD_HEIGHT: Final = 2


@dataclass(frozen=True)
class Row:
    """Panels side by side: (panel, columns). `height`: in Grafana's units of 38 pixels."""

    panels: Sequence[tuple[Panel, int]]
    height: int = 8


@dataclass(frozen=True)
class Section:
    """Rows of panels under a heading."""

    title: str
    rows: Sequence[Row]


def dashboard(
    uid: str, title: str, description: str, variables: Sequence[VariableModel], sections: Sequence[Section]
) -> Dashboard:
    """A dashboard of the last six hours in UTC, with links to the other dashboards and to the runbooks."""
    others = DashboardLink(
        "Dashboards", DashboardLinkType.DASHBOARDS, tags=[TAG], as_dropdown=False, include_vars=False, keep_time=True
    )
    pages = DashboardLink(
        "Runbooks",
        DashboardLinkType.LINK,
        icon="doc",
        tooltip="What to do about an alert",
        url="${runbooks}/StationGone.md",
        target_blank=True,
    )
    for link in (others, pages):
        # The SDK's default would hide the links in a menu.
        link.placement = None  # type: ignore[assignment]
    return Dashboard(
        uid=f"nomadwatch-{uid}",
        title=title,
        description=description,
        tags=[TAG],
        timezone="utc",
        editable=True,
        graph_tooltip=DashboardCursorSync.CROSSHAIR,
        time=DashboardDashboardTime("now-6h", "now"),
        refresh="30s",
        version=1,
        panels=_placed(sections),
        templating=DashboardDashboardTemplating([datasource(), *variables, runbooks()]),
        annotations=AnnotationContainer([]),
        links=[others, pages],
    )


def _placed(sections: Sequence[Section]) -> list[Panel | RowPanel]:
    placed: list[Panel | RowPanel] = []
    y = _WORLD_HEIGHT
    top = world()
    top.id_val, top.grid_pos = 1, GridPos(h=y, w=WIDTH, x=0, y=0)
    placed.append(top)
    for section in sections:
        placed.append(
            RowPanel(title=section.title, id_val=len(placed) + 1, grid_pos=GridPos(h=1, w=WIDTH, x=0, y=y), panels=[])
        )
        y += 1
        for row in section.rows:
            x = 0
            for panel, width in row.panels:
                panel.id_val = len(placed) + 1
                panel.grid_pos = GridPos(h=row.height, w=width, x=x, y=y)
                placed.append(panel)
                x += width
            y += row.height
    return placed
