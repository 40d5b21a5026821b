"""What a platform is to this program: data, and the import paths of the code that is its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class PlatformSetting:
    """A setting of a platform: its name in `nomadwatch.toml`, its environment variable, its default."""

    name: str
    variable: str
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A platform that is measured.

    `id` is its value of the label `platform`, its field in a watchlist, and the first part of its feeds' names
    (`github:/events`). `title` is a heading (`Hugging Face`), `name` stands in sentences (`the Hugging Face Hub`).
    `holds` says what its repositories hold.

    `endpoint` is the setting with the address that is polled, `token` the one with its token (secret), if it takes one.

    `poller`, `check` and `meanings` are import paths (`module:name`), imported only where they are needed:

    - `poller`: called with the address, the token (may be empty), an HTTP session and a `Context`; returns a `Poller`
      (`streams.live.common.poller`).
    - `check`: called with an HTTP session, the address and the token; returns a `PlatformCheck`
      (`streams.live.common.check`). Without one, `doctor` and `watch check --online` leave the platform out.
    - `meanings`: the rows of the table of features (`streams.features`), called without arguments.

    `seen_in_part` is a sentence about what live feeds leave out of the feature `preference`, for the documentation;
    empty where they show all of it.

    `site` is the address of its pages (with `/` at its end; a repository's name follows), `folders` what stands between
    the two by artefact. `name_prefixes` stand before some repositories' names and are no part of them. `bots` are its
    own accounts and well-known tools, case-folded; `bot_list` is a file of this package with further ones.
    """

    id: str
    title: str
    name: str
    holds: str
    endpoint: PlatformSetting
    token: PlatformSetting | None = None
    poller: str
    check: str = ""
    meanings: str = ""
    seen_in_part: str = ""
    site: str = ""
    folders: Mapping[str, str] = field(default_factory=dict)
    name_prefixes: tuple[str, ...] = ()
    bots: frozenset[str] = frozenset()
    bot_list: str = ""

    @property
    def settings(self) -> tuple[PlatformSetting, ...]:
        """The settings that it has."""
        return (self.endpoint,) if self.token is None else (self.endpoint, self.token)


def imported(path: str) -> Any:
    """What an import path names.

    >>> imported("streams.platform:imported") is imported
    True
    """
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
