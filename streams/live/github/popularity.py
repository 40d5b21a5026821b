"""The popularity of the watched repositories on GitHub, as GitHub states it.

Most stars are missing from `/events` since 2025, and it is not known whether other feeds have them. These figures
replace them.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import msgspec

from streams.activity import SECOND
from streams.errors import DeadLetter
from streams.github_payloads import UNDECODABLE, Count
from streams.identities import Identities, Name
from streams.kafka.cursors import decoded
from streams.live.common.clock import Clock
from streams.live.common.health import FeedHealth
from streams.live.common.http import Gone, Unreachable
from streams.live.common.poll_result import Outlet, PollResult
from streams.live.common.popularity import Level, Popularity, RepositoryLevels, total
from streams.live.github.page import GithubPages, Limited
from streams.live.github.platform import PLATFORM
from streams.live.github.refusal import FeedRefused
from streams.watchlist import Watchlist

# One cursor for each repository, by its case-folded name: all in one would be larger than the largest record.
POPULARITY_CURSOR: Final = "github:popularity:"
# Seconds of the station's clock between two requests for a repository, between any two, and after a failure (then
# doubled).
_EVERY: Final = 6 * 3600.0
_PACE: Final = 5.0
_AFTER_FAILURE: Final = 60.0
_LONGEST_AFTER_FAILURE: Final = _EVERY / 8
# After so many failures in a row (some minutes) the others are shown without a repository that never answered.
_GIVEN_UP: Final = 3
# One 404 may come from an outage. A repository that has answered before is gone after so many in a row.
_BELIEVED: Final = 3
_ARTEFACT: Final = "software"
_KINDS: Final = {"stars": "stargazers_count", "forks": "forks_count", "watchers": "subscribers_count"}


class Stated(msgspec.Struct):
    """What GitHub states about a repository; its subscribers are its watchers. Old cursors lack `id` and
    `full_name`.
    """

    stargazers_count: Count | None = None
    forks_count: Count | None = None
    subscribers_count: Count | None = None
    id: Count = 0
    full_name: Name = ""


class _PopularityCursor(msgspec.Struct, array_like=True):
    """The cursor of a repository: its project, when it last answered (µs), and what was stated then (None: it is gone).

    `levels` has the numbers by kind with their times, because an answer may lack one. Old cursors have no levels.
    """

    project: str
    at: int = 0
    stated: Stated | None = None
    levels: dict[str, Level] = {}


_decode_stated: Final = msgspec.json.Decoder(Stated).decode
_decode: Final = msgspec.json.Decoder(_PopularityCursor).decode


@dataclass(slots=True)
class _Watched:
    """A repository: what it last stated, and when it last answered, was last asked for, and is due again (µs).

    `failures` and `absences` (404s) are counted since the last answer.
    """

    project: str
    stated: Stated | None = None
    levels: dict[str, Level] = field(default_factory=dict)
    answered: int = 0
    asked: int = 0
    due: int = 0
    failures: int = 0
    absences: int = 0

    def take(self, stated: Stated, now: int) -> None:
        self.stated, self.failures, self.absences = stated, 0, 0
        self.answered = self.asked = now
        self.levels |= _levels(stated, now)


class GithubPopularity:
    """Stars, forks and watchers of the watched repositories that are named or have been seen, summed by project.

    A project is shown when each of its repositories has answered, or has failed for some minutes. A renamed repository
    is known by both names and counts once, for the project that `identities` knows. A repository that is gone is
    forgotten. At the start, repositories that no longer belong to a project of the watchlist are forgotten too.
    """

    def __init__(
        self,
        pages: GithubPages,
        outlet: Outlet,
        clock: Clock,
        cursors: Mapping[str, bytes],
        watchlist: Watchlist,
        identities: Identities | None = None,
    ) -> None:
        self._pages, self._outlet, self._clock = pages, outlet, clock
        self._identities = identities or Identities(b"", watchlist)
        self._known = dict(self._still_watched(cursors))
        self._shown = {each.project for each in self._known.values()}
        # Not one of the feeds: it has no events and no watermark that others would wait for.
        self.health = FeedHealth(f"{PLATFORM}:repositories", PLATFORM)

    def see(self, repositories: Iterable[tuple[str, str]]) -> None:
        """Add (name, project) of watched repositories."""
        for name, project in repositories:
            self._known.setdefault(name.casefold(), _Watched(project))

    def get(self) -> Iterator[Popularity]:
        """The sums of the projects that are known."""
        now = self._clock.now()
        projects: defaultdict[str, dict[int | str, _Watched]] = defaultdict(dict)
        todays = {known.stated.full_name.casefold() for known in self._known.values() if known.stated is not None}
        # Of several names of a repository, the one that answered last counts.
        for name, known in sorted(self._known.items(), key=lambda item: item[1].answered):
            if known.stated is None and name in todays:
                continue  # it answered under an old name
            number = known.stated.id if known.stated is not None else 0
            projects[known.project][number or name] = known
        for project, each_once in sorted(projects.items()):
            if all(each.answered or each.failures >= _GIVEN_UP for each in each_once.values()):
                self._shown.add(project)
            if project in self._shown:
                repositories = (RepositoryLevels(each.levels, each.asked) for each in each_once.values())
                yield from total(project, _ARTEFACT, list(_KINDS), repositories, now)

    async def run(self) -> None:
        """Ask for the repositories that are due, one after the other, until cancelled."""
        while True:
            due = min(self._known, key=lambda name: self._known[name].due, default=None)
            if due is not None and self._known[due].due <= self._clock.now():
                await self._look(due)
            await asyncio.sleep(self._clock.wait(_PACE))

    async def _look(self, name: str) -> None:
        known = self._known[name]
        try:
            stated = _decode_stated(await self._pages.repository(quote(name), self.health))
        except Gone:
            known.absences += 1
            if known.answered and known.absences < _BELIEVED:
                self._fail(known)
            else:
                await self._forget(name)
        except Limited:
            # Nothing was asked. Its turn comes again after the backoff.
            return
        except FeedRefused:
            # Waiting does not help: from now on the others are shown without it.
            known.failures = _GIVEN_UP
            self._fail(known)
        except (Unreachable, *UNDECODABLE):
            self._fail(known)
        else:
            now = self._clock.now()
            try:
                project = self._project_of(name, stated, now)
            except DeadLetter:
                self._fail(known)  # the stated name is invalid
                return
            if not _levels(stated, now):
                self._fail(known)
                return
            if project is None:
                await self._forget(name)
                return
            known.project = project
            known.take(stated, now)
            known.due = now + round(_EVERY * SECOND)
            await self._save(name, _PopularityCursor(project, now, stated, known.levels))

    def _fail(self, known: _Watched) -> None:
        """Count a failure. The last numbers stay valid for a day."""
        known.asked = self._clock.now()
        known.failures += 1
        wait = min(_LONGEST_AFTER_FAILURE, _AFTER_FAILURE * 2.0 ** min(known.failures - 1, 20))
        known.due = known.asked + round(wait * SECOND)

    async def _forget(self, name: str) -> None:
        known = self._known.pop(name)
        await self._save(name, _PopularityCursor(known.project, self._clock.now()))

    async def _save(self, name: str, known: _PopularityCursor) -> None:
        await self._outlet.put(
            PollResult(feed=POPULARITY_CURSOR + name, platform=PLATFORM, cursor=msgspec.json.encode(known))
        )

    def _still_watched(self, cursors: Mapping[str, bytes]) -> Iterator[tuple[str, _Watched]]:
        """The repositories in cursors that are watched today, each with today's project, by name."""
        for key, value in cursors.items():
            name = key.removeprefix(POPULARITY_CURSOR)
            if name == key:
                continue
            known = decoded(key, _decode, value)
            project = self._project_of(name, known.stated, known.at) if known.stated is not None else None
            if project is not None and known.stated is not None:
                levels = dict(known.levels) or _levels(known.stated, known.at)
                due = known.at + round(_EVERY * SECOND)
                yield name, _Watched(project, known.stated, levels, answered=known.at, asked=known.at, due=due)

    def _project_of(self, name: str, stated: Stated, at: int) -> str | None:
        """The project of a repository that was asked for by a name, at a time `at` (µs)."""
        # An old cursor has no id, so nothing can be learnt from it.
        native = stated.id or f"{POPULARITY_CURSOR}{name}"
        self._identities.claim(native, stated.full_name or name, at, name)
        return self._identities.repository(native, stated.full_name or name, at).project


def _levels(stated: Stated, at: int) -> dict[str, Level]:
    """The stated numbers by kind; a number that an answer lacks is left out."""
    found = {kind: getattr(stated, name) for kind, name in _KINDS.items()}
    return {kind: Level(value, at) for kind, value in found.items() if value is not None}
