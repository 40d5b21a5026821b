"""Polars: the hour unpacked in memory, then data frames. with_polars.py HOUR"""

import sys

import polars as pl
from isal import igzip
from work import FEATURE, IS_BOT, PRIME, say

TEXT, NUMBER = pl.String, pl.Int64
SCHEMA = {
    "type": TEXT,
    "actor": pl.Struct({"id": NUMBER, "login": TEXT}),
    "repo": pl.Struct({"id": NUMBER}),
    "created_at": TEXT,
    "payload": pl.Struct(
        {
            "action": TEXT,
            "ref_type": TEXT,
            "issue": pl.Struct({"pull_request": pl.Struct({"html_url": TEXT})}),
        }
    ),
}


def field(name: str, *path: str) -> pl.Expr:
    """A field of a column of structures."""
    found = pl.col(name)
    for step in path:
        found = found.struct.field(step)
    return found


with igzip.open(sys.argv[1]) as file:
    unpacked = file.read()
minute = pl.col("created_at").str.slice(0, 16).str.to_datetime("%Y-%m-%dT%H:%M").dt.epoch("s") // 60
events = (
    pl.read_ndjson(unpacked, schema=SCHEMA)
    .lazy()
    .select(
        "type",
        action=field("payload", "action"),
        ref_type=field("payload", "ref_type"),
        login=field("actor", "login"),
        actor=field("actor", "id"),
        on_pull_request=field("payload", "issue", "pull_request", "html_url").is_not_null(),
        repository=field("repo", "id"),
        minute=minute,
    )
    .filter(~pl.sql_expr(IS_BOT))
    .select("repository", "actor", "minute", feature=pl.sql_expr(FEATURE))
    .collect()
)
n = pl.col("n")
counts = (
    events.group_by("repository", "feature", "minute")
    .agg(n=pl.len().cast(NUMBER))
    .group_by("feature")
    .agg(
        groups=pl.len(),
        activities=n.sum(),
        checksum=(n * n * ((31 * pl.col("repository") + pl.col("minute")) % PRIME)).sum(),
    )
)
people = events.group_by("feature").agg(people=pl.col("actor").n_unique())
say({feature: row for feature, *row in counts.join(people, on="feature").iter_rows()})
