"""The store of rows: what was appended is read again, and after kill -9, damage and a full disk it holds what its
offsets say.
"""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random

import numpy as np
import pytest

from agents.facts import ROW, WATCHED, Rows
from agents.measure.binding import SET_ASIDE, open_store
from agents.measure.names import NamedRepository
from agents.measure.store import RETRY, VERSION, DamagedStore, Place, Store
from streams.activity import DAY, HOUR, MINUTE

NOW = 1_714_521_600_000_000


def made(begin: int, n: int, *, project: int = 0) -> Rows:
    """n rows, a minute from each to the next."""
    rows = np.zeros(n, ROW)
    rows["time"] = NOW + (begin + np.arange(n)) * MINUTE
    rows["id"] = np.arange(begin, begin + n)
    rows["repository"] = (1 << 64) - 1 - np.arange(n, dtype=np.uint64) % 7
    rows["project"] = project
    rows["n"] = 1
    return rows


def at(after: int, partition: int = 0) -> dict[int, Place]:
    return {partition: Place(after, 5, b"{}")}


def named(key: int, minute: int, name: str, *, watched: bool = False) -> NamedRepository:
    """A name of the repository with the hash `key << 8`."""
    low = key << 8
    return low - (1 << 64) if low >> 63 else low, minute, name, watched


def test_rows_are_read_by_time_whatever_appends_they_came_with(tmp_path: Path) -> None:
    random = Random(1)
    order = list(range(0, 3000, 10))
    random.shuffle(order)
    with Store(tmp_path / "s") as store:
        for number, begin in enumerate(order):
            store.append(made(begin, 10), at(number, number % 3))
            if number % 7:
                store.write()
        store.write()
    with Store(tmp_path / "s") as store:
        for begin, end in ((0, 3000), (59, 61), (1234, 1235), (2999, 5000), (3000, 5000)):
            rows = store.read(NOW + begin * MINUTE, NOW + end * MINUTE)
            assert sorted(rows["id"].tolist()) == list(range(begin, min(end, 3000)))
        assert {number: place.next for number, place in store.places.items()} == {0: 297, 1: 298, 2: 299}
        assert store.hours() == {NOW + hour * HOUR: 60 for hour in range(50)}
        store.check()


