"""What others have written reaches no terminal and no line of a log as more than text."""

import io
import json
import os
import pty
import re
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from nomadwatch.logs import to_stderr
from nomadwatch.terminal.console import Guarded, cell, console, table
from nomadwatch.terminal.summary import Lines
from streams.plain import one_line, plain
from tests.nomadwatch.commands import PROGRAM, command

HOSTILE = [
    "\x1b]0;PWNED\x07title",
    "\x1b[31mred\x1b[5m",
    "\x1b[2J\x1b[H",
    "\u202egpj.exe\u2066",
    "a\u200bb\u200f",
    "new\nline nomadwatch: all is well",
    "\u009b31mC1",
    "\r\x08\x08over",
    "\x00nul",
    "\u2028forged",
    "\U000e0041tag",
    "[bold red]markup[/]",
]
# What tables add themselves: colours and emphasis.
OWN = re.compile(r"\x1b\[[\d;]*m")


def strange(text: str) -> set[str]:
    """The characters that a terminal would act on, but for line breaks."""
    return {
        letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter != "\n"
    }


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a replay of repositories with such names."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = [
        {
            "id": str(100 * number + person),
            "type": "PushEvent",
            "actor": {"id": person, "login": f"person-{person}"},
            "repo": {"id": number, "name": f"allenai/{name}"},
            "payload": {"size": 1},
            "created_at": "2024-05-01T12:00:00Z",
        }
        for number, name in enumerate(HOSTILE, 1)
        for person in range(20 - number)
    ]
    (folder / "2024-05-01-12.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = command(
        "replay", folder / "2024-05-01-12.json", "--data-dir", folder / "state", "--report", folder / "report.json"
    )
    assert done.code == 0, done.complaint
    return folder / "state"


def on_terminal(*arguments: object) -> str:
    """What a terminal gets of a command."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "160", "TERM": "xterm-256color"}
    with subprocess.Popen([*PROGRAM, *map(str, arguments)], stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b"".join(_read(ours))
        assert process.wait() == 0
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def _read(number: int) -> Iterator[bytes]:
    while True:
        try:
            block = os.read(number, 1 << 16)
        except OSError:
            return
        if not block:
            return
        yield block


def test_tables_show_names_on_a_terminal_without_what_it_would_act_on(state: Path) -> None:
    shown = on_terminal("report", "--data-dir", state)
    assert OWN.search(shown), "it has colours of its own"
    text = OWN.sub("", shown)
    assert strange(text) == set()
    assert "allenai/�]0;PWNED�title" in text
    assert "allenai/�[31mred�[5m" in text
    assert not any(line.startswith(("line nomadwatch", "forged")) for line in text.splitlines())


@pytest.mark.parametrize("arguments", [("report", "--format", "csv"), ("report", "--format", "json"), ("activities",)])
def test_data_on_a_terminal_is_clean_and_in_a_pipe_exact(state: Path, arguments: tuple[str, ...]) -> None:
    assert strange(on_terminal(*arguments, "--data-dir", state)) == set()
    piped = command(*arguments, "--data-dir", state).output
    assert "\u202e" in piped
    assert "\ufffd" not in piped


def test_a_log_line_stays_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    import logging

    to_stderr(verbose=True)
    for name in HOSTILE:
        logging.getLogger("nomadwatch.streams").warning("%s: cannot be looked at", name)
        Lines().notice(name)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2 * len(HOSTILE)
    assert all(line.startswith("nomadwatch: ") and not strange(line) for line in lines)


def test_a_wrong_argument_and_an_error_are_told_cleanly() -> None:
    for name in ("\x1b[31mred", "new\nnomadwatch: all is well", "\u202egpj"):
        for arguments in (["replay", name], ["watch", "check", name], ["report", "--format", name], [name]):
            complaint = command(*arguments).complaint
            assert strange(complaint) == set()
            assert complaint.count("\n") == 1


def test_a_stream_that_is_guarded_passes_on_plain_text_only() -> None:
    raw = io.StringIO()
    guarded = Guarded(raw)
    for name in HOSTILE:
        guarded.write(name)
        guarded.writelines([name])
        guarded.buffer.write(name.encode())
    assert strange(raw.getvalue()) == set()
    guarded.write("\ud800")
    assert raw.getvalue().endswith("\ufffd")


def test_cells_and_tables_are_clean_in_a_file_too() -> None:
    file = io.StringIO()
    shown = table("name", "raw")
    for name in HOSTILE:
        shown.add_row(cell(name), name.replace("[", "("))
    console(file=file, width=100).print(shown)
    assert strange(file.getvalue()) == set()


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("allenai/OLMo-2", "日本語/モデル", "é–ü", "a_b.c", "Ünïcode/ß"):
        assert plain(name) == one_line(name) == name
