"""The list of platforms. The place in the list is the platform's number.

Numbers stand in stored rows (`streams.codes`): a platform is added at the end, and none is ever removed or moved.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from streams.errors import PlatformError
from streams.live.github.platform import GITHUB
from streams.live.hub.platform import HUB
from streams.platform import Platform, imported

BUILT_IN: Final = (GITHUB, HUB)
# Names further platforms by import paths (`module:NAME`) with commas between them. It is read when this module is
# imported, because constants of many modules depend on it.
VARIABLE: Final = "NOMADWATCH_PLATFORMS"
# Four bits of a code (`streams.codes`).
MOST: Final = 16
# Words that stand in the place of a platform in keys, labels and watchlists.
_TAKEN: Final = frozenset(
    {
        "intensity",
        "archive",
        "coverage",
        "watched",
        "popularity",
        "project",
        "organisation",
        "type",
        "governance",
        "base_models",
    }
)


def with_further(paths: str) -> tuple[Platform, ...]:
    """The platforms of this program and those that import paths name, in that order.

    Raises `PlatformError` for a path that names no platform, and for a platform that cannot be told from another.

    >>> [platform.id for platform in with_further("")]
    ['github', 'huggingface']
    >>> with_further("streams.platform:imported")
    Traceback (most recent call last):
    streams.errors.PlatformError: NOMADWATCH_PLATFORMS: streams.platform:imported is no Platform; correct or unset it
    """
    further = tuple(_further(path) for path in (each.strip() for each in paths.split(",")) if path)
    platforms = (*BUILT_IN, *further)
    if problem := _problem(platforms):
        raise PlatformError(f"{VARIABLE}: {problem}; correct or unset it")
    return platforms


def _further(path: str) -> Platform:
    try:
        found = imported(path)
    except (ImportError, AttributeError, ValueError) as error:
        # Everything else of this package needs the list first.
        hint = "; of streams, its module may import streams.platform only" if "circular import" in str(error) else ""
        raise PlatformError(f"{VARIABLE}: {path} cannot be imported ({error}){hint}; correct or unset it") from None
    if not isinstance(found, Platform):
        raise PlatformError(f"{VARIABLE}: {path} is no Platform; correct or unset it")
    return found


def _problem(platforms: tuple[Platform, ...]) -> str | None:
    if len(platforms) > MOST:
        return f"{len(platforms)} platforms are more than {MOST}"
    for platform in platforms:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", platform.id) or platform.id in _TAKEN:
            return f"{platform.id!r} cannot be the id of a platform"
    ids = (platform.id for platform in platforms)
    settings = [setting for platform in platforms for setting in platform.settings]
    names, variables = (setting.name for setting in settings), (setting.variable for setting in settings)
    for what, values in (("id", ids), ("setting", names), ("variable", variables)):
        if (twice := _twice(values)) is not None:
            return f"two platforms have the {what} {twice}"
    return None


def _twice(values: Iterable[str]) -> str | None:
    return next((value for value, times in Counter(values).items() if times > 1), None)


ALL: Final = with_further(os.environ.get(VARIABLE, ""))
BY_ID: Final = {platform.id: platform for platform in ALL}
TITLES: Final = {platform.id: platform.title for platform in ALL}
