"""A recount of archive files in one batch: DuckDB reads and counts, numpy and scipy compute the statistics. It is an
oracle, so it imports nothing of the program.

`recount(paths)` gives every measurement of activity and intensity of the files, `recount_input(paths)` what was read,
and `compare` lists where a report differs. It reads GitHub's full payloads of both eras, the minimised form, and
files of activities.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from scipy import stats

Key = tuple[str, frozenset[tuple[str, str]]]
Expected = dict[Key, float]
WatchlistEntry = Mapping[str, Any]

FEATURES = ("contribution", "accepted", "exchange", "preference", "review", "adaptation", "publication", "upkeep")
# Length of a step in µs, and number of steps.
WINDOWS = {"1h": (60_000_000, 60), "24h": (3_600_000_000, 24), "7d": (3_600_000_000, 168), "30d": (86_400_000_000, 30)}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

READ_LINES = """
INSERT INTO line
SELECT $number, trim(text) FROM read_csv($path, columns = {'text': 'VARCHAR'}, delim = '\x01', quote = '', escape = '',
    header = false, nullstr = '\x02', auto_detect = false, max_line_size = 50000000, compression = $compression,
    strict_mode = false)
WHERE trim(text) <> ''
"""

# A row for each line, without the action lines of a bulk upload. `body` is JSON or null.
OBJECTS = r"""
CREATE TABLE object AS
SELECT file, if(json_valid(text), text, NULL) AS body, coalesce(json_type(body), 'INVALID') AS shape FROM line
WHERE NOT regexp_full_match(text, '\{"(index|create)":\s*\{[^{}]*\}\}')
"""

EVENTS = r"""
CREATE TABLE event AS
WITH field AS (
    SELECT file, shape, body, json_extract_string(body, ['$.id', '$.type', '$.created_at', '$.repo.id', '$.repo.name',
        '$.actor.id', '$.actor.login', '$.payload.action', '$.payload.ref_type', '$.payload.size',
        '$.payload.pull_request.merged',
        '$.payload.pull_request.user.id', '$.payload.pull_request.user.login', '$.payload.pull_request.head.repo.url',
        '$.dt', '$.repo', '$.actor', '$.action', '$.commits', '$.payload.pull_request.number']) AS f
    FROM object JOIN file ON file.number = object.file WHERE file.kind = 'github'
)
SELECT file, shape, f[1] AS id, f[2] AS type, f[15] IS NOT NULL AS minimised,
    coalesce(f[15], f[3]) AS stamp, epoch_us(try_cast(coalesce(f[15], f[3]) AS TIMESTAMP)) AS happened,
    if(f[15] IS NULL, f[4], lower(f[16])) AS repository, if(f[15] IS NULL, f[5], lower(f[16])) AS name,
    coalesce(if(f[15] IS NULL, f[6], lower(f[17])), 'nobody of ' || f[1]) AS actor,
    coalesce(lower(if(f[15] IS NULL, f[7], f[17])), '') AS login,
    if(f[15] IS NULL, f[8], f[18]) AS action, f[9] AS ref_type,
    CAST(if(f[15] IS NULL, f[10], f[19]) AS BIGINT) AS commits,
    coalesce(f[11] = 'true', false) AS merged, f[12] AS author, lower(f[13]) AS author_login,
    lower(regexp_extract(f[14], '/repos/([^/]+)/', 1)) AS head_owner,
    if(f[15] IS NULL AND f[2] = 'PullRequestEvent', CAST(f[20] AS BIGINT), NULL) AS thread,
    coalesce(json_type(body, '$.payload.issue.pull_request') = 'OBJECT', false)
        AND coalesce(json_type(body, '$.payload.issue.pull_request.html_url') <> 'NULL', true) AS about_pull
