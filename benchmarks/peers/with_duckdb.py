"""DuckDB: SQL over the packed hour. with_duckdb.py HOUR"""

import sys

import duckdb
from work import FEATURE, IS_BOT, PRIME, say

database = duckdb.connect()
database.execute(
    f"""
    CREATE TABLE events AS
    SELECT repository, actor, minute, {FEATURE} AS feature
    FROM (
        SELECT type, payload.action AS action, payload.ref_type AS ref_type, actor.login AS login, actor.id AS actor,
            payload.issue.pull_request.html_url IS NOT NULL AS on_pull_request, repo.id AS repository,
            epoch(created_at)::BIGINT // 60 AS minute
        FROM read_json($hour, format = 'newline_delimited', columns = {{
            type: 'VARCHAR', actor: 'STRUCT(id BIGINT, login VARCHAR)', repo: 'STRUCT(id BIGINT)',
            created_at: 'TIMESTAMP', payload: 'STRUCT("action" VARCHAR, ref_type VARCHAR,
                issue STRUCT(pull_request STRUCT(html_url VARCHAR)))'}})
    )
    WHERE NOT ({IS_BOT})
    """,
    {"hour": sys.argv[1]},
)
rows = database.execute(
    f"""
    WITH counts AS (
        SELECT repository, feature, minute, count(*) AS n FROM events GROUP BY ALL
    ), people AS (
        SELECT feature, count(DISTINCT actor) AS people FROM events GROUP BY feature
    )
    SELECT feature, count(*), sum(n)::BIGINT, sum(n * n * ((31 * repository + minute) % {PRIME}))::BIGINT,
        any_value(people)
    FROM counts JOIN people USING (feature) GROUP BY feature
    """
).fetchall()
say({feature: row for feature, *row in rows})
