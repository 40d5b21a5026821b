"""What the Hub's answers report becomes activities.

Actors are user names, case-folded and hashed with a key. Deleted accounts cannot be told apart, so each of their
activities has an actor of its own: activities are counted correctly, and numbers of people are upper bounds. The Hub
does not state who created a repository; its owner, a person or an organisation, is taken.
"""

from dataclasses import dataclass
from typing import Final

from streams.activity import DAY, Activity, hash_name
from streams.errors import DeadLetter
from streams.identities import Account, Identities, Repository
from streams.live.hub.platform import PLATFORM
from streams.live.hub.shapes import (
    FOLDERS,
    Commit,
    HubBase,
    HubDetails,
    HubEvent,
    HubPerson,
    HubThread,
    Listed,
    is_name,
    read_changed,
)
from streams.texts import public_text
from streams.times import parse_time

DELETED: Final = "deleted"
_ACTIONS: Final = {"open": "reopened", "closed": "closed", "merged": "merged", "draft": "drafted"}


@dataclass(frozen=True, slots=True)
class HubTarget:
    """A repository on the Hub: its artefact, its path in the API, its key in ids, and how activities name it."""

    artefact: str
    path: str
    key: str
    repository: Repository


class HubActivities:
    """Makes activities; `received` is when the answer came (µs). Every method raises `DeadLetter` for what cannot be
    measured.
    """

    def __init__(self, identities: Identities, actor_key: bytes) -> None:
        self._identities = identities
        self._actor_key = actor_key

    def target(self, artefact: str, listed: Listed | HubBase) -> HubTarget:
        """The repository in a listing: known by its id, which outlasts its name, else by its name."""
        if not is_name(listed.id):
            raise DeadLetter("missing-field")
        folder = FOLDERS[artefact]
        # The Hub omits `models/` where a model and a dataset have the same name.
        key = listed.native or (listed.id if artefact == "model" else f"{folder}/{listed.id}")
        known = listed.native is not None
        repository = (
            self._identities.repository(key, listed.id, 0, artefact)
            if known
            else self._identities.named(key, listed.id)
        )
        return HubTarget(artefact, f"{folder}/{listed.id}", key, repository)

    def account(self, login: str | None, activity: str) -> Account:
        """The account of a login. A deleted account is one of its own for each activity."""
        if not login or login == DELETED:
            return Account(DELETED, hash_name(f"{PLATFORM}:{DELETED}:{activity}", self._actor_key), False)
        native = login.casefold()
        known = self._identities.accounts.get(native)
        return known if known is not None else self._identities.account(native, login)

    def commit(self, target: HubTarget, commit: Commit, received: int) -> Activity:
        author = commit.authors[0].user if commit.authors else None
        activity = self._activity(target, "commit", commit.id, author, parse_time(commit.date), received)
        activity.commits = 1
        return activity

    def opened(
        self, target: HubTarget, thread: HubThread, body: str | None, author: HubPerson | None, received: int
    ) -> Activity:
        """A discussion or pull request; `author` is the one with flags, if the thread's events show it."""
        kind = "pull_request" if thread.is_pull_request else "discussion"
        name = thread.author.name if thread.author else None
        activity = self._activity(target, kind, str(thread.num), name, parse_time(thread.created_at), received)
        activity.action = "opened"
        activity.thread = thread.num
        activity.affiliation = _affiliation(author or thread.author)
        if kind == "discussion":
            activity.text = public_text(thread.title, body)
        return activity

    def commented(self, target: HubTarget, thread: HubThread, event: HubEvent, received: int) -> Activity:
        kind = "pull_request_comment" if thread.is_pull_request else "discussion_comment"
        return self._happened(target, thread, kind, "created", event, received)

    def renamed(self, target: HubTarget, thread: HubThread, event: HubEvent, received: int) -> Activity:
        return self._happened(
            target, thread, "pull_request" if thread.is_pull_request else "discussion", "renamed", event, received
        )

    def changed(self, target: HubTarget, thread: HubDetails, event: HubEvent, received: int) -> list[Activity]:
        """A change of status. A merge is two activities: upkeep of the account that merged, and the accepted
        contribution of the one that opened the pull request.
        """
        action = _ACTIONS.get(read_changed(event.data).status)
        if action is None:
            raise DeadLetter("unknown-type")
        kind = "pull_request" if thread.is_pull_request else "discussion"
        activity = self._happened(target, thread, kind, action, event, received)
        if action != "merged":
            return [activity]
        opener = self.account(thread.author.name if thread.author else None, activity.id + ":accepted")
        accepted = self._activity(target, kind, event.id, None, activity.occurred_at, received)
        accepted.id = activity.id + ":accepted"
        accepted.action = "accepted"
        accepted.thread = thread.num
        accepted.actor, accepted.bot = opener.hash, opener.bot
        return [activity, accepted]

    def liked(self, target: HubTarget, account: Account, received: int) -> Activity:
        """A like. The Hub states no time, so it is dated by when it was first seen."""
        return self._activity(target, "like", f"{account.hash:016x}", account.login, received, received)

    def created(self, target: HubTarget, listed: Listed, occurred_at: int, received: int) -> Activity:
        owner = listed.author or target.repository.owner
        activity = self._activity(target, "repository", "", owner, occurred_at, received)
        activity.action = "created"
        return activity

    def derived(
        self, target: HubTarget, listed: Listed, base: HubTarget, relation: str | None, occurred_at: int, received: int
    ) -> Activity:
        """A new model, as something done to the model that it was made from."""
        owner = listed.author or target.repository.owner
        activity = self._activity(base, "derivative", "", owner, occurred_at, received)
        activity.id = f"{PLATFORM}:derivative:{target.key}"
        activity.action = "created"
        activity.family = base.repository.name
        activity.relation = relation
        return activity

    def _happened(
        self, target: HubTarget, thread: HubThread, kind: str, action: str, event: HubEvent, received: int
    ) -> Activity:
        name = event.author.name if event.author else None
        activity = self._activity(target, kind, event.id, name, parse_time(event.created_at), received)
        activity.action = action
        activity.thread = thread.num
        activity.affiliation = _affiliation(event.author)
        return activity

    def _activity(
        self, target: HubTarget, kind: str, number: str, login: str | None, occurred_at: int, received: int
    ) -> Activity:
        if occurred_at > received + DAY:
            raise DeadLetter("future")
        identifier = f"{PLATFORM}:{kind}:{target.key}" + (f":{number}" if number else "")
        account = self.account(login, identifier)
        repository = target.repository
        return Activity(
            id=identifier,
            platform=PLATFORM,
            kind=kind,
            occurred_at=occurred_at,
            ingested_at=received,
            repo_id=repository.hash,
            repo=repository.name,
            owner=repository.owner,
            actor=account.hash,
            artefact=target.artefact,
            bot=account.bot,
            project=repository.project,
        )


def _affiliation(person: HubPerson | None) -> str | None:
    """How an author relates to the repository, by the flags; None if there are none.

    >>> _affiliation(HubPerson(is_owner=False, is_org_member=True)), _affiliation(HubPerson(is_owner=False, is_hf=True))
    ('internal', 'staff')
    >>> _affiliation(HubPerson())
    """
    if person is None:
        return None
    if person.is_owner or person.is_org_member:
        return "internal"
    if person.is_hf:
        return "staff"
    return "external" if person.is_owner is False or person.is_org_member is False else None
