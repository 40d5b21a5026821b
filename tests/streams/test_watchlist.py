"""The watchlist: which repository belongs to which project, and what is wrong with a file."""

from pathlib import Path

import pytest
import yaml

from streams.errors import UsageError, WatchlistError
from streams.watchlist import Project, Watchlist
from tests.simulator.recorded import recorded

WATCHLIST = Watchlist(
    [
        Project("one", github=("Alpha", "beta/tool", "gamma-*"), huggingface=("alpha-hub",)),
        Project("two", github=("beta", "alpha/special", "delta/llm-?")),
    ]
)


@pytest.mark.parametrize(
    ("repo", "project"),
    [
        ("alpha/anything", "one"),
        ("ALPHA/special", "one"),
        ("beta/tool", "one"),
        ("Beta/other", "two"),
        ("gamma-x/y", "one"),
        ("gamma/y", None),
        ("delta/llm-7", "two"),
        ("delta/llm-70", None),
        ("alpha-hub/x", None),
        ("alphabet/x", None),
        ("/", None),
    ],
)
def test_a_repository_belongs_to_the_first_project_that_fits(repo: str, project: str | None) -> None:
    assert WATCHLIST.project_of("github", repo) == project


@pytest.mark.parametrize("repo", ["alpha-hub/model", "datasets/Alpha-Hub/set", "spaces/alpha-hub/app"])
def test_datasets_and_spaces_belong_to_the_same_owner(repo: str) -> None:
    assert WATCHLIST.project_of("huggingface", repo) == "one"


def test_the_built_in_list_holds_the_fourteen_projects() -> None:
    watchlist = Watchlist.load()
    names = [project.project for project in watchlist.projects]
    assert len(names) == len(set(names)) == 14
    assert watchlist.project_of("github", "eleutherai/gpt-neox") == "pythia"
    assert watchlist.project_of("github", "huggingface/smollm") == "smollm"
    assert watchlist.project_of("github", "huggingface/transformers") is None
    assert watchlist.project_of("huggingface", "baai/bge-m3") == "aquila"


def test_equal_lists_have_equal_digests_and_others_do_not() -> None:
    assert Watchlist.load().digest == Watchlist.load().digest != WATCHLIST.digest
    again = Watchlist([Project("one", github=("alpha",)), Project("two", github=("beta",))])
    swapped = Watchlist([Project("two", github=("beta",)), Project("one", github=("alpha",))])
    assert again.digest != swapped.digest


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("- project: a\n  githib: [x]\n", 2, "unknown field 'githib'"),
        ("- project: a\n- github: [x]\n", 2, "no name"),
        ("- project: a\n- project: b\n- project: A\n", 3, "line 1 already"),
        ("- project: a/b\n", 1, "'/' or blank"),
        ("- project: a b\n", 1, "'/' or blank"),
        ("- project: a\n  github: x\n", 2, "not a list"),
        ("- project: a\n  github:\n    - [x]\n", 3, "not a name"),
        ("- project: a\n  github:\n    - ok\n    - a/b/c\n", 4, "ORG/NAME"),
        ("- project: a\n  github: [has blank]\n", 2, "ORG/NAME"),
        ("- project: a\n  project: b\n", 2, "twice"),
        ("- project: [a]\n", 1, "not a text"),
        ("- just text\n", 1, "not a project"),
        ("project: a\n", 1, "not a list"),
        ("", 1, "not a list"),
        ("- project: a\n  github: [x\n- project: b\n", 3, "not YAML"),
        ("- project: a\n\tgithub: [x]\n", 2, "not YAML"),
        ("- project: \x00\n", 1, "not YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    file = tmp_path / "watchlist.yaml"
    file.write_text(text)
    with pytest.raises(WatchlistError) as error:
        Watchlist.load(file)
    assert str(error.value).startswith(f"{file}:{line}: ")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_absent_or_no_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        Watchlist.load(tmp_path / "absent.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WatchlistError, match="not UTF-8"):
        Watchlist.load(tmp_path / "bytes.yaml")


def test_the_built_in_list_names_the_places_of_its_source() -> None:
    source = recorded("../watchlist.yaml")
    theirs = [
        (row["project"], tuple(row["github"]), tuple(row["huggingface"])) for row in yaml.safe_load(source.read_text())
    ]
    assert [
        (project.project, project.places["github"], project.places["huggingface"])
        for project in Watchlist.load().projects
    ] == theirs
