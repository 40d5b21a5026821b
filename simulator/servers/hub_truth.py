"""The truth about the generated Hub: what happened, and what of it the API can show."""

from collections import deque
from dataclasses import dataclass
from math import inf, log, log2
from typing import Final, NamedTuple

from simulator.clock import DAY
from simulator.servers.hub_people import HubAccount, People
from simulator.servers.hub_state import HubServerRepository

_FEATURES: Final = {
    ("commit", None): "contribution",
    ("pull_request", "accepted"): "accepted",
    ("discussion", "opened"): "exchange",
    ("discussion_comment", "created"): "exchange",
    ("like", None): "preference",
    ("pull_request", "opened"): "review",
    ("pull_request_comment", "created"): "review",
    ("derivative", "created"): "adaptation",
    ("repository", "created"): "publication",
}
_OPPOSITE: Final = {"closed": "reopened", "reopened": "closed"}
# A like is in a list without times, a move is another name of the same id, and of the others only the result shows.
UNTIMED: Final = frozenset({"like", "unlike", "move", "delete", "config"})


def feature_of(kind: str, action: str | None = None) -> str:
    """The feature of a kind and an action.

    >>> feature_of("commit"), feature_of("pull_request", "merged"), feature_of("discussion", "opened")
    ('contribution', 'upkeep', 'exchange')
    """
    return _FEATURES.get((kind, action), "upkeep")


class Happened(NamedTuple):
    """One thing that one account did to one repository.

    `repository`: the repository's `_id`; `name`: its name then. `mark` identifies it there: a commit's SHA, an opened
    thread's number, a later event's id, a derivative's `_id`, the login of a like. `occurred_at`: the time that the API
    states, in whole seconds; if it states none (`timed` is False), the time of the deed. From `visible_at` on an answer
    shows it. Both in µs. `actor` is a login. The API does not say who created a repository or derivative, only its
    owner. `affiliation`: internal, staff or external.
    """

    kind: str
    action: str | None
    type: str
    repository: str
    name: str
    mark: str
    occurred_at: int
    visible_at: int
    actor: str
    bot: bool
    affiliation: str
    project: str | None = None
    thread: int | None = None
    family: str | None = None
    relation: str | None = None

    @property
    def feature(self) -> str:
        return feature_of(self.kind, self.action)

    @property
    def timed(self) -> bool:
        return self.kind not in UNTIMED

    @property
    def stands_in(self) -> str:
        """The `_id` of the repository that shows it. A derivative names its base."""
        return self.mark if self.kind == "derivative" else self.repository

    @property
    def id(self) -> str:
        """The id that a poller can give it, from the answers alone (for a like with the login)."""
        if self.kind == "derivative":
            return f"huggingface:derivative:{self.mark}"
        accepted = ":accepted" if self.action == "accepted" else ""
        return f"huggingface:{self.kind}:{self.repository}" + (f":{self.mark}" if self.mark else "") + accepted


@dataclass(frozen=True, slots=True)
class TrueRelease:
    """A model that a watched organisation publishes at a known time; its engagement rises at once and fades.

    Its engagement (likes, discussions, pull requests, comments, derivatives) is a Poisson process of
    `baseline`·`factor`·2^(-age/half-life) a day. `baseline` is what a watched repository has a day on average when the
    world begins. Times in µs; `repository` is the `_id`.
    """

    at: int
    name: str
    repository: str
    project: str | None
    baseline: float
    factor: float
    half_life: int

    def expected(self, since: int, until: int) -> float:
        """The mean number of things that people do to it between two times.

        >>> release = TrueRelease(0, "a/b", "id", None, baseline=10.0, factor=4.0, half_life=DAY)
        >>> round(release.expected(0, DAY), 3), round(release.expected(0, 50 * DAY), 3), release.expected(-DAY, 0)
        (28.854, 57.708, 0.0)
        """
        return self._until(until) - self._until(since)

    def time_of(self, expected: float) -> float:
        """The time in µs until which so many are expected; infinity if there never will be.

        >>> release = TrueRelease(0, "a/b", "id", None, baseline=10.0, factor=4.0, half_life=DAY)
        >>> round(release.time_of(release.expected(0, DAY)) / DAY, 9), release.time_of(58.0)
        (1.0, inf)
        """
        left = 1 - expected / self._in_all if self._in_all else 0.0
        return self.at - self.half_life * log2(left) if left > 0 else inf

    def _until(self, time: int) -> float:
        half_lives = max(0, time - self.at) / self.half_life
        return self._in_all * (1.0 - float(0.5**half_lives))

    @property
    def _in_all(self) -> float:
        return self.baseline * self.factor * self.half_life / DAY / log(2)


class HubTruth:
    """The newest `remembered` things that happened, in the order in which they became visible; nothing before `begin`
    (µs) is known.
    """

    def __init__(self, people: People, begin: int, remembered: int) -> None:
        self._people = people
        self._happened: deque[Happened] = deque(maxlen=remembered)
        self._known_from = begin

    def __len__(self) -> int:
        return len(self._happened)

    def report(
        self,
        repository: HubServerRepository,
        time: int,
        account: HubAccount,
        kind: str,
        action: str | None,
        mark: str,
        occurred_at: int | None = None,
        *,
        thread: int | None = None,
        family: str | None = None,
        relation: str | None = None,
    ) -> None:
        """An account does something to a repository at a time. The API will state it as `occurred_at`, or not at
        all.
        """
        if len(self._happened) == self._happened.maxlen:
            self._known_from = max(self._known_from, self._happened[0].visible_at + 1)
        self._happened.append(
            Happened(
                kind,
                action,
                repository.type,
                repository.key,
                repository.name,
                mark,
                time if occurred_at is None else occurred_at,
                time,
                account.login,
                account.bot,
                self._people.affiliation(account, repository),
                repository.project,
                thread,
                family,
                relation,
            )
        )

    def happened(self, since: int, until: int) -> list[Happened]:
        """What happened in [since, until), by the stated time. ValueError if some of it is forgotten."""
        if since < self._known_from and since < until:
            raise ValueError(f"what happened before {self._known_from} is unknown or forgotten; ask from there on")
        return [each for each in self._happened if since <= each.occurred_at < until]

    def unmissable(self, since: int, until: int, interval: int) -> list[Happened]:
        """What of [since, until) is in an answer with its time, or was for at least an `interval` (µs). ValueError as
        above.

        A thread that was closed and reopened within an interval looks as it did before.
        """
        happened = self.happened(since, until)
        ends: dict[Happened, float] = {}
        deleted: dict[str, int] = {}
        changed: dict[tuple[str, int | None], Happened] = {}
        for each in self._happened:
            if each.kind == "delete":
                deleted[each.repository] = each.visible_at
            elif each.action in _OPPOSITE:
                thread = each.repository, each.thread
                before = changed.get(thread)
                if (
                    before is not None
                    and before.action == _OPPOSITE[each.action]
                    and each.visible_at - before.visible_at < interval
                ):
                    ends[before] = ends[each] = each.visible_at
                changed[thread] = each
        return [
            each
            for each in happened
            # Nothing shows that commits in a copied repository are copies.
            if each.timed
            and each.action != "copied"
            and min(deleted.get(each.stands_in, inf), ends.get(each, inf)) - each.visible_at >= interval
        ]