FROM field
"""

MEANINGS = """
CREATE TABLE meaning AS
SELECT *, CASE
    WHEN shape = 'INVALID' THEN 'json'
    WHEN shape <> 'OBJECT' THEN 'not-an-event'
    WHEN id IS NULL OR type IS NULL OR stamp IS NULL OR repository IS NULL OR name IS NULL
        THEN 'missing-field'
    WHEN happened IS NULL THEN 'bad-time'
    WHEN type IN ('PushEvent', 'push') THEN 'contribution'
    WHEN type IN ('WatchEvent', 'watch') THEN 'preference'
    WHEN type IN ('ForkEvent', 'fork') THEN 'adaptation'
    WHEN type IN ('CommitCommentEvent', 'ccomment') THEN 'exchange'
    WHEN type IN ('PublicEvent', 'public', 'create') THEN 'publication'
    WHEN type = 'CreateEvent' THEN if(ref_type = 'repository', 'publication', 'upkeep')
    WHEN type IN ('ReleaseEvent', 'release') THEN if(action = 'published', 'publication', 'upkeep')
    WHEN type IN ('IssuesEvent', 'issue') THEN if(action = 'opened', 'exchange', 'upkeep')
    WHEN type IN ('DiscussionEvent', 'DiscussionCommentEvent') THEN if(action = 'created', 'exchange', 'upkeep')
    WHEN type = 'icomment' THEN if(action = 'created', 'exchange', 'upkeep')
    WHEN type = 'IssueCommentEvent' THEN if(action <> 'created', 'upkeep', if(about_pull, 'review', 'exchange'))
    WHEN type IN ('PullRequestEvent', 'pr') THEN if(action = 'opened', 'review', 'upkeep')
    WHEN type IN ('PullRequestReviewEvent', 'PullRequestReviewCommentEvent', 'prcomment')
        THEN if(action IN ('created', 'submitted'), 'review', 'upkeep')
    WHEN type IN ('DeleteEvent', 'GollumEvent', 'MemberEvent', 'PullRequestReviewThreadEvent', 'del', 'golem', 'member')
        THEN 'upkeep'
    ELSE 'unknown-type'
END AS feature FROM event
"""

# A merge is `upkeep` of the account that merged and `accepted` of the account that opened the pull request. Full
# payloads name the opener. Otherwise it is guessed: an account that merges a branch of its own repository. CREDITED
# corrects the guess where the opening was read too.
GITHUB_ACTIVITIES = """
CREATE TABLE github_activity AS
WITH known AS (SELECT *, 'github:' || type || ':' || id AS identity,
        if(action = 'merged' OR (action = 'closed' AND merged), 'merged', action) AS turn
    FROM meaning WHERE feature IN (SELECT unnest($features)))
SELECT identity AS id, 'github' AS platform, feature, file, happened, coalesce(file.ends, happened) AS ingested,
    repository, name, actor, login,
    if(feature = 'contribution', commits, NULL) AS commits, 'software' AS artefact, thread, turn, NULL AS stated
FROM known JOIN file ON file.number = known.file
UNION ALL
SELECT identity || ':accepted', 'github', 'accepted', file, happened, coalesce(file.ends, happened), repository, name,
    coalesce(author, actor), if(author IS NULL, login, author_login), NULL, 'software', thread, 'accepted', NULL
FROM known JOIN file ON file.number = known.file
WHERE type = 'PullRequestEvent' AND turn = 'merged' AND (author IS NOT NULL OR head_owner = login)
"""

HUB_ACTIVITIES = """
CREATE TABLE stated AS
WITH field AS (
    SELECT file, json_extract_string(body, ['$.id', '$.platform', '$.kind', '$.action', '$.occurred_at',
        '$.ingested_at', '$.repo_id', '$.repo', '$.actor',
        '$.bot', '$.commits', '$.artefact', '$.thread', '$.project']) AS f
    FROM object JOIN file ON file.number = object.file WHERE file.kind = 'activities' AND shape = 'OBJECT'
)
SELECT f[1] AS id, f[2] AS platform, CASE
    WHEN f[4] = 'accepted' THEN 'accepted'
    WHEN f[4] IS NOT NULL AND f[4] NOT IN ('opened', 'created', 'submitted', 'started', 'forked', 'published')
        THEN 'upkeep'
    WHEN f[3] IN ('push', 'commit') THEN 'contribution'
    WHEN f[3] IN ('issue', 'issue_comment', 'commit_comment', 'discussion', 'discussion_comment') THEN 'exchange'
    WHEN f[3] IN ('star', 'like') THEN 'preference'
    WHEN f[3] IN ('pull_request', 'pull_request_comment', 'review', 'review_comment') THEN 'review'
    WHEN f[3] IN ('fork', 'derivative') THEN 'adaptation'
    WHEN f[3] IN ('repository', 'release', 'public') THEN 'publication'
    ELSE 'upkeep'
