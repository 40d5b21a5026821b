"""`nomadwatch watch`: what is watched, and what is wrong with a list."""

import json
from pathlib import Path

import pytest

from nomadwatch.cli import run
from streams.watchlist import Watchlist

LIST = """\
- project: olmo
  organisation: Ai2
  governance: single-research-institute
  github: [allenai, "allenai/olmo*"]
  huggingface: [allenai]
- project: smollm
  github: [huggingface/smollm]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "watchlist.yaml"
    path.write_text(LIST)
    return path


def test_the_list_shows_projects_with_governance_and_all_places(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "list", "--watchlist", str(path)]) == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert lines == [
        ["project", "governance", "GitHub", "Hugging", "Face"],
        ["olmo", "single-research-institute", "allenai", "allenai"],
        ["allenai/olmo*"],
        ["smollm", "–", "huggingface/smollm", "–"],
    ]


def test_programs_get_every_field(
    path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOMADWATCH_WATCHLIST", str(path))
    assert run(["watch", "list", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out) == [
        {
            "project": "olmo",
            "organisation": "Ai2",
            "type": None,
            "governance": "single-research-institute",
            "github": ["allenai", "allenai/olmo*"],
            "huggingface": ["allenai"],
            "base_models": [],
        },
        {
            "project": "smollm",
            "organisation": None,
            "type": None,
            "governance": None,
            "github": ["huggingface/smollm"],
            "huggingface": [],
            "base_models": [],
        },
    ]


def test_without_a_file_the_list_that_comes_along_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "list"]) == 0
    shown = {line.split()[0] for line in capfd.readouterr().out.splitlines()}
    assert {project.project for project in Watchlist.load().projects} <= shown


def test_a_good_list_is_told_with_its_counts(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "check", str(path)]) == 0
    assert capfd.readouterr().out == f"{path} is valid: 2 projects, 3 places on GitHub, 1 on Hugging Face\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "- project: olmo\n  gitlab: [x]\n",
            "2: unknown field 'gitlab': use one of project, organisation, type, governance, ",
        ),
        (LIST + "- project: OLMo\n", "8: the project 'OLMo' is in line 1 already: join the two or rename one"),
        ("- project: [\n", "2: is not YAML ("),
    ],
)
def test_a_wrong_list_is_one_line_with_its_place_and_exit_code_2(
    text: str, said: str, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path.write_text(text)
    for arguments in (["watch", "check", str(path)], ["watch", "list", "--watchlist", str(path)]):
        assert run(arguments) == 2
        output, complaint = capfd.readouterr()
        assert output == ""
        assert complaint.startswith(f"nomadwatch: {path}:{said}")
        assert complaint.count("\n") == 1


def test_an_absent_list_is_one_line_and_exit_code_2(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "check", str(tmp_path / "absent.yaml")]) == 2
    assert capfd.readouterr().err.endswith(
        "absent.yaml: cannot be read (No such file or directory): name an existing watchlist file\n"
    )
