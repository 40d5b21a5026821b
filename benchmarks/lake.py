"""What the lake costs: made rows in a store, written as Parquet, and questions to them; each in a process of its own.

python -m benchmarks.lake [--rows N] [--days N]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from agents.facts import BOT, ROW, STATED, WATCHED, Rows
from agents.measure.store import Place, Store, store_path
from benchmarks.processes import run
from streams.activity import DAY, MINUTE
from streams.codes import ACTION, CODE, KIND, code_of

START = 1_714_521_600_000_000
_PROJECTS = ("olmo", "pythia", "bloom", "starcoder")
_MIX = (("push", None), ("star", "started"), ("issue", "opened"), ("issue_comment", "created"), ("fork", None))
_WRITE = """
import sys
from pathlib import Path
from nomadwatch.lake import refresh
refresh(Path(sys.argv[1]))
"""
QUESTIONS = {
    "activities by platform and feature": "SELECT platform, feature, count(*) FROM facts WHERE NOT bot GROUP BY ALL",
    "different people by day": "SELECT date, count(DISTINCT actor) FROM facts WHERE NOT bot GROUP BY ALL",
    "busiest repositories by day": """
        SELECT date, platform, repository, count(*) AS n FROM facts
        WHERE NOT bot GROUP BY ALL ORDER BY n DESC LIMIT 50""",
    "two projects side by side by week": """
        SELECT date_trunc('week', time) AS week, project, count(*), count(DISTINCT actor) FROM facts
        WHERE project IN ('olmo', 'pythia') AND NOT bot GROUP BY ALL""",
    "one day by hour": "SELECT hour(time), count(*) FROM facts WHERE date = '2024-05-03' GROUP BY ALL",
}


def made(number: int, n: int, random: np.random.Generator, store: Store) -> Rows:
    """n rows of one day: few repositories and people have most of them."""
    rows = np.zeros(n, ROW)
    rows["time"] = np.sort(random.integers(START + number * DAY, START + (number + 1) * DAY, n))
    rows["id"] = random.integers(0, 1 << 63, n, np.uint64)
    for column, share in (("repository", 1 / 6), ("actor", 1 / 8)):
        # As hashes are: spread over 64 bits.
        ranks = np.minimum(random.zipf(1.3, n), max(1, int(n * share))).astype(np.uint64)
        rows[column] = ranks * np.uint64(0x9E37_79B9_7F4A_7C15) << np.uint64(8)
    kinds = random.integers(0, len(_MIX), n)
    rows["kind"] = np.array([KIND[kind] for kind, _ in _MIX], np.uint8)[kinds]
    rows["action"] = np.array([ACTION[action] for _, action in _MIX], np.uint8)[kinds]
    rows["code"] = np.array([CODE["github", kind, action] for kind, action in _MIX], np.uint8)[kinds]
    rows["code"][random.random(n) < 0.2] = code_of("huggingface", "contribution")
    rows["flags"] = BOT * (random.random(n) < 0.15)
    watched = random.random(n) < 0.02
    rows["project"][watched] = random.integers(1, len(_PROJECTS) + 1, int(watched.sum()))
    rows["flags"][watched] |= WATCHED
    pushes = rows["kind"] == KIND["push"]
    rows["flags"][pushes] |= STATED
    rows["commits"][pushes] = 1
    rows["n"] = 1
    for name in _PROJECTS:
        store.project(name)
    return rows


def fill(state: Path, total: int, days: int) -> int:
    """A store with the rows, an hour at a time; its bytes."""
    random = np.random.default_rng(1)
    path = store_path(str(state))
    path.parent.mkdir(parents=True)
    with Store(path) as store:
        for number in range(days):
            rows = made(number, total // days, random, store)
            names = [
                (key - (1 << 64) if key >> 63 else key, START // MINUTE, f"owner/{key:x}", False)
                for key in np.unique(rows["repository"]).tolist()
            ]
            store.append(rows, {0: Place(number + 1, 0, b"")}, names)
            store.write()
    return path.stat().st_size


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=8_000_000)
    parser.add_argument("--days", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        size = fill(state, options.rows, options.days)
        print(f"{options.rows:,} rows of {options.days} days; the store has {size / options.rows:.1f} B a row")
        first = run([sys.executable, "-c", _WRITE, str(state)])
        cpu = first.seconds
        bytes_ = sum(path.stat().st_size for path in (state / "lake" / "facts").rglob("*.parquet"))
        print(
            f"written      {options.rows / cpu:10,.0f} rows a second of CPU ({cpu:.1f} s), {first.peak:,.0f} MB at most"
        )
        print(f"size         {bytes_ / options.rows:10.1f} B a row")
        again = run([sys.executable, "-c", _WRITE, str(state)])
        print(f"no change    {again.seconds:10.2f} s of CPU, {again.peak:,.0f} MB at most")
        with Store(store_path(str(state))) as store:
            late = made(0, 10, np.random.default_rng(2), store)
            store.append(late, {0: Place(options.days + 1, 0, b"")})
            store.write()
        day = run([sys.executable, "-c", _WRITE, str(state)])
        print(f"a late row   {day.seconds:10.2f} s of CPU (its day, and what follows), {day.peak:,.0f} MB at most")
        for title, sql in QUESTIONS.items():
            asked = run(
                [
                    sys.executable,
                    "-m",
                    "nomadwatch",
                    "query",
                    sql,
                    "--lake",
                    str(state / "lake"),
                    "-o",
                    f"{state}/a.csv",
                ]
            )
            cpu = asked.seconds
            print(f"{asked.wall:6.2f} s, {cpu:5.2f} s of CPU, {asked.peak:5,.0f} MB: {title}")
        for form in ("csv", "parquet"):
            command = ["-m", "nomadwatch", "export", "--lake", f"{state}/lake", "-o", f"{state}/all.{form}"]
            done = run([sys.executable, *command])
            print(f"{done.wall:6.2f} s, {done.seconds:5.2f} s of CPU, {done.peak:5,.0f} MB: everything as {form}")


if __name__ == "__main__":
    main()
