"""The data folder: one process at a time, and what later runs find in it."""

import os
import socket
import stat
import sys
import time
from pathlib import Path

import pytest

from nomadwatch import state
from nomadwatch.errors import Failure, Misuse
from nomadwatch.state import Kept, Kind, State, read_kept


def test_a_temporary_folder_is_removed_with_everything_in_it() -> None:
    with State() as temporary:
        (temporary.path / "broker.db").write_text("x")
        path = temporary.path
    assert not path.exists()


def test_a_named_folder_is_made_and_stays_and_keeps_what_it_was_told(tmp_path: Path) -> None:
    with State(str(tmp_path / "a" / "b")) as first:
        assert first.kept is None
        first.keep(Kept(kind="replay", prefix="p-", partitions=3, port=4))
        key = first.actor_key("")
    with State(str(tmp_path / "a" / "b")) as second:
        assert second.kept == Kept(kind="replay", prefix="p-", partitions=3, port=4)
        assert second.actor_key("") == key


def test_a_folder_in_use_is_refused_until_its_user_has_gone(tmp_path: Path) -> None:
    with (
        State(str(tmp_path)),
        pytest.raises(Failure, match=f"^the data folder {tmp_path} is in use by another process; "),
    ):
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
        assert folder.actor_key("0123456789abcdef") == b"0123456789abcdef"
        assert not (tmp_path / "actor.key").exists()
        with pytest.raises(Misuse, match="longer than 64 bytes"):
            folder.actor_key("x" * 65)
        for short in ("x", "x" * 15, "é" * 7):
            with pytest.raises(Misuse, match="shorter than 16 bytes"):
                folder.actor_key(short)


@pytest.mark.parametrize("content", ["", "no hexadecimal digits", "ab" * 15, "ab" * 65, "\xff"])
def test_a_key_file_that_holds_no_key_is_told(content: str, tmp_path: Path) -> None:
    (tmp_path / "actor.key").write_bytes(content.encode("latin-1"))
    with (
        State(str(tmp_path)) as folder,
        pytest.raises(Misuse, match=r"actor\.key does not contain a key; restore it from a backup"),
    ):
        folder.actor_key("")


def test_a_folder_that_others_may_look_into_is_told_and_its_files_are_closed_to_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "faust" / "v1").mkdir(parents=True)
    ours = [tmp_path / name for name in ("broker.db", "broker.db-wal", "state.json", "faust/v1/table")]
    theirs = tmp_path / "notes.txt"
    for path in (*ours, theirs):
        path.write_text("{}" if path.suffix != ".json" else '{"layout": 2, "partitions": 1}')
        path.chmod(0o644)
    tmp_path.chmod(0o755)
    with State(str(tmp_path)):
        assert [stat.S_IMODE(path.stat().st_mode) for path in ours] == [0o600] * 4
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o644, "what is not this program's is left alone"
    assert (
        f"the data folder {tmp_path} is open to other users of this machine (mode 0755): chmod 700 {tmp_path}"
        in caplog.text
    )
    caplog.clear()
    tmp_path.chmod(0o700)
    with State(str(tmp_path)):
        assert caplog.text == ""


def test_a_full_disk_is_told_with_the_folder_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with State(str(tmp_path)) as folder:
        folder.check_room()
        monkeypatch.setattr(state, "LEAST_ROOM", 1 << 62)
        with pytest.raises(Failure, match=f"^the disk is full under {tmp_path}; free some space"):
            folder.check_room()


def test_what_is_kept_of_something_else_is_refused(tmp_path: Path) -> None:
    with State(str(tmp_path)) as first:
        first.check_kind("replay")
        first.keep(Kept(kind="live station", partitions=3))
    with State(str(tmp_path)) as second:
        second.check_kind("live station")
        with pytest.raises(Misuse, match=f"^{tmp_path} holds the state of a live station; name another --data-dir$"):
            second.check_kind("replay")


@pytest.mark.parametrize("kind", ["replay", "live station"])
def test_what_a_version_has_kept_that_did_not_tell_kinds_apart_is_taken(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"layout": 2, "broker": "", "prefix": "", "partitions": 8, "port": 4}\n')
    with State(str(tmp_path)) as folder:
        folder.check_kind(kind)


def test_the_broker_s_port_is_the_last_one_unless_that_is_taken(tmp_path: Path) -> None:
    def port() -> int:
        with State(str(tmp_path)) as folder:
            if folder.kept is None:
                folder.keep(Kept(partitions=1))
            return folder.broker_port()

    first = port()
    assert port() == first
    with socket.create_server(("127.0.0.1", first)):
        second = port()
    assert first != second == port()


@pytest.mark.skipif(sys.platform != "linux", reason="held on Linux only")
def test_the_broker_s_port_is_held_for_it_while_the_folder_is_open(tmp_path: Path) -> None:
    with State(str(tmp_path)) as folder:
        folder.keep(Kept(partitions=1))
        port = folder.broker_port()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        for _ in range(2):  # and again once it was killed
            with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
                pass
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))


@pytest.mark.parametrize(("written", "layout"), [('{"partitions": 8}', 1), ('{"partitions": 8, "layout": 99}', 99)])
def test_a_folder_of_another_layout_is_refused_with_what_to_do(written: str, layout: int, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(written)
    with pytest.raises(Misuse) as refused:
        State(str(tmp_path))
    assert str(refused.value) == (
        f"{tmp_path} holds the state of another version of nomadwatch (layout {layout}, not 2), which this one cannot "
        "read; name another --data-dir to begin anew, or delete the folder"
    )


def test_a_spoilt_state_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(Misuse, match=r"state\.json cannot be read"):
        State(str(tmp_path))


def test_a_faster_clock_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    with State(str(tmp_path)) as first:
        first.keep(Kept(partitions=1))
        before = time.time()
        origin = first.time_origin(60.0)
        assert before <= origin <= time.time()
    with State(str(tmp_path)) as second:
        assert second.time_origin(60.0) == origin
        assert second.time_origin(30.0) > origin, "another speed is another clock"


def test_a_state_of_other_platforms_is_refused_and_one_of_fewer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored rows have the numbers of platforms, so none may move."""
    monkeypatch.setattr(state, "PLATFORMS", ("github", "huggingface", "forge"))
    with State(str(tmp_path)) as first:
        first.keep(Kept(kind="replay", partitions=1))
        first.check_kind("replay")
    monkeypatch.setattr(state, "PLATFORMS", ("github", "huggingface", "forge", "other"))
    with State(str(tmp_path)) as more:
        more.check_kind("replay")
    for platforms in (("github", "huggingface"), ("github", "huggingface", "other", "forge")):
        monkeypatch.setattr(state, "PLATFORMS", platforms)
        with (
            State(str(tmp_path)) as refused,
            pytest.raises(Misuse, match="the platforms github, huggingface, forge: NOMADWATCH_PLATFORMS must name"),
        ):
            refused.check_kind("replay")


def test_a_state_that_was_kept_before_platforms_were_has_the_first_two(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"layout": 2, "partitions": 1}')
    kept = read_kept(tmp_path)
    assert kept is not None
    assert kept.platforms == ("github", "huggingface")
