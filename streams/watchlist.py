"""The watched projects, and the project of a repository."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple, Self

import yaml

from streams import platforms
from streams.activity import PLATFORMS
from streams.errors import WatchlistError

_TEXTS: Final = ("project", "organisation", "type", "governance")
_LISTS: Final = (*PLATFORMS, "base_models")
_FIELDS: Final = (*_TEXTS, *_LISTS)
# Prefixes that are no part of a name, by platform.
_PREFIXES: Final = {platform.id: platform.name_prefixes for platform in platforms.ALL if platform.name_prefixes}


@dataclass(frozen=True, slots=True, init=False)
class Project:
    """One watched project: its name and, by platform, its organisations, repositories (`org/name`) or globs, as
    written.

    >>> Project("olmo", github=("allenai",)).places
    {'github': ('allenai',), 'huggingface': ()}
    """

    project: str
    organisation: str | None
    type: str | None
    governance: str | None
    places: dict[str, tuple[str, ...]]
    base_models: tuple[str, ...]

    def __init__(
        self,
        project: str,
        organisation: str | None = None,
        type: str | None = None,
        governance: str | None = None,
        base_models: tuple[str, ...] = (),
        **places: tuple[str, ...],
    ) -> None:
        """`places` are by platform. Raises TypeError for a name that is no platform."""
        if unknown := places.keys() - set(PLATFORMS):
            raise TypeError(f"no platform: {', '.join(sorted(unknown))}")
        by_platform = {platform: places.get(platform, ()) for platform in PLATFORMS}
        fields = (project, organisation, type, governance, by_platform, base_models)
        for name, value in zip(self.__slots__, fields, strict=True):
            object.__setattr__(self, name, value)


class Watchlist:
    """Projects in the order of their file; a repository belongs to the first that matches.

    >>> watchlist = Watchlist([Project("olmo", github=("allenai",)), Project("smollm", github=("huggingface/smol*",))])
    >>> watchlist.project_of("github", "AllenAI/OLMo"), watchlist.project_of("github", "huggingface/smollm")
    ('olmo', 'smollm')
    >>> watchlist.project_of("github", "huggingface/transformers") is None
    True
    >>> watchlist.project_of("huggingface", "allenai/OLMo-7B") is None
    True
    """

    def __init__(self, projects: list[Project], *, is_default: bool = False) -> None:
        self.projects = tuple(projects)
        self.is_default = is_default
        self._places = {platform: _Places(self.projects, platform) for platform in PLATFORMS}

    @classmethod
    def load(cls, path: str | Path | None = None) -> Self:
        """Read a watchlist file, or the built-in one. Raises `WatchlistError` with FILE:LINE and what to do."""
        if path is None:
            text = files("streams").joinpath("watchlist.yaml").read_text(encoding="utf-8")
            return cls(_parse(text, "watchlist.yaml"), is_default=True)
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise WatchlistError(
                f"{path}: cannot be read ({error.strerror}): name an existing watchlist file"
            ) from None
        except UnicodeDecodeError:
            raise WatchlistError(f"{path}:1: is not UTF-8 text: save it as UTF-8") from None
        return cls(_parse(text, str(path)))

    @cached_property
    def digest(self) -> str:
        """Which repositories belong to which project, as 16 hexadecimal digits: equal watchlists have equal digests."""
        named = [(project.project, *project.places.values()) for project in self.projects]
        return hashlib.blake2b(repr(named).encode(), digest_size=8).hexdigest()

    def project_of(self, platform: str, repo: str) -> str | None:
        """The project of a repository named `owner/name`, whatever the letter case, or None."""
        found = self.find(platform, repo)
        return found.project if found is not None else None

    def find(self, platform: str, repo: str, *, named: bool = True) -> "Found | None":
        """The first entry that a repository's name matches; without `named` only owners and globs."""
        return self._places[platform].find(plain_name(platform, repo), named)

    def projects_by_place(self, platform: str) -> dict[str, str]:
        """The project of each entry, case-folded; the first one for an entry that occurs twice."""
        places = (
            (place.casefold(), project.project) for project in self.projects for place in project.places[platform]
        )
        found: dict[str, str] = {}
        for place, project in places:
            found.setdefault(place, project)
        return found


class Found(NamedTuple):
    """The project of a name, and the entry that it matches: an owner, a repository or a glob, case-folded."""

    project: str
    place: str


def plain_name(platform: str, repo: str) -> str:
    """A repository's name as entries are compared with it: case-folded `owner/name`.

    >>> plain_name("github", "AllenAI/OLMo"), plain_name("huggingface", "datasets/allenai/Dolma")
    ('allenai/olmo', 'allenai/dolma')
    """
    name = repo.casefold()
    prefixes = _PREFIXES.get(platform)
    if prefixes and name.count("/") > 1 and name.startswith(prefixes):
        name = name.partition("/")[2]
    return name


