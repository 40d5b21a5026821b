"""The generated Hub as it changes with time: what existed before, what happens at random, and a release whose effect is
known.
"""

from collections.abc import Sequence
from itertools import accumulate
from math import inf
from random import Random
from typing import Final

from simulator.clock import DAY, SECOND
from simulator.population import WATCHED, Population, SimulatedRepository, Watched
from simulator.servers.hub_acts import Acts
from simulator.servers.hub_people import HubAccount, People
from simulator.servers.hub_repositories import Repositories
from simulator.servers.hub_state import (
    SENTINEL,
    Commits,
    HubServerRepository,
    HubServerThread,
    ThreadEvent,
    object_id,
    whole,
)
from simulator.servers.hub_truth import HubTruth, TrueRelease

_MIX: Final = {
    "commit": 50.0,
    "like": 17.0,
    "comment": 9.0,
    "discussion": 4.0,
    "pull_request": 3.0,
    "derive": 2.5,
    "create": 2.5,
    "merge": 1.5,
    "close": 1.2,
    "unlike": 1.0,
    "delete": 0.7,
    "config": 0.6,
    "move": 0.4,
    "reopen": 0.4,
    "retitle": 0.3,
    "leave": 0.02,
}
_ENGAGEMENT: Final = {"like": 58.0, "comment": 25.0, "discussion": 7.0, "pull_request": 3.0, "derive": 7.0}
# How often its makers push something after somebody engaged with a release.
_TENDED: Final = 0.05
_ENGAGING: Final = sum(_MIX[act] for act in _ENGAGEMENT) / sum(_MIX.values())
WATCHED_SHARE: Final = 0.2
# At most so much happens before the beginning, whatever the rate.
_MOST_BEFORE: Final = 20_000
_OLDEST: Final = SENTINEL - 300 * DAY
_SENTINELS: Final = 0.12
_PRIVATE: Final = 0.01
_SILENT: Final = 0.02


