"""The documents keep up with the program: what they link to, name or tell people to type exists."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from nomadwatch import __version__
from nomadwatch.cli import nomadwatch
from nomadwatch.settings import SECRETS, names, variable

ROOT = Path(__file__).parents[1]
_PARSER = MarkdownIt("commonmark").enable("table")
_WIDEST = 120
_CODE = ("agents", "benchmarks", "broker", "nomadwatch", "simulator", "sinks", "streams", "tests")
# Folders that belong to a person or to a tool, not to the project.
_NOT_OURS = {"node_modules", "build", "dist"}
# Variables that are no settings of the program: of its tests, of its dashboards, and of completion.
_OTHER_VARIABLES = {
    "NOMADWATCH_PLATFORMS",
    "NOMADWATCH_CONFIG",
    "NOMADWATCH_SHARED_DATA",
    "NOMADWATCH_DASHBOARDS",
    "NOMADWATCH_COMPLETE",
}
# Options of other people's programs, where a sentence names them alone. One with a dot is Prometheus'.
_FOREIGN_OPTIONS = {"--require-hashes", "--slurp"}
# Drafts and notes that never were in the repository.
_NOT_HERE = re.compile(
    r"\b(DESIGN|FIRST_DESIGN|METRICS|SOURCES|ALGORITHMS|STYLE|OBSERVABILITY)(\.md)?\b|\.\./shared|/work/"
)


class Code(NamedTuple):
    """Words in code: a line of a block, or a span in a sentence. `where` is `file:line`."""

    where: str
    text: str
    block: bool


def _documents() -> list[Path]:
    """Every Markdown file of the project."""
    found = []
    for path in ROOT.rglob("*.md"):
        parts = path.relative_to(ROOT).parts
        if not any(part.startswith(".") or part in _NOT_OURS for part in parts[:-1]):
            found.append(path)
    return sorted(found)


DOCUMENTS = _documents()
each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def _tokens(path: Path) -> list[Token]:
    return _PARSER.parse(path.read_text())


def _codes(path: Path) -> Iterator[Code]:
    """All code of a document, block lines with their continuation lines joined."""
    name = path.relative_to(ROOT)
    for token in _tokens(path):
        line = (token.map or [0])[0] + 1
        if token.type in ("fence", "code_block"):
            for text in token.content.replace("\\\n", " ").splitlines():
                yield Code(f"{name}:{line}", text, block=True)
        for child in token.children or ():
            if child.type == "code_inline":
                yield Code(f"{name}:{line}", child.content, block=False)


@cache
def _anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    found: set[str] = set()
    tokens = _tokens(path)
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            text = "".join(child.content for child in inline.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            while slug in found:
                slug += "-1"
            found.add(slug)
    return found


def _links(path: Path) -> Iterator[str]:
    for token in _tokens(path):
        for child in token.children or ():
            target = child.attrGet("href") if child.type == "link_open" else child.attrGet("src")
            if target and child.type in ("link_open", "image"):
                yield str(target)


def _wrong_link(path: Path, target: str) -> bool:
    if re.match(r"[a-z]+:", target):
        return False
    file, _, anchor = target.partition("#")
    there = (path.parent / file).resolve() if file else path
    if not there.exists() or not there.is_relative_to(ROOT):
        return True
    return bool(anchor) and anchor not in _anchors(there)


@each_document
def test_every_link_leads_somewhere(path: Path) -> None:
    assert [target for target in _links(path) if _wrong_link(path, target)] == []


@each_document
def test_lines_outside_tables_and_code_are_short(path: Path) -> None:
    exempt: set[int] = set()
    for token in _tokens(path):
        if token.type in ("fence", "code_block", "table_open") and token.map:
            exempt |= set(range(*token.map))
    lines = path.read_text().splitlines()
    assert [i + 1 for i, line in enumerate(lines) if len(line) > _WIDEST and i not in exempt] == []


def _arguments(text: str) -> list[str]:
    """The words of a command up to its comment, pipe, redirection or next command.

    >>> _arguments("up --port 0  # here")
    ['up', '--port', '0']
    """
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if re.fullmatch(r"[|&;<>()]+", word):
                break
            words.append(word)
    except ValueError:  # an apostrophe in a sentence
        pass
    return words


def _wrong_command(words: list[str]) -> str | None:
    """What the program does not know of a command line, if anything.

    >>> _wrong_command(["watch", "check", "list.yaml", "--online"]), _wrong_command(["watch", "chekc"])
    (None, 'chekc')
    >>> _wrong_command(["report", "--formatt=csv"])
    '--formatt'
    """
    command: click.Command = nomadwatch
    context = click.Context(command, info_name="nomadwatch")
    for word in words:
        if word.startswith("-") and word != "-":
            option = word.partition("=")[0]
            known = {name for parameter in command.get_params(context) for name in parameter.opts}
            if option not in known | set(context.help_option_names) | {"--help", "-h"}:
                return option
        elif isinstance(command, click.Group):
            if not re.fullmatch(r"[a-z]+", word):
                return None  # `nomadwatch [OPTIONS]`, `nomadwatch …`
            found = command.get_command(context, word)
            if found is None:
                return word
            command, context = found, click.Context(found, info_name=word, parent=context)
    return None


_CALL = re.compile(r"^(?:\$ )?(?:docker compose exec \w+ )?(?:\.venv/bin/)?nomadwatch (.+)")


@each_document
def test_every_command_and_option_of_ours_exists(path: Path) -> None:
    wrong = []
    for code in _codes(path):
        call = _CALL.match(code.text.strip())
        if call and (unknown := _wrong_command(_arguments(call[1]))):
            wrong.append(f"{code.where}: {unknown} in {code.text.strip()}")
    assert wrong == []


@cache
def _options() -> set[str]:
    """Every option of this repository's programs: those of click, and those that a Python file names as a string."""
    known: set[str] = set()
    for folder in _CODE:
        for file in (ROOT / folder).rglob("*.py"):
            known |= set(re.findall(r"[\"'/ ](--[a-z][a-z-]*)", file.read_text()))
    return known


