"""The tree shows the architecture: who may import whom, and that our generic package names are ours."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("agents", "broker", "grafana", "nomadwatch", "simulator", "sinks", "streams")

# Upstream never knows downstream; an oracle knows nothing of what it judges.
MAY_IMPORT = {
    "streams": set(),
    "broker": set(),
    "simulator": set(),
    "agents": {"streams"},
    "sinks": {"agents", "streams"},
    "grafana": {"agents", "streams"},
    "nomadwatch": {"agents", "broker", "simulator", "sinks", "streams"},
}
OPERATORS_MAY_USE = {"msgspec", "numpy", "numba", "river", "pyroaring", "networkit", "xxhash"}
# Of `agents` the sinks know what is published, not how it is made.
SINKS_MAY_USE = {"agents.catalogue", "agents.measurements", "agents.metric"}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_stands_upstream_of_it(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    for path in (ROOT / package).rglob("*.py"):
        ours = {module.partition(".")[0] for module in imports(path)} & set(PACKAGES)
        assert ours <= allowed, path


def test_operators_know_neither_kafka_nor_clock_nor_network() -> None:
    standard = {
        "bisect",
        "collections",
        "dataclasses",
        "enum",
        "functools",
        "heapq",
        "itertools",
        "math",
        "struct",
        "typing",
        "fractions",
    }
    for path in (ROOT / "agents" / "operators").glob("*.py"):
        for module in imports(path):
            ours = module.startswith(("agents.operators", "agents.measurements", "streams.activity"))
            assert ours or module.partition(".")[0] in standard | OPERATORS_MAY_USE, (path, module)


def test_sinks_know_what_is_published_and_not_how_it_is_made() -> None:
    for path in (ROOT / "sinks").rglob("*.py"):
        assert {module for module in imports(path) if module.startswith("agents")} <= SINKS_MAY_USE, path


@pytest.mark.parametrize("package", PACKAGES)
def test_a_generic_name_imports_from_this_repository(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().is_relative_to(ROOT)
