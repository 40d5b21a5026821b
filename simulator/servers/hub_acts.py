"""What people do on the generated Hub, and how it changes what exists there."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from simulator.clock import MINUTE
from simulator.prose import Prose
from simulator.servers.hub_people import HubAccount, People
from simulator.servers.hub_repositories import Repositories
from simulator.servers.hub_state import RELATIONS, TYPES, Commits, HubServerRepository, SimulatedBase, object_id, whole
from simulator.servers.hub_talk import Talk
from simulator.servers.hub_truth import HubTruth

_STEMS: Final = (
    "base chat instruct coder vision mini large math speech embed guard reason corpus bench arena playground"
)
_WORDS: Final = _STEMS.split()
_SUFFIXES: Final = {"finetune": "ft", "adapter": "lora", "merge": "merge", "quantized": "GGUF"}
# (cumulative share of the pushes, number of commits)
_PUSHES: Final = ((0.85, 1), (0.95, 2), (1.0, 4))
# The longest time between two commits of a push.
_LONGEST_DELAY: Final = 5 * MINUTE
_COPIES: Final = 0.06
_COPIED: Final = 5
_LONGEST_STEM: Final = 60


class Acts(Talk):
    """What can be done to a repository, by name, at a time in µs; each act reports itself to the truth.

    If something is impossible there, something similar happens. Beyond `largest` repositories each new one removes an
    old one.
    """

    def __init__(
        self, seed: int, random: Random, people: People, repositories: Repositories, truth: HubTruth, largest: int
    ) -> None:
        prose = Prose(seed)
        super().__init__(random, people, truth, [json.loads(f'"{prose.title()}"') for _ in range(500)])
        self.repositories = repositories
        self._largest = largest
        self._serial = 0
        self.least_watched = 0
        self.acts: dict[str, Callable[[HubServerRepository, int], None]] = {
            "commit": self.push,
            "like": self.like,
            "unlike": self.unlike,
            "create": self.create,
            "derive": self.derive,
            "discussion": self.discuss,
            "pull_request": self.request_pull,
            "comment": self.comment,
            "merge": self.merge,
            "close": self.close,
            "reopen": self.reopen,
            "retitle": self.retitle,
            "move": self.move,
            "config": self.configure,
            "delete": self.tidy,
            "leave": self.leave,
        }

    def push(self, repository: HubServerRepository, time: int) -> None:
        """A push of one commit or several, the earlier ones dated before it."""
        draw = self._random.random()
        account = self.people.committer(repository)
        for left in reversed(range(next(count for share, count in _PUSHES if draw < share))):
            made = whole(time - int(left * self._random.random() * _LONGEST_DELAY))
            self._commit(repository, time, account, max(made, repository.commits.times[-1]))
        self.repositories.touch(repository, whole(time))

    def like(self, repository: HubServerRepository, time: int) -> None:
        account = self.people.anyone()
        if account.number in repository.likers:
            return self.comment(repository, time)
        self._serial += 1
        repository.likers[account.number] = self._serial
        repository.heat(time, 1.0)
        self.truth.report(repository, time, account, "like", None, account.login.casefold())

    def unlike(self, repository: HubServerRepository, time: int) -> None:
        """The account that liked it first takes that back."""
        if not repository.likers:
            return self.like(repository, time)
        account = self.people.accounts[next(iter(repository.likers))]
        del repository.likers[account.number]
        self.truth.report(repository, time, account, "unlike", None, account.login.casefold())

    def create(self, repository: HubServerRepository, time: int) -> None:
        """A new repository of the same owner or of anyone; some are copies, whose history has the same SHAs."""
        # A watched organisation publishes rarely.
        if self._random.random() < (0.1 if repository.project else 0.5):
            new = self._new(repository.owner, repository.organisation, repository.project, repository.type, time)
        else:
            account = self.people.anyone()
            new = self._new(account.login, False, None, self._random.choices(TYPES, (6, 3, 1))[0], time)
        copy = not new.organisation and new.type == repository.type and self._random.random() < _COPIES
        if copy and not repository.commits.forgotten:
            new.commits = Commits(new.key, repository.commits, min(_COPIED, len(repository.commits)))
        self.publish(new, time)

    def derive(self, repository: HubServerRepository, time: int) -> None:
        """A model made from a model. A merge has two bases and belongs to the watched one, else to the first."""
        if repository.type != "model":
            return self.like(repository, time)
        relation = self._random.choices(RELATIONS, (4, 3, 1, 4))[0]
        bases = [repository]
        if relation == "merge":
            other = self.repositories.draw_watched() or repository
            if other.type == "model" and other is not repository:
                bases.append(other)
        account = self.people.anyone()
        stem = bases[0].name.partition("/")[2][:_LONGEST_STEM].rstrip("-")
        new = self._new(account.login, False, None, "model", time, f"{stem}-{_SUFFIXES[relation]}")
        self.relate(new, relation, bases)
        self.publish(new, time, account)
        family = next((base for base in bases if base.project), bases[0])
        self.truth.report(
            family, time, account, "derivative", "created", new.key, whole(time), family=family.name, relation=relation
        )

    @staticmethod
    def relate(repository: HubServerRepository, relation: str, bases: Sequence[HubServerRepository]) -> None:
        """A model states what it was made from, by the present names."""
        repository.relation = relation
        repository.bases = tuple(SimulatedBase(base.name, base) for base in bases)
        for base in bases:
            base.children[relation] += 1

    def publish(self, repository: HubServerRepository, time: int, account: HubAccount | None = None) -> None:
        """A repository appears, with a first commit by `system` and an upload; an old one goes if there are too
        many.
        """
        creator = account or self.people.insider(repository)
        for index in range(len(repository.commits)):
            commits = repository.commits
            author = self.people.accounts[commits.authors[index]]
            self.truth.report(repository, time, author, "commit", "copied", commits.sha(index), commits.times[index])
        self.repositories.add(repository)
        if not repository.organisation:
            self.people.by_login[repository.owner].owns += 1
        self.truth.report(repository, time, creator, "repository", "created", "", whole(time))
        if not len(repository.commits):
            self._commit(repository, time, self.people.system, whole(time))
            self._commit(repository, time, creator, whole(time))
        if len(self.repositories) > self._largest and (stalest := self.repositories.stalest()) is not None:
            self.delete(stalest, time)

    def merge(self, repository: HubServerRepository, time: int) -> None:
        """An insider merges an open pull request: a change of status, a commit, and a contribution of the opener."""
        thread = self._thread_that(repository, lambda each: each.pull_request and each.status == "open")
        if thread is None:
            return self.request_pull(repository, time)
        account = self.people.insider(repository)
        event = self._change(repository, thread, time, account, "merged", "merged")
        opener = self.people.accounts[thread.author]
        self.truth.report(
            repository, time, opener, "pull_request", "accepted", event, whole(time), thread=thread.number
        )
        thread.merge_commit = self._commit(repository, time, account, whole(time), (thread.number, thread.author))
        self.repositories.touch(repository, whole(time))

    def move(self, repository: HubServerRepository, time: int) -> None:
        """A repository gets another name with the same owner. The old name redirects; derivatives keep naming it."""
        repository = self._any_like(repository)
        self._serial += 1
        owner, _, stem = repository.name.partition("/")
        name = f"{owner}/{stem[:_LONGEST_STEM].rstrip('-')}-v{self._serial}"
        self.repositories.rename(repository, name)
        self.truth.report(repository, time, self.people.insider(repository), "move", None, name)

    def configure(self, repository: HubServerRepository, time: int) -> None:
        """Switch gated access on or off."""
        if repository.type != "space":
            repository.gated = self._random.choice(
                [gated for gated in (False, "auto", "manual") if gated != repository.gated]
            )
            repository.was_gated |= bool(repository.gated)
        self._serial += 1
        self.truth.report(repository, time, self.people.insider(repository), "config", "updated", str(self._serial))

    def tidy(self, repository: HubServerRepository, time: int) -> None:
        """Something is deleted; watched organisations delete no more than they publish."""
        repository = self._any_like(repository)
        if repository.project and len(self.repositories.watched) <= self.least_watched:
            return self.push(repository, time)
        self.delete(repository, time)

    def delete(self, repository: HubServerRepository, time: int) -> None:
        """A repository is deleted, with everything done there."""
        repository.gone = time
        self.truth.report(repository, time, self.people.insider(repository), "delete", None, "")
        self.repositories.remove(repository)
        if not repository.organisation:
            self.people.by_login[repository.owner].owns -= 1
        for base in repository.bases:
            base.repository.children[repository.relation or ""] -= 1
        # Its derivatives keep only its name.
        repository.threads, repository.likers, repository.bases = [], {}, ()

    def leave(self, repository: HubServerRepository, time: int) -> None:
        """An account is deleted: its likes go, its threads and comments stay without a name."""
        account = self.people.leaver()
        if account is None:
            return self.like(repository, time)
        account.left = time
        for each in self.repositories:
            each.likers.pop(account.number, None)

    def _any_like(self, repository: HubServerRepository) -> HubServerRepository:
        """A repository that is watched as well, or not either, however little happens there."""
        return self._random.choice(repository.crowd) if repository.crowd else repository

    def _new(
        self, owner: str, organisation: bool, project: str | None, type_: str, time: int, stem: str | None = None
    ) -> HubServerRepository:
        self._serial += 1
        name = f"{owner}/{stem or '-'.join(self._random.sample(_WORDS, 2))}-{self._serial}"
        key = object_id(time, name)
        slope = self._random.paretovariate(0.8) * 5 if type_ != "space" else 0.0
        return HubServerRepository(
            key,
            type_,
            name,
            owner,
            organisation,
            whole(time),
            whole(time),
            Commits(key),
            project,
            slope=min(slope, 1e6),
        )

    def _commit(
        self,
        repository: HubServerRepository,
        time: int,
        account: HubAccount,
        made: int,
        merged: tuple[int, int] | None = None,
    ) -> str:
        sha = repository.commits.add(made, account.number, merged)
        self.truth.report(repository, time, account, "commit", None, sha, made)
        return sha