END AS feature, file, CAST(f[5] AS BIGINT) AS happened, CAST(f[6] AS BIGINT) AS ingested, f[7] AS repository,
    f[8] AS name, coalesce(f[9], 'nobody of ' || f[1]) AS actor,
    if(f[10] = 'true', '[bot]', '') AS login, CAST(f[11] AS BIGINT) AS commits, coalesce(f[12], 'software') AS artefact,
    if(f[3] = 'pull_request', CAST(f[13] AS BIGINT), NULL) AS thread, f[4] AS turn,
    if(f[14] IN (SELECT project FROM watched), f[14], NULL) AS stated
FROM field
"""

# The project of a repository: its name decides, otherwise the project that it had under another name. An entry that
# names one repository means the one that had the name first, unless that one does not appear again.
BELONGS = """
CREATE TABLE called AS
SELECT platform, artefact, repository, lower(name) AS name, min(happened) AS since, max(happened) AS until,
    min(stated) AS stated
FROM arrived GROUP BY ALL;
CREATE TABLE latest AS
SELECT platform, repository, arg_max(name, until) AS name FROM called GROUP BY ALL;
CREATE TABLE fitting AS
SELECT called.*, project, pattern, one, rank FROM called JOIN watched
    ON watched.platform = called.platform AND called.name GLOB pattern
WHERE NOT one OR NOT EXISTS (
    FROM called AS other JOIN latest USING (platform, repository)
    WHERE other.platform = called.platform AND other.artefact = called.artefact AND other.name = called.name
        AND other.since < called.since AND latest.name <> called.name
);
CREATE TABLE belongs AS
WITH own AS (
    SELECT platform, repository, arg_min(project, (NOT one, since, rank)) AS project FROM (
        SELECT platform, repository, since, project, one, rank FROM fitting
        UNION ALL SELECT platform, repository, since, stated, false, [-1, 0] FROM called WHERE stated IS NOT NULL
    ) GROUP BY ALL
), by_name AS (
    SELECT platform, repository, name, arg_min(project, rank) AS project FROM fitting GROUP BY ALL
)
SELECT DISTINCT platform, repository, name, coalesce(by_name.project, own.project) AS project
FROM called LEFT JOIN by_name USING (platform, repository, name) LEFT JOIN own USING (platform, repository);
"""

# What was read twice counts once. What is dated more than a day after its file does not count.
ACTIVITIES = """
CREATE TABLE arrived AS
SELECT * FROM github_activity UNION ALL SELECT * FROM stated;
CREATE TABLE known AS
SELECT DISTINCT ON (id) a.*,
    (ends_with(login, '[bot]') OR login IN (SELECT unnest($bots))) AND NOT $include_bots AS bot,
    coalesce(stated, belongs.project) AS project
FROM arrived AS a LEFT JOIN belongs
    ON belongs.platform = a.platform AND belongs.repository = a.repository AND belongs.name = lower(a.name)
