"""The Dockerfile without an engine: its stages, its user, and that what it copies makes the whole program."""

import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from zipfile import ZipFile

from tests.compose.services import ROOT, SERVICES, mounts

Stage = list[tuple[str, str]]


def stages() -> list[Stage]:
    """Instructions with their arguments, by stage; a stage begins with its FROM."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text()))
    found: list[Stage] = []
    for line in filter(None, text.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


BUILD, LAST = stages()


def arguments(stage: Stage, word: str) -> list[str]:
    return [rest for each, rest in stage if each == word]


def copied() -> list[str]:
    """What comes from the repository."""
    return [source for rest in arguments(BUILD, "COPY") for source in rest.split()[:-1]]


def sent(path: Path) -> bool:
    """Whether .dockerignore lets a file of the repository through: the last line that fits it, or a folder above it,
    decides.
    """
    kept = True
    parts = path.relative_to(ROOT).parts
    above = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            # `**/` stands for any folders, also none; `*` for no slash, which a name without one cannot have.
            named = [each.rpartition("/")[2] if pattern.startswith("**/") else each for each in above]
            if any(
                fnmatch(each, pattern.removeprefix("**/")) and ("/" not in each or pattern != "*") for each in named
            ):
                kept = line.startswith("!")
    return kept


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_both_stages_begin_with_the_same_pinned_image() -> None:
    images = [stage[0][1].partition(" AS ")[0] for stage in (BUILD, LAST)]
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.1[123]\.\d+-slim-\w+", images[0])


def test_the_last_stage_takes_one_folder_and_no_tools() -> None:
    assert arguments(LAST, "COPY") == ["--from=build /opt/nomadwatch /opt/nomadwatch"]
    assert "python -m venv --without-pip /opt/nomadwatch" in arguments(BUILD, "RUN")
    (run,) = arguments(LAST, "RUN")
    assert run.startswith("pip uninstall --yes setuptools wheel pip ")
    assert not re.search(r"apt|install (?!--directory)|gcc|curl|wget", run.removeprefix("pip uninstall"))


def test_the_program_is_installed_where_the_last_stage_takes_it_from() -> None:
    install = arguments(BUILD, "RUN")[-1].split(" && ")[-1]
    # Without --python it would go into the build stage's own environment, which stays behind.
    assert install.startswith("pip --python /opt/nomadwatch/bin/python install ")
    assert install.endswith(" /wheels/*.whl")
    assert "--wheel-dir /wheels " in arguments(BUILD, "RUN")[-1]


def test_it_runs_as_a_user_who_owns_where_the_state_is() -> None:
    assert arguments(LAST, "USER") == ["nomadwatch"]
    (run,) = arguments(LAST, "RUN")
    assert "useradd --system --uid 10001" in run
    assert arguments(LAST, "WORKDIR") == ["/var/lib/nomadwatch"]
    assert "install --directory --owner nomadwatch --group nomadwatch --mode 700 /var/lib/nomadwatch" in run
    assert ("station", "/var/lib/nomadwatch") in mounts("streams")
    assert LAST.index(("USER", "nomadwatch")) > LAST.index(("RUN", run)), "who is made first"
    assert SERVICES["streams"]["environment"]["NOMADWATCH_DATA_DIR"] == "/var/lib/nomadwatch"


def test_the_command_of_a_service_is_what_the_program_is_given() -> None:
    assert arguments(LAST, "ENTRYPOINT") == ['["nomadwatch"]']
    assert any("/opt/nomadwatch/bin:$PATH" in rest for rest in arguments(LAST, "ENV"))


def test_what_is_copied_exists_and_is_sent_to_the_engine_and_nothing_else_is() -> None:
    sources = copied()
    for source in sources:
        path = ROOT / source
        assert path.exists(), source
        assert all(sent(each) for each in (files(path) if path.is_dir() else [path])), source
    others = {path for path in ROOT.iterdir() if path.name not in sources}
    assert {"secrets", "tests", "docker-compose.yml"} <= {path.name for path in others}
    assert [path.name for path in others if sent(path)] == []
    # A clone has it, an unpacked archive of the sources has not.
    assert not sent(ROOT / ".git")
    assert not sent(ROOT / "secrets" / "github_token")
    assert not sent(ROOT / "streams" / "feeds" / "__pycache__" / "x.pyc")


def test_what_is_copied_makes_the_whole_program(tmp_path: Path) -> None:
    here, wheels = tmp_path / "build", tmp_path / "wheels"
    here.mkdir()
    for source in copied():
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, here / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, here / source)
    run = arguments(BUILD, "RUN")[-1]
    (step,) = [step for step in run.split(" && ") if step.startswith("pip wheel ")]
    command = [sys.executable, "-m", *step.replace("/wheels", str(wheels)).split(), "--disable-pip-version-check"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = wheels.iterdir()
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    expected = {str(path.relative_to(ROOT)) for package in packages for path in files(ROOT / package)}
    with ZipFile(wheel) as packed:
        assert {name for name in packed.namelist() if ".dist-info/" not in name} == expected
