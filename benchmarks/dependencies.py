"""What each dependency costs: its size on disk, the CPU time of its import, and which packages import it.

python -m benchmarks.dependencies [--runs N]
"""

import argparse
import ast
import re
import resource
import statistics
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("agents", "broker", "nomadwatch", "simulator", "sinks", "streams")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")


class Cost(NamedTuple):
    """A dependency. `alone`: MB of what only it needs, itself included. `seconds`: CPU time of its import."""

    name: str
    users: list[str]
    megabytes: float
    alone: float
    seconds: float


def dependencies() -> list[str]:
    """The distributions that a plain installation needs, and those of the extra `parquet`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"].get("parquet", [])]
    return [found[0] for line in wanted if (found := _NAME.match(line))]


def imported() -> dict[str, set[str]]:
    """Top-level modules that the project imports, each with the packages that do."""
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                for name in names:
                    found.setdefault(name.partition(".")[0], set()).add(package)
    return found


def modules_of(distribution: str) -> list[str]:
    """The top-level modules of an installed distribution."""
    wanted = _plain(distribution)
    return [
        module
        for module, names in metadata.packages_distributions().items()
        if wanted in map(_plain, names) and not module.startswith("_")
    ]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def megabytes(distribution: str) -> float:
    """The size of the files of a distribution, without what it depends on; 0 if it is not installed."""
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        return 0.0
    return sum(path.stat().st_size for file in files if (path := Path(str(file.locate()))).is_file()) / 1e6


def needed_by(distribution: str) -> set[str]:
    """A distribution and all that it needs, without extras."""
    found: set[str] = set()
    waiting = [_plain(distribution)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        waiting += [_plain(part[0]) for each in requirements if "extra ==" not in each and (part := _NAME.match(each))]
    return found


def import_seconds(module: str, runs: int) -> float:
    """The median CPU time of an import in a new interpreter, beyond that of an empty one."""

    def once(code: str) -> float:
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime

    empty = statistics.median(once("pass") for _ in range(runs))
    return max(0.0, statistics.median(once(f"import {module}") for _ in range(runs)) - empty)


def measure(runs: int) -> list[Cost]:
    """All dependencies, the largest first."""
    users, names = imported(), dependencies()
    found = []
    for name in names:
        others = set().union(*(needed_by(other) for other in names if other != name))
        alone = sum(megabytes(each) for each in needed_by(name) - others)
        modules = modules_of(name)
        by = sorted({package for module in modules for package in users.get(module, ())})
        used = [module for module in modules if module in users] or modules
        seconds = import_seconds(used[0], runs) if used else 0.0
        found.append(Cost(name, by, megabytes(name), alone, seconds))
    return sorted(found, key=lambda cost: -cost.alone)


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    print(
        "| distribution | MB | with what only it needs, MB | import, ms of CPU | imported by |\n|---|---|---|---|---|"
    )
    for cost in measure(parser.parse_args().runs):
        by = ", ".join(cost.users) or "nothing"
        sizes = f"{cost.megabytes:.1f} | {cost.alone:.1f}"
        print(f"| {cost.name} | {sizes} | {1000 * cost.seconds:.0f} | {by} |")


if __name__ == "__main__":
    main()
