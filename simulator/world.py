"""What happens on GitHub in the generated world: who does what where, in threads that are opened, answered, merged and
closed.
"""

from bisect import bisect_left
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple

from simulator.deed import Deed
from simulator.population import WATCHED, Person, Population, SimulatedRepository, Watched

# (share, event type, action, feature, the thread that it needs)
_Row = tuple[float, str, str, str, str]
_MIX: Final[tuple[_Row, ...]] = (
    (58.0, "PushEvent", "", "contribution", ""),
    (4.0, "CreateEvent", "repository", "publication", ""),
    (7.0, "CreateEvent", "branch", "upkeep", ""),
    (0.8, "CreateEvent", "tag", "upkeep", ""),
    (3.2, "DeleteEvent", "branch", "upkeep", ""),
    (2.4, "PullRequestEvent", "opened", "review", "new pull"),
    (1.4, "PullRequestEvent", "merged", "upkeep", "pull"),
    (0.6, "PullRequestEvent", "closed", "upkeep", "pull"),
    (0.1, "PullRequestEvent", "reopened", "upkeep", "pull"),
    (1.4, "PullRequestReviewEvent", "created", "review", "pull"),
    (1.0, "PullRequestReviewCommentEvent", "created", "review", "pull"),
    (1.8, "IssueCommentEvent", "created", "review", "pull"),
    (3.0, "IssueCommentEvent", "created", "exchange", "issue"),
    (1.6, "IssuesEvent", "opened", "exchange", "new issue"),
    (1.1, "IssuesEvent", "closed", "upkeep", "issue"),
    (0.1, "IssuesEvent", "reopened", "upkeep", "issue"),
    (7.0, "WatchEvent", "started", "preference", ""),
    (1.9, "ForkEvent", "forked", "adaptation", ""),
    (0.6, "ReleaseEvent", "published", "publication", ""),
    (0.3, "CommitCommentEvent", "created", "exchange", ""),
    (0.3, "GollumEvent", "", "upkeep", ""),
    (0.3, "MemberEvent", "added", "upkeep", ""),
    (0.2, "PublicEvent", "", "publication", ""),
    (0.2, "DiscussionEvent", "created", "exchange", "new discussion"),
)
# Actions that only today's feed shows.
_MIX_TODAY: Final[tuple[_Row, ...]] = (
    *_MIX,
    (0.8, "PullRequestEvent", "labeled", "upkeep", "pull"),
    (0.4, "IssuesEvent", "labeled", "upkeep", "issue"),
    (0.1, "PullRequestReviewEvent", "dismissed", "upkeep", "pull"),
)
MIXES: Final = {"2024": _MIX, "2026": _MIX_TODAY}
_FROM_ANYWHERE: Final = frozenset({"WatchEvent", "ForkEvent", "IssuesEvent", "DiscussionEvent", "IssueCommentEvent"})
_BY_PEOPLE_ONLY: Final = frozenset({"WatchEvent", "ForkEvent", "MemberEvent", "PublicEvent"})


class WorldThread(NamedTuple):
    """An issue, pull request or discussion. `forked`: the pull request comes from its opener's own fork."""

    number: int
    opener: Person
    opened_at: int
    title: str
    forked: bool


class Happening(NamedTuple):
    """One event before it is written in the form of an era; `what` is its action or, for references, what was created.
    Time in µs UTC.
    """

    serial: int
    type: str
    what: str
    feature: str
    occurred_at: int
    repository: SimulatedRepository
    actor: Person
    thread: WorldThread | None
    commits: int

    @property
    def merges(self) -> bool:
        return self.what == "merged"

    @property
    def head_owner(self) -> Person:
        """The owner of the repository that holds the branch of the pull request."""
        assert self.thread is not None, "only pull requests have a head"
        return self.thread.opener if self.thread.forked else self.repository.owner


