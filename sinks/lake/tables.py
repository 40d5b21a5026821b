"""The tables of the lake: each column with its type and what it means, and how a row of facts becomes one."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from agents.facts import BOT, CREDITED, SIMULATED, STATED, WATCHED
from agents.metric import PREFIX
from sinks.parquet import label_columns
from streams.activity import AFFILIATIONS, ARTEFACTS, FEATURES, PLATFORMS
from streams.codes import ACTIONS, FEATURE_BITS, FEATURE_MASK, KINDS, RELATIONS

# Of the columns and of what they mean. A lake of another version is not written to.
VERSION: Final = 1


class Column(NamedTuple):
    """A column: its name, its type in DuckDB, and what it says. `source` makes it of a row of facts (`facts` only)."""

    name: str
    type: str
    meaning: str
    source: str = ""


def _word(column: str, words: Sequence[str | None]) -> str:
    """SQL: the word that a number stands for; null for the empty one, which is no word."""
    listed = ", ".join(f"'{word or ''}'" for word in words)
    return f"nullif([{listed}][{column} + 1], '')"


_PLATFORM_IDS: Final = " or ".join(f"`{platform}`" for platform in PLATFORMS)
FACTS: Final = (
    Column("time", "TIMESTAMP WITH TIME ZONE", "when it was done, UTC", "make_timestamptz(time)"),
    Column("id", "UBIGINT", "hash of the activity's id", "id"),
    Column("platform", "VARCHAR", _PLATFORM_IDS, _word(f"(code >> {FEATURE_BITS})", PLATFORMS)),
    Column(
        "feature",
        "VARCHAR",
        "what it counts as ([metrics.md](metrics.md))",
        _word(f"(code & {FEATURE_MASK})", FEATURES),
    ),
    Column(
        "kind",
        "VARCHAR",
        "what it was done to or with: `push`, `issue`, `pull_request`, …; null if the source did not say",
        _word("kind", KINDS),
    ),
    Column(
        "action",
        "VARCHAR",
        "what was done: `opened`, `merged`, …; null if there is only one thing to do",
        _word("action", ACTIONS),
    ),
    Column("n", "TINYINT", "1; -1 for a credit that was withdrawn and whose row the lake does not hold", "n"),
    Column("bot", "BOOLEAN", "done by an account that counts as a bot", f"flags & {BOT} <> 0"),
    Column("watched", "BOOLEAN", "in a repository of the watchlist at that time", f"flags & {WATCHED} <> 0"),
    Column("simulated", "BOOLEAN", "of a simulated world", f"flags & {SIMULATED} <> 0"),
    Column("credited", "BOOLEAN", "a merge, credited to who opened the pull request", f"flags & {CREDITED} <> 0"),
    Column(
        "repository",
        "UBIGINT",
        "hash of the repository's number on its platform; its name stands in `repositories`",
        "repository",
    ),
    Column("actor", "UBIGINT", "keyed hash of the account; of another platform it is another one", "actor"),
    Column(
        "affiliation",
        "VARCHAR",
        "`internal`, `staff`, `external` or `unknown`; null where nobody asked",
        _word("affiliation", AFFILIATIONS),
    ),
    Column("project", "VARCHAR", "the watched project; null outside the watchlist", "named.name"),
    Column("artefact", "VARCHAR", "`software`, `model`, `dataset` or `space`", _word("artefact", ARTEFACTS)),
    Column(
        "base", "UBIGINT", "of a derivative: `name_hash` of the repository that it was made from", "nullif(base, 0)"
    ),
    Column(
        "relation",
        "VARCHAR",
        "of a derivative: `finetune`, `adapter`, `merge` or `quantized`",
        _word("relation", RELATIONS),
    ),
    Column(
        "commits",
        "UINTEGER",
        "number of commits; null if it was not stated",
        f"CASE WHEN flags & {STATED} <> 0 THEN commits END",
    ),
    Column(
        "thread", "UINTEGER", "number of the issue, discussion or pull request in its repository", "nullif(thread, 0)"
    ),
)
# The day's folder gives it; a condition on it skips the files of other days.
DATE: Final = Column("date", "DATE", "the day of `time`, from the name of the folder")

_SPAN: Final = (
    Column("first_seen", "TIMESTAMP WITH TIME ZONE", "the first activity in the lake"),
    Column("last_seen", "TIMESTAMP WITH TIME ZONE", "the last one"),
    Column("activities", "BIGINT", "activities of people in the lake"),
    Column("bot_activities", "BIGINT", "those of bots"),
)
REPOSITORIES: Final = (
    Column("repository", "UBIGINT", "as in `facts`"),
    Column("platform", "VARCHAR", "as in `facts`"),
    Column("name", "VARCHAR", "the newest name, `owner/name`; null of one in which only bots were met"),
    Column("owner", "VARCHAR", "what stands before the `/`"),
    Column("project", "VARCHAR", "the watched project of its last activity; null outside the watchlist"),
    Column("artefact", "VARCHAR", "that of its last activity"),
    *_SPAN,
    Column("name_hash", "UBIGINT", "hash of the name, which derivatives name their base by; null where there are none"),
)
PROJECTS: Final = (
    Column("project", "VARCHAR", "as in the watchlist"),
    Column("platform", "VARCHAR", "where; a project of both platforms has two rows or more"),
    Column("artefact", "VARCHAR", "on what"),
    Column("repositories", "BIGINT", "how many of its repositories had an activity"),
    *_SPAN,
)
RELEASES: Final = (
    Column("time", "TIMESTAMP WITH TIME ZONE", "when it was published"),
    Column("platform", "VARCHAR", "as in `facts`"),
    Column("repository", "UBIGINT", "as in `facts`"),
    Column("name", "VARCHAR", "the repository's newest name"),
    Column("kind", "VARCHAR", "`repository` (it was created), `release` or `public` (it was opened to the public)"),
    Column("artefact", "VARCHAR", "as in `facts`"),
    Column("project", "VARCHAR", "as in `facts`"),
    Column("bot", "BOOLEAN", "published by a bot"),
    Column("actor", "UBIGINT", "as in `facts`"),
    Column("id", "UBIGINT", "as in `facts`"),
)
_LABELS: Final = tuple(label_columns())
MEASUREMENTS: Final = (
    Column("time", "TIMESTAMP WITH TIME ZONE", "as of when: the windows end there"),
    Column("name", "VARCHAR", f"as in Prometheus (`{PREFIX}…`)"),
    *(Column(label, "VARCHAR", "a label; null where the metric has none") for label in _LABELS),
    Column("value", "DOUBLE", "the figure"),
    Column("coverage", "DOUBLE", "the share of the row's window that was seen; null for totals and where unknown"),
    Column("world", "VARCHAR", "`real` or `simulated`"),
)

# What can be asked by name, in the order in which it is told.
TABLES: Final = {
    "facts": (*FACTS, DATE),
    "repositories": REPOSITORIES,
    "projects": PROJECTS,
    "releases": RELEASES,
    "measurements": (*MEASUREMENTS, DATE),
}
# Tables with a folder a day.
BY_DAY: Final = ("facts", "measurements")


def select_facts(raw: str, projects: str) -> str:
    """SQL that makes rows of `facts` of a table of raw rows (a column of numbers for each field of `agents.facts.ROW`)
    and one of projects (number, name).
    """
    columns = ", ".join(f"CAST({column.source} AS {column.type}) AS {column.name}" for column in FACTS)
    return f"SELECT {columns} FROM {raw} AS raw LEFT JOIN {projects} AS named ON named.number = raw.project"
