"""The doctor against both simulated platforms: tokens, addresses and the clock, without ever showing a token."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.world import TOKEN, World

ROOT = Path(__file__).parents[2]
# Nobody listens there.
NOWHERE = {"NOMADWATCH_GITHUB_API": "http://127.0.0.1:9", "HF_ENDPOINT": "http://127.0.0.1:9"}


def doctor(folder: Path | None, **environment: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "nomadwatch", "doctor", *([] if folder is None else ["--data-dir", str(folder)])]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_the_doctor_tries_the_platforms_with_the_tokens(tmp_path: Path) -> None:
    with World(1, 1.0, 0.5) as world:
        code, said = doctor(tmp_path, **world.environment)
        assert code == 0, said
        assert "ok  GitHub accepts GITHUB_TOKEN" in said
        assert "ok  the Hugging Face Hub accepts HF_TOKEN" in said
        assert TOKEN not in said
        code, said = doctor(tmp_path, **{**world.environment, "GITHUB_TOKEN": "", "HF_TOKEN": ""})
        assert (code, said.count("answers without a token")) == (0, 2)
        code, said = doctor(tmp_path, **{**world.environment, "GITHUB_TOKEN": "not-a-valid-one"})
        assert code == 1
        assert "bad  GitHub refuses GITHUB_TOKEN" in said
        assert "not-a-valid-one" not in said


def test_a_platform_that_is_not_there_is_a_note(tmp_path: Path) -> None:
    code, said = doctor(tmp_path, **NOWHERE)
    assert code == 0
    assert said.count("does not answer") == 2


@pytest.mark.parametrize(("variable", "said"), [("GITHUB_TOKEN", "github_token"), ("HF_TOKEN", "hf_token")])
def test_a_token_can_stand_in_a_file_and_is_shown_as_set(variable: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("in-a-file\n")
    _, shown = doctor(tmp_path / "state", **NOWHERE, **{variable + "_FILE": str(file)})
    assert [line.split()[1:] for line in shown.splitlines() if line.split()[:1] == [said]] == [
        ["set", variable + "_FILE"]
    ]
    code, shown = doctor(tmp_path / "state", **NOWHERE, **{variable + "_FILE": str(tmp_path / "absent")})
    assert (code, "which cannot be read" in shown) == (2, True)


def test_without_a_folder_it_looks_where_a_station_keeps_its_state(tmp_path: Path) -> None:
    where = f"the data folder of a live station, {tmp_path}/nomadwatch"
    assert f"{where} will be created" in doctor(None, **NOWHERE, XDG_STATE_HOME=str(tmp_path))[1]
    (tmp_path / "nomadwatch").write_text("")
    code, said = doctor(None, **NOWHERE, XDG_STATE_HOME=str(tmp_path))
    assert f"{where} cannot be written" in said
    assert code == 1