class World:
    """GitHub with a seed: the same calls give the same happenings."""

    def __init__(
        self, seed: int, *, repositories: int, people: int, era: str = "2024", watched: Watched = WATCHED
    ) -> None:
        self.era = era
        self.population = Population("github", seed, repositories, people, watched)
        self._random = Random(f"world/{seed}")
        self._rows = MIXES[era]
        total = list(accumulate(row[0] for row in self._rows))
        self._shares = [share / total[-1] for share in total]
        self._serial = 0
        self._numbers: dict[int, int] = {}
        self._threads: dict[tuple[int, str], list[WorldThread]] = {}

    def happen(self, time: int, *, merges: bool = True) -> Happening:
        """The next thing that happens, at a time in µs; without `merges` it is no merge."""
        random = self._random
        _, kind, what, feature, subject = self._rows[bisect_left(self._shares, random.random())]
        if what == "merged" and not merges:
            what = "closed"
        repository = self.population.repository(random)
        actor = self._actor(kind, repository)
        thread = self._thread(subject, repository, actor, time) if subject else None
        commits = self._commits() if kind == "PushEvent" else 0
        return Happening(self._next_serial(), kind, what, feature, time, repository, actor, thread, commits)

    def _actor(self, kind: str, repository: SimulatedRepository) -> Person:
        random = self._random
        if kind in _FROM_ANYWHERE and random.random() < 0.8:
            return self.population.anyone(random)
        return self.population.actor(repository, random, bots=kind not in _BY_PEOPLE_ONLY)

    def _thread(self, subject: str, repository: SimulatedRepository, actor: Person, time: int) -> WorldThread:
        new, kind = subject.startswith("new "), subject.removeprefix("new ")
        threads = self._threads.setdefault((repository.id, kind), [])
        if not new and threads:
            # The youngest threads are the busiest.
            return threads[-1 - int(len(threads) * self._random.random() ** 3)]
        opener = actor if new else self.population.actor(repository, self._random)
        number = self._numbers[repository.id] = self._numbers.get(repository.id, 0) + 1
        opened_at = time if new else time - self._random.randrange(10**9, 10**13)
        thread = WorldThread(
            number, opener, opened_at, f"{kind} {number}", kind == "pull" and self._random.random() < 0.6
        )
        threads.append(thread)
        del threads[:-50]
        return thread

    def _commits(self) -> int:
        if self._random.random() < 0.03:
            return 0
        return min(2_000, int(self._random.paretovariate(1.7)))

    def _next_serial(self) -> int:
        self._serial += 1
        number = 3 * self._serial + self._random.randrange(3)
        if self.era == "2024":
            return 38_000_000_000 + number
        # Two series of ids interleave in today's feed.
        return (13_170_000_000 if self._serial % 4 else 17_490_000_000) + number


def deeds(happening: Happening, era: str) -> list[Deed]:
    """What a happening means, as far as its line alone tells: one deed, and for a merge the accepted contribution
    too.
    """
    repository, actor = happening.repository, happening.actor
    project = repository.project
    identity = f"github:{happening.type}:{happening.serial}"
    # Today's pushes do not state the number of commits.
    commits = happening.commits if happening.type == "PushEvent" and era == "2024" else None
    time, name = happening.occurred_at, repository.name
    own = Deed(identity, "github", happening.feature, time, repository.id, name, actor.id, actor.bot, commits, project)
    if happening.type == "PullRequestEvent" and happening.what in ("opened", "merged") and happening.thread is not None:
        own = own._replace(thread=happening.thread.number, turn=happening.what)
    if not happening.merges:
        return [own]
    assert happening.thread is not None, "a merge is of a thread"
    opener: Person | None = happening.thread.opener
    if era == "2026":
        # The opener is not stated. If the branch is in a repository of the account that merges, that account is taken
        # as the opener. The truth prefers the opening, if that was written too.
        opener = actor if happening.head_owner.login.casefold() == actor.login.casefold() else None
    if opener is None:
        return [own]
    return [
        own,
        own._replace(id=f"{identity}:accepted", feature="accepted", actor=opener.id, bot=opener.bot, turn="accepted"),
    ]