WHERE happened <= ingested + 86400000000 ORDER BY id, ingested;
"""

# The accepted contribution of a merge, once: of the account that opened the thread within 31 days of it, otherwise of
# the one that the merge's own line names.
CREDITED = """
CREATE TABLE activity AS
WITH merge AS (
    SELECT DISTINCT ON (credit) * FROM (
        SELECT if(turn = 'merged', id || ':accepted', id) AS credit, *
        FROM known WHERE thread IS NOT NULL AND turn IN ('merged', 'accepted')
    ) ORDER BY credit, turn DESC
), opened AS (
    SELECT credit, min((opening.happened, opening.actor, opening.bot)) AS first
    FROM merge JOIN known AS opening ON opening.turn = 'opened' AND opening.platform = merge.platform
        AND opening.repository = merge.repository AND opening.thread = merge.thread
        AND abs(opening.happened - merge.happened) <= 31 * 86400000000
    GROUP BY credit
)
SELECT id, platform, feature, happened, repository, name, actor, commits, artefact, bot, project FROM known
WHERE id NOT IN (SELECT credit FROM opened)
UNION ALL
SELECT credit, platform, 'accepted', happened, repository, name, first[2], NULL, artefact, first[3], project
FROM merge JOIN opened USING (credit);
CREATE TABLE counted AS
SELECT scope, span, platform, feature, repository, name, actor, commits, project, artefact, happened
FROM activity JOIN (VALUES ('all'), ('watched')) AS scopes(scope) ON scope = 'all' OR project IS NOT NULL
JOIN span ON happened >= span.begins AND happened < span.ends WHERE NOT bot
"""

FRONT = """
SELECT max(t) FROM (
    SELECT max(least(happened, ingested + 60000000)) AS t FROM arrived WHERE happened <= ingested + 86400000000
    UNION ALL SELECT max(ends) - 1 FROM file
)
"""

COUNTS = {
    ("activities_total", ("scope", "platform", "feature", "actor")): """
        SELECT scope, platform, feature, if(bot, 'bot', 'human'), count(*) FROM activity
        JOIN (VALUES ('all'), ('watched')) AS scopes(scope) ON scope = 'all' OR project IS NOT NULL GROUP BY ALL""",
    ("activity", ("scope", "platform", "feature", "window")): """
        SELECT scope, platform, feature, span, count(*) FROM counted GROUP BY ALL""",
    ("active_developers", ("scope", "platform", "feature", "window")): """
        SELECT scope, platform, feature, span, count(DISTINCT actor) FROM counted GROUP BY ALL""",
    ("active_repositories", ("scope", "platform", "feature", "window")): """
        SELECT scope, platform, feature, span, count(DISTINCT repository) FROM counted GROUP BY ALL""",
    ("commits", ("scope", "platform", "window")): """
        SELECT scope, platform, span, sum(commits) FROM counted WHERE commits IS NOT NULL GROUP BY ALL""",
    ("project_activity", ("project", "platform", "artefact", "feature", "window")): """
        SELECT project, platform, artefact, feature, span, count(*)
        FROM counted WHERE scope = 'watched' GROUP BY ALL""",
    ("top_repository_activity", ("scope", "platform", "feature", "window", "repository")): """
        WITH named AS (
            SELECT scope, span, platform, repository, arg_max(name, (happened, name)) AS shown FROM counted GROUP BY ALL
        ), ranked AS (
            SELECT scope, platform, feature, span, shown, count(*) AS n,
                row_number() OVER (PARTITION BY scope, platform, feature, span ORDER BY count(*) DESC, shown) AS place
            FROM counted JOIN named USING (scope, span, platform, repository)
            GROUP BY scope, platform, feature, span, repository, shown
        )
        SELECT scope, platform, feature, span, if(place <= 50, shown, '_other'), sum(n) FROM ranked GROUP BY ALL""",
    ("release_engagement", ("platform", "release", "window")): """
        WITH named AS (
            SELECT span, platform, repository, arg_max(name, (happened, name)) AS shown
            FROM counted WHERE scope = 'watched' GROUP BY ALL
        ), engaged AS (
            SELECT span, platform, repository,
                count(*) FILTER (feature IN ('exchange', 'review', 'preference', 'adaptation')) AS n
            FROM counted WHERE scope = 'watched' GROUP BY ALL HAVING count(*) FILTER (feature = 'publication') > 0
        ), ranked AS (
            SELECT *, row_number() OVER (PARTITION BY platform, span ORDER BY n DESC, shown) AS place
            FROM engaged JOIN named USING (span, platform, repository)
        )
        SELECT platform, shown, span, sum(n) FROM ranked WHERE place <= 50 GROUP BY ALL""",
    ("window_coverage_ratio", ("scope", "platform", "window")): """
        WITH cover AS (
            SELECT DISTINCT 'github' AS platform, ends FROM file WHERE kind = 'github' AND ends IS NOT NULL
            UNION SELECT DISTINCT platform, file.ends FROM stated JOIN file ON file.number = stated.file
            WHERE file.ends IS NOT NULL
        )
        SELECT scope, platform, span,
            sum(greatest(0, least(cover.ends, span.ends) - greatest(cover.ends - 3600000000, span.begins)))
            / any_value(span.ends - span.begins)
        FROM cover CROSS JOIN span CROSS JOIN (VALUES ('all'), ('watched')) AS scopes(scope) GROUP BY ALL""",
}

PROFILES = (
    "SELECT scope, span, platform, "
    + ", ".join(f"count(*) FILTER (feature = '{feature}')" for feature in FEATURES)
    + " FROM counted GROUP BY scope, span, platform, repository ORDER BY ALL"
)


def recount(
    paths: Iterable[Path | str],
    include_bots: bool = False,
    watchlist: Sequence[WatchlistEntry] | None = None,
    bots: frozenset[str] = frozenset(),
) -> Expected:
    """Every measurement of the files: {(name without prefix, labels): value}.

    `watchlist`: entries {"project", "github": [...], "huggingface": [...]} with owners, repositories or globs. `bots`:
    case-folded logins of GitHub that are bots, besides those that end in `[bot]`. With `include_bots` bots count as
    people.
    """
    connection = _read(paths, include_bots, watchlist or (), bots)
    expected: Expected = {}
    for (name, labels), query in COUNTS.items():
        for *values, n in connection.execute(query).fetchall():
            expected[_key(name, dict(zip(labels, values, strict=True)))] = float(n)
    expected.update(_spread(connection))
    connection.close()
    return expected


def recount_input(paths: Iterable[Path | str]) -> dict[str, Any]:
    """What was read, in the form of a report's `input`: files, activities, duplicates and dead letters by reason."""
    paths = list(paths)
    connection = _read(paths, False, (), frozenset())
    arrived, accepted, future = connection.execute(
        "SELECT count(*), (SELECT count(*) FROM known), count(*) FILTER (happened > ingested + 86400000000) "
        "FROM arrived"
    ).fetchall()[0]
    dead = dict(
        connection.execute(
            "SELECT feature, count(*) FROM meaning WHERE feature NOT IN (SELECT unnest(?)) GROUP BY 1", [list(FEATURES)]
        ).fetchall()
    )
    if future:
        dead["future"] = future
    connection.close()
    return {
        "files": len(paths),
        "activities": accepted,
        "duplicates": arrived - future - accepted,
        "dead_letters": dead,
    }


