"""The panels of all dashboards: each has a title, a description, a unit and queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from string import ascii_uppercase
from typing import Any, Final

from grafana_foundation_sdk.builders import bargauge, common, stat, table, timeseries
from grafana_foundation_sdk.builders import prometheus as ask
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    AxisPlacement,
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    ScaleDistribution,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    Panel,
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from agents.catalogue import by_name
from grafana.queries import COMPLETE, COVERAGE, PLATFORMS
from grafana.variables import PROMETHEUS

# Units, as Grafana names them.
RATIO: Final = "percentunit"
SECONDS: Final = "s"
COUNT: Final = "short"
TIMES: Final = "suffix: ×"
PLAIN: Final = "none"
SCIENTIFIC: Final = "sci"
PER_HOUR: Final = "suffix: /h"
PER_MINUTE: Final = "suffix: /min"
PER_SECOND: Final = "suffix: /s"

COLOURS: Final = dict(zip(PLATFORMS, cycle(("blue", "orange", "purple", "green", "red", "yellow")), strict=False))
Steps = Sequence[tuple[float | None, str]]
# Colours of a coverage: from 95 % on all figures are shown; alerts on projects need half.
COVERED: Final[Steps] = ((None, "red"), (0.5, "orange"), (COMPLETE, "green"))
NEUTRAL: Final[Steps] = ((None, "text"),)


def meaning(name: str, more: str = "") -> str:
    """The catalogue's description of a metric, followed by `more`."""
    return " ".join(filter(None, (by_name("nomadwatch_" + name).help, more)))


@dataclass(frozen=True)
class TableColumn:
    """A column of a table: its title, the query for its values, and their unit."""

    title: str
    expr: str
    unit: str = COUNT
    steps: Steps = NEUTRAL
    decimals: int | None = None


def over_time(
    title: str,
    description: str,
    unit: str,
    queries: Mapping[str, str],
    *,
    stacked: bool = False,
    logarithmic: bool = False,
    low: float | None = None,
    high: float | None = None,
    line: float | None = None,
    many: bool = False,
    every: str = "",
    none: str = "",
) -> Panel:
    """Lines over time.

    `queries`: by the legend of their series. `line`: a value to mark with a horizontal line. `many`: put the legend at
    the side. `every`: the least time between points, and for rates. `none`: the text without data.
    """
    panel = timeseries.Panel().title(title).description(description).unit(unit).datasource(PROMETHEUS)
    for name, (legend, expr) in zip(ascii_uppercase, queries.items(), strict=False):
        panel.with_target(ask.Dataquery().ref_id(name).expr(expr).legend_format(legend).range().datasource(PROMETHEUS))
    panel.line_width(2).fill_opacity(25 if stacked else 0).show_points(VisibilityMode.AUTO).axis_placement(
        AxisPlacement.AUTO
    )
    legends = common.VizLegendOptions().show_legend(True).calcs(["lastNotNull"])
    legends.display_mode(LegendDisplayMode.TABLE if many else LegendDisplayMode.LIST)
    panel.legend(legends.placement(LegendPlacement.RIGHT if many else LegendPlacement.BOTTOM))
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if logarithmic:
        panel.scale_distribution(common.ScaleDistributionConfig().type(ScaleDistribution.LOG).log(2))
    if low is not None:
        panel.min(low)
    if high is not None:
        panel.max(high)
    if every:
        panel.interval(every)
    if line is not None:
        panel.thresholds(_Thresholds(((None, "transparent"), (line, "text"))))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    if none:
        panel.no_value(none)
    for platform, name in PLATFORMS.items():
        colour = {"mode": "fixed", "fixedColor": COLOURS[platform]}
        panel.override_by_name(platform, [DynamicConfigValue("displayName", name), DynamicConfigValue("color", colour)])
    return panel.build()


