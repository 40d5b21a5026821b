"""The tables that follow from the rows of all days: repositories, projects, releases."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import numpy as np

from sinks.lake.folder import Lake
from sinks.lake.parquet_file import how_written, quoted
from sinks.lake.source import Source
from sinks.lake.tables import PROJECTS, RELEASES, REPOSITORIES
from streams.activity import hash_name
from streams.codes import HASH_MASK

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# SQL of the tables that follow from all days; `named` has the names.
_SPAN: Final = """min(time) AS first_seen, max(time) AS last_seen,
    coalesce(sum(n) FILTER (NOT bot), 0)::BIGINT AS activities,
    coalesce(sum(n) FILTER (bot), 0)::BIGINT AS bot_activities"""
FOLLOWING: Final = {
    "repositories/repositories.parquet": (
        REPOSITORIES,
        f"""
        SELECT met.repository, platform, name, split_part(name, '/', 1) AS owner, project, artefact, first_seen,
            last_seen, activities, bot_activities, name_hash
        FROM (
            SELECT repository, any_value(platform) AS platform, arg_max(artefact, time) AS artefact,
                nullif(arg_max(coalesce(project, ''), time), '') AS project, {_SPAN}
            FROM facts GROUP BY repository
        ) AS met LEFT JOIN named ON named.repository = met.repository & {HASH_MASK}::UBIGINT
        ORDER BY platform, name, repository""",
    ),
    "projects/projects.parquet": (
        PROJECTS,
        f"""
        SELECT project, platform, artefact, count(DISTINCT repository) AS repositories, {_SPAN}
        FROM facts WHERE project IS NOT NULL GROUP BY ALL ORDER BY ALL""",
    ),
    "releases/releases.parquet": (
        RELEASES,
        f"""
        SELECT time, platform, facts.repository AS repository, name, kind, artefact, project, bot, actor, id
        FROM facts LEFT JOIN named ON named.repository = facts.repository & {HASH_MASK}::UBIGINT
        WHERE feature = 'publication' AND n > 0 ORDER BY time, id""",
    ),
}


def write_following(
    connection: "DuckDBPyConnection", lake: Lake, source: Source, tables: Collection[str], damaged: Collection[str]
) -> None:
    """Write those of the tables that are damaged, or were made of other days than the lake has now.

    In the manifest stands with each the number of rows that it was made from, under the hour 0.
    """
    days = {name: file for name, file in lake.files.items() if name.startswith("facts/") and lake.is_whole(name)}
    made_from = {0: sum(n for file in days.values() for n in file.hours.values())}
    stale = [
        name
        for name in FOLLOWING
        if name in damaged
        or (name.partition("/")[0] in tables and (name not in lake.files or lake.files[name].hours != made_from))
    ]
    if not stale or not days:
        return
    listed = ", ".join(f"'{quoted(lake.path / name)}'" for name in sorted(days))
    connection.execute(f"CREATE OR REPLACE TEMP VIEW facts AS SELECT * FROM read_parquet([{listed}])")
    _register_names(connection, lake, source)
    for name in stale:
        columns, query = FOLLOWING[name]
        with lake.replacing(name, made_from) as target:
            typed = ", ".join(f"CAST({column.name} AS {column.type}) AS {column.name}" for column in columns)
            how = how_written(name.partition("/")[0])
            connection.execute(f"COPY (SELECT {typed} FROM ({query})) TO '{quoted(target)}' ({how})")


def _register_names(connection: "DuckDBPyConnection", lake: Lake, source: Source) -> None:
    """The names of the store, and those that it has forgotten and the lake still holds."""
    names = dict(source.all_names())
    before = "repositories/repositories.parquet"
    if lake.is_whole(before):
        known = (
            f"SELECT repository & {HASH_MASK}::UBIGINT, name FROM '{quoted(lake.path / before)}' WHERE name IS NOT NULL"
        )
        names = dict(connection.execute(known).fetchall()) | names
    platforms = dict(connection.execute(
        f"SELECT DISTINCT repository & {HASH_MASK}::UBIGINT, platform FROM facts "
        "WHERE platform IN (SELECT DISTINCT platform FROM facts WHERE base IS NOT NULL)"
    ).fetchall())  # fmt: skip
    connection.register("named", {
        "repository": np.fromiter(names, np.uint64, len(names)),
        "name": np.array(list(names.values()), object),
        # As `agents.count` hashes the family that an activity states.
        "name_hash": np.ma.masked_equal(np.array(
            [hash_name(f"{platforms[key]}:{name}") if key in platforms else 0 for key, name in names.items()], np.uint64
        ), 0),
    })  # fmt: skip
