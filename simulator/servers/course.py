"""The course of the world: what happens when, and a release whose effect is known."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from math import log, log2
from random import Random
from typing import Final, NamedTuple

from simulator.clock import SECOND
from simulator.population import WATCHED, Person, SimulatedRepository, Watched
from simulator.world import MIXES, Happening, World

# What a release increases: (event type, action).
STIRRED: Final = frozenset({("WatchEvent", "started"), ("IssuesEvent", "opened"), ("IssueCommentEvent", "created")})

# Members are drawn so often; those that are never drawn are private members.
_MEMBERS_DRAWN: Final = 12
_CALIBRATION: Final = 200_000


class Release(NamedTuple):
    """At `at` (µs UTC) a repository publishes; then its stars, issues and comments come `factor` times as often.

    The part of the factor above 1 halves with every `half_life` (s).

    >>> release = Release("o/r", at=0, factor=9.0, half_life=3600.0)
    >>> [release.rise(hours * 3600 * SECOND) for hours in (-1, 0, 1, 2)]
    [1.0, 9.0, 5.0, 3.0]
    """

    repository: str
    at: int
    factor: float
    half_life: float

    def rise(self, time: int) -> float:
        """How many times as much happens at a time in µs."""
        age = (time - self.at) / SECOND
        return 1.0 if age < 0 else 1.0 + (self.factor - 1) * 2.0 ** (-age / self.half_life)


class Course(World):
    """A world that runs by itself: `rate` events a second on average (Poisson) from `begin` (µs); releases are
    added.
    """

    def __init__(
        self,
        seed: int,
        *,
        begin: int,
        rate: float,
        repositories: int,
        people: int,
        era: str = "2026",
        watched: Watched = WATCHED,
    ) -> None:
        super().__init__(seed, repositories=repositories, people=people, era=era, watched=watched)
        self.rate = rate
        self._gaps = Random(f"gaps/{seed}")
        self._stir = Random(f"release/{seed}")
        self._renamed: dict[int, SimulatedRepository] = {}
        # Asking for members must not change who they are, so they are drawn before anything happens.
        draw = Random(f"members/{seed}")
        self._public_members: dict[int, set[Person]] = {}
        for repository in self.population.repositories + self.population.watched:
            if repository.organisation:
                drawn = {self.population.member(repository, draw) for _ in range(_MEMBERS_DRAWN)}
                self._public_members.setdefault(repository.owner.id, set()).update(drawn)
        self._time = float(begin)
        self._next = self._after_a_gap()
        self._stirred: Iterator[tuple[int, Happening]] = iter(())
        self._next_stirred: tuple[int, Happening] | None = None

    def public_members(self, organisation: int) -> list[Person]:
        """The public members of an organisation (by its account's id)."""
        return sorted(self._public_members.get(organisation, ()))

    def rename(self, repository: SimulatedRepository, name: str) -> SimulatedRepository:
        """The same repository under another name from now on."""
        renamed = self._renamed[repository.id] = repository._replace(name=name)
        return renamed

    def publish(self, release: Release) -> None:
        """Plan a release, which must lie in the future."""
        repository = next(each for each in self.population.watched if each.name == release.repository)
        self._stirred = self._stirrings(release, repository, self.base_rate(repository))
        self._next_stirred = next(self._stirred, None)

    def until(self, time: int) -> Iterator[tuple[int, Happening]]:
        """(time in µs, happening) of everything up to a time that was not returned before; `occurred_at` is cut to
        whole seconds.
        """
        while True:
            # A caller that stops in between misses nothing: the state is final before each one is returned.
            stirred, at = self._next_stirred, int(self._next)
            if stirred is not None and stirred[0] <= min(at, time):
                at, happening = stirred
                self._next_stirred = next(self._stirred, None)
            elif at <= time:
                happening = self.happen(at // SECOND * SECOND)
                self._next = self._after_a_gap()
            else:
                return
            yield at, self._as_named_now(happening)

    def _after_a_gap(self) -> float:
        self._time += self._gaps.expovariate(self.rate) * SECOND
        return self._time

    def _as_named_now(self, happening: Happening) -> Happening:
        renamed = self._renamed.get(happening.repository.id)
        return happening._replace(repository=renamed) if renamed else happening

    def base_rate(self, repository: SimulatedRepository) -> float:
        """How many events a second of the kinds that a release increases happen in a watched repository anyway."""
        random = Random("calibration")
        hits = sum(self.population.repository(random).id == repository.id for _ in range(_CALIBRATION))
        rows = MIXES[self.era]
        stirring = sum(row[0] for row in rows if (row[1], row[2]) in STIRRED)
        return self.rate * hits / _CALIBRATION * stirring / sum(row[0] for row in rows)

    def _stirrings(
        self, release: Release, repository: SimulatedRepository, base_rate: float
    ) -> Iterator[tuple[int, Happening]]:
        """The release, then its additional events: a Poisson process whose rate halves with each half-life."""
        yield release.at, self._stirring(release.at, repository, "ReleaseEvent", "published", "publication", "")
        rows = [row for row in MIXES[self.era] if (row[1], row[2]) in STIRRED]
        shares = list(accumulate(row[0] for row in rows))
        # The expected number after a time t is all·(1 - 2^(-t ÷ half-life)). Solved for t, it turns unit exponentials
        # into times.
        all_of_it = base_rate * (release.factor - 1) * release.half_life / log(2)
        expected = self._stir.expovariate(1.0)
        while expected < all_of_it:
            at = release.at + int(-release.half_life * log2(1 - expected / all_of_it) * SECOND)
            _, kind, what, feature, subject = rows[bisect_left(shares, self._stir.random() * shares[-1])]
            yield at, self._stirring(at, repository, kind, what, feature, subject)
            expected += self._stir.expovariate(1.0)

    def _stirring(
        self, at: int, repository: SimulatedRepository, kind: str, what: str, feature: str, subject: str
    ) -> Happening:
        time = at // SECOND * SECOND
        actor = (
            self.population.anyone(self._stir)
            if (kind, what) in STIRRED
            else self.population.member(repository, self._stir)
        )
        thread = self._thread(subject, repository, actor, time) if subject else None
        return Happening(self._next_serial(), kind, what, feature, time, repository, actor, thread, 0)
