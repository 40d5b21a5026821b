"""The first reading of all files of a plan: which repositories are a project's, by their native ids.

What happened to a repository under a name that nobody watches may stand before the first line with its watched name. To
give both to the project in one reading, the ids have to be known before anything is sent. What this reading finds is
kept as far as memory allows, so that files are unpacked and decoded once.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from streams.activity import PLATFORMS
from streams.archive.plan import File, Plan
from streams.archive.reading import Options, Part, Reading
from streams.assignment import Assignment
from streams.identities import Repository

# An activity takes some 100 bytes: three archive hours of these years.
KEPT_BYTES: Final = 64 << 20


class Survey:
    """Iterate to its end once; then `projects` knows whose the repositories are. Each step is how many bytes of the
    plan were taken in.

    What cannot be measured, or happened after the moment that was asked for, teaches nothing.
    """

    def __init__(self, plan: Plan, reading: Reading, options: Options) -> None:
        watchlist = self._watchlist = options.watchlist
        self._reading = reading
        self._assignments = {platform: Assignment(watchlist, platform) for platform in PLATFORMS}
        self._projects = {project.project for project in watchlist.projects}
        self._github = any(project.places["github"] for project in watchlist.projects)
        self.is_needed = any(map(self._teaches, plan.files))
        # By file: its first parts, in their order, as far as they are kept.
        self._kept: dict[int, deque[Part]] = {}
        self._steps = self._look(plan)

    def __iter__(self) -> Iterator[int]:
        return self._steps

    def _teaches(self, file: File) -> bool:
        """A minimised archive has no ids to learn."""
        return bool(self._projects) if file.dialect == "activities" else file.dialect == "full" and self._github

    def _look(self, plan: Plan) -> Iterator[int]:
        if not self.is_needed:
            return
        before, room = 0, KEPT_BYTES
        for index, file in enumerate(plan.files):
            if self._teaches(file):
                kept = self._kept[index] = deque()
                for found in self._reading.parts(index, learn=self._learn):
                    if isinstance(found, int):
                        yield before + found
                        continue
                    room -= found.size
                    if room >= 0:
                        kept.append(found)
            before += file.size

    def _learn(self, repository: Repository, at: int) -> None:
        """Learn from a name that a repository had at `at` (µs)."""
        platform, name, own = repository.platform, repository.name, repository.hash
        assignment = self._assignments[platform]
        if repository.project in self._projects:
            assignment.accept(own, name, at, repository.project, repository.artefact)
        elif self._watchlist.find(platform, name) is None and not assignment.knows(own):
            repository.teaches = False
        else:
            assignment.meet(own, repository.native, name, at, repository.artefact)

    def projects(self, repositories: Sequence[Repository]) -> dict[int, str]:
        """The projects of repositories, by their place, of those that have one."""
        found: dict[int, str] = {}
        for place, repository in enumerate(repositories):
            if not repository.stated:
                self._assign(repository)
            if repository.project is not None:
                found[place] = repository.project
        return found

    def _assign(self, repository: Repository) -> None:
        repository.stated = True
        assignment = self._assignments[repository.platform]
        # What taught nothing has a name that nobody watches.
        if repository.teaches or assignment.knows(repository.hash):
            repository.project = assignment.project_of(repository.hash, repository.name, repository.artefact)

    def parts(self, index: int, line: int) -> Iterator[Part | int]:
        """The parts of a file from a line on, at which a part begins: those that are kept, then read again."""
        kept = self._kept.pop(index, deque())
        while kept:
            part = kept.popleft()
            if part.first < line:
                continue
            yield part
            if part.is_last:
                return
            line = part.first + part.lines
        yield from self._reading.parts(index, line)
