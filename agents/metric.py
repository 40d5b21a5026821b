"""What a row of the catalogue is, what it must say, and how it is shown."""

import re
from collections.abc import Iterable, Mapping
from textwrap import wrap
from typing import Final, Literal

import msgspec

from streams import platforms
from streams.features import IN_PART, Meaning, in_words, meanings
from streams.platforms import TITLES

PREFIX: Final = "nomadwatch_"
# Characters in a line of docs/metrics.md, outside tables.
WIDTH: Final = 120

Kind = Literal["gauge", "counter", "histogram"]
UnderSampling = Literal["scales", "invalid", "exact"]

GROUPS: Final = {
    "A": "Activity",
    "B": "Intensity",
    "C": "Networks",
    "D": "Openness",
    "E": "User innovation",
    "F": "Nomads",
    "G": "Shifts and spikes",
    "H": "Feed health",
    "I": "Reference",
    "P": "Program",
}

LABELS: Final = {
    "scope": "`watched`: the repositories of the watchlist; `all`: everything that any feed saw. Never add the two.",
    "platform": " or ".join(f"`{each.id}` ({each.holds})" for each in platforms.ALL) + ".",
    "feature": (
        "what was done: `contribution`, `accepted`, `exchange`, `preference`, `review`, `adaptation`, `publication`, "
        "`upkeep`."
    ),
    "window": "the trailing `1h`, `24h`, `7d` or `30d` of event time, up to the newest event.",
    "actor": "`human` or `bot`. Metrics of activity without this label count people only.",
    "project": "an entry of the watchlist; a repository stays its project's when it is renamed or moves.",
    "artefact": "`software`, `model`, `dataset` or `space`.",
    "repository": "the repository's public name; `_other` is the sum of all repositories that are not named.",
    "release": "the public name of the repository that was published, or that published a version.",
    "kind": "`stars`, `forks`, `watchers`, `likes`, `downloads` (30 days) or `downloads_all`.",
    "share": (
        "of a project's repositories: `answered` (when last asked) or `counted` (in the sum, with numbers up to a "
        "day old)."
    ),
    "stat": (
        "`mean`, `median`, `p90`, `p99`, `max`, or `gini` (0: all repositories are equal; near 1: one has nearly "
        "everything)."
    ),
    "a": "the first feature of a pair.",
    "b": "the second feature of a pair.",
    "reason": "of a dead letter: why it could not be read; of a gap: why the feed could not see.",
    "role": "the part of nomadwatch that states the value, such as `measure`.",
    "feed": "what is polled: `github:/events`, `github:/orgs/NAME/events`, `huggingface:models`, …",
    "outcome": (
        "of a request: `new` (200), `unchanged` (304), `limited` (a 429, or a 403 that says so) or `failed` (all "
        "others)."
    ),
    "source": "the publication that states the value.",
    "metric": "the metric that the value stands beside, without the prefix.",
    "version": "of nomadwatch.",
    "python": "the version of Python that it runs on.",
    "world": "`real`, or `simulated`: some of the input comes from a generated world with invented names.",
    "stage": "`folded`: from receipt until it is a fact; `measured`: until the evaluation; `shown`: until a scrape.",
}

UNDER_SAMPLING: Final = {
    "scales": "a sample of half the events gives half the figure. See below how to scale it.",
    "invalid": (
        "wrong for a sample, and cannot be scaled. Trust it only where the coverage of its window is at least 0.95."
    ),
    "exact": "does not depend on how much of the world the feeds show.",
}


