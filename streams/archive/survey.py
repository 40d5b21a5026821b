"""A look through all the files of a plan before they are read: which repositories are a project's, by their native ids.

What happened to a repository under a name that nobody watches may stand before the first line with its watched name. To
give both to the project in one reading, the ids have to be known first. This unpacks every file once more, and reads of
each line only the repository.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

import msgspec

from streams.activity import LATEST, PLATFORMS, hash_name
from streams.archive.content import Content
from streams.archive.plan import File, Plan
from streams.archive.timeline import read_by_hand
from streams.assignment import Assignment
from streams.errors import DeadLetter
from streams.github_payloads import UNDECODABLE, Event, EventRepository, Line
from streams.times import Times
from streams.values import values
from streams.watchlist import Watchlist

_MOST_NAMES: Final = 1_000_000
# An event as GH Archive writes it, up to its repository's id and name. A line that begins otherwise is decoded as a
# whole.
_BEGINS: Final = re.compile(rb'\{"id":"\d+","type":"\w+","actor":\{[^}]*\},"repo":\{"id":(\d+,"name":"[^"\\]*)"')


class _Event(msgspec.Struct, gc=False):
    repo: EventRepository
    created_at: str


class _Activity(msgspec.Struct, gc=False):
    platform: str
    repo_id: int
    repo: str
    occurred_at: int
    artefact: str = "software"
    project: str | None = None


_decode_event: Final = msgspec.json.Decoder(_Event).decode
_decode_activity: Final = msgspec.json.Decoder(_Activity).decode


class Survey:
    """Iterate to its end once; then `assignments` (by platform) know the repositories of the watchlist. Each step is a
    chunk of lines.

    What happened after `as_of` (µs) teaches nothing, as it is not measured. Lines that cannot be read are passed over:
    the reading that follows tells of them.
    """

    def __init__(self, plan: Plan, watchlist: Watchlist, as_of: int | None = None) -> None:
        self.assignments = {platform: Assignment(watchlist, platform) for platform in PLATFORMS}
        self._projects = {project.project for project in watchlist.projects}
        self._until = LATEST if as_of is None else as_of
        self._times = Times()
        # Native ids with names that taught nothing when they were met, as they stand in the lines.
        self._nobodys: set[bytes] = set()
        self._steps = self._look(plan, any(project.places["github"] for project in watchlist.projects))

    def __iter__(self) -> Iterator[None]:
        return self._steps

    def finish(self) -> "Survey":
        """This, at its end."""
        for _ in self:
            pass
        return self

    def _look(self, plan: Plan, github: bool) -> Iterator[None]:
        for file in plan.files:
            look = self._looker(file, github)
            if look is not None:
                for chunk in Content(file.path):
                    look(chunk)
                    yield

    def _looker(self, file: File, github: bool) -> Callable[[Iterable[Line]], None] | None:
        """A minimised archive has no ids to learn."""
        if file.dialect == "activities":
            return self._activities if self._projects else None
        return self._events if file.dialect == "full" and github else None

    def _events(self, lines: Iterable[Line]) -> None:
        nobodys, begins = self._nobodys, _BEGINS.match
        for line in lines:
            begin = begins(line)
            if begin is not None and begin[1] in nobodys:
                continue
            try:
                event = _decode_event(line)
            except UNDECODABLE:
                self._by_hand(line)
                continue
            if self._is_nobodys(event) and begin is not None:
                if len(nobodys) >= _MOST_NAMES:
                    nobodys.clear()
                nobodys.add(begin[1])

    def _by_hand(self, line: Line) -> None:
        """What the reading will find in a line that is no event as they usually are, or several."""
        for value in values(line):
            try:
                self._is_nobodys(_decode_event(value))
            except UNDECODABLE:
                with suppress(DeadLetter):
                    self._is_nobodys(read_by_hand(value))

    def _is_nobodys(self, event: _Event | Event) -> bool:
        """Learn from an event; whether its repository under its name is no project's."""
        try:
            at = self._times[event.created_at]
        except DeadLetter:
            return False
        native, name = event.repo.id, event.repo.name
        return (
            at <= self._until
            and self.assignments["github"].meet(hash_name(f"github:{native}"), native, name, at) is None
        )

    def _activities(self, lines: Iterable[Line]) -> None:
        for line in lines:
            try:
                self._activity(_decode_activity(line))
            except UNDECODABLE:
                for value in values(line):
                    with suppress(*UNDECODABLE):
                        self._activity(_decode_activity(value))

    def _activity(self, activity: _Activity) -> None:
        assignment = self.assignments.get(activity.platform)
        if assignment is None or activity.occurred_at > self._until:
            return
        if activity.project in self._projects:
            assignment.accept(
                activity.repo_id, activity.repo, activity.occurred_at, activity.project, activity.artefact
            )
        else:
            assignment.meet(activity.repo_id, "", activity.repo, activity.occurred_at, activity.artefact)
