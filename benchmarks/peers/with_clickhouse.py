"""ClickHouse in this process (chdb): SQL over the packed hour. with_clickhouse.py HOUR"""

import json
import sys

from chdb import session
from work import FEATURE, IS_BOT, PRIME, say

clickhouse = session.Session()
clickhouse.query("CREATE DATABASE peers")
clickhouse.query(
    f"""
    CREATE TABLE peers.events ENGINE = Memory AS
    SELECT repository, person, minute, {FEATURE} AS feature
    FROM (
        SELECT type, payload.action AS action, payload.ref_type AS ref_type, actor.login AS login, actor.id AS person,
            payload.issue.pull_request.html_url != '' AS on_pull_request, repo.id AS repository,
            intDiv(toUnixTimestamp(parseDateTimeBestEffort(created_at)), 60) AS minute
        FROM file('{sys.argv[1]}', 'JSONEachRow', 'type String, actor Tuple(id UInt64, login String),
            repo Tuple(id UInt64), created_at String, payload Tuple(action String, ref_type String,
            issue Tuple(pull_request Tuple(html_url String)))')
    )
    WHERE NOT ({IS_BOT})
    SETTINGS input_format_skip_unknown_fields = 1, input_format_json_ignore_unknown_keys_in_named_tuple = 1,
        input_format_json_defaults_for_missing_elements_in_named_tuple = 1, input_format_null_as_default = 1
    """
)
answer = clickhouse.query(
    f"""
    SELECT feature, groups, activities, checksum, people
    FROM (
        SELECT feature, count() AS groups, sum(n) AS activities,
            sum(n * n * ((31 * repository + minute) % {PRIME})) AS checksum
        FROM (SELECT repository, feature, minute, count() AS n FROM peers.events GROUP BY repository, feature, minute)
        GROUP BY feature
    ) AS counts
    JOIN (SELECT feature, uniqExact(person) AS people FROM peers.events GROUP BY feature) AS people USING (feature)
    """,
    "JSONCompactEachRow",
)
rows = [json.loads(line) for line in str(answer).splitlines()]
say({feature: map(int, row) for feature, *row in rows})
