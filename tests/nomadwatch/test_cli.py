"""The command line from outside: exit codes, one line for each error, help."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from nomadwatch import commands
from nomadwatch.cli import nomadwatch, run
from nomadwatch.commands import SECTIONS
from tests.streams.made import pushes, write

ROLES = ["streams", "count", "measure", "sinks", "broker"]
COMMANDS = [
    "replay",
    "report",
    "up",
    "demo",
    *ROLES,
    "topics",
    "activities",
    "feeds",
    "watch",
    "bots",
    "doctor",
    "query",
    "export",
    "verify",
    "backup",
    "health",
]


def ends(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of a command, which must be one line at most."""
    code = run(list(arguments))
    complaint = capfd.readouterr().err
    assert complaint.count("\n") <= 1
    assert "Traceback" not in complaint
    return code, complaint.rstrip("\n")


def test_the_version_is_the_project_s(capfd: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert run(["--version"]) == 0
    assert capfd.readouterr().out == f"nomadwatch {project['version']}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    text = capfd.readouterr().out
    assert re.match(rf"Usage: nomadwatch {command} ", text)
    assert len(text.splitlines()) > 5


def test_every_command_is_listed_with_the_first_sentence_of_its_help() -> None:
    summaries = {name: line for section in SECTIONS.values() for name, line in section.items()}
    assert sorted(summaries) == sorted(COMMANDS)
    for name, summary in summaries.items():
        command = nomadwatch.get_command(click.Context(nomadwatch), name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(1_000).rstrip(".") == summary.rstrip(".")


def test_every_file_of_a_command_is_listed() -> None:
    folder = Path(str(commands.__file__)).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "listing", "options"} == set(COMMANDS)


def test_help_loads_none_of_the_heavy_modules() -> None:
    script = "import sys; from nomadwatch.cli import run; run(['--help']); run(['replay', '--help']); "
    script += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert loaded.isdisjoint(
        {"faust", "aiokafka", "kafka", "numpy", "rich", "msgspec", "aiohttp", "asyncio", "multiprocessing"}
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay"], "Missing argument 'PATH...'; see nomadwatch replay --help"),
        (
            ["replay", "x", "--histroy", "y"],
            "No such option: --histroy: did you mean --history? See nomadwatch replay --help",
        ),
        (["replay", "x", "--workers", "2"], "No such option: --workers; see nomadwatch replay --help"),
        (["replay", "x", "--frobnicate"], "No such option: --frobnicate; see nomadwatch replay --help"),
        (["dance"], "No such command 'dance'; see nomadwatch --help"),
        (["topics", "dance"], "No such command 'dance'; see nomadwatch topics --help"),
        (
            ["broker", "--port", "x"],
            "Invalid value for '--port': 'x' is not a valid integer range; see nomadwatch broker --help",
        ),
        (["count"], "count needs a broker; name it with --broker HOST:PORT"),
        (["count", "--broker", "nowhere"], "'nowhere' is not the address of a broker; write HOST:PORT"),
        (["broker"], "the broker needs a folder for its log; name one with --data-dir"),
        (["topics", "check"], "no broker is named; name it with --broker HOST:PORT"),
        (
            ["replay", "absent.json.gz"],
            "there is no file or folder absent.json.gz; name files, folders or globs that exist",
        ),
        (
            ["replay", ".", "--as-of", "yesterday"],
            "--as-of: 'yesterday' is not a time; write it as 2015-01-01T15:00:00Z",
        ),
        (
            ["replay", ".", "--partitions", "0"],
            "--partitions: '0' is not valid for partitions; give a whole number, at least 1",
        ),
        (["replay", ".", "--broker", "nowhere"], "'nowhere' is not the address of a broker; write HOST:PORT"),
        (["report", "--data-dir", "absent"], "absent holds no state; name the --data-dir of a station or a replay"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ends(capfd, *arguments) == (2, f"nomadwatch: {said}")


@pytest.mark.parametrize("name", [".", "absent/report.json", "file/report.json"])
def test_a_report_that_could_not_be_written_is_told_before_the_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    code, complaint = ends(capfd, "replay", "file", "--report", name, "--data-dir", "state")
    assert code == 2
    assert complaint.startswith(f"nomadwatch: the report cannot be written to {name} (")
    assert not (tmp_path / "state").exists()


def test_a_folder_in_use_is_exit_code_1(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from nomadwatch.state import State

    with State(str(tmp_path)):
        code, complaint = ends(capfd, "replay", str(tmp_path), "--data-dir", str(tmp_path))
    assert code == 1
    assert (
        complaint == f"nomadwatch: the data folder {tmp_path} is in use by another process; "
        "wait until it ends, or name another folder"
    )


def test_a_broker_that_does_not_answer_is_exit_code_1_after_a_bounded_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import socket

    monkeypatch.setenv("NOMADWATCH_BROKER_WAIT", "0.3")
    (tmp_path / "2015-01-01-15.json").touch()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        for arguments in (["replay", str(tmp_path)], ["count"], ["report"], ["topics", "check"]):
            code, complaint = ends(capfd, *arguments, "--broker", address)
            assert code == 1
            assert complaint.startswith(f"nomadwatch: no Kafka broker answers at {address} (waited 0.3 s: ")
    code, complaint = ends(capfd, "replay", str(tmp_path), "--broker", address)
    assert code == 1
    assert complaint.startswith(f"nomadwatch: no Kafka broker answers at {address} (waited 0.3 s: ")


def test_a_wait_for_a_broker_is_announced_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOMADWATCH_BROKER_WAIT", "2")
    for role in ("measure", "streams", "sinks"):
        assert run([role, "--broker", "127.0.0.1:1", *(["--data-dir", str(tmp_path)] if role != "sinks" else [])]) == 1
        waiting, failed = capfd.readouterr().err.splitlines()
        assert waiting == "nomadwatch: waiting up to 2 s for a Kafka broker at 127.0.0.1:1 …"
        assert failed.startswith("nomadwatch: no Kafka broker answers at 127.0.0.1:1 (waited 2 s: ")


def test_a_misspelt_command_is_told_with_the_one_that_was_meant(capfd: pytest.CaptureFixture[str]) -> None:
    meanings = {"feed": "feeds", "Replay": "replay", "watch chek": "check", "topics create-all": "create"}
    for arguments, meant in ((words.split(), meant) for words, meant in meanings.items()):
        assert run(arguments) == 2
        complaint = capfd.readouterr().err
        assert f": did you mean {meant}? See nomadwatch " in complaint
        assert complaint.count("\n") == 1
    assert run(["quux"]) == 2
    assert "did you mean" not in capfd.readouterr().err


def test_help_lists_every_command_in_a_section_with_its_whole_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capfd.readouterr().out
    titles = ["Watch:", "Replay:", "Look:", "Ask:", "Run one role:"]
    assert [line for line in shown.splitlines() if line in titles] == titles
    assert "..." not in shown.partition("Watch:")[2]
    listed = {
        line.split()[0]
        for line in shown.partition("Watch:")[2].splitlines()
        if line.startswith("  ") and line[2] != " "
    }
    assert listed == set(COMMANDS)
    flat = " ".join(shown.split())
    for section in SECTIONS.values():
        assert all(summary in flat for summary in section.values())
    assert "Commands:" not in shown


@pytest.mark.parametrize("name", ["r.xlsx", "r.XLSX", "r.ods", "r.tsv", "r.json.gz", "folder/r.html"])
def test_a_report_is_not_written_under_a_name_that_promises_another_form(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["replay", __file__, "--report", name]) == 2
    complaint = capfd.readouterr().err
    assert "let the name end in .csv, .parquet or .json" in complaint
    assert run(["report", "--output", name]) == 2


def test_without_a_folder_the_one_that_up_uses_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("NOMADWATCH_DATA_DIR", "NOMADWATCH_BROKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    for command in ("report", "feeds", "activities"):
        assert run([command]) == 2
        assert capfd.readouterr().err == (
            f"nomadwatch: no station has its state in {tmp_path / 'nomadwatch'}: start one with nomadwatch up, "
            "or name a data folder (--data-dir) or a broker (--broker)\n"
        )
    hour = write(tmp_path / "2024-05-01-10.json", pushes(5))
    assert (
        run(["replay", str(hour), "--data-dir", str(tmp_path / "nomadwatch"), "--report", str(tmp_path / "r.json")])
        == 0
    )
    assert run(["activities"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 5
    assert run(["report", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["input"]["activities"] == 5


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_ask_for_completions(shell: str) -> None:
    environment = {**os.environ, "_NOMADWATCH_COMPLETE": f"{shell}_source"}
    made = subprocess.run(
        [sys.executable, "-m", "nomadwatch"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert "_NOMADWATCH_COMPLETE" in made.stdout
    environment |= {"_NOMADWATCH_COMPLETE": f"{shell}_complete", "COMP_WORDS": "nomadwatch rep"}
    environment["COMP_CWORD"] = "rep" if shell == "fish" else "1"
    found = subprocess.run(
        [sys.executable, "-m", "nomadwatch"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert {"replay", "report"} <= set(re.split(r"[\s,]+", found.stdout))
