"""`replay --history` and Parquet as a person meets them: what is refused and how it says so, and states that were
replayed before.
"""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from agents.measurements import Measurement
from nomadwatch.errors import Misuse
from nomadwatch.processes.history import check_folder, next_step
from nomadwatch.terminal.write import check_target
from sinks.openmetrics import PARTIAL
from sinks.parquet import label_columns
from sinks.report import Report
from tests.nomadwatch.commands import PROGRAM, command, generate

DAY_FILE = "2024-05-01.openmetrics"


def refused(folder: Path) -> str:
    with pytest.raises(Misuse) as caught:
        check_folder(str(folder))
    return str(caught.value).removeprefix(f"the history cannot be written to {folder} ")


def leave_partial(folder: Path) -> None:
    """What is left of a history that was killed after its first day."""
    (folder / PARTIAL).mkdir(parents=True)
    (folder / PARTIAL / DAY_FILE).touch()


def test_a_folder_with_anything_but_an_earlier_history_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    check_folder(str(tmp_path / "new"))
    check_folder(str(tmp_path))
    (tmp_path / DAY_FILE).touch()
    check_folder(str(tmp_path))
    assert os.listdir(tmp_path) == [DAY_FILE], "looking leaves nothing"
    leave_partial(tmp_path)
    check_folder(str(tmp_path))
    assert set(os.listdir(tmp_path)) == {DAY_FILE, PARTIAL}
    (tmp_path / "report.json").touch()
    assert refused(tmp_path) == "(it holds report.json, which is no history); name another folder"
    assert refused(tmp_path / "report.json") == "(it is a file); name another folder"
    assert refused(tmp_path / "no" / "such") == f"(there is no folder {tmp_path / 'no'}); name another folder"
    done = command("replay", tmp_path / "report.json", "--history", tmp_path)
    assert done.code == 2
    assert done.complaint.count("\n") == 1


def test_the_next_step_is_a_command_for_a_shell_whatever_the_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "my $past"
    folder.mkdir()
    (folder / DAY_FILE).touch()
    (folder / "2024-05-02.openmetrics").touch()
    loop = next_step(str(folder)).splitlines()[1].replace("promtool tsdb create-blocks-from", "echo")
    said = subprocess.run(["sh", "-c", loop], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [
        f"openmetrics {folder}/{name} prometheus-data" for name in (DAY_FILE, "2024-05-02.openmetrics")
    ]


def test_a_state_that_was_replayed_without_one_gets_its_history_and_its_parquet_afterwards(tmp_path: Path) -> None:
    generate(tmp_path / "hours", 500)
    options = ("replay", tmp_path / "hours", "--data-dir", tmp_path / "state", "--report")
    assert command(*options, tmp_path / "report.json") == (0, "", "")
    # An earlier attempt was killed: the same command goes on.
    leave_partial(tmp_path / "past")
    done = command(*options, tmp_path / "report.parquet", "--history", tmp_path / "past")
    assert (done.code, done.output) == (0, "")
    assert done.complaint == f"nomadwatch: {next_step(str(tmp_path / 'past'))}\n"
    (path,) = (tmp_path / "past").iterdir()
    assert path.name == "2024-05-01.simulated.openmetrics"
    assert 'world="simulated"' in path.read_text()
    assert len(list(text_string_to_metric_families(path.read_text()))) > 10

    stated = msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=Report)
    assert read(tmp_path / "report.parquet") == stated.measurements
    assert len(stated.measurements) > 1000
    done = command(
        "report", "--data-dir", tmp_path / "state", "--format", "parquet", "--output", tmp_path / "again.parquet"
    )
    assert done == (0, "", "")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "report.parquet").read_bytes()


def read(path: Path) -> list[Measurement]:
    """A report in Parquet, by DuckDB."""
    columns = label_columns()
    selected = ", ".join(f'"{column}"' for column in columns)
    rows: list[Any] = duckdb.execute(f"SELECT name, value, {selected} FROM read_parquet(?)", [str(path)]).fetchall()
    pairs = ((name, value, zip(columns, labels, strict=True)) for name, value, *labels in rows)
    return [
        Measurement(name, {label: text for label, text in labels if text is not None}, value)
        for name, value, labels in pairs
    ]


def test_without_pyarrow_parquet_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    check_target("out.parquet", "parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Misuse, match=r"pip install pyarrow"):
        check_target("out.parquet", "parquet")
    check_target("out.json", "json")


def test_parquet_never_goes_to_a_terminal() -> None:
    main, terminal = pty.openpty()
    try:
        arguments = [*PROGRAM, "report", "--format", "parquet", "--data-dir", "/nonexistent"]
        done = subprocess.run(arguments, stdout=terminal, stderr=subprocess.PIPE, text=True, timeout=60)
    finally:
        os.close(terminal)
        os.close(main)
    assert done.returncode == 2
    assert done.stderr == "nomadwatch: Parquet is not text: name a file (--output report.parquet), or use a pipe\n"