@each_document
def test_an_option_that_is_named_alone_exists(path: Path) -> None:
    wrong = []
    for code in _codes(path):
        option = re.match(r"--[a-z][\w.-]*", code.text)
        if option and not code.block and "." not in option[0] and option[0] not in _options() | _FOREIGN_OPTIONS:
            wrong.append(f"{code.where}: {option[0]}")
    assert wrong == []


@each_document
def test_every_module_that_is_run_exists(path: Path) -> None:
    wrong = []
    for code in _codes(path):
        for module in re.findall(r"python -m ([\w.]+)", code.text):
            place = ROOT.joinpath(*module.rstrip(".").split("."))
            ours = (ROOT / module.split(".")[0]).is_dir()
            if ours and not place.with_suffix(".py").is_file() and not (place / "__main__.py").is_file():
                wrong.append(f"{code.where}: {module}")
    assert wrong == []


@each_document
def test_every_target_of_make_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong = []
    for code in _codes(path):
        made = re.match(r"(?:\$ )?make ([a-z]+)", code.text.strip())
        if made and made[1] not in targets:
            wrong.append(f"{code.where}: {made[1]}")
    assert wrong == []


@cache
def _file_names() -> set[str]:
    return {path.name for path in ROOT.rglob("*") if ".venv" not in path.parts and ".git" not in path.parts}


def _wrong_path(text: str) -> bool:
    """Whether code names a file or a folder of the repository that is not there.

    >>> _wrong_path("tests/test_documents.py"), _wrong_path("tests/nothing.py"), _wrong_path("docs/*.md")
    (False, True, False)
    >>> _wrong_path("agents.metric"), _wrong_path("agents.nothing"), _wrong_path("nothing.py"), _wrong_path("a/b.csv")
    (False, True, True, False)
    """
    text = text.partition("::")[0]
    if not re.fullmatch(r"[\w.*-][\w./*-]*", text):
        return False
    top = text.partition("/")[0]
    if top == "secrets":  # what people put there themselves
        return False
    if "/" in text and (ROOT / top).is_dir():
        return not any(ROOT.glob(text.rstrip("/")))
    if re.fullmatch(r"\w+\.(py|yml|sh|toml)", text):
        return text not in _file_names() | {"nomadwatch.toml"}
    package, *rest = text.split(".")
    if rest and rest[-1] != "db" and (ROOT / package / "__init__.py").is_file():
        place = ROOT.joinpath(package, *rest)
        parent = place.parent.with_name(f"{place.parent.name}.py")
        defined = parent.is_file() and re.search(rf"^((async )?def |class )?{rest[-1]}\b", parent.read_text(), re.M)
        return not (place.with_name(f"{place.name}.py").is_file() or place.is_dir() or defined)
    return False


@each_document
def test_every_file_and_module_that_is_named_exists(path: Path) -> None:
    assert [code[:2] for code in _codes(path) if not code.block and _wrong_path(code.text)] == []


@each_document
def test_every_variable_of_ours_is_a_setting(path: Path) -> None:
    settings = {variable(name) for name in names()}
    known = settings | {f"{variable(name)}_FILE" for name in SECRETS} | _OTHER_VARIABLES
    assert set(re.findall(r"\bNOMADWATCH_[A-Z_]*[A-Z]", path.read_text())) - known == set()


@each_document
def test_a_document_cites_nothing_that_is_not_in_the_repository(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), start=1)
    assert [(number, line) for number, line in lines if _NOT_HERE.search(line)] == []


def test_the_version_is_the_same_everywhere_and_has_its_changes_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    compose = (ROOT / "docker-compose.yml").read_text()
    assert project["version"] == __version__
    assert set(re.findall(r"image: nomadwatch:(\S+)", compose)) == {__version__}
    versions = re.findall(r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__


def test_the_changelog_has_each_kind_once_in_a_version_and_in_order() -> None:
    kinds = ["Added", "Changed", "Fixed", "Removed", "Security"]
    _, *versions = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    for version in versions:
        found = re.findall(r"^### (.*)$", version, re.MULTILINE)
        assert found == [kind for kind in kinds if kind in found], version.partition("\n")[0]
        assert not re.search(r"^- ", version.partition("### ")[0], re.MULTILINE), "a line without a kind"


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=lambda path: path.stem)
def test_a_decision_says_whether_it_is_in_force(path: Path) -> None:
    title, blank, status = path.read_text().splitlines()[:3]
    assert title.startswith(f"# {int(path.stem[:4])}. ")
    assert (blank, status[:8]) == ("", "Status: ")


def test_the_code_cites_nothing_that_is_not_in_the_repository() -> None:
    found = []
    for folder in (*_CODE, "grafana", "prometheus"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".yml", ".yaml", ".js", ".html") and path != Path(__file__):
                lines = enumerate(path.read_text().splitlines(), start=1)
                found += [f"{path.relative_to(ROOT)}:{number}" for number, line in lines if _NOT_HERE.search(line)]
    assert found == []
