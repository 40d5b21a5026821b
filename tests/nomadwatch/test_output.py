"""Output that cannot be written: one line and exit code 1, and what was there before is still there."""

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nomadwatch.errors import Failure
from nomadwatch.terminal import output
from tests.nomadwatch.commands import PROGRAM

SHOWN = ["watch list", "watch list --format json", "bots list", "bots explain x", "--help", "replay --help"]
FULL = "(No space left on device); free some space, or choose another place"


@contextmanager
def mounted(folder: Path, size: str, options: str = "rw") -> Iterator[None]:
    """A small file system of its own."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},{options}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a file system here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def ended(arguments: list[str], redirection: str) -> tuple[int, str]:
    """(exit code, stderr) of a command whose output the shell redirects."""
    script = f'exec "$@" {redirection}'
    done = subprocess.run(["bash", "-c", script, "bash", *PROGRAM, *arguments], capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", SHOWN)
def test_standard_output_on_a_full_disk_is_one_line_and_exit_code_1(arguments: str) -> None:
    assert ended(arguments.split(), "> /dev/full") == (1, f"nomadwatch: standard output cannot be written {FULL}\n")


def test_standard_output_that_is_closed_is_one_line_and_exit_code_1() -> None:
    said = "nomadwatch: standard output cannot be written (Bad file descriptor); choose another place\n"
    assert ended(["watch", "list"], ">&-") == (1, said)


def test_a_reader_that_has_gone_ends_it_without_a_word() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run([*PROGRAM, "watch", "list"], stdout=pipe, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("redirection", ["2> /dev/full", "2>&-"])
def test_errors_that_cannot_be_told_change_no_exit_code(redirection: str) -> None:
    assert ended(["watch", "check", "/absent"], redirection) == (2, "")


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("before")
    target.chmod(0o640)

    def give_up_halfway() -> None:
        with output.whole(target, "x") as file:
            file.write(b"half")
            file.flush()
            assert target.read_text() == "before"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up_halfway()
    assert (target.read_text(), os.listdir(tmp_path)) == ("before", ["report.json"])
    with output.whole(target, "x") as file:
        file.write(b"after")
    assert (target.read_text(), os.listdir(tmp_path)) == ("after", ["report.json"])
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_link_stays_a_link_and_a_device_stays_a_device(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with output.whole(tmp_path / "link", "x") as file:
        file.write(b"through")
    assert ((tmp_path / "link").is_symlink(), (tmp_path / "file").read_bytes()) == (True, b"through")
    with output.whole(Path("/dev/null"), "x") as file:
        file.write(b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with (
        pytest.raises(Failure) as caught,
        output.whole(Path("/dev/full"), "the report cannot be written to /dev/full") as file,
    ):
        file.write(b"no room")
    assert str(caught.value) == f"the report cannot be written to /dev/full {FULL}"
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path) -> None:
    with mounted(tmp_path, "64k"):
        target = tmp_path / "report.json"
        target.write_text("before")
        with pytest.raises(Failure) as caught, output.whole(target, f"{target} cannot be written") as file:
            file.write(bytes(1 << 20))
        assert str(caught.value) == f"{target} cannot be written {FULL}"
        assert (target.read_text(), os.listdir(tmp_path)) == ("before", ["report.json"])


def test_a_folder_that_is_mounted_read_only_is_told_before_the_work(tmp_path: Path) -> None:
    with mounted(tmp_path, "64k", "ro"), pytest.raises(Failure) as caught:
        output.check(tmp_path / "report.json", "the report cannot be written")
    advice = "its file system is mounted read-only: mount it for writing, or choose another place"
    assert str(caught.value) == f"the report cannot be written (Read-only file system); {advice}"
