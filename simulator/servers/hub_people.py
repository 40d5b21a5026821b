"""Who acts on the generated Hub: people, bots, staff, organisations and their members."""

from bisect import bisect_left
from dataclasses import dataclass, field
from random import Random
from typing import Final

from simulator.population import Population, zipf
from simulator.servers.hub_state import HubServerRepository, object_id

STAFF: Final = "sample-hub"
SYSTEM: Final = "system"
_STAFF_SIZE: Final = 12
_BOT_SHARE: Final = 0.08
_STAFF_SHARE: Final = 0.06


@dataclass(slots=True, eq=False)
class HubAccount:
    """A person or bot; `left` is when it was deleted (µs)."""

    number: int
    login: str
    key: str
    bot: bool
    pro: bool
    staff: bool = False
    organisations: list[str] = field(default_factory=list)
    owns: int = 0
    left: int | None = None


class People:
    """The accounts of a population, drawn by Zipf's law; an account that has left is no longer drawn."""

    def __init__(self, population: Population, random: Random, founded: int) -> None:
        self._random = random
        everyone = [*population.people, *population.bots]
        self.accounts = [
            HubAccount(
                number, person.login, object_id(founded + number * 1_000_000, person.login), person.bot, number % 9 == 0
            )
            for number, person in enumerate(everyone)
        ]
        self.by_login = {account.login: account for account in self.accounts}
        self.system = self.by_login[SYSTEM]
        self.bots = [account for account in self.accounts if account.bot and account is not self.system]
        self._people = self.accounts[: len(population.people)]
        self._ranks = zipf(len(self._people), 0.85)
        # Organisation: its members, the busiest first.
        self.members: dict[str, list[HubAccount]] = {}
        self.keys: dict[str, str] = {}
        self._founded = founded
        self.staff = self.found(STAFF, _STAFF_SIZE)
        for account in self.staff:
            account.staff = True

    def found(self, organisation: str, size: int | None = None) -> list[HubAccount]:
        """The members of an organisation, which is created if it does not exist."""
        members = self.members.get(organisation)
        if members is None:
            count = size or 2 + min(28, int(self._random.paretovariate(0.8)))
            members = list(dict.fromkeys(self._random.choice(self._people) for _ in range(count)))
            self.members[organisation] = members
            self.keys[organisation] = object_id(self._founded, organisation)
            for account in members:
                account.organisations.append(organisation)
        return members

    def anyone(self) -> HubAccount:
        """Any person, not a bot."""
        while True:
            account = self._people[bisect_left(self._ranks, self._random.random())]
            if account.left is None:
                return account

    def insider(self, repository: HubServerRepository) -> HubAccount:
        """The owner, or a member of the owning organisation."""
        if not repository.organisation:
            return self.by_login[repository.owner]
        members = self.members[repository.owner]
        return members[int(len(members) * self._random.random() ** 2)]

    def committer(self, repository: HubServerRepository) -> HubAccount:
        """An account that may push: insiders, and bots and staff where they are admitted."""
        draw = self._random.random()
        if draw < _BOT_SHARE:
            return self._random.choice(self.bots)
        return self._random.choice(self.staff) if draw < _BOT_SHARE + _STAFF_SHARE else self.insider(repository)

    def visitor(self, repository: HubServerRepository, insiders: float = 0.2) -> HubAccount:
        """A visitor: sometimes an insider, else anyone."""
        return self.insider(repository) if self._random.random() < insiders else self.anyone()

    def affiliation(self, account: HubAccount, repository: HubServerRepository) -> str:
        if self.is_owner(account, repository) or self.is_member(account, repository):
            return "internal"
        return "staff" if account.staff else "external"

    @staticmethod
    def is_owner(account: HubAccount, repository: HubServerRepository) -> bool:
        return not repository.organisation and account.login == repository.owner

    @staticmethod
    def is_member(account: HubAccount, repository: HubServerRepository) -> bool:
        return repository.organisation and repository.owner in account.organisations

    def leaver(self) -> HubAccount | None:
        """An account on which nothing depends."""
        for account in self._random.choices(self._people, k=40):
            if account.left is None and not account.owns and not account.organisations:
                return account
        return None
