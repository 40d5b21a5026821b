"""The board's figures counted again, by SQL from the rows of the lake.

It shares nothing with what measures but the rows: no sums that run along, no histograms, no statistics of ours. What
the rows do not say (coverage, popularity, health) cannot be counted again.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from agents.measurements import Measurement
from agents.metric import PREFIX
from sinks.lake.tables import select_facts
from streams.activity import COMPARED, FEATURES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Length of a step in µs, and the number of steps up to and with the one of the front.
WINDOWS: Final = {
    "1h": (60_000_000, 60),
    "24h": (3_600_000_000, 24),
    "7d": (3_600_000_000, 168),
    "30d": (86_400_000_000, 30),
}
_SCOPES: Final = {"all": "true", "watched": "watched"}
_REST: Final = "_other"
_QUOTED_FEATURES: Final = ", ".join(f"count(*) FILTER (feature = '{feature}') AS \"{feature}\"" for feature in FEATURES)

_ACTIVE: Final = """
SELECT platform, feature, count(*), count(DISTINCT actor), count(DISTINCT repository) FROM own GROUP BY ALL"""
_COMMITS: Final = "SELECT platform, sum(commits) FROM own WHERE commits IS NOT NULL GROUP BY ALL"
_PROJECTS: Final = "SELECT project, platform, artefact, feature, count(*) FROM own GROUP BY ALL"
_TOP: Final = """
WITH each AS (
    SELECT platform, feature, name, count(*) AS n FROM own LEFT JOIN names USING (platform, repository) GROUP BY ALL
)
SELECT platform, feature, CASE WHEN shown.name IS NULL THEN '_other' ELSE name END, sum(n)
FROM each LEFT JOIN shown USING (platform, feature, name) GROUP BY ALL"""
_RELEASES: Final = """
SELECT platform, name, count(*) FILTER (feature IN ('exchange', 'review', 'preference', 'adaptation'))
FROM own JOIN names USING (platform, repository) GROUP BY ALL HAVING count(*) FILTER (feature = 'publication') > 0"""
# A population: the repositories of a platform that had any activity, zeros included.
_STATISTICS: Final = """
WITH ranked AS (SELECT "{0}" AS v, row_number() OVER (ORDER BY "{0}") AS place FROM profile WHERE platform = '{1}')
SELECT avg(v), median(v), quantile_cont(v, 0.9), quantile_cont(v, 0.99), max(v),
    sum(v * (2 * place - 1 - (SELECT count(*) FROM ranked)))::DOUBLE / count(*) / nullif(sum(v), 0), sum(v)
