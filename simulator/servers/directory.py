"""What can be asked for by name: letter case is ignored, and the old name of a renamed repository still leads to it."""

from collections.abc import Iterable, Iterator

from simulator.population import Person, Population, SimulatedRepository


class Directory:
    """Repositories, organisations and users of a platform by name and by id; None for what does not exist."""

    def __init__(self, population: Population) -> None:
        everything = population.repositories + population.watched
        self.repositories: dict[int, SimulatedRepository] = {repository.id: repository for repository in everything}
        self.organisations: dict[int, Person] = {each.owner.id: each.owner for each in everything if each.organisation}
        owners = (each.owner for each in everything if not each.organisation)
        self.users: dict[int, Person] = {
            person.id: person for person in _all(population.people, population.bots, owners)
        }
        self.first_names: dict[int, str] = {repository.id: repository.name for repository in everything}
        """What each repository was called at first, which stays its name in the ledger."""
        self._repository_ids = {repository.name.casefold(): repository.id for repository in everything}
        self._organisation_ids = {person.login.casefold(): person.id for person in self.organisations.values()}
        self._user_ids = {person.login.casefold(): person.id for person in self.users.values()}

    def repository(self, name: str) -> SimulatedRepository | None:
        """By its present name or any earlier one."""
        return self.repositories.get(self._repository_ids.get(name.casefold(), -1))

    def organisation(self, login: str) -> Person | None:
        return self.organisations.get(self._organisation_ids.get(login.casefold(), -1))

    def user(self, login: str) -> Person | None:
        return self.users.get(self._user_ids.get(login.casefold(), -1))

    def rename(self, renamed: SimulatedRepository) -> None:
        """Know a repository under another name too, which is its name from now on."""
        self.repositories[renamed.id] = renamed
        self._repository_ids[renamed.name.casefold()] = renamed.id


def _all(*groups: Iterable[Person]) -> Iterator[Person]:
    for group in groups:
        yield from group
