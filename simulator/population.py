"""The people, bots, organisations and repositories of one platform, all with heavy tails.

Repositories and people are drawn by Zipf's law. Each repository has a few members of its own, who do most of what
happens there.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import yaml

# project: (its owners or repositories on GitHub, its owners on the Hub)
Watched = Mapping[str, tuple[Sequence[str], Sequence[str]]]

WATCHLIST: Final = Path(__file__).with_name("watchlist.yaml")
"""The watched projects as a file that the program reads with `--watchlist`. All names in it are invented."""

WATCHED: Final[Watched] = {
    each["project"]: (each["github"], each["huggingface"]) for each in yaml.safe_load(WATCHLIST.read_text("utf-8"))
}
# Repositories of the owner of a watched one on GitHub that are not watched.
_NEIGHBOURS: Final = {
    "github": ("sample-hub/machines", "sample-hub/tables"),
    "huggingface": ("sample-hub/documentation-pictures",),
}

GITHUB_BOTS: Final = (
    "dependabot[bot]",
    "github-actions[bot]",
    "renovate[bot]",
    "pre-commit-ci[bot]",
    "Codecov[Bot]",
    "Copilot",
    "scala-steward",
    "pyup-bot",
    "regro-cf-autotick-bot",
    "typescript-bot",
)
HUB_BOTS: Final = ("SFconvertbot", "parquet-converter", "librarian-bot", "system", "leaderboard-pr-bot")

_SOUNDS: Final = "al bo cen dra el fi gor hu ix jun ka lum mo ner ost pi qua ren sol tam ur vex wyn xil yo zet"
_THINGS: Final = (
    "parser runtime corpus weights kernel notes site api bench tools agent index docs shell tensor graph infra demo"
)
_SYLLABLES: Final = _SOUNDS.split()
_NOUNS: Final = _THINGS.split()
_BOT_SHARE: Final = 0.12
_WATCHED_SHARE: Final = 0.06
_MEMBER_SHARE: Final = 0.7


class Person(NamedTuple):
    """An account; `id` is native (GitHub) or a 64-bit hash (Hub)."""

    id: int
    login: str
    bot: bool = False


class SimulatedRepository(NamedTuple):
    """A repository; `id` is native (GitHub) or a 64-bit hash (Hub). `owner` may be an organisation or a person."""

    id: int
    name: str
    owner: Person
    organisation: bool
    artefact: str = "software"
    project: str | None = None

    @property
    def short_name(self) -> str:
        return self.name.partition("/")[2]


def zipf(n: int, exponent: float, shift: float = 2.0) -> list[float]:
    """Cumulative probabilities of n ranks under Zipf and Mandelbrot's law, the last one 1.

    >>> [round(p, 3) for p in zipf(3, 1.0, shift=0.0)]
    [0.545, 0.818, 1.0]
    """
    weights = list(accumulate((rank + shift) ** -exponent for rank in range(1, n + 1)))
    return [weight / weights[-1] for weight in weights]


class Population:
    """People and repositories of one platform, drawn with a seed.

    `repositories` and `people` are their numbers; watched repositories and bots are added to them.
    """

    def __init__(self, platform: str, seed: int, repositories: int, people: int, watched: Watched = WATCHED) -> None:
        self.platform = platform
        self._random = Random(f"population/{platform}/{seed}")
        self._repository_count = 0
        self.people = [Person(self._native_id(i), self._login(i)) for i in range(people)]
        self.bots = [Person(self._native_id(people + i), login, True) for i, login in enumerate(self._bot_logins())]
        organisations = [
            Person(self._native_id(2 * people + i), f"{self._word()}-labs-{i}") for i in range(max(3, people // 20))
        ]
        self.repositories = [self._repository(i, organisations) for i in range(repositories)]
        self.watched = list(self._watched(watched))
        neighbours = [self._named(name, None, organisation=True) for name in _NEIGHBOURS[platform]]
        self.repositories[repositories // 50 : repositories // 50] = neighbours
        self._repository_ranks = zipf(len(self.repositories), 1.02)
        self._watched_ranks = zipf(len(self.watched), 0.8) if self.watched else []
        self._people_ranks = zipf(people, 0.85)
        self._members: dict[int, list[Person]] = {}

    def repository(self, random: Random) -> SimulatedRepository:
        """The repository in which something happens."""
        if self.watched and random.random() < _WATCHED_SHARE:
            return self.watched[bisect_left(self._watched_ranks, random.random())]
        return self.repositories[bisect_left(self._repository_ranks, random.random())]

    def member(self, repository: SimulatedRepository, random: Random) -> Person:
        """An account that may push to a repository; the first ones are drawn most often."""
        members = self._members.get(repository.id)
        if members is None:
            count = min(40, int(random.paretovariate(0.9)))
            members = [] if repository.organisation else [repository.owner]
            members += [self.anyone(random) for _ in range(count - len(members))]
            self._members[repository.id] = members
        return members[int(len(members) * random.random() ** 2)]

    def anyone(self, random: Random) -> Person:
        """Any person, not a bot."""
        return self.people[bisect_left(self._people_ranks, random.random())]

    def actor(self, repository: SimulatedRepository, random: Random, *, bots: bool = True) -> Person:
        """Who does something in a repository: sometimes a bot, mostly a member, else anyone."""
        draw = random.random()
        if bots and draw < _BOT_SHARE:
            return self.bots[int(len(self.bots) * random.random() ** 2)]
        return self.member(repository, random) if draw < _MEMBER_SHARE else self.anyone(random)

    def _native_id(self, index: int) -> int:
        # Dense numbers on GitHub. Hashes on the Hub, where only an account's name is known.
        return 1_000 + 7 * index if self.platform == "github" else self._random.getrandbits(64)

    def _bot_logins(self) -> Sequence[str]:
        return GITHUB_BOTS if self.platform == "github" else HUB_BOTS

    def _word(self) -> str:
        return "".join(self._random.choices(_SYLLABLES, k=self._random.randint(2, 3)))

    def _login(self, index: int) -> str:
        word = self._word()
        return f"{word.capitalize() if index % 5 == 0 else word}{index}"

    def _repository(self, index: int, organisations: Sequence[Person]) -> SimulatedRepository:
        organisation = self._random.random() < 0.4
        owner = self._random.choice(organisations if organisation else self.people)
        name = f"{owner.login}/{self._word()}-{self._random.choice(_NOUNS)}-{index}"
        return SimulatedRepository(self._repository_id(), name, owner, organisation, self._artefact())

    def _watched(self, watched: Watched) -> list[SimulatedRepository]:
        repositories: list[SimulatedRepository] = []
        for project, (on_github, on_hub) in watched.items():
            for entry in on_github if self.platform == "github" else on_hub:
                names = [entry] if "/" in entry else [f"{entry}/{noun}" for noun in self._random.sample(_NOUNS, 4)]
                repositories += [self._named(name, project, organisation=True) for name in names]
        self._random.shuffle(repositories)
        return repositories

    def _named(self, name: str, project: str | None, *, organisation: bool) -> SimulatedRepository:
        login = name.partition("/")[0]
        # An organisation must be the same account in each of its repositories.
        owner = Person(Random(f"{self.platform}/{login}").randrange(10**8, 2 * 10**8), login)
        return SimulatedRepository(self._repository_id(), name, owner, organisation, self._artefact(), project)

    def _repository_id(self) -> int:
        self._repository_count += 1
        return 10**6 + 3 * self._repository_count if self.platform == "github" else self._random.getrandbits(64)

    def _artefact(self) -> str:
        if self.platform == "github":
            return "software"
        return self._random.choices(("model", "dataset", "space"), (6, 3, 1))[0]
