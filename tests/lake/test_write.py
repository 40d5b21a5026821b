"""The lake against what happened: every row, whatever comes late, is withdrawn, is damaged, or is killed on the way."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections import Counter as Tally
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import numpy as np
import pytest
import xxhash

from agents.facts import ROW
from agents.measure.snapshot import Snapshot
from agents.measure.store import Place, Store
from simulator.stream import START
from sinks.lake.folder import DAMAGED, MANIFEST, Busy, Lake, LakeError
from sinks.lake.read import opened
from sinks.lake.tables import VERSION
from sinks.lake.write import update, without_withdrawn
from streams.activity import DAY, HOUR
from tests.lake.made import Counter, filled, refreshed, truth, world

ROOT = Path(__file__).parents[2]


def asked(lake: Path, sql: str) -> list[Any]:
    with opened(lake) as connection:
        return connection.execute(sql).fetchall()


def day(number: int) -> str:
    return f"facts/date=2024-05-0{number}/facts.parquet"


def test_every_row_of_the_lake_is_what_happened(tmp_path: Path) -> None:
    arrivals = world()
    lake, done = refreshed(filled(tmp_path, arrivals))
    expected = Tally[Any]()
    for deed, activity in truth(arrivals):
        is_credit = deed.feature == "accepted"
        expected[
            None if is_credit else xxhash.xxh3_64_intdigest(deed.id.encode()),
            deed.platform, deed.feature, activity["kind"], deed.occurred_at,
            deed.repository, deed.actor, deed.bot, deed.project is not None, deed.project, deed.artefact,
            deed.thread if is_credit else activity.get("thread"), deed.commits,
            None if is_credit else activity.get("relation"), None if is_credit else activity.get("affiliation"),
        ] += 1  # fmt: skip
    found = asked(lake, """
        SELECT if(feature = 'accepted', NULL, id), platform, feature, kind, epoch_us(time), repository, actor, bot,
            watched, project, artefact, thread, commits, relation, affiliation
        FROM facts WHERE n = 1 AND simulated IS NOT NULL AND date = CAST(time AS DATE)
    """)  # fmt: skip
    assert Tally(found) == expected
    assert done.rows == len(found) == asked(lake, "SELECT count(*) FROM facts")[0][0]
    assert expected.total() > 7_900


def test_a_derivative_finds_its_base_by_the_hash_of_its_name(tmp_path: Path) -> None:
    arrivals = world()
    lake, _ = refreshed(filled(tmp_path, arrivals))
    happened = truth(arrivals)
    named = {deed.name for deed, _ in happened if not deed.bot and deed.feature != "accepted"}
    made = [activity for _, activity in happened if activity.get("family") in named]
    expected = Tally((activity["family"], activity["relation"]) for activity in made)
    found = asked(lake, """
        SELECT name, relation, count(*) FROM facts JOIN repositories ON base = name_hash GROUP BY ALL
    """)  # fmt: skip
    assert {(name, relation): n for name, relation, n in found} == expected
    assert len(expected) > 20


def test_repositories_projects_and_releases_follow_from_the_rows(tmp_path: Path) -> None:
    arrivals = world()
    lake, _ = refreshed(filled(tmp_path, arrivals))
    deeds = [deed for deed, _ in truth(arrivals)]
    people = Tally(deed.repository for deed in deeds if not deed.bot)
    found = asked(lake, "SELECT repository, activities, activities + bot_activities, name, owner FROM repositories")
    assert {repository: n for repository, n, *_ in found if n} == people
    assert {repository: n for repository, _, n, *_ in found} == Tally(deed.repository for deed in deeds)
    names = {deed.repository: deed.name for deed in deeds if not deed.bot and deed.feature != "accepted"}
    assert {repository: name for repository, _, _, name, _ in found if repository in names} == names
    assert all(name is None or name.split("/")[0] == owner for *_, name, owner in found)
    projects = Tally((deed.project, deed.platform, deed.artefact) for deed in deeds if deed.project and not deed.bot)
    told = asked(
        lake, "SELECT project, platform, artefact, activities, repositories FROM projects WHERE activities > 0"
    )
    assert {tuple(place): n for *place, n, _ in told} == projects
    own = {(deed.project, deed.platform, deed.artefact, deed.repository) for deed in deeds if deed.project}
    assert {tuple(place): n for *place, _, n in told}.items() <= Tally(place[:3] for place in own).items()
    released = Tally((deed.occurred_at, deed.repository) for deed in deeds if deed.feature == "publication")
    assert Tally(asked(lake, "SELECT epoch_us(time), repository FROM releases")) == released


def test_late_rows_write_their_day_again_and_no_other(tmp_path: Path) -> None:
    arrivals = world()
    middle = START + 2 * DAY + 6 * HOUR
    on_time = [one for one in arrivals if not middle <= one["occurred_at"] < middle + HOUR]
    late = [one for one in arrivals if middle <= one["occurred_at"] < middle + HOUR]
    (tmp_path / "measure").mkdir()
    with Store(tmp_path / "measure" / "facts.sqlite") as store:
        counter = Counter(store)
        counter.take(on_time)
        lake, _ = refreshed(tmp_path)
        before = {path: path.stat().st_ino for path in lake.glob("facts/*/*")}
        assert refreshed(tmp_path)[1].days == []
        counter.take(late)
        assert refreshed(tmp_path)[1].days == ["2024-05-03"]
    after = {path: path.stat().st_ino for path in lake.glob("facts/*/*")}
    assert [path for path in after if after[path] != before.get(path)] == [lake / day(3)]
    span = f"time >= make_timestamptz({middle}) AND time < make_timestamptz({middle + HOUR})"
    hour = f"SELECT count(*) FROM facts WHERE {span}"
    happened = [deed for deed, _ in truth(arrivals) if middle <= deed.occurred_at < middle + HOUR]
    assert asked(lake, hour) == [(len(happened),)] != [(0,)]


def test_days_that_have_not_ended_are_left_for_later_if_asked(tmp_path: Path) -> None:
    filled(tmp_path, world())
    lake, done = refreshed(tmp_path, until=START + 3 * DAY)
    assert "2024-05-03" in done.days
    assert "2024-05-04" not in done.days
    assert (lake / day(3)).exists()
    assert not (lake / day(4)).exists()
    assert "2024-05-04" in refreshed(tmp_path)[1].days


def test_a_day_that_the_store_has_forgotten_keeps_its_file_also_when_something_late_comes(tmp_path: Path) -> None:
    arrivals = world()
    (tmp_path / "measure").mkdir()
    with Store(tmp_path / "measure" / "facts.sqlite") as store:
        Counter(store).take(arrivals)
        lake, _ = refreshed(tmp_path)
        (rows,) = asked(lake, "SELECT count(*) FROM facts")[0]
        store.forget(START + 2 * DAY + 12 * HOUR, START + 2 * DAY + 12 * HOUR)
        late = np.zeros(1, ROW)
        late["time"], late["n"] = START + 2 * DAY + 20 * HOUR, 1
        store.append(late, {0: Place(10_000, 0, store.places[0].progress)})
        store.write()
        assert refreshed(tmp_path)[1].days == []
        assert asked(lake, "SELECT count(*) FROM facts") == [(rows,)]
        assert asked(lake, "SELECT count(*) FROM repositories WHERE name IS NOT NULL")[0][0] > 100


def test_a_credit_that_was_withdrawn_is_in_no_row(tmp_path: Path) -> None:
    pull = {
        "platform": "github", "kind": "pull_request", "ingested_at": START + HOUR, "repo_id": 5 << 32, "repo": "o/r",
        "owner": "o", "thread": 3,
    }  # fmt: skip
    merged = {**pull, "id": "m", "action": "merged", "occurred_at": START + HOUR, "actor": 1}
    named = {**pull, "id": "m:accepted", "action": "accepted", "occurred_at": START + HOUR, "actor": 2}
    opened_by = {**pull, "id": "o", "action": "opened", "occurred_at": START, "actor": 3}
    (tmp_path / "measure").mkdir()
    with Store(tmp_path / "measure" / "facts.sqlite") as store:
        counter = Counter(store)
        credits = "SELECT actor, n, credited FROM facts WHERE feature = 'accepted'"
        counter.take([merged, named])
        lake, _ = refreshed(tmp_path)
        assert asked(lake, credits) == [(2, 1, True)]
        counter.take([opened_by])
        refreshed(tmp_path)
        assert sum(store.hours().values()) == 5, "two rows, the credit of one, its withdrawal, and that of the other"
        assert asked(lake, credits) == [(3, 1, True)]
        assert asked(lake, "SELECT count(*) FROM facts") == [(3,)]


def test_a_withdrawal_without_its_credit_stays_to_be_seen() -> None:
    rows = np.zeros(4, ROW)
    rows["id"], rows["n"] = [1, 1, 2, 3], [1, -1, -1, 1]
    assert [(int(row["id"]), int(row["n"])) for row in without_withdrawn(rows)] == [(3, 1), (2, -1)]


def test_names_with_odd_characters_are_kept_as_they_are(tmp_path: Path) -> None:
    names = ["o'brien/it''s", 'quo"te/"', "späß/日本語", "=1+1/x", "a,b;c/d\te", "-/-- drop", "null/NULL", "x/{y}[z]%s"]
    (tmp_path / "measure").mkdir()
    with Store(tmp_path / "measure" / "facts.sqlite") as store:
        rows = np.zeros(len(names), ROW)
        rows["time"], rows["n"], rows["repository"] = START, 1, np.arange(1, len(names) + 1) << 8
        rows["project"] = [store.project(f"p {name}") for name in names]
        own = [((number + 1) << 8, 1, name, False) for number, name in enumerate(names)]
        store.append(rows, {0: Place(1, 0, b"")}, own)
        store.write()
    lake, _ = refreshed(tmp_path)
    found = asked(
        lake, "SELECT name, facts.project FROM facts JOIN repositories USING (repository) ORDER BY repository"
    )
    assert found == [(name, f"p {name}") for name in names]


def test_a_damaged_file_is_found_and_written_again_from_the_store(tmp_path: Path) -> None:
    lake, _ = refreshed(filled(tmp_path, world()))
    (before,) = asked(lake, "SELECT count(*) FROM facts")
    data = bytearray((lake / day(2)).read_bytes())
    data[len(data) // 2] ^= 1
    (lake / day(2)).write_bytes(bytes(data))
    assert refreshed(tmp_path, thoroughly=True)[1].mended == [day(2)], "of the same size: every byte is read"
    (lake / day(2)).write_bytes(bytes(data))
    (lake / day(3)).write_bytes(data[:1000])
    (lake / day(4)).unlink()
    (lake / "repositories" / "repositories.parquet").write_bytes(b"PAR1")
    mended = {day(3), day(4), "repositories/repositories.parquet"}
    assert {*refreshed(tmp_path)[1].mended} - {day(2)} == mended, "of another size"
    refreshed(tmp_path, thoroughly=True)
    assert Lake(lake).damaged(thoroughly=True) == []
    assert asked(lake, "SELECT count(*) FROM facts") == [before]
    assert asked(lake, "SELECT count(*) FROM repositories")[0][0] > 100


def test_a_damaged_file_of_a_forgotten_day_is_set_aside_and_the_rest_can_be_read(tmp_path: Path) -> None:
    filled(tmp_path, world())
    lake, _ = refreshed(tmp_path)
    with Store(tmp_path / "measure" / "facts.sqlite") as store:
        store.forget(START + 3 * DAY, START + 3 * DAY)
    (lake / day(2)).write_bytes(b"nonsense")
    assert refreshed(tmp_path)[1].lost == [day(2)]
    assert (lake / (day(2) + DAMAGED)).exists()
    days = asked(lake, "SELECT DISTINCT date::VARCHAR FROM facts ORDER BY ALL")
    assert ("2024-05-01",) in days
    assert ("2024-05-02",) not in days


def test_without_its_manifest_the_lake_says_itself_what_it_holds(tmp_path: Path) -> None:
    filled(tmp_path, world())
    lake, _ = refreshed(tmp_path)
    before = Lake(lake).files
    with Store(tmp_path / "measure" / "facts.sqlite") as store:
        store.forget(START + 3 * DAY, START + 3 * DAY)
    for content in (None, b"{ torn"):
        (lake / MANIFEST).unlink() if content is None else (lake / MANIFEST).write_bytes(content)
        _, done = refreshed(tmp_path)
        assert (done.days, done.lost) == ([], [])
        after = Lake(lake).files
        assert {name: file for name, file in after.items() if name.startswith("facts/")} == {
            name: file for name, file in before.items() if name.startswith("facts/")
        }


def test_a_lake_of_another_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    lake, _ = refreshed(filled(tmp_path, world(n=100)))
    manifest = json.loads((lake / MANIFEST).read_bytes())
    assert manifest["version"] == VERSION
    ((said,),) = duckdb.sql(f"SELECT value FROM parquet_kv_metadata('{lake / day(2)}')").fetchall()
    assert json.loads(said)["version"] == VERSION
    (lake / MANIFEST).write_text(json.dumps({**manifest, "version": VERSION + 1}))
    with pytest.raises(LakeError, match="move the folder away"):
        Lake(lake)


def test_everything_in_the_lake_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        lake, _ = refreshed(filled(tmp_path, world(n=100)))
    finally:
        os.umask(before)
    for path in (lake, *lake.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    with lake.writing(), pytest.raises(Busy), Lake(tmp_path / "lake").writing(0.05):
        pass


WRITER = """
import sys
from pathlib import Path
from tests.lake.made import Counter, refreshed, world
from agents.measure.store import Store
state = Path(sys.argv[1])
arrivals = world(n=4000, seed=int(sys.argv[2]))
with Store(state / "measure" / "facts.sqlite") as store:
    counter = Counter(store)
    for begin in range(0, len(arrivals), 200):
        counter.take(arrivals[begin : begin + 200])
        refreshed(state)
        print(begin, flush=True)