FROM ranked"""
_CORRELATIONS: Final = "SELECT {} FROM profile WHERE platform = '{}'"
_MANN_WHITNEY: Final = """
WITH tied AS (
    SELECT "{0}" AS v, count(*) FILTER (platform = '{1}') AS a, count(*) FILTER (platform = '{2}') AS b
    FROM profile GROUP BY v
), ordered AS (
    SELECT v, a, b,
        coalesce(sum(b) OVER (ORDER BY v ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS below FROM tied
)
SELECT sum(a), sum(b), sum(a * v), sum(b * v), sum(a * (below + b / 2)), sum((a + b)::DOUBLE ** 3 - (a + b)), count(*)
FROM ordered"""
_TOTALS: Final = "SELECT platform, feature, bot, sum(n) FROM facts WHERE {} GROUP BY ALL"


def recount(
    connection: "DuckDBPyConnection", window: str, front: int, shown: Iterable[Measurement]
) -> Iterator[Measurement]:
    """Every figure of a window at a front (µs UTC) that the rows give, of the view `facts` and the table `names`.

    `shown`: what the board shows of the window: which of the busiest repositories it names depends on what was shown
    before, so each that it names is counted, and the rest together.
    """
    step, steps = WINDOWS[window]
    end = (front // step + 1) * step
    named = [
        (row.labels["scope"], row.labels["platform"], row.labels["feature"], row.labels["repository"])
        for row in shown
        if row.name == PREFIX + "top_repository_activity" and row.labels["repository"] != _REST
    ]
    for scope, condition in _SCOPES.items():
        # Days are told apart by their folders: those outside are not opened.
        connection.execute(f"""
            CREATE OR REPLACE TEMP VIEW own AS SELECT * FROM facts WHERE NOT bot AND n > 0 AND {condition}
            AND time >= make_timestamptz({end - steps * step}) AND time < make_timestamptz({end})
            AND date >= CAST(make_timestamptz({end - steps * step}) AS DATE)
            AND date <= CAST(make_timestamptz({end}) AS DATE)
        """)
        connection.execute("CREATE OR REPLACE TEMP TABLE shown (platform VARCHAR, feature VARCHAR, name VARCHAR)")
        if own := [list(place) for own_scope, *place in named if own_scope == scope]:
            connection.executemany("INSERT INTO shown VALUES (?, ?, ?)", own)
        labels = {"scope": scope, "window": window}
        yield from _counts(connection, labels)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE profile AS "
            f"SELECT platform, {_QUOTED_FEATURES} FROM own GROUP BY platform, repository"
        )
        yield from _spread(connection, labels)
        yield from _comparison(connection, labels)


def totals(connection: "DuckDBPyConnection") -> Iterator[Measurement]:
    """The counters since the lake begins."""
    for scope, condition in _SCOPES.items():
        for platform, feature, bot, n in _rows(connection, _TOTALS.format(condition)):
            labels = {"scope": scope, "platform": platform, "feature": feature, "actor": "bot" if bot else "human"}
            if n:
                yield _measurement("activities_total", labels, n)


def _rows(connection: "DuckDBPyConnection", query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def _measurement(name: str, labels: Mapping[str, str], value: float) -> Measurement:
    return Measurement(PREFIX + name, dict(labels), float(value))


def _counts(connection: "DuckDBPyConnection", labels: Mapping[str, str]) -> Iterator[Measurement]:
    for platform, feature, n, people, repositories in _rows(connection, _ACTIVE):
        own = {**labels, "platform": platform, "feature": feature}
        yield _measurement("activity", own, n)
        yield _measurement("active_developers", own, people)
        yield _measurement("active_repositories", own, repositories)
    for platform, n in _rows(connection, _COMMITS):
        yield _measurement("commits", {**labels, "platform": platform}, n)
    for platform, feature, name, n in _rows(connection, _TOP):
        yield _measurement(
            "top_repository_activity", {**labels, "platform": platform, "feature": feature, "repository": name}, n
        )
    if labels["scope"] != "watched":
        return
    window = {"window": labels["window"]}
    for project, platform, artefact, feature, n in _rows(connection, _PROJECTS):
        place = {"project": project, "platform": platform, "artefact": artefact, "feature": feature}
        yield _measurement("project_activity", {**window, **place}, n)
    for platform, name, n in _rows(connection, _RELEASES):
        yield _measurement("release_engagement", {**window, "platform": platform, "release": name}, n)


def _spread(connection: "DuckDBPyConnection", labels: Mapping[str, str]) -> Iterator[Measurement]:
    for (platform,) in _rows(connection, "SELECT DISTINCT platform FROM profile"):
        own = {**labels, "platform": platform}
        for feature in FEATURES:
            ((*statistics, total),) = _rows(connection, _STATISTICS.format(feature, platform))
            if feature == "accepted" and not total:
                # Not every source tells of merges: none at all is not known to be none.
                continue
            for stat, value in zip(("mean", "median", "p90", "p99", "max", "gini"), statistics, strict=True):
                if value is not None:
                    yield _measurement("intensity", {**own, "feature": feature, "stat": stat}, value)
        pairs = [(a, b) for i, a in enumerate(FEATURES) for b in FEATURES[i + 1 :]]
        # Of what does not vary there is no correlation.
        asked = ", ".join(
            f'CASE WHEN min("{a}") < max("{a}") AND min("{b}") < max("{b}") THEN corr("{a}", "{b}") END'
            for a, b in pairs
        )
        (values,) = _rows(connection, _CORRELATIONS.format(asked, platform))
        for (a, b), value in zip(pairs, values, strict=True):
            if value is not None:
                yield _measurement("feature_correlation", {**own, "a": a, "b": b}, value)


def _comparison(connection: "DuckDBPyConnection", labels: Mapping[str, str]) -> Iterator[Measurement]:
    """Of the first platform and the second, feature by feature."""
    for feature in FEATURES:
        found = _rows(connection, _MANN_WHITNEY.format(feature, *COMPARED))
        n1, n2, total1, total2, u, ties, different = (float(value or 0) for value in found[0])
        if not n1 or not n2 or (feature == "accepted" and not (total1 and total2)):
            continue
        own = {**labels, "feature": feature}
        if total2:
            yield _measurement("intensity_gap_ratio", own, (total1 / n1) / (total2 / n2))
        yield _measurement("mann_whitney_u", own, u)
        yield _measurement("dominance_ratio", own, u / n1 / n2)
        if different > 1:
            n = n1 + n2
            deviation = math.sqrt(n1 * n2 / 12 * (n + 1 - ties / (n * (n - 1))))
            away = u - n1 * n2 / 2
            z = math.copysign(max(abs(away) - 0.5, 0.0), away) / deviation
            yield _measurement("mann_whitney_z", own, z)
            yield _measurement("mann_whitney_p", own, math.erfc(abs(z) / math.sqrt(2)))


def name_repositories(connection: "DuckDBPyConnection", newer: Mapping[int, tuple[str, str]]) -> set[tuple[str, str]]:
    """Make the table `names` of the lake's repositories and of newer names (platform, name). Those that several
    repositories have.
    """
    connection.execute("CREATE TEMP TABLE newer (repository UBIGINT, platform VARCHAR, name VARCHAR)")
    if newer:
        connection.executemany("INSERT INTO newer VALUES (?, ?, ?)", [[key, *names] for key, names in newer.items()])
    connection.execute("""
        CREATE TEMP TABLE names AS
        SELECT repository, platform, name FROM newer
        UNION ALL SELECT repository, platform, name FROM repositories ANTI JOIN newer USING (repository)
        WHERE name IS NOT NULL
    """)
    return set(_rows(connection, "SELECT platform, name FROM names GROUP BY ALL HAVING count(*) > 1"))


def put_beside(connection: "DuckDBPyConnection", columns: Mapping[str, Any], projects: Sequence[str]) -> None:
    """Let the view `facts` be the lake's rows with others beside them (a column of numbers for each field of
    `agents.facts.ROW`); a credit that these withdraw is taken away.
    """
    connection.execute("CREATE OR REPLACE TEMP VIEW facts AS SELECT * FROM memory.main.facts")
    if not len(columns["n"]):
        return
    connection.register("raw", dict(columns))
    connection.register("numbers", {"number": np.arange(1, len(projects) + 1), "name": np.array(projects, object)})
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE beside AS
        SELECT *, CAST(time AS DATE) AS date FROM ({select_facts("raw", "numbers")})
    """)
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW every AS SELECT * FROM memory.main.facts UNION ALL BY NAME FROM beside"
    )
    connection.execute("""
        CREATE OR REPLACE TEMP VIEW facts AS
        SELECT * FROM every WHERE id NOT IN (SELECT id FROM beside WHERE n < 0)
        UNION ALL BY NAME
        SELECT * EXCLUDE (kept), kept AS n FROM (
            SELECT * EXCLUDE (n), sum(n) AS kept FROM every WHERE id IN (SELECT id FROM beside WHERE n < 0) GROUP BY ALL
        ) WHERE kept <> 0
    """)
