"""The first reading of all files of a plan: which repositories belong to a project, by their native ids.

Activities of a repository under another name may come before the first line with its watched name. To give both to the
project in one reading, the ids have to be known before anything is sent. What this reading finds is kept as far as
memory allows, so that files are unpacked and decoded once.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from streams.activity import PLATFORMS
from streams.archive.plan import ArchiveFile, Plan
from streams.archive.reading import Options, Part, PlanReading
from streams.assignment import Assignment
from streams.identities import Repository

# A packed activity takes about 100 bytes: this is three archive hours of recent years.
KEPT_BYTES: Final = 64 << 20
# Rows take three times as much. The last ones are packed only when they are sent: by then other processes are busy.
KEPT_ROWS: Final = 100_000


class Survey:
    """Iterate to its end once; then `projects` knows the projects of the repositories. Each step is the number of bytes
    of the plan that were read.

    What cannot be measured, or happened after the moment that was asked for, teaches nothing.
    """

    def __init__(self, plan: Plan, reading: PlanReading, options: Options, partitions: int) -> None:
        watchlist = self._watchlist = options.watchlist
        self._reading, self._partitions = reading, partitions
        self._assignments = {platform: Assignment(watchlist, platform) for platform in PLATFORMS}
        self._projects = {project.project for project in watchlist.projects}
        self._github = any(project.places["github"] for project in watchlist.projects)
        self.is_needed = any(map(self._teaches, plan.files))
        # The kept parts with the numbers of their files: the first parts of each file.
        self._kept: deque[tuple[int, Part]] = deque()
        self._unpacked: deque[Part] = deque()
        self._rows = 0
        self._room = KEPT_BYTES
        self._steps = self._look(plan)

    def __iter__(self) -> Iterator[int]:
        return self._steps

    def _teaches(self, file: ArchiveFile) -> bool:
        """Whether a file has ids: minimised archives have none."""
        return bool(self._projects) if file.dialect == "activities" else file.dialect == "full" and self._github

    def _look(self, plan: Plan) -> Iterator[int]:
        if not self.is_needed:
            return
        before, keeps = 0, True
        for index, file in enumerate(plan.files):
            if self._teaches(file):
                for found in self._reading.parts(index, learn=self._learn):
                    if isinstance(found, int):
                        yield before + found
                    elif keeps:
                        keeps = self._keep(index, found)
            before += file.size

    def _keep(self, index: int, part: Part) -> bool:
        """Keep a part and pack those before it. False if there is no room for more: packed ones stay."""
        self._kept.append((index, part))
        self._unpacked.append(part)
        self._rows += len(part.rows)
        while self._rows > KEPT_ROWS:
            oldest = self._unpacked.popleft()
            self._rows -= len(oldest.rows)
            oldest.batches(self._partitions)
            self._room -= oldest.size
            if self._room < 0:
                for _ in (oldest, *self._unpacked):
                    self._kept.pop()
                self._unpacked.clear()
                return False
        return True

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
        """The projects of repositories, by their index, for those that have one."""
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
        # A repository that taught nothing has no watched name.
        if repository.teaches or assignment.knows(repository.hash):
            repository.project = assignment.project_of(repository.hash, repository.name, repository.artefact)

    def parts(self, index: int, line: int) -> Iterator[Part | int]:
        """The parts of a file from a line on, at which a part begins: the kept ones, then the others, read again."""
        self._unpacked.clear()
        while self._kept and self._kept[0][0] <= index:
            number, part = self._kept.popleft()
            if number < index or part.first < line:
                continue
            yield part
            if part.is_last:
                return
            line = part.first + part.lines
        yield from self._reading.parts(index, line)
