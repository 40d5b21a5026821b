"""The repositories of the generated Hub, found by name, in order of change, and at random."""

from collections import OrderedDict
from collections.abc import Iterator
from random import Random
from typing import Final

from simulator.servers.hub_state import TYPES, HubServerRepository

# A few repositories have most of the activity: an index below n is drawn as n·u^s with u uniform.
_STEEPNESS: Final = 2.5


class Repositories:
    """All repositories. `watched` and `others` are those that are drawn from, the first ones most often; private and
    pinned ones are in neither.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self.watched: list[HubServerRepository] = []
        self.others: list[HubServerRepository] = []
        self.by_name: dict[tuple[str, str], HubServerRepository] = {}
        # (type, old name): the repository that had it.
        self.moved: dict[tuple[str, str], HubServerRepository] = {}
        # By _id, the one that changed or was created last at the end.
        self.modified: dict[str, OrderedDict[str, HubServerRepository]] = {type_: OrderedDict() for type_ in TYPES}
        self.created: dict[str, OrderedDict[str, HubServerRepository]] = {type_: OrderedDict() for type_ in TYPES}

    def __len__(self) -> int:
        return len(self.by_name)

    def __iter__(self) -> Iterator[HubServerRepository]:
        return iter(self.by_name.values())

    def find(self, type_: str, name: str) -> tuple[HubServerRepository | None, bool]:
        """The repository of a name, whatever the letter case, and whether that is an old name."""
        key = type_, name.casefold()
        found = self.by_name.get(key)
        return (found, False) if found is not None else (self.moved.get(key), True)

    def add(self, repository: HubServerRepository) -> None:
        self.by_name[repository.type, repository.name.casefold()] = repository
        self.created[repository.type][repository.key] = repository
        self.modified[repository.type][repository.key] = repository
        if not repository.private and not repository.pinned:
            crowd = self.watched if repository.project else self.others
            place = int(self._random.random() * (len(crowd) + 1))
            crowd.append(repository)
            # The one that was there goes to the end, so that new ones are drawn too.
            crowd[place], crowd[-1] = crowd[-1], crowd[place]
            crowd[-1].place = len(crowd) - 1
            repository.crowd, repository.place = crowd, place

    def remove(self, repository: HubServerRepository) -> None:
        key = repository.type, repository.name.casefold()
        del (
            self.by_name[key],
            self.created[repository.type][repository.key],
            self.modified[repository.type][repository.key],
        )
        for name in repository.old_names:
            self.moved.pop((repository.type, name), None)
        crowd = repository.crowd
        if crowd is not None:
            last = crowd.pop()
            if last is not repository:
                crowd[repository.place] = last
                last.place = repository.place

    def rename(self, repository: HubServerRepository, name: str) -> None:
        old = repository.type, repository.name.casefold()
        self.by_name.pop(old)
        self.moved[old] = repository
        repository.old_names.append(old[1])
        repository.name = name
        self.by_name[repository.type, name.casefold()] = repository

    def touch(self, repository: HubServerRepository, time: int) -> None:
        """It was changed at a time (whole seconds in µs), later than everything before."""
        repository.modified = time
        self.modified[repository.type].move_to_end(repository.key)

    def draw(self, watched_share: float) -> HubServerRepository:
        crowd = self.watched if self.watched and self._random.random() < watched_share else self.others
        return self._one_of(crowd or self.watched)

    def draw_watched(self) -> HubServerRepository | None:
        return self._one_of(self.watched) if self.watched else None

    def stalest(self) -> HubServerRepository | None:
        """Of the most frequent type, the public repository that is not watched and has not changed for longest."""
        order = max(self.modified.values(), key=len)
        return next((each for each in order.values() if not each.project and not each.private), None)

    def _one_of(self, crowd: list[HubServerRepository]) -> HubServerRepository:
        return crowd[int(len(crowd) * self._random.random() ** _STEEPNESS)]