"""


def test_after_kill_9_there_is_the_old_file_or_the_new_one_and_nothing_is_left_over(tmp_path: Path) -> None:
    random = Random(5)
    for life in range(4):
        state = tmp_path / str(life)
        (state / "measure").mkdir(parents=True)
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(state), "3"], stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        assert writer.stdout is not None
        for _ in range(random.randrange(1, 5)):
            assert writer.stdout.readline()
        # Somewhere in the next update: about where a file is written, synced or renamed.
        for _ in range(random.randrange(2_000)):
            if any(state.rglob(".*.partial")):
                break
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        lake = state / "lake"
        # Each file can be read, whether or not the manifest knows it, and no row stands in two of them.
        assert asked(lake, "SELECT count(*) - count(DISTINCT id) FROM facts") == [(0,)]
        refreshed(state)
        assert not [path for path in lake.rglob("*") if path.name.endswith(".partial") or path.name == ".spill"]
        with Store(state / "measure" / "facts.sqlite") as store:
            rows = without_withdrawn(store.read(0, 1 << 62))
        assert sorted(asked(lake, "SELECT id FROM facts")) == sorted((int(each),) for each in rows["id"])
        assert Lake(lake).damaged(thoroughly=True) == []


READER = """
import sys
from pathlib import Path
from sinks.lake.read import opened
last = 0
while not (Path(sys.argv[1]) / "done").exists():
    with opened(Path(sys.argv[1]) / "lake") as connection:
        n, ids, least = connection.execute("SELECT count(*), count(DISTINCT id), min(n) FROM facts").fetchone()
    assert n == ids >= last and least == 1, (n, ids, last)
    last = n