class HubWorld:
    """A Hub that has existed for long when the truth begins, at `began`; all of it follows from the seed, `start` and
    the settings.

    `rate` things a simulated second happen from `start` (µs) on, fewer in the `history` (s) before it. The newest
    `remembered` of the truth are kept. Beyond `largest` repositories each new one removes an old one.
    """

    def __init__(
        self,
        seed: int,
        start: int,
        *,
        rate: float,
        repositories: int = 1_200,
        people: int = 3_000,
        watched: Watched = WATCHED,
        history: float = 2 * 86_400.0,
        remembered: int = 200_000,
        largest: int = 6_000,
        release_in: float | None = None,
        release_of: str | None = None,
        release_factor: float = 20.0,
        release_half_life: float = 43_200.0,
    ) -> None:
        self._random = Random(f"hub world/{seed}")
        self.start = start
        self.began = start - int(history * SECOND)
        if self.began < SENTINEL + 2 * DAY:
            raise ValueError("the Hub's record begins in March 2022; take a later start or a shorter history")
        self.rate = rate
        self._rate_before = min(rate, _MOST_BEFORE / history) if history else rate
        self.repositories = Repositories(self._random)
        population = Population("huggingface", seed, repositories, people, watched)
        self.people = People(population, self._random, _OLDEST)
        self.truth = HubTruth(self.people, self.began, remembered)
        self.acts = Acts(seed, self._random, self.people, self.repositories, self.truth, largest)
        self._settle(population.repositories + population.watched)
        self.acts.least_watched = len(self.repositories.watched)
        self._names, self._shares = list(_MIX), list(accumulate(_MIX.values()))
        self._next = self._after(self.began)
        self.release: TrueRelease | None = None
        self._released: HubServerRepository | None = None
        self._next_engagement = inf
        self._engaged = 0.0
        if release_in is not None:
            self._announce(
                seed, start + int(release_in * SECOND), release_of, release_factor, int(release_half_life * SECOND)
            )

    def advance(self, now: int, most: int | None = None) -> bool:
        """Let things happen until `now` (µs), at most `most`. Whether nothing is left."""
        left = inf if most is None else most
        while left > 0:
            if self._next <= min(now, self._next_engagement):
                time = int(self._next)
                self._next = self._after(self._next)
                self._happen(time)
            elif self._next_engagement <= now:
                self._engage(int(self._next_engagement))
            else:
                return True
            left -= 1
        return False

    def _happen(self, time: int) -> None:
        name = self._random.choices(self._names, cum_weights=self._shares)[0]
        self.acts.acts[name](self.repositories.draw(WATCHED_SHARE), time)

    def _after(self, time: float) -> float:
        """The time of the next thing."""
        if time < self.start and self._rate_before:
            following = time + self._random.expovariate(self._rate_before) * SECOND
            if following < self.start:
                return following
        # The process has no memory, so the gap may begin anew where the rate changes.
        return max(time, float(self.start)) + self._random.expovariate(self.rate) * SECOND if self.rate else inf

    def _announce(self, seed: int, at: int, owner: str | None, factor: float, half_life: int) -> None:
        watched = self.repositories.watched
        first = next((each for each in watched if owner in (None, each.owner)), None)
        if first is None or at < self.began:
            raise ValueError(
                f"a release needs an organisation that is watched, not {owner}, and a time from {self.began} on"
            )
        name = f"{first.owner}/{first.project}-next-{seed}"
        key = object_id(at, name)
        repository = HubServerRepository(
            key,
            "model",
            name,
            first.owner,
            True,
            whole(at),
            whole(at),
            Commits(key),
            first.project,
            pinned=True,
            slope=20_000.0,
        )
        self._released = repository
        baseline = self.rate * 86_400 * WATCHED_SHARE * _ENGAGING / len(watched)
        self.release = TrueRelease(at, name, key, first.project, baseline, factor, half_life)
        self._next_engagement = float(at)

    def _engage(self, time: int) -> None:
        """First the release itself, then what it causes. Chance does not choose it otherwise, so that its effect is as
        stated.
        """
        release, repository = self.release, self._released
        assert release is not None
        assert repository is not None
        if repository.key not in self.repositories.created[repository.type]:
            self.acts.publish(repository, time)
        else:
            self.acts.acts[self._random.choices(list(_ENGAGEMENT), list(_ENGAGEMENT.values()))[0]](repository, time)
            if self._random.random() < _TENDED:
                self.acts.push(repository, time)
        self._engaged += self._random.expovariate(1.0)
        self._next_engagement = release.time_of(self._engaged)

    def _settle(self, named: Sequence[SimulatedRepository]) -> None:
        """What existed long before the truth begins."""
        settled = [self._settled(each) for each in named]
        for each in sorted(settled, key=lambda each: each.created):
            self.repositories.add(each)
        for type_, order in self.repositories.modified.items():
            ordered = sorted(order.values(), key=lambda each: each.modified)
            self.repositories.modified[type_].clear()
            self.repositories.modified[type_].update((each.key, each) for each in ordered)
        models = [each for each in settled if each.type == "model" and not each.private]
        for each in models[len(models) // 2 :]:
            if self._random.random() < 0.5:
                self._descend(each, self._random.choice(models[: len(models) // 2]))

    def _settled(self, named: SimulatedRepository) -> HubServerRepository:
        random = self._random
        sentinel = random.random() < _SENTINELS
        born = int(random.uniform(_OLDEST, SENTINEL) if sentinel else random.uniform(SENTINEL, self.began - DAY))
        created = SENTINEL if sentinel else whole(born)
        key = object_id(created, named.name)
        owner = named.owner.login
        if named.organisation:
            self.people.found(owner)
        else:
            self.people.by_login[owner].owns += 1
        repository = HubServerRepository(
            key, named.artefact, named.name, owner, named.organisation, created, created, Commits(key), named.project
        )
        repository.private = random.random() < _PRIVATE
        repository.discussions = random.random() >= _SILENT
        repository.gated = (
            random.choices((False, "auto", "manual"), (8, 1, 1))[0] if named.artefact != "space" else False
        )
        repository.was_gated = bool(repository.gated)
        repository.slope = min(1e6, random.paretovariate(0.6) * 5) if named.artefact != "space" else 0.0
        repository.commits.add(whole(born), self.people.system.number)
        for time in sorted(
            int(random.uniform(born, self.began)) for _ in range(min(120, int(random.paretovariate(0.9))))
        ):
            repository.commits.add(whole(time), self.people.committer(repository).number)
        repository.modified = max(created, repository.commits.times[-1])
        for serial in range(min(len(self.people.accounts) // 4, int(random.paretovariate(0.7)) - 1)):
            repository.likers.setdefault(self.people.anyone().number, -1_000_000 + serial)
        if repository.discussions:
            for time in sorted(
                int(random.uniform(born, self.began)) for _ in range(min(150, int(random.paretovariate(0.8)) - 1))
            ):
                self._discussed(repository, whole(time))
        return repository

    def _discussed(self, repository: HubServerRepository, time: int) -> None:
        """An old thread with its answers."""
        random = self._random
        repository.last_thread += 1
        pull_request = random.random() < 0.4
        opener = self._speaker(repository, bots=pull_request)
        thread = HubServerThread(
            repository.last_thread, pull_request, random.choice(self.acts.titles), opener.number, time, "open"
        )
        if pull_request:
            thread.events.append(ThreadEvent(time, "commit", opener.number))
        thread.events.append(ThreadEvent(time, "comment", opener.number))
        for _ in range(min(20, int(random.paretovariate(1.2)) - 1)):
            time = min(self.began - SECOND, time + int(random.expovariate(1 / DAY)))
            thread.events.append(ThreadEvent(whole(time), "comment", self._speaker(repository).number))
        thread.comments = sum(event.type == "comment" for event in thread.events)
        if random.random() < 0.4:
            thread.status = "closed"
            thread.events.append(
                ThreadEvent(whole(time), "status-change", self.people.insider(repository).number, ("closed",))
            )
        repository.threads.append(thread)

    def _speaker(self, repository: HubServerRepository, *, bots: bool = False) -> HubAccount:
        return (
            self._random.choice(self.people.bots)
            if bots and self._random.random() < 0.3
            else self.people.visitor(repository)
        )

    def _descend(self, repository: HubServerRepository, base: HubServerRepository) -> None:
        self.acts.relate(repository, self._random.choice(("finetune", "adapter", "quantized")), [base])