def test_what_waits_to_be_written_is_read_like_the_rest(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        store.append(made(0, 10), at(1), [named(7, 1, "o/a")])
        store.write()
        store.append(made(10, 10), at(2), [named(7, 2, "o/b")])
        assert (store.waiting, store.is_written) == (10, False)
        assert store.read(NOW, NOW + HOUR)["id"].tolist() == list(range(20))
        assert store.hours() == {NOW: 20}
        assert store.names([7 << 8]) == {7 << 8: "o/b"}
        with Store(tmp_path / "s") as file:
            assert len(file.read(0, 1 << 62)) == 10
            assert file.places == at(1)


def test_hours_are_forgotten_and_those_of_the_watchlist_later(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        rows = made(0, 20 * 60)
        rows["flags"][::4] = WATCHED
        names = [named(1, NOW // MINUTE, "o/plain"), named(2, NOW // MINUTE, "o/watched", watched=True)]
        store.append(rows, at(1), names)
        store.write()
        store.forget(NOW + 10 * HOUR, NOW + 5 * HOUR)
        assert store.hours() == {NOW + h * HOUR: 15 if h < 10 else 60 for h in range(5, 20)}
        assert store.names([1 << 8, 2 << 8]) == {1 << 8: "o/plain", 2 << 8: "o/watched"}, "in use for a week more"
        store.forget(NOW + 9 * DAY, NOW + 5 * HOUR)
        assert store.hours() == {NOW + h * HOUR: 15 for h in range(5, 20)}
    with Store(tmp_path / "s") as store:
        store.check()
        assert store.names([1 << 8, 2 << 8]) == {2 << 8: "o/watched"}


def test_the_small_blobs_of_an_hour_become_one(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        for number in range(200):
            store.append(made(number % 60, 1), at(number))
            store.write()
        assert len(store.read(NOW, NOW + HOUR)) == 200
    (blobs,) = sqlite3.connect(tmp_path / "s").execute("SELECT count(*) FROM rows").fetchone()
    assert blobs < 64


def test_names_are_those_of_a_moment_and_projects_keep_their_numbers(tmp_path: Path) -> None:
    high = (1 << 56) - 5
    with Store(tmp_path / "s") as store:
        assert (store.project("olmo"), store.project("pythia"), store.project("olmo")) == (1, 2, 1)
        store.append(
            made(0, 1, project=2), at(1), [named(high, 5, "o/new"), named(7, 1, "o/b"), named(high, 4, "o/old")]
        )
        store.write()
        store.append(made(1, 1), at(2), [named(high, 5, "o/newer"), named(high, 3, "o/oldest")])
        store.write()
    with Store(tmp_path / "s") as store:
        # Whatever stands in the place of a code.
        assert store.names([high << 8 | 18, 7 << 8, 8 << 8]) == {high << 8 | 18: "o/newer", 7 << 8: "o/b"}
        assert [store.names([high << 8], minute)[high << 8] for minute in (2, 3, 4, 5, 6)] == [
            "o/oldest", "o/oldest", "o/old", "o/newer", "o/newer",
        ]  # fmt: skip
        assert store.projects == ["olmo", "pythia"]


def test_a_store_of_another_version_and_a_file_that_is_none_begin_anew_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "s"
    with Store(path) as store:
        store.append(made(0, 5), at(1))
        store.write()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    db.close()
    for spoil in (lambda: None, lambda: path.write_bytes(b"no database, " * 1000)):
        spoil()
        caplog.clear()
        with caplog.at_level(logging.WARNING), open_store(path) as store:
            assert (store.places, len(store.read(0, 1 << 62))) == ({}, 0)
            store.append(made(0, 5), at(1))
            store.write()
        assert len(caplog.records) == 1
        assert str(path) in caplog.text


@pytest.mark.parametrize("place", ["data", "checksum"])
def test_a_flipped_bit_in_a_row_is_found(tmp_path: Path, place: str) -> None:
    path = tmp_path / "s"
    with Store(path) as store:
        store.append(made(0, 50), at(1))
        store.write()
    with sqlite3.connect(path) as db:
        if place == "data":
            (data,) = db.execute("SELECT data FROM rows").fetchone()
            spoilt = bytearray(data)
            spoilt[len(spoilt) // 2] ^= 4
            db.execute("UPDATE rows SET data = ?", (bytes(spoilt),))
        else:
            db.execute("UPDATE rows SET checksum = checksum + 1")
    db.close()
    with Store(path) as store, pytest.raises(DamagedStore):
        store.check()
    with Store(path) as store, pytest.raises(DamagedStore):
        store.read(0, 1 << 62)
    with open_store(path, keep=True) as store:
        assert store.places == {}
    assert (tmp_path / f"s{SET_ASIDE}").exists(), "nothing else holds what it held"


@pytest.mark.parametrize("length", [0, 100, 5000, 40_000])
def test_a_file_that_was_cut_off_begins_anew_with_one_line(
    tmp_path: Path, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "s"
    with Store(path) as store:
        rows = made(0, 3000)
        rows["actor"] = np.random.default_rng(1).integers(0, 1 << 63, 3000)
        store.append(rows, at(1))
        store.write()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert path.stat().st_size > 50_000
    os.truncate(path, length)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    with open_store(path) as store:
        assert (store.places, len(store.read(0, 1 << 62))) == ({}, 0)
        store.append(made(0, 5), at(1))
        store.write()
    assert len(caplog.records) == (1 if length else 0), "an empty file is a new one"


def test_a_full_disk_stops_the_writing_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "s", [0.0]
    monkeypatch.setattr("agents.measure.store.time.monotonic", lambda: clock[0])
    with Store(path) as store, caplog.at_level(logging.WARNING):
        store.append(made(0, 100), at(1))
        store.write()
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count={pages}")
        random = np.random.default_rng(1)
        for number in range(2, 5):
            rows = made(100 * number, 3000)
            rows["id"] = random.integers(0, 1 << 63, 3000)
            store.append(rows, at(number), [named(9, number, f"o/{number}")])
            store.write()
        assert len(store.read(0, 1 << 62)) == 9100
        assert store.names([9 << 8]) == {9 << 8: "o/4"}
        assert store.places == at(4)
        with Store(path) as other:
            assert other.places == at(1), "the file says what it holds"
        assert len(caplog.records) == 1
        store._db.execute("PRAGMA max_page_count=1000000")
        store.append(made(0, 1), at(5))
        store.write()
        assert store.waiting, "it is not tried again at once"
        clock[0] += RETRY
        store.write()
        assert "is written again" in caplog.records[-1].getMessage()
    with Store(path) as store:
        assert (len(store.read(0, 1 << 62)), store.places) == (9101, at(5))


WRITER = """
import sys
from tests.measure.test_store import made
from agents.measure.binding import open_store
from agents.measure.store import Place
store = open_store(sys.argv[1])
number = store.places[0].next if store.places else 0
print("up", flush=True)
while True:
    store.append(made(number % 500, 40), {0: Place(number + 1, 0, b"")})
    store.write()
    number += 1
"""


def test_after_kill_9_there_is_what_the_offset_says(tmp_path: Path) -> None:
    path, random, before = tmp_path / "s", Random(3), 0
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        written = Store(path)
        wanted = before + random.randrange(5, 60)
        while written._db.execute("SELECT next FROM places").fetchall() < [(wanted,)]:
            assert writer.poll() is None
        written.close()
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with open_store(path) as store:
            number = store.places[0].next
            assert number >= wanted
            expected = np.bincount(np.concatenate([(n % 500) + np.arange(40) for n in range(number)]))
            assert np.bincount(store.read(0, 1 << 62)["id"].astype(np.int64)).tolist() == expected.tolist()
            before = number


def test_a_file_that_somebody_else_has_locked_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.measure.store.LOCKED", 0.05)
    path = tmp_path / "s"
    with Store(path) as store:
        store.append(made(0, 5), at(1))
        store.write()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("DELETE FROM meta")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            open_store(path)
        other.execute("ROLLBACK")
    with open_store(path) as store:
        assert store.places == at(1)
