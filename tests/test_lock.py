"""The lock files: each package has hashes, no registry is named, and what installs them checks them."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-run.lock", "requirements-build.lock")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def entries(lock: str) -> dict[str, str]:
    """Package, version and marker → its whole line with the hashes."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = {line.partition(" --hash")[0].strip(): line for line in lines}
    assert len(found) == len(lines)
    return found


def names(lock: str) -> set[str]:
    return {entry.partition("==")[0] for entry in entries(lock)}


def plain(requirement: str) -> str:
    """The name in a requirement, normalised as package indexes do."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_and_has_hashes(lock: str) -> None:
    for entry, line in entries(lock).items():
        name, _, version = entry.partition("==")
        assert _NAME.fullmatch(name), entry
        assert re.match(r"\d[\w.+!]*( ;|$)", version), entry
        assert re.search(r" --hash=sha256:[0-9a-f]{64}( |$)", line), entry
        assert re.fullmatch(r"( +--hash=sha256:[0-9a-f]{64})+", line.removeprefix(entry)), entry


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_registry(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"(?m)^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b", text)


def test_the_smaller_locks_pin_what_the_large_one_pins() -> None:
    large = entries("requirements.lock")
    for lock in ("requirements-run.lock", "requirements-build.lock"):
        for entry, line in entries(lock).items():
            pin = entry.partition(" ;")[0]
            same = [other for each, other in large.items() if each.partition(" ;")[0] == pin]
            assert same, f"{lock}: {pin}"
            assert set(re.findall(r"sha256:\w+", line)) == set(re.findall(r"sha256:\w+", same[0]))


def test_the_locks_hold_what_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {plain(each) for each in project["project"]["dependencies"]}
    development = {plain(each) for each in project["project"]["optional-dependencies"]["dev"]}
    assert needed | development <= names("requirements.lock")
    assert needed <= names("requirements-run.lock")
    assert not {"pytest", "mypy", "ruff", "hatchling", "pyarrow"} & names("requirements-run.lock")
    assert {plain(each) for each in project["build-system"]["requires"]} <= names("requirements-build.lock")


def test_what_installs_checks_the_hashes() -> None:
    makefile, dockerfile = ((ROOT / name).read_text() for name in ("Makefile", "Dockerfile"))
    dockerfile = re.sub(r"(--require-hashes) \\\n\s+", r"\1 ", dockerfile)
    assert "--require-hashes -r requirements.lock" in makefile
    for lock in LOCKS[1:]:
        assert f"--require-hashes -r {lock}" in dockerfile
    # Anything else that is installed is this project alone, without dependencies.
    lines = [*makefile.splitlines(), *dockerfile.splitlines()]
    rest = [line for line in lines if re.search(r"pip\b.* install ", line) and "needs uv" not in line]
    assert all("--require-hashes" in line or "--no-deps" in line for line in rest)
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("make test"), "make test installs through the Makefile"
