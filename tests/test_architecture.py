"""The tree shows the architecture: who may import whom, and that our generic package names are ours."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("agents", "broker", "grafana", "nomadwatch", "simulator", "sinks", "streams")

# Upstream never imports downstream; an oracle imports nothing of what it judges.
MAY_IMPORT = {
    "streams": set(),
    "broker": set(),
    "simulator": set(),
    "agents": {"streams"},
    "sinks": {"agents", "streams"},
    "grafana": {"agents", "streams"},
    "nomadwatch": {"agents", "broker", "simulator", "sinks", "streams"},
}
# Inside streams/ and agents/: rooms that a room must not import.
ROOMS_MUST_NOT_IMPORT = {
    "streams.kafka": {"streams.live"},
    "streams.archive": {"streams.live.github", "streams.live.hub"},
    "streams.live": {"streams.archive"},
    "streams.live.common": {"streams.live.github", "streams.live.hub"},
    "streams.live.github": {"streams.live.hub"},
    "streams.live.hub": {"streams.live.github"},
    "agents.operators": {"agents.count", "agents.measure", "agents.metrics"},
    "agents.count": {"agents.measure", "agents.metrics"},
    "agents.metrics": {"agents.count", "agents.measure"},
    "agents.measure": {"agents.count"},
}
OPERATORS_MAY_USE = {"msgspec", "numpy", "numba", "river", "pyroaring", "networkit", "xxhash"}
# Inside nomadwatch/: only the command line imports commands, and what is shown does not import processes.
ROOMS_MAY_IMPORT = {
    "nomadwatch.terminal": {"errors", "failures", "times"},
    "nomadwatch.processes": {
        *("connect", "errors", "failures", "lake", "logs", "private", "settings", "state", "terminal", "topics"),
        "unread",
    },
    "nomadwatch.commands": {
        *("connect", "errors", "failures", "lake", "logs", "online", "private", "processes", "settings", "state"),
        *("terminal", "times", "topics", "unread"),
    },
}
# Of `agents` the sinks know what is published and the rows it is made from, not how.
SINKS_MAY_USE = {"agents.catalogue", "agents.facts", "agents.measurements", "agents.metric"}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it; of `from x import y` also x.y, if that is a module of ours."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            folder = ROOT / node.module.replace(".", "/")
            found.add(node.module)
            found |= {f"{node.module}.{each.name}" for each in node.names if (folder / f"{each.name}.py").is_file()}
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
            ours = module.startswith(
                ("agents.operators", "agents.measurements", "streams.activity", "streams.codes", "streams.columns")
            )
            assert ours or module.partition(".")[0] in standard | OPERATORS_MAY_USE, (path, module)


def test_sinks_know_what_is_published_and_not_how_it_is_made() -> None:
    for path in (ROOT / "sinks").rglob("*.py"):
        assert {module for module in imports(path) if module.startswith("agents")} <= SINKS_MAY_USE, path


@pytest.mark.parametrize("room", ROOMS_MAY_IMPORT)
def test_a_room_imports_only_what_it_is_allowed_to(room: str) -> None:
    package, _, own = room.partition(".")
    for path in (ROOT / package / own).rglob("*.py"):
        for module in imports(path) - {package}:
            if module.startswith(package + "."):
                assert module.split(".")[1] in ROOMS_MAY_IMPORT[room] | {own}, (path, module)


@pytest.mark.parametrize("room", ROOMS_MUST_NOT_IMPORT)
def test_a_room_does_not_import_what_stands_beside_or_after_it(room: str) -> None:
    for path in (ROOT / room.replace(".", "/")).rglob("*.py"):
        for module in imports(path):
            assert not any(f"{module}.".startswith(f"{other}.") for other in ROOMS_MUST_NOT_IMPORT[room]), (
                path,
                module,
            )


def test_no_class_name_of_a_room_stands_twice() -> None:
    """One name has one meaning. Private classes and those that a library names are left out."""
    found: dict[str, list[str]] = {}
    for package in ("broker", "grafana", "nomadwatch", "sinks"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found.setdefault(node.name, []).append(str(path))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_commands_are_known_to_the_command_line_alone() -> None:
    for path in (ROOT / "nomadwatch").rglob("*.py"):
        if path.parent.name != "commands" and path.name != "cli.py":
            assert not any(module.startswith("nomadwatch.commands") for module in imports(path)), path


@pytest.mark.parametrize("package", PACKAGES)
def test_a_generic_name_imports_from_this_repository(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().is_relative_to(ROOT)
