"""The two sides of a comparison: this checkout, and with `--old CHECKOUT` another one with a .venv of its own."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Side(NamedTuple):
    """A checkout: its name in tables, its folder and the folder of its programs.

    Its commands must run in its folder: the processes that they start import what stands in the current one first.
    """

    name: str
    root: Path
    programs: Path

    def nomadwatch(self, *arguments: object) -> list[str]:
        """A command of its nomadwatch."""
        return [str(self.programs / "nomadwatch"), *map(str, arguments)]

    def python(self, *arguments: object) -> list[str]:
        """Its Python, which does not import what stands in the current folder."""
        return [str(self.programs / "python"), "-P", *map(str, arguments)]


NEW = Side("new", ROOT, Path(sys.executable).parent)


def add_old(parser: argparse.ArgumentParser) -> None:
    """The option `--old`."""
    parser.add_argument(
        "--old",
        type=Path,
        metavar="CHECKOUT",
        help="another checkout of the project with its own .venv, to measure both in turn",
    )


def sides(old: Path | None) -> Sequence[Side]:
    """The checkout of `--old`, if there is one, and this one."""
    if old is None:
        return [NEW]
    programs = old.resolve() / ".venv" / "bin"
    if not (programs / "nomadwatch").exists():
        raise SystemExit(f"{old} has no .venv with nomadwatch in it: run make install there")
    return [Side("old", old.resolve(), programs), NEW]
