"""The data folder: one process at a time, and what later runs find in it."""

import os
import stat
from pathlib import Path

import pytest

from nomadwatch import state
from nomadwatch.errors import Failure, Misuse
from nomadwatch.state import Kept, State


def test_a_temporary_folder_is_removed_with_everything_in_it() -> None:
    with State() as temporary:
        (temporary.path / "broker.db").write_text("x")
        path = temporary.path
    assert not path.exists()


def test_a_named_folder_is_made_and_stays_and_keeps_what_it_was_told(tmp_path: Path) -> None:
    with State(str(tmp_path / "a" / "b")) as first:
        assert first.kept is None
        first.keep(Kept(prefix="p-", partitions=3, port=4))
        key = first.actor_key("")
    with State(str(tmp_path / "a" / "b")) as second:
        assert second.kept == Kept(prefix="p-", partitions=3, port=4)
        assert second.actor_key("") == key


def test_a_folder_in_use_is_refused_until_its_user_has_gone(tmp_path: Path) -> None:
    with State(str(tmp_path)), pytest.raises(Failure, match=f"^the data folder {tmp_path} is in use by another process; "):
        State(str(tmp_path))
    State(str(tmp_path)).close()


def test_a_folder_that_cannot_be_made_is_a_misuse(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misuse, match="cannot be used"):
        State(str(tmp_path / "file" / "inside"))
    with pytest.raises(Misuse, match="cannot be used"):
        State(str(tmp_path / "file"))


def test_the_actor_key_is_random_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    with State(str(tmp_path / "a")) as one, State(str(tmp_path / "b")) as other:
        assert len(one.actor_key("")) == 32
        assert one.actor_key("") != other.actor_key("")
        assert stat.S_IMODE(os.stat(one.path / "actor.key").st_mode) == 0o600


def test_a_given_actor_key_is_used_and_not_written_down(tmp_path: Path) -> None:
    with State(str(tmp_path)) as folder:
        assert folder.actor_key("given") == b"given"
        assert not (tmp_path / "actor.key").exists()
        with pytest.raises(Misuse, match="longer than 64 bytes"):
            folder.actor_key("x" * 65)


def test_a_full_disk_is_told_with_the_folder_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with State(str(tmp_path)) as folder:
        folder.check_room()
        monkeypatch.setattr(state, "LEAST_ROOM", 1 << 62)
        with pytest.raises(Failure, match=f"^the disk is full under {tmp_path}; make room"):
            folder.check_room()


def test_a_spoilt_state_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(Misuse, match=r"state\.json cannot be read"):
        State(str(tmp_path))
