"""Which project a repository belongs to: by its name in the watchlist, and by its native id as soon as that is known.

A repository keeps its id when it is renamed or transferred, and another one may get its old name. The rules:

- A name that the watchlist has decides, whatever the repository was called before.
- A repository that once had such a name stays with its project under every other name.
- A place that names one repository (`owner/name`) means the repository that had this name first. If that one goes on
  under another name, a new repository of the old name is not meant. If nothing more is heard of it, it was made anew,
  and the new one is meant.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from streams.kafka.cursors import ASSIGNMENT_CURSOR, decoded
from streams.watchlist import Found, Watchlist, names_one, plain_name

SOFTWARE: Final = "software"


class Assigned(msgspec.Struct, array_like=True):
    """A repository of a project, by its platform's native id.

    `place` is the entry of the watchlist that its name once matched (empty: an exported activity stated the project).
    `name` is its latest name, case-folded, `at` when it had it, and `since` when it was first met, both in µs.
    """

    native: int | str
    project: str
    place: str
    name: str
    at: int
    since: int
    artefact: str


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Assigned).decode


class Assignment:
    """The repositories of one platform that belong to a project, by the hash of their native id.

    >>> from streams.watchlist import Project
    >>> known = Assignment(Watchlist([Project("tool", github=("old-org/tool",))]), "github")
    >>> known.meet(1, 77, "Old-Org/Tool", at=1), known.meet(1, 77, "new-org/tool", at=2)
    ('tool', 'tool')
    >>> known.meet(2, 88, "old-org/tool", at=3) is None
    True
    >>> known.project_of(1, "third/name"), known.project_of(2, "old-org/tool"), known.project_of(3, "new-org/tool")
    ('tool', None, None)
    """

    def __init__(
        self, watchlist: Watchlist, platform: str, cursors: Mapping[str, bytes] | None = None, *, asked: bool = False
    ) -> None:
        """`cursors` are those of an earlier run. Raises `StreamsError` for one that cannot be read.

        If a platform can be `asked` what became of a repository, another repository of its name is not meant until that
        is known: see `forget`.
        """
        self._asked = asked
        self._watchlist, self._platform = watchlist, platform
        self._known: dict[int, Assigned] = {}
        # For each entry that names one repository: the repositories that had the name, the first one first. On the Hub
        # a model, a dataset and a space may have the same name.
        self._holders: dict[tuple[str, str], list[int]] = {}
        self._unsaved: dict[str, bytes] = {}
        self._projects = watchlist.projects_by_place(platform)
        prefix = f"{ASSIGNMENT_CURSOR}{platform}:"
        restored = [
            (key, decoded(key, _decode, value)) for key, value in (cursors or {}).items() if key.startswith(prefix)
        ]
        for key, known in sorted(restored, key=lambda each: each[1].since):
            if known.place in self._projects:
                known.project = self._projects[known.place]
                self._add(int(key.removeprefix(prefix), 16), known)

    def project_of(self, repository: int, name: str, artefact: str = SOFTWARE) -> str | None:
        """The project of a repository (the hash of its native id) under one of its names, or None."""
        found = self._find(repository, name, artefact)
        if found is not None:
            return found.project
        known = self._once(repository)
        return known.project if known is not None else None

    def by_name(self, name: str) -> str | None:
        """The project of a repository of which only the name is known, or None."""
        found = self._watchlist.find(self._platform, name)
        return found.project if found is not None else None

    def meet(self, repository: int, native: int | str, name: str, at: int, artefact: str = SOFTWARE) -> str | None:
        """Learn from a name that a repository had at `at` (µs). Returns its project, or None."""
        found = self._find(repository, name, artefact)
        if found is not None:
            self._learn(
                repository,
                Assigned(native, found.project, found.place, plain_name(self._platform, name), at, at, artefact),
            )
            return found.project
        known = self._known.get(repository)
        if known is None:
            return None
        self._rename(repository, known, plain_name(self._platform, name), at)
        return known.project if self._once(repository) is not None else None

    def claim(
        self, repository: int, native: int | str, name: str, at: int, place: str, artefact: str = SOFTWARE
    ) -> bool:
        """Learn that an entry (`owner/name`) means a repository, whatever its name. Whether that is possible."""
        place = place.casefold()
        if place not in self._projects or self._is_taken(place, repository, artefact):
            return False
        name = plain_name(self._platform, name)
        self._learn(repository, Assigned(native, self._projects[place], place, name, at, at, artefact))
        return True

    def accept(self, repository: int, name: str, at: int, project: str, artefact: str) -> None:
        """Learn of a repository whose project is stated."""
        self._learn(repository, Assigned("", project, "", plain_name(self._platform, name), at, at, artefact))

    def holder(self, place: str, artefact: str = SOFTWARE) -> Assigned | None:
        """The repository that an entry (`owner/name`) means, as far as known."""
        holders = [self._known[each] for each in self._holders.get((place.casefold(), artefact), ())]
        moved = (each for each in holders if each.name != place.casefold())
        return next(moved, holders[-1] if holders else None)

    def forget(self, repository: int) -> None:
        """A repository is gone: its entry may mean another one."""
        known = self._known.pop(repository, None)
        if known is not None and names_one(known.place):
            self._holders[known.place, known.artefact].remove(repository)

    def knows(self, repository: int) -> bool:
        """Whether a repository is known by its id."""
        return repository in self._known

    def changes(self) -> dict[str, bytes]:
        """The cursors of what was learnt since `saved`."""
        return dict(self._unsaved)

    def saved(self, changes: Mapping[str, bytes]) -> None:
        """The broker has these changes."""
        for key, value in changes.items():
            if self._unsaved.get(key) == value:
                del self._unsaved[key]

    def _find(self, repository: int, name: str, artefact: str) -> Found | None:
        """The entry that a name matches, if it means this repository."""
        found = self._watchlist.find(self._platform, name)
        if found is not None and self._is_taken(found.place, repository, artefact):
            return self._watchlist.find(self._platform, name, named=False)
        return found

    def _once(self, repository: int) -> Assigned | None:
        """What is known of a repository by its id, unless it had the name of another one that was heard of later.

        If the platform is asked, nothing is learnt before the other one is known to be gone.
        """
        known = self._known.get(repository)
        if known is None or self._asked or not names_one(known.place):
            return known
        return None if self._is_taken(known.place, repository, known.artefact) else known

    def _is_taken(self, place: str, repository: int, artefact: str) -> bool:
        """Whether an entry means another repository, which goes on under another name."""
        for each in self._holders.get((place, artefact), ()):
            if each == repository:
                return False
            if self._asked or self._known[each].name != place:
                return True
        return False

    def _learn(self, repository: int, found: Assigned) -> None:
        known = self._known.get(repository)
        if known is None:
            self._add(repository, found)
            self._note(repository, found)
            return
        if names_one(found.place) and not names_one(known.place):
            # It was known by its owner, and is now named itself, which is more specific.
            known.place, known.project = found.place, found.project
            self._add(repository, known)
            self._note(repository, known)
        self._rename(repository, known, found.name, found.at)

    def _rename(self, repository: int, known: Assigned, name: str, at: int) -> None:
        if at < known.at:
            return
        known.at = at
        if name != known.name:
            known.name = name
            self._note(repository, known)

    def _add(self, repository: int, known: Assigned) -> None:
        self._known[repository] = known
        if names_one(known.place):
            self._holders.setdefault((known.place, known.artefact), []).append(repository)

    def _note(self, repository: int, known: Assigned) -> None:
        self._unsaved[f"{ASSIGNMENT_CURSOR}{self._platform}:{repository:016x}"] = _encode(known)