print(last)
"""


def test_two_readers_see_whole_days_while_a_writer_writes(tmp_path: Path) -> None:
    (tmp_path / "measure").mkdir()
    with Store(tmp_path / "measure" / "facts.sqlite") as store:
        counter = Counter(store)
        arrivals = world(n=4000, seed=3)
        counter.take(arrivals[:100])
        refreshed(tmp_path)
        readers = [
            subprocess.Popen([sys.executable, "-c", READER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, text=True)
            for _ in range(2)
        ]
        for begin in range(100, len(arrivals), 300):
            counter.take(arrivals[begin : begin + 300])
            refreshed(tmp_path)
    (tmp_path / "done").touch()
    said = [reader.communicate(timeout=60)[0] for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0], said


SMALL_DISK = """
import resource, signal, sys
from pathlib import Path
from tests.lake.made import refreshed
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    refreshed(Path(sys.argv[1]))
except OSError as error:
    print("told", error)
"""


def test_where_a_file_cannot_grow_the_old_one_stays_and_it_is_told(tmp_path: Path) -> None:
    arrivals = world(n=16_000)
    (tmp_path / "measure").mkdir()
    with Store(tmp_path / "measure" / "facts.sqlite") as store:
        counter = Counter(store)
        counter.take(arrivals[:500])
        lake, _ = refreshed(tmp_path)
        second = "SELECT count(*) FROM facts WHERE date = '2024-05-02'"
        (before,) = asked(lake, second)
        counter.take(arrivals[500:])
    done = subprocess.run([sys.executable, "-c", SMALL_DISK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("told"), done
    assert asked(lake, second) == [before]
    assert not list(lake.rglob("*.partial"))
    refreshed(tmp_path)
    assert asked(lake, "SELECT count(*) FROM facts")[0][0] == len(truth(arrivals))


def test_a_large_day_is_written_in_parts_and_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, world())
    monkeypatch.setattr("sinks.lake.write.TOGETHER", 100)
    lake, done = refreshed(tmp_path)
    assert asked(lake, "SELECT count(*), count(DISTINCT id) FROM facts") == [(done.rows, done.rows)]
    assert sorted(path.name for path in (lake / "facts" / "date=2024-05-02").iterdir()) == ["facts.parquet"]


def test_a_day_without_rows_has_no_file_and_is_no_obstacle(tmp_path: Path) -> None:
    arrivals = [one for one in world() if not START + DAY <= one["occurred_at"] < START + 2 * DAY]
    lake, done = refreshed(filled(tmp_path, arrivals))
    assert "2024-05-02" not in done.days
    assert not (lake / "facts" / "date=2024-05-02").exists()
    assert asked(lake, "SELECT count(*) FROM facts WHERE date = '2024-05-02'") == [(0,)]
    assert asked(lake, "SELECT count(*) FROM facts WHERE date = '2024-05-03'")[0][0] > 1_000


def test_a_day_whose_folder_was_deleted_after_the_store_forgot_it_is_told_once(tmp_path: Path) -> None:
    filled(tmp_path, world())
    lake, _ = refreshed(tmp_path)
    with Store(tmp_path / "measure" / "facts.sqlite") as store:
        store.forget(START + 3 * DAY, START + 3 * DAY)
    (lake / day(1)).unlink()
    assert refreshed(tmp_path)[1].lost == [day(1)]
    assert refreshed(tmp_path)[1].lost == []


def test_tables_that_nobody_asks_for_wait_and_are_written_when_they_are_asked_for(tmp_path: Path) -> None:
    arrivals = world(n=2_000)
    (tmp_path / "measure").mkdir()
    with Store(tmp_path / "measure" / "facts.sqlite") as store:
        counter = Counter(store)
        counter.take(arrivals[:1_000])
        lake, _ = refreshed(tmp_path)
        counter.take(arrivals[1_000:])
    places = "SELECT count(DISTINCT repository) FROM facts"
    with Snapshot(tmp_path / "measure" / "facts.sqlite") as source, Lake(lake).writing():
        update(Lake(lake), source, tables=["facts"])
    (known,), (all_,) = asked(lake, "SELECT count(*) FROM repositories"), asked(lake, places)
    assert known < all_
    # Also after the one that wrote the days has ended, or was killed.
    assert refreshed(tmp_path)[1].days == []
    assert asked(lake, "SELECT count(*) FROM repositories") == [all_]
    before = {path: path.stat().st_ino for path in lake.rglob("*.parquet")}
    refreshed(tmp_path)
    assert {path: path.stat().st_ino for path in lake.rglob("*.parquet")} == before