# How a figure is scaled to a whole window, and when that is wrong.
_SCALING: Final = (
    "### How to scale",
    "",
    *wrap(
        "To estimate a whole window, divide a metric that **scales** by `nomadwatch_window_coverage_ratio` of the same "
        "scope, platform and window. Do so only where that coverage is at least 0.5. Below 0.5 the result is far too "
        "high: the first look at a feed brings activities from before the time that the feed covers. They are counted, "
        "but the coverage does not include their time. Example: one hour after the first start a day has the coverage "
        "0.045 and may hold 1,660 activities of three hours. 1,660 ÷ 0.045 = 36,889 is not the activity of a day.",
        WIDTH,
    ),
    "",
    "In PromQL:",
    "",
    "```",
    'nomadwatch_activity{scope="watched", window="24h"}',
    "  / on (platform) group_left ()",
    '(nomadwatch_window_coverage_ratio{scope="watched", window="24h"} >= 0.5)',
    "```",
    "",
    *wrap(
        "The page and the terminal of a station show no figure of a window whose coverage is below 0.5 or unknown. "
        "They "
        "show since when it is covered (`nomadwatch_covered_since_timestamp_seconds`). The table of `nomadwatch "
        "report` "
        "does the same below 0.5; where no coverage is known, it shows figures. `/metrics`, and reports as JSON, CSV "
        "and "
        "Parquet, keep every figure with its coverage. The CSV of the page has what the page shows.",
        WIDTH,
    ),
)


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A row. `name` has the prefix; `help` says what it means and how to read it, `formula` how it is computed."""

    name: str
    group: str
    type: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    formula: str
    source: str
    under_sampling: UnderSampling

    @property
    def family(self) -> str:
        """The OpenMetrics family: the name without `_total`."""
        return self.name.removesuffix("_total")


def problems(rows: Iterable[Metric], labels: Mapping[str, str] = LABELS) -> list[str]:
    """What is wrong with a catalogue: names, families, units, labels (and what they mean).

    >>> row = Metric(
    ...     name="nomadwatch_share_ratio", group="A", type="gauge", unit="parts", labels=("window",), help="A share.",
    ...     formula="part ÷ whole", source="nomadwatch", under_sampling="scales",
    ... )  # fmt: skip
    >>> problems([row])
    ['nomadwatch_share_ratio: a name ends in _ratio if, and only if, its unit is ratio']
    """
    found: list[str] = []
    families: set[str] = set()
    for row in rows:
        say = f"{row.name}: ".__add__
        if not re.fullmatch(PREFIX + r"[a-z][a-z0-9]*(_[a-z0-9]+)*", row.name):
            found.append(say("is no Prometheus name with the project's prefix"))
        if row.family in families:
            found.append(say(f"there is another metric of the family {row.family}"))
        families.add(row.family)
        if row.name.endswith("_total") != (row.type == "counter"):
            found.append(say("a name ends in _total if, and only if, it is a counter"))
        for unit in ("ratio", "seconds"):
            if row.family.endswith("_" + unit) != (row.unit == unit):
                found.append(say(f"a name ends in _{unit} if, and only if, its unit is {unit}"))
        if unknown := [label for label in row.labels if label not in labels]:
            found.append(say(f"unexplained labels {unknown}"))
        if len(set(row.labels)) != len(row.labels):
            found.append(say("repeats a label"))
        if row.group not in GROUPS:
            found.append(say(f"there is no group {row.group}"))
        if not row.help.endswith(".") or not row.formula or not row.source or not row.unit:
            found.append(say("help (a sentence), formula, source and unit must be stated"))
    return found


def render(rows: Iterable[Metric], labels: Mapping[str, str] = LABELS) -> str:
    """The catalogue as Markdown."""
    rows = list(rows)
    lines = [
        "# Metrics",
        "",
        "<!-- Written by `python -m agents.catalogue > docs/metrics.md`; change agents/metrics instead. -->",
        "",
        *wrap(
            "A figure that is not known is absent, never 0. Ratios are 0 to 1 unless they say otherwise; times are in "
            "seconds. Groups A, B and F count people only; `activities_total` counts bots too, and popularity is "
            "what the "
            "platforms state.",
            WIDTH,
        ),
        "",
        "## Labels",
        "",
        "| label | meaning |",
        "|---|---|",
        *(f"| `{label}` | {meaning} |" for label, meaning in labels.items()),
        "",
        "## Features",
        "",
        *wrap(
            "The table says which event of GitHub, and which act on the Hub, counts as which feature. Any other "
            "action of "
            "these event types counts as `upkeep`. Events of other types are dead letters. A station shows the same "
            "table "
            "at `/features`.",
            WIDTH,
        ),
        "",
        "| feature | platform | event or act | what was done |",
        "|---|---|---|---|",
        *(f"| {in_words(row)} | {TITLES[row.platform]} | {_event(row)} | {row.what} |" for row in meanings()),
        "",
        *wrap(IN_PART, WIDTH),
        "",
        "## Samples",
        "",
        "Live, the scope `all` is a sample of a platform. What that does to a metric:",
        "",
        *(line for name, meaning in UNDER_SAMPLING.items() for line in _item(f"**{name}**: {meaning}")),
        "",
        *_SCALING,
    ]
    for group, title in GROUPS.items():
        own = [row for row in rows if row.group == group]
        if own:
            lines += ["", f"## {group}. {title}"]
        for row in own:
            lines += ["", *_section(row)]
    return "\n".join(lines) + "\n"


def _event(row: Meaning) -> str:
    return f"`{row.event}`" if row.is_code else row.event


def _section(row: Metric) -> list[str]:
    facts = (
        f"{row.type} in {row.unit}",
        f"labels: {', '.join(f'`{label}`' for label in row.labels) or 'none'}",
        f"formula: {row.formula}",
        f"under sampling: {row.under_sampling}",
        f"source: {row.source}",
    )
    return [f"### {row.name}", "", *wrap(row.help, WIDTH), "", *(line for fact in facts for line in _item(fact))]


def _item(text: str) -> list[str]:
    """An item of a list, in lines of at most WIDTH characters."""
    return wrap(
        text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
