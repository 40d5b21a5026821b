"""Discussions and pull requests on the generated Hub: how they are opened, answered, closed and reopened."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import Final

from simulator.servers.hub_people import HubAccount, People
from simulator.servers.hub_state import (
    MOST_EVENTS,
    MOST_THREADS,
    HubServerRepository,
    HubServerThread,
    ThreadEvent,
    event_id,
    whole,
)
from simulator.servers.hub_truth import HubTruth

_DRAFTS: Final = 0.08
# A comment goes to one of the newest threads, or to any.
_RECENT: Final = 8
_TO_ANY: Final = 0.3


class Talk(ABC):
    """What is said in a repository, at a time in µs. If something is impossible there, something similar happens."""

    def __init__(self, random: Random, people: People, truth: HubTruth, titles: list[str]) -> None:
        self.people = people
        self.truth = truth
        self.titles = titles
        self._random = random

    @abstractmethod
    def push(self, repository: HubServerRepository, time: int) -> None:
        """What happens if nothing can be said."""

    def discuss(self, repository: HubServerRepository, time: int) -> None:
        self._open(repository, time, pull_request=False)

    def request_pull(self, repository: HubServerRepository, time: int) -> None:
        self._open(repository, time, pull_request=True)

    def comment(self, repository: HubServerRepository, time: int) -> None:
        thread = self._any_thread(repository)
        if thread is None or len(thread.events) >= MOST_EVENTS:
            return self.discuss(repository, time)
        account = self.people.visitor(repository, 0.3)
        kind = "pull_request_comment" if thread.pull_request else "discussion_comment"
        self._event(repository, thread, time, "comment", account, kind, "created")

    def close(self, repository: HubServerRepository, time: int) -> None:
        thread = self._thread_that(repository, lambda each: each.status in ("open", "draft"))
        if thread is None:
            return self.comment(repository, time)
        account = (
            self.people.accounts[thread.author] if self._random.random() < 0.3 else self.people.insider(repository)
        )
        self._change(
            repository,
            thread,
            time,
            account if account.left is None else self.people.insider(repository),
            "closed",
            "closed",
        )

    def reopen(self, repository: HubServerRepository, time: int) -> None:
        """Reopen a closed thread, or open a draft."""
        thread = self._thread_that(repository, lambda each: each.status in ("closed", "draft"))
        if thread is None:
            return self.comment(repository, time)
        self._change(repository, thread, time, self.people.insider(repository), "open", "reopened")

    def retitle(self, repository: HubServerRepository, time: int) -> None:
        thread = self._any_thread(repository)
        if thread is None or len(thread.events) >= MOST_EVENTS:
            return self.discuss(repository, time)
        old, thread.title = thread.title, self._random.choice(self.titles)
        kind = "pull_request" if thread.pull_request else "discussion"
        account = self.people.insider(repository)
        self._event(repository, thread, time, "title-change", account, kind, "renamed", (old, thread.title))

    def _open(self, repository: HubServerRepository, time: int, *, pull_request: bool) -> None:
        if not repository.discussions:
            return self.push(repository, time)
        bot = pull_request and self._random.random() < 0.3
        account = self._random.choice(self.people.bots) if bot else self.people.visitor(repository)
        status = "draft" if pull_request and self._random.random() < _DRAFTS else "open"
        repository.last_thread += 1
        title = self._random.choice(self.titles)
        thread = HubServerThread(repository.last_thread, pull_request, title, account.number, whole(time), status)
        if pull_request:
            thread.events.append(ThreadEvent(whole(time), "commit", account.number))
        thread.events.append(ThreadEvent(whole(time), "comment", account.number))
        thread.comments = 1
        repository.threads.append(thread)
        if len(repository.threads) >= 2 * MOST_THREADS:
            del repository.threads[:-MOST_THREADS]
        kind = "pull_request" if pull_request else "discussion"
        self.truth.report(
            repository, time, account, kind, "opened", str(thread.number), whole(time), thread=thread.number
        )

    def _change(
        self,
        repository: HubServerRepository,
        thread: HubServerThread,
        time: int,
        account: HubAccount,
        status: str,
        action: str,
    ) -> str:
        thread.status = status
        kind = "pull_request" if thread.pull_request else "discussion"
        return self._event(repository, thread, time, "status-change", account, kind, action, (status,))

    def _event(
        self,
        repository: HubServerRepository,
        thread: HubServerThread,
        time: int,
        type_: str,
        account: HubAccount,
        kind: str,
        action: str,
        detail: tuple[str, ...] = (),
    ) -> str:
        """The new event's id."""
        thread.events.append(ThreadEvent(whole(time), type_, account.number, detail))
        thread.comments += type_ == "comment"
        key = event_id(repository, thread, len(thread.events) - 1)
        self.truth.report(repository, time, account, kind, action, key, whole(time), thread=thread.number)
        return key

    def _any_thread(self, repository: HubServerRepository) -> HubServerThread | None:
        threads = repository.threads
        if not threads:
            return None
        reach = len(threads) if self._random.random() < _TO_ANY else min(len(threads), _RECENT)
        return threads[-1 - int(reach * self._random.random())]

    def _thread_that(
        self, repository: HubServerRepository, fits: Callable[[HubServerThread], bool]
    ) -> HubServerThread | None:
        fitting = [each for each in repository.threads[-20:] if fits(each) and len(each.events) < MOST_EVENTS + 20]
        return self._random.choice(fitting) if fitting else None
