"""The store of rows: what was appended is read again, and after kill -9, damage and a full disk it holds what its
offsets say.
"""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from agents.store import VERSION, DamagedStore, NamedRepository, Store, open_store

from agents.facts import ROW, Rows
from streams.activity import HOUR, MINUTE

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


def test_rows_are_read_by_time_whatever_appends_they_came_with(tmp_path: Path) -> None:
    random = Random(1)
    order = list(range(0, 3000, 10))
    random.shuffle(order)
    with Store(tmp_path / "s") as store:
        for number, begin in enumerate(order):
            store.append(made(begin, 10), {number % 3: number})
    with Store(tmp_path / "s") as store:
        for begin, end in ((0, 3000), (59, 61), (1234, 1235), (2999, 5000), (3000, 5000)):
            rows = store.read(NOW + begin * MINUTE, NOW + end * MINUTE)
            assert sorted(rows["id"].tolist()) == list(range(begin, min(end, 3000)))
        assert store.offsets == {0: 297, 1: 298, 2: 299}
        assert store.hours() == [NOW + hour * HOUR for hour in range(50)]
        store.check()
        store.forget(NOW + 10 * HOUR)
        assert store.hours()[0] == NOW + 10 * HOUR


def test_the_small_blobs_of_an_hour_become_one(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        for number in range(200):
            store.append(made(number % 60, 1), {0: number})
        assert len(store.read(NOW, NOW + HOUR)) == 200
    (blobs,) = sqlite3.connect(tmp_path / "s").execute("SELECT count(*) FROM rows").fetchone()
    assert blobs < 64


def test_names_are_the_newest_and_projects_keep_their_numbers(tmp_path: Path) -> None:
    high = (1 << 64) - 5
    with Store(tmp_path / "s") as store:
        assert (store.project("olmo"), store.project("pythia"), store.project("olmo")) == (1, 2, 1)
        names = [NamedRepository(high, 5, "o/new"), NamedRepository(7, 1, "o/b"), NamedRepository(high, 4, "o/old")]
        store.append(made(0, 1, project=2), {0: 1}, names)
        store.append(made(1, 1), {0: 2}, [NamedRepository(high, 5, "o/newer"), NamedRepository(high, 3, "o/oldest")])
    with Store(tmp_path / "s") as store:
        assert store.names([high, 7, 8]) == {high: "o/newer", 7: "o/b"}
        assert store.projects == ["olmo", "pythia"]


def test_a_store_of_another_version_and_a_file_that_is_none_begin_anew_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "s"
    with Store(path) as store:
        store.append(made(0, 5), {0: 1})
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    db.close()
    for spoil in (lambda: None, lambda: path.write_bytes(b"no database, " * 1000)):
        spoil()
        caplog.clear()
        with caplog.at_level(logging.WARNING), open_store(path) as store:
            assert (store.offsets, len(store.read(0, 1 << 62))) == ({}, 0)
            store.append(made(0, 5), {0: 1})
        assert len(caplog.records) == 1
        assert str(path) in caplog.text


@pytest.mark.parametrize("place", ["data", "checksum"])
def test_a_flipped_bit_in_a_row_is_found(tmp_path: Path, place: str) -> None:
    path = tmp_path / "s"
    with Store(path) as store:
        store.append(made(0, 50), {0: 1})
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
    with open_store(path) as store:
        assert store.offsets == {}


def test_a_full_disk_stops_the_writing_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "s"
    with Store(path) as store, caplog.at_level(logging.WARNING):
        store.append(made(0, 100), {0: 1})
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count={pages}")
        random = np.random.default_rng(1)
        for number in range(2, 5):
            rows = made(100 * number, 3000)
            rows["id"] = random.integers(0, 1 << 63, 3000)
            store.append(rows, {0: number}, [NamedRepository(9, number, f"o/{number}")])
        assert len(store.read(0, 1 << 62)) == 9100
        assert store.names([9]) == {9: "o/4"}
        assert store.offsets == {0: 4}
        with Store(path) as other:
            assert other.offsets == {0: 1}, "the file says what it holds"
        assert len(caplog.records) == 1
        store._db.execute("PRAGMA max_page_count=1000000")
        store.append(made(0, 1), {0: 5})
        assert "is written again" in caplog.records[-1].getMessage()
    with Store(path) as store:
        assert (len(store.read(0, 1 << 62)), store.offsets) == (9101, {0: 5})


WRITER = """
import sys
from tests.agents.test_store import made
from agents.store import open_store
store = open_store(sys.argv[1])
number = store.offsets.get(0, 0)
print("up", flush=True)
while True:
    store.append(made(number % 500, 40), {0: number + 1})
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
        while written._db.execute("SELECT next FROM offsets").fetchall() < [(wanted,)]:
            assert writer.poll() is None
        written.close()
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with open_store(path) as store:
            number = store.offsets[0]
            assert number >= wanted
            expected = np.bincount(np.concatenate([(n % 500) + np.arange(40) for n in range(number)]))
            assert np.bincount(store.read(0, 1 << 62)["id"].astype(np.int64)).tolist() == expected.tolist()
            before = number
