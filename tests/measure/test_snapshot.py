"""The store as others than `measure` see it: one moment, while its owner goes on, and nothing of it changes."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from agents.facts import ROW, Rows
from agents.measure.snapshot import Snapshot
from agents.measure.store import DamagedStore, Place, Store
from streams.activity import MINUTE

NOW = 1_714_521_600_000_000


def made(begin: int, n: int, *, project: int = 0) -> Rows:
    """n rows, a minute from each to the next."""
    rows = np.zeros(n, ROW)
    rows["time"], rows["n"], rows["project"] = NOW + (begin + np.arange(n)) * MINUTE, 1, project
    return rows


def test_what_is_written_later_is_not_seen(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        number = store.project("olmo")
        store.append(made(0, 100, project=number), {0: Place(1, 0, b"p")}, [(9 << 8, NOW // MINUTE, "o/one", False)])
        store.write()
        with Snapshot(tmp_path / "s") as first:
            store.append(made(100, 50), {0: Place(2, 0, b"q")}, [(9 << 8, NOW // MINUTE + 1, "o/two", False)])
            store.project("pythia")
            store.write()
            store.forget(NOW, NOW)
            assert len(first.read(0, 1 << 62)) == sum(first.hours().values()) == 100
            assert dict(first.all_names()) == {9 << 8: "o/one"}
            assert (first.places[0].next, first.projects) == (1, ["olmo"])
            first.check()
        with Snapshot(tmp_path / "s") as second:
            assert len(second.read(0, 1 << 62)) == 150
            assert dict(second.all_names()) == {9 << 8: "o/two"}
            assert second.places[0].next == 2


def test_nothing_can_be_written(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        store.append(made(0, 1), {0: Place(1, 0, b"")})
        store.write()
    with Snapshot(tmp_path / "s") as snapshot, pytest.raises(sqlite3.OperationalError, match="readonly"):
        snapshot._db.execute("DELETE FROM rows")


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Snapshot(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
    (tmp_path / "text").write_bytes(b"no database" * 100)
    with pytest.raises(DamagedStore):
        Snapshot(tmp_path / "text")
    with Store(tmp_path / "other") as store:
        store._db.execute("PRAGMA user_version = 99")
    with pytest.raises(DamagedStore, match="of version 99"):
        Snapshot(tmp_path / "other")