def compare(report: Iterable[Mapping[str, Any]], expected: Expected) -> list[str]:
    """Where a report differs from what was expected: a measurement is missing, unexpected, or differs by more than 1e-9
    (p-values: 1e-6) of its value.

    >>> measured = [{"name": "nomadwatch_commits", "labels": {"window": "1h"}, "value": 2.0}]
    >>> compare(measured, {("commits", frozenset({("window", "1h")})): 3.0, ("activity", frozenset()): 1.0})
    ['missing: activity{} = 1.0', 'different: commits{window="1h"} is 2.0, should be 3.0']
    """
    found = {_key(row["name"].removeprefix("nomadwatch_"), row["labels"]): float(row["value"]) for row in report}
    differences = [f"missing: {_series(key)} = {expected[key]}" for key in expected.keys() - found.keys()]
    differences += [f"unexpected: {_series(key)} = {found[key]}" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        tolerance = 1e-6 if key[0] == "mann_whitney_p" else 1e-9
        # Correlations and z near 0 are differences of large sums, so they get an absolute bound.
        if not math.isclose(found[key], expected[key], rel_tol=tolerance, abs_tol=1e-12):
            differences.append(f"different: {_series(key)} is {found[key]}, should be {expected[key]}")
    return sorted(differences, key=lambda text: ("missing", "unexpected", "different").index(text.partition(":")[0]))


def _read(
    paths: Iterable[Path | str], include_bots: bool, watchlist: Sequence[WatchlistEntry], bots: frozenset[str]
) -> Any:
    connection = duckdb.connect(config={"threads": 2, "preserve_insertion_order": False})
    connection.execute("CREATE TABLE line (file INTEGER, text VARCHAR)")
    connection.execute("CREATE TABLE file (number INTEGER, kind VARCHAR, ends BIGINT)")
    for number, path in enumerate(map(Path, paths)):
        kind = "activities" if ".activities.ndjson" in path.name else "github"
        compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix, "none")
        connection.execute("INSERT INTO file VALUES (?, ?, ?)", [number, kind, _end_of_hour(path.name)])
        connection.execute(READ_LINES, {"number": number, "path": str(path), "compression": compression})
    connection.execute(
        "CREATE TABLE watched (project VARCHAR, platform VARCHAR, pattern VARCHAR, one BOOLEAN, rank INTEGER[])"
    )
    patterns = [
        [entry["project"], platform, (place if "/" in place else f"{place}/*").lower(), *_rank(number, place)]
        for number, entry in enumerate(watchlist)
        for platform in ("github", "huggingface")
        for place in entry[platform]
    ]
    if patterns:
        connection.executemany("INSERT INTO watched VALUES (?, ?, ?, ?, ?)", patterns)
    for statement in (OBJECTS, EVENTS, MEANINGS):
        connection.execute(statement)
    connection.execute(GITHUB_ACTIVITIES, {"features": list(FEATURES)})
    connection.execute(HUB_ACTIVITIES)
    arrived, known = ACTIVITIES.split(";\n", 1)
    connection.execute(arrived)
    connection.execute(BELONGS)
    (front,) = connection.execute(FRONT).fetchall()[0]
    connection.execute("CREATE TABLE span (span VARCHAR, begins BIGINT, ends BIGINT)")
    for name, (step, n) in WINDOWS.items() if front is not None else ():
        end = (front // step + 1) * step
        connection.execute("INSERT INTO span VALUES (?, ?, ?)", [name, end - n * step, end])
    connection.execute(known, {"bots": list(bots), "include_bots": include_bots})
    connection.execute(CREDITED)
    return connection


def _rank(number: int, place: str) -> tuple[bool, list[int]]:
    """Whether an entry names one repository, and its rank among entries that fit: the first project, then the most
    specific entry, comes first.
    """
    glob = "*" in place or "?" in place
    one = "/" in place and not glob
    return one, [number, 0 if one else 2 if glob else 1]


def _end_of_hour(name: str) -> int | None:
    found = re.match(r"(\d{4}-\d\d-\d\d)-(\d{1,2})\.", name)
    if found is None:
        return None
    start = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) + timedelta(hours=int(found[2]))
    return (start + timedelta(hours=1) - EPOCH) // timedelta(microseconds=1)


