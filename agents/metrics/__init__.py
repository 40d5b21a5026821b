"""The families of metrics. Each file in this folder is one, and is part of the catalogue because it is here.

A folder `agents/metrics` elsewhere on Python's path adds its files, unless it belongs to another copy of this program.
So your own metrics need no change here.
"""

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Final

from agents.family import Family


def _folders() -> list[str]:
    found = (Path(entry or ".") / "agents" for entry in sys.path)
    return [
        str(each / "metrics") for each in found if not (each / "__init__.py").exists() and (each / "metrics").is_dir()
    ]


def _families() -> list[Family]:
    """By their order, of equal ones by the names of their files."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [importlib.import_module(f"{__name__}.{name}").FAMILY for name in names]
    return sorted(found, key=lambda family: family.order)


__path__ += _folders()
FAMILIES: Final = tuple(_families())
