"""The dashboard *Project*: a project on both platforms, beside another one."""

from collections.abc import Callable
from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana import layout, panels, variables
from grafana.layout import Row, Section
from grafana.panels import TableColumn, bars, coverage, meaning, over_time, rows
from grafana.queries import ONCE, PLATFORMS

_DONE: Final = f'window="$window", {ONCE}'
_COVERAGE: Final = 'nomadwatch_window_coverage_ratio{scope="watched", window="$window"}'
_SIDES: Final = ("$project", "$other")


def dashboard() -> Dashboard:
    """The dashboard: two projects, each on both platforms."""
    values = "label_values(nomadwatch_project_activity, project)"
    other = 'label_values(nomadwatch_project_activity{project!="$project"}, project)'
    return layout.dashboard(
        "project",
        "Project",
        "A project of the watchlist on GitHub and on the Hugging Face Hub, beside another one.",
        [
            variables.window(),
            variables.label_values("project", "Project", "A project of the watchlist, on the left.", values),
            variables.label_values("other", "Beside", "Another project, on the right.", other),
        ],
        [
            Section("Coverage", [Row([(_seen(), 18), (coverage(_COVERAGE), 6)], 6)]),
            Section("Activity", [_pair(_activity), _pair(_features, 9)]),
            Section("Where it happens", [_pair(_share), _pair(_artefacts, 6)]),
            Section("Popularity", [_pair(_popularity, 7), _pair(_levels)]),
        ],
    )


def _pair(panel: Callable[[str], Panel], height: int = 8) -> Row:
    return Row([(panel(side), layout.WIDTH // len(_SIDES)) for side in _SIDES], height)


def _seen() -> Panel:
    description = meaning("window_coverage_ratio", "Every figure below is of the part that was seen.")
    return over_time(
        "Coverage of the watchlist, $window",
        description,
        panels.RATIO,
        {"{{platform}}": _COVERAGE},
        low=0,
        high=1,
        line=0.95,
    )


def _activity(project: str) -> Panel:
    expr = f'sum by (platform) (nomadwatch_project_activity{{project="{project}", {_DONE}}})'
    return over_time(
        f"{project}: activity, $window", meaning("project_activity"), panels.COUNT, {"{{platform}}": expr}, low=0
    )


def _features(project: str) -> Panel:
    def done(platform: str) -> str:
        chosen = f'project="{project}", platform="{platform}", window="$window"'
        return f"sum by (feature) (nomadwatch_project_activity{{{chosen}}})"

    columns = [TableColumn(title, done(platform)) for platform, title in PLATFORMS.items()]
    return rows(
        f"{project}: activity by feature, $window",
        meaning("project_activity", "A cell without activity is empty."),
        "feature",
        columns,
    )


def _share(project: str) -> Panel:
    on_hub = f'sum(nomadwatch_project_activity{{project="{project}", platform="huggingface", {_DONE}}})'
    on_both = f'sum(nomadwatch_project_activity{{project="{project}", {_DONE}}})'
    description = meaning(
        "project_activity",
        "0 %: everything happens on GitHub; 100 %: on the Hub. Unequal coverage of the platforms distorts it.",
    )
    return over_time(
        f"{project}: share on the Hub, $window",
        description,
        panels.RATIO,
        {"on the Hub": f"{on_hub} / {on_both}"},
        low=0,
        high=1,
    )


def _artefacts(project: str) -> Panel:
    expr = f'sort_desc(sum by (artefact) (nomadwatch_project_activity{{project="{project}", {_DONE}}}))'
    return bars(
        f"{project}: activity by artefact, $window", meaning("project_activity"), panels.COUNT, expr, "{{artefact}}"
    )


def _popularity(project: str) -> Panel:
    stated = f'nomadwatch_repository_popularity{{project="{project}"}}'
    share = f'nomadwatch_repository_popularity_share_ratio{{project="{project}", share="counted"}}'
    columns = [
        TableColumn("now", f"sum by (kind) ({stated})", decimals=0),
        TableColumn("repositories counted", f"min by (kind) ({share})", unit=panels.RATIO),
        TableColumn("change in this time range", f"sum by (kind) (delta({stated}[$__range]))", decimals=0),
    ]
    return rows(f"{project}: popularity", meaning("repository_popularity"), "kind", columns)


def _levels(project: str) -> Panel:
    expr = f'sum by (kind) (nomadwatch_repository_popularity{{project="{project}", kind=~"stars|likes|forks"}})'
    return over_time(
        f"{project}: stars, forks and likes", meaning("repository_popularity"), panels.COUNT, {"{{kind}}": expr}
    )
