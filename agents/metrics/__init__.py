"""The families of metrics: every file here is one, and is in the catalogue by being here.

A folder `agents/metrics` anywhere on the path of Python adds its files, as long as it is not another copy of this
program: metrics of one's own need no change here.
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
