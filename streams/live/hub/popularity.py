"""The popularity of the watched repositories on the Hub: likes and downloads, as their owners' listings state them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec

from streams.activity import HOUR
from streams.errors import DeadLetter
from streams.kafka.cursors import decoded
from streams.live.common.popularity import Level, Popularity, RepositoryLevels, total
from streams.live.hub.activities import HubActivities, HubTarget
from streams.live.hub.platform import PLATFORM
from streams.live.hub.shapes import FOLDERS, HubBase, Listed
from streams.watchlist import Project, Watchlist

# One cursor for each repository, by its id.
POPULARITY_CURSOR: Final = "huggingface:popularity:"
_KINDS: Final = {
    "model": ("likes", "downloads", "downloads_all"),
    "dataset": ("likes", "downloads", "downloads_all"),
    "space": ("likes",),
}
# The numbers change with every listing, so they are saved only this often (µs).
_SAVED_EVERY: Final = HOUR


class _HubPopularityCursor(msgspec.Struct, array_like=True):
    """The cursor of a repository: artefact, name, the owner in whose listing it is, levels (None: it is gone)."""

    artefact: str
    name: str
    owner: str
    levels: dict[str, Level] | None = None


_decode: Final = msgspec.msgpack.Decoder(_HubPopularityCursor).decode
# An owner, case-folded, and an artefact.
_Listing = tuple[str, str]


@dataclass(slots=True)
class _StatedLevels:
    """The numbers of a repository, the listing that it is in, and when that was last saved (µs)."""

    target: HubTarget
    listing: _Listing
    levels: dict[str, Level] = field(default_factory=dict)
    saved: int = 0


class HubPopularity:
    """The sums of what the listings state.

    A listing that fails leaves its numbers as they were. A repository that is missing in a listing is asked about
    before it leaves the sum. The numbers of an earlier run are valid until the first listing. A project's artefact is
    shown when the listings of all its owners were asked for once, unless an earlier run knew it.
    """

    def __init__(self, watchlist: Watchlist, activities: HubActivities, cursors: Mapping[str, bytes]) -> None:
        self._owners = {each.project: _owners(each) for each in watchlist.projects}
        self._known: dict[str, _StatedLevels] = {}
        self._gone: dict[str, _HubPopularityCursor] = {}
        # When a listing was last asked for (µs), whether or not it came.
        self._asked: dict[_Listing, int] = {}
        self._listed: set[_Listing] = set()
        for key, data in cursors.items():
            if key.startswith(POPULARITY_CURSOR):
                self._restore(key, data, activities)
        self._restored = {(each.target.repository.project, each.target.artefact) for each in self._known.values()}

    def take(
        self, owner: str, artefact: str, found: Mapping[str, tuple[HubTarget, Listed]], now: int
    ) -> list[HubTarget]:
        """Take a complete listing, asked for at `now` (µs). Returns the repositories that were in it before and are
        missing now.
        """
        listing = owner.casefold(), artefact
        self._asked[listing] = now
        self._listed.add(listing)
        missing = [each.target for key, each in self._known.items() if each.listing == listing and key not in found]
        for target, listed in found.values():
            self._known.setdefault(target.key, _StatedLevels(target, listing)).listing = listing
            self.state(target, listed, now)
        return missing

    def fail(self, owner: str, artefact: str, now: int) -> None:
        """A listing was asked for and did not come."""
        self._asked[owner.casefold(), artefact] = now

    def state(self, target: HubTarget, listed: Listed, now: int) -> None:
        """The numbers stated for a known repository; a number that is not stated stays as it was."""
        known = self._known[target.key]
        known.target = target
        stated = {"likes": listed.likes, "downloads": listed.downloads, "downloads_all": listed.downloads_all_time}
        known.levels |= {kind: Level(value, now) for kind, value in stated.items() if value is not None}

    def forget(self, target: HubTarget) -> None:
        """A repository is gone, or no longer belongs to a project."""
        known = self._known.pop(target.key, None)
        if known is not None:
            self._gone[target.key] = _HubPopularityCursor(target.artefact, target.repository.name, known.listing[0])

    def changes(self, now: int) -> dict[str, bytes]:
        """The cursors that are due; call `saved` when the broker has them."""
        known = {
            key: _HubPopularityCursor(each.target.artefact, each.target.repository.name, each.listing[0], each.levels)
            for key, each in self._known.items()
            if each.saved <= now - _SAVED_EVERY
        }
        return {POPULARITY_CURSOR + key: msgspec.msgpack.encode(each) for key, each in (self._gone | known).items()}

    def saved(self, cursors: Mapping[str, bytes], now: int) -> None:
        """The broker has these cursors."""
        for key in (key.removeprefix(POPULARITY_CURSOR) for key in cursors):
            self._gone.pop(key, None)
            if key in self._known:
                self._known[key].saved = now

    def get(self, now: int) -> Iterator[Popularity]:
        """The sums of the projects. An owner that could never be listed counts as a repository that did not answer."""
        found: defaultdict[tuple[str | None, str], list[_StatedLevels]] = defaultdict(list)
        for each in self._known.values():
            found[each.target.repository.project, each.target.artefact].append(each)
        for project, owners in self._owners.items():
            for artefact in FOLDERS:
                asked = {owner for owner in owners if (owner, artefact) in self._asked}
                if asked != owners and (project, artefact) not in self._restored:
                    continue
                group = found[project, artefact]
                listed = {owner for owner in owners if (owner, artefact) in self._listed}
                unknown = len(asked - listed - {each.listing[0] for each in group})
                repositories = (RepositoryLevels(each.levels, self._asked_at(each)) for each in group)
                yield from total(project, artefact, _KINDS[artefact], repositories, now, unknown=unknown)

    def _asked_at(self, known: _StatedLevels) -> int:
        """When a repository was last asked for (µs)."""
        return self._asked.get(known.listing, 0)

    def _restore(self, key: str, data: bytes, activities: HubActivities) -> None:
        known = decoded(key, _decode, data)
        if known.levels is None or known.artefact not in FOLDERS:
            return
        with suppress(DeadLetter):
            native = key.removeprefix(POPULARITY_CURSOR)
            target = activities.target(known.artefact, HubBase(known.name, native))
            if target.repository.project is not None:
                saved = max((level.at for level in known.levels.values()), default=0)
                self._known[native] = _StatedLevels(target, (known.owner, known.artefact), known.levels, saved)


def _owners(project: Project) -> set[str]:
    """The owners that can be listed; a glob of owners cannot."""
    owners = {place.partition("/")[0].casefold() for place in project.places[PLATFORM]}
    return {owner for owner in owners if "*" not in owner and "?" not in owner}