def _spread(connection: Any) -> Iterator[tuple[Key, float]]:
    rows = connection.execute(PROFILES).fetchall()
    groups: dict[tuple[str, str, str], list[tuple[int, ...]]] = {}
    for scope, span, platform, *counts in rows:
        groups.setdefault((scope, span, platform), []).append(tuple(counts))
    tables = {group: np.array(counts) for group, counts in groups.items()}
    for (scope, span, platform), table in tables.items():
        labels = {"scope": scope, "platform": platform, "window": span}
        for column, feature in enumerate(FEATURES):
            if feature == "accepted" and not table[:, column].any():
                continue
            for statistic, value in _statistics(table[:, column]):
                yield _key("intensity", {**labels, "feature": feature, "stat": statistic}), value
        varied = [column for column in range(len(FEATURES)) if np.ptp(table[:, column]) > 0]
        for a, b in combinations(varied, 2):
            r = np.corrcoef(table[:, a], table[:, b])[0, 1]
            yield _key("feature_correlation", {**labels, "a": FEATURES[a], "b": FEATURES[b]}), float(r)
    for scope, span, platform in tables:
        if platform == "github" and (scope, span, "huggingface") in tables:
            github, hub = tables[scope, span, "github"], tables[scope, span, "huggingface"]
            for column, feature in enumerate(FEATURES):
                if feature == "accepted" and not (github[:, column].any() and hub[:, column].any()):
                    continue
                for name, value in _comparison(github[:, column], hub[:, column]):
                    yield _key(name, {"scope": scope, "feature": feature, "window": span}), value


def _statistics(values: Any) -> Iterator[tuple[str, float]]:
    yield "mean", float(values.mean())
    yield "median", float(np.median(values))
    yield "p90", float(np.percentile(values, 90))
    yield "p99", float(np.percentile(values, 99))
    yield "max", float(values.max())
    if values.any():
        # Half of the mean absolute difference of all pairs, over the mean.
        ordered = np.sort(values)
        differences = ordered @ (2 * np.arange(len(ordered)) + 1 - len(ordered))
        yield "gini", float(differences / len(ordered) / ordered.sum())


def _comparison(github: Any, hub: Any) -> Iterator[tuple[str, float]]:
    if hub.any():
        yield "intensity_gap_ratio", float(github.mean() / hub.mean())
    n1, n2 = len(github), len(hub)
    pooled = np.concatenate([github, hub])
    if np.ptp(pooled) == 0:
        yield "mann_whitney_u", n1 * n2 / 2
        yield "dominance_ratio", 0.5
        return
    test = stats.mannwhitneyu(github, hub, alternative="two-sided", method="asymptotic", use_continuity=True)
    u = float(test.statistic)
    yield "mann_whitney_u", u
    yield "mann_whitney_p", float(test.pvalue)
    yield "dominance_ratio", u / n1 / n2
    deviation = math.sqrt(stats.tiecorrect(stats.rankdata(pooled)) * n1 * n2 * (n1 + n2 + 1) / 12)
    yield "mann_whitney_z", math.copysign(max(abs(u - n1 * n2 / 2) - 0.5, 0.0), u - n1 * n2 / 2) / deviation


def _key(name: str, labels: Mapping[str, str]) -> Key:
    return name, frozenset(labels.items())


def _series(key: Key) -> str:
    inner = ",".join(f'{label}="{value}"' for label, value in sorted(key[1]))
    return f"{key[0]}{{{inner}}}"