class _Places:
    """The entries of one platform: plain names are looked up, globs are tried one after the other."""

    def __init__(self, projects: tuple[Project, ...], platform: str) -> None:
        self._named: dict[str, tuple[int, Found]] = {}
        self._globs: list[tuple[int, Found, re.Pattern[str]]] = []
        for rank, project in enumerate(projects):
            for place in map(str.casefold, project.places[platform]):
                found = Found(project.project, place)
                if is_glob(place):
                    self._globs.append((rank, found, re.compile(_expression(place if "/" in place else place + "/*"))))
                else:
                    self._named.setdefault(place, (rank, found))
        self._owners = {place.partition("/")[0] for place in self._named}

    def find(self, name: str, named: bool) -> Found | None:
        owner = name.partition("/")[0]
        if owner not in self._owners and not self._globs:
            return None
        nowhere = (len(self._named) + len(self._globs), None)
        found = min(
            self._named.get(name, nowhere) if named else nowhere,
            self._named.get(owner, nowhere),
            key=lambda each: each[0],
        )
        for rank, fitting, pattern in self._globs:
            if rank < found[0] and pattern.fullmatch(name):
                return fitting
        return found[1]


def is_glob(place: str) -> bool:
    """Whether an entry stands for all names that match it."""
    return "*" in place or "?" in place


def names_one(place: str) -> bool:
    """Whether an entry names one repository: `owner/name`.

    >>> names_one("allenai/OLMo"), names_one("allenai"), names_one("allenai/OLMo*")
    (True, False, False)
    """
    return "/" in place and not is_glob(place)


def _expression(glob: str) -> str:
    """A glob as a regular expression; `*` and `?` stay within one part of a name.

    >>> _expression("allenai/olmo*")
    'allenai/olmo[^/]*'
    """
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(letter) or re.escape(letter) for letter in glob)


def _parse(text: str, name: str) -> list[Project]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "cannot be read"
        line = mark.line + 1 if mark else 1
        raise WatchlistError(f"{name}:{line}: is not YAML ({problem}): correct the line or the one before it") from None
    if not isinstance(root, yaml.SequenceNode):
        raise WatchlistError(f"{name}:1: is not a list: write one '- project: NAME' for each project")
    projects: list[Project] = []
    lines: dict[str, int] = {}
    for node in root.value:
        project = _project(node, name)
        line = lines.setdefault(project.project.casefold(), node.start_mark.line + 1)
        if line != node.start_mark.line + 1:
            raise _at(
                node, name, f"the project {project.project!r} is in line {line} already: join the two or rename one"
            )
        projects.append(project)
    return projects


def _project(node: yaml.Node, name: str) -> Project:
    if not isinstance(node, yaml.MappingNode):
        raise _at(node, name, "is not a project: write '- project: NAME' with its fields below")
    found: dict[str, str | tuple[str, ...]] = {}
    for key, value in node.value:
        if key.value not in _FIELDS:
            raise _at(key, name, f"unknown field {key.value!r}: use one of {', '.join(_FIELDS)}")
        if key.value in found:
            raise _at(key, name, f"the project has the field {key.value!r} twice: keep one")
        found[key.value] = _text(value, name, key.value) if key.value in _TEXTS else _places(value, name, key.value)
    if "project" not in found:
        raise _at(node, name, "the project has no name: add 'project: NAME'")
    return Project(**found)  # type: ignore[arg-type]  # the types were checked above


def _text(node: yaml.Node, name: str, field: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise _at(node, name, f"{field!r} is not a text: write '{field}: TEXT'")
    text: str = node.value
    if field == "project" and not re.fullmatch(r"[^\s/]+", text):
        raise _at(
            node, name, f"the project name {text!r} has a '/' or blank in it: use letters, digits, '-', '_' and '.'"
        )
    return text


def _places(node: yaml.Node, name: str, field: str) -> tuple[str, ...]:
    if not isinstance(node, yaml.SequenceNode):
        raise _at(node, name, f"{field!r} is not a list: write '{field}: [ONE, OTHER]'")
    for item in node.value:
        if not isinstance(item, yaml.ScalarNode) or not item.value:
            raise _at(item, name, f"{field!r} holds something that is not a name: write names only")
        if field in PLATFORMS and not re.fullmatch(r"[^\s/]+(/[^\s/]+)?", item.value):
            raise _at(
                item,
                name,
                f"{item.value!r} is no organisation, repository or glob: write ORG, ORG/NAME or a glob of either",
            )
    return tuple(item.value for item in node.value)


def _at(node: yaml.Node, name: str, problem: str) -> WatchlistError:
    return WatchlistError(f"{name}:{node.start_mark.line + 1}: {problem}")