def number(
    title: str,
    description: str,
    unit: str,
    expr: str,
    *,
    legend: str = "",
    steps: Steps = NEUTRAL,
    decimals: int | None = None,
    words: Mapping[str, str] | None = None,
    none: str = "",
) -> Panel:
    """One large number, or one for each series, named by its legend. `words`: texts to show for some values."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(PROMETHEUS)
        .thresholds(_Thresholds(steps))
    )
    panel.with_target(
        ask.Dataquery().ref_id("A").expr(expr).legend_format(legend or "__auto").instant().datasource(PROMETHEUS)
    )
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    panel.color_mode(BigValueColorMode.VALUE).graph_mode(BigValueGraphMode.NONE).orientation(VizOrientation.AUTO)
    panel.text_mode(BigValueTextMode.VALUE_AND_NAME if legend else BigValueTextMode.VALUE)
    if decimals is not None:
        panel.decimals(decimals)
    if words:
        panel.mappings([_in_words(words)])
    if none:
        panel.no_value(none)
    for platform, name in PLATFORMS.items():
        panel.override_by_name(platform, [DynamicConfigValue("displayName", name)])
    return panel.build()


def coverage(expr: str = COVERAGE) -> Panel:
    """The coverage of the window, to show beside figures that depend on it."""
    return number(
        "Coverage of the window",
        meaning(
            "window_coverage_ratio",
            "In scope `all`, figures that sampling makes invalid are hidden below 95 %.",
        ),
        RATIO,
        expr,
        legend="{{platform}}",
        steps=COVERED,
        decimals=1,
        none="unknown",
    )


def world() -> Panel:
    """Whether the figures are of the real world; shown at the top of every dashboard."""
    asked = 'max(nomadwatch_build_info{world="simulated"}) or 0 * max(nomadwatch_build_info)'
    words = {"1": "SIMULATED WORLD: every name and every figure is invented", "0": "real"}
    steps: Steps = ((None, "text"), (1.0, "red"))
    return number("World", meaning("build_info"), PLAIN, asked, steps=steps, words=words, none="unknown")


def bars(
    title: str, description: str, unit: str, expr: str, legend: str, *, colour: str = "blue", none: str = ""
) -> Panel:
    """A horizontal bar for each series, in the order of the query."""
    panel = bargauge.Panel().title(title).description(description).unit(unit).datasource(PROMETHEUS).min(0)
    panel.with_target(ask.Dataquery().ref_id("A").expr(expr).legend_format(legend).instant().datasource(PROMETHEUS))
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    panel.orientation(VizOrientation.HORIZONTAL).display_mode(BarGaugeDisplayMode.BASIC)
    panel.color_scheme(_Colour(colour))
    if none:
        panel.no_value(none)
    return panel.build()


def rows(
    title: str,
    description: str,
    key: str,
    columns: Sequence[TableColumn],
    *,
    names: Mapping[str, str] | None = None,
    link: str = "",
    none: str = "",
) -> Panel:
    """A table with a row for each value of the label `key`, sorted by it. The queries must keep that label only.

    With a single column the query may keep more labels: `names` gives their headings, in order. `link`: the link of the
    key.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .unit(columns[0].unit)
        .datasource(PROMETHEUS)
        .filterable(False)
    )
    for name, column in zip(ascii_uppercase, columns, strict=False):
        target = ask.Dataquery().ref_id(name).expr(column.expr).instant().format(PromQueryFormat.TABLE)
        panel.with_target(target.datasource(PROMETHEUS))
    headings = dict(names or {key: key})
    values = [f"Value #{name}" for name in ascii_uppercase[: len(columns)]] if len(columns) > 1 else ["Value"]
    if len(columns) > 1:
        panel.with_transformation(DataTransformerConfig("joinByField", options={"byField": key, "mode": "outer"}))
    kept = "|".join([*headings, *(["Value #."] if len(columns) > 1 else values)])
    panel.with_transformation(
        DataTransformerConfig("filterFieldsByName", options={"include": {"pattern": f"^({kept})$"}})
    )
    titles = {**headings, **dict(zip(values, (column.title for column in columns), strict=True))}
    order = {name: place for place, name in enumerate(titles)}
    panel.with_transformation(
        DataTransformerConfig("organize", options={"excludeByName": {}, "indexByName": order, "renameByName": titles})
    )
    panel.sort_by([common.TableSortByFieldState().display_name(headings[key]).desc(False)])
    for column in columns:
        panel.override_by_name(column.title, _looks(column))
    if "platform" in headings:
        panel.override_by_name(headings["platform"], [DynamicConfigValue("mappings", [_in_words(PLATFORMS).to_json()])])
    if link:
        panel.override_by_name(
            headings[key], [DynamicConfigValue("links", [{"title": "What to do", "url": link, "targetBlank": True}])]
        )
    if none:
        panel.no_value(none)
    return panel.build()


def _looks(column: TableColumn) -> list[DynamicConfigValue]:
    found: list[DynamicConfigValue] = [DynamicConfigValue("unit", column.unit)]
    if column.decimals is not None:
        found.append(DynamicConfigValue("decimals", column.decimals))
    if column.steps is not NEUTRAL:
        steps: list[dict[str, Any]] = [{"value": value, "color": colour} for value, colour in column.steps]
        found.append(DynamicConfigValue("thresholds", {"mode": "absolute", "steps": steps}))
        found.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    return found


def _in_words(words: Mapping[str, str]) -> ValueMap:
    return ValueMap({value: ValueMappingResult(text=text) for value, text in words.items()})


class _Thresholds(Builder[ThresholdsConfig]):
    """Thresholds as a builder, which panels take. Importing the SDK's own builder raises warnings."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def build(self) -> ThresholdsConfig:
        return ThresholdsConfig(ThresholdsMode.ABSOLUTE, [Threshold(value, colour) for value, colour in self._steps])


class _Colour(Builder[FieldColor]):
    """One colour for everything, as a builder."""

    def __init__(self, colour: str) -> None:
        self._colour = colour

    def build(self) -> FieldColor:
        return FieldColor(FieldColorModeId.FIXED, self._colour)
