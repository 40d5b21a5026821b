"""One event of GitHub, of either payload era, becomes the activities that it stands for.

A merge stands for two: what the one who merged did (upkeep), and the accepted contribution of the one who opened the
pull request.
"""

import msgspec

from streams.activity import DAY, Activity
from streams.archive.timeline import read_by_hand
from streams.errors import DeadLetter
from streams.github_payloads import (
    LONGEST_ID,
    NOTHING,
    SHAPES,
    UNDECODABLE,
    Event,
    EventAccount,
    Line,
    decode_event,
    decode_merged,
    decode_opened,
)
from streams.identities import Account, Identities
from streams.texts import public_text
from streams.times import Times
from streams.values import clean


class GithubEvents:
    """Reads events with a memory of repositories, accounts and seconds met before. One for each reading.

    `identities` gives hashes, bots and projects; `now` is the moment of reading in µs: nothing was received later.
    """

    def __init__(self, identities: Identities, now: int) -> None:
        self._identities = identities
        self._repositories = identities.repositories
        self._accounts = identities.accounts
        self._times = Times()
        self._now = now
        self.platforms = {"github"}

    def read(self, line: Line, received: int | None = None) -> list[Activity]:
        """The one or two activities of an event; `received` in µs is when it was ingested (None: at its own time).

        Raises `DeadLetter` with the reason why the line cannot be measured.
        """
        try:
            return self._activities(decode_event(line), line, received)
        except UNDECODABLE:
            pass
        except DeadLetter as letter:
            if letter.reason != "missing-field":
                raise
        text = clean(line)
        return self._activities(read_by_hand(text), text, received)

    def _activities(self, event: Event, line: Line, received: int | None) -> list[Activity]:
        name = event.type
        payload = event.payload or NOTHING
        if name == "PushEvent":
            kind, action, thread, commits = "push", None, None, payload.size
        else:
            shape = SHAPES.get(name)
            if shape is None:
                raise DeadLetter("unknown-type")
            kind, action, thread = shape(payload)
            commits = None
        identifier = f"github:{name}:{event.id}"
        if len(identifier) > LONGEST_ID or not event.id:
            raise DeadLetter("not-an-event")
        occurred_at = self._times[event.created_at]
        ingested_at = received if received is not None else min(occurred_at, self._now)
        if occurred_at > ingested_at + DAY:
            raise DeadLetter("future")
        actor = event.actor
        if actor is None:
            account = self._identities.nobody(identifier)
        else:
            known = self._accounts.get(actor.id)
            account = (
                known
                if known is not None and known.login == actor.login
                else self._identities.account(actor.id, actor.login)
            )
        repo = event.repo
        repository = self._repositories.get(repo.name)
        if repository is None or repository.native != repo.id:
            repository = self._identities.repository(repo.id, repo.name, occurred_at)
        activity = Activity(
            id=identifier,
            platform="github",
            kind=kind,
            occurred_at=occurred_at,
            ingested_at=ingested_at,
            repo_id=repository.hash,
            repo=repository.name,
            owner=repository.owner,
            actor=account.hash,
            action=action,
            bot=account.bot,
            thread=thread,
            project=repository.project,
            commits=commits,
            simulated=event.simulated is True,
        )
        if (kind == "issue" and action == "opened") or (kind == "discussion" and action == "created"):
            activity.text = _text(line)
        elif action == "merged":
            opener = self._opener(line, actor)
            if opener is not None:
                return [activity, _accepted(activity, opener)]
        return [activity]

    def _opener(self, line: Line, actor: EventAccount | None) -> Account | None:
        """Who opened the pull request that an event merges, as far as the event says so.

        Old payloads state it. Today's only name the repository that the commits came from: its owner is the opener
        where the same account merged, for then it is a person; otherwise it may be an organisation, and the opener
        stays unknown.
        """
        try:
            request = decode_merged(line).payload.pull_request
        except UNDECODABLE:
            return None
        if request.user is not None:
            return self._identities.account(request.user.id, request.user.login)
        fork = request.head and request.head.repo
        owner = _owner_in(fork.url) if fork and fork.url else None
        if owner is not None and actor is not None and owner.casefold() == actor.login.casefold():
            return self._identities.account(actor.id, actor.login)
        return None


def _owner_in(url: str) -> str | None:
    """The owner in a repository's API address.

    >>> _owner_in("https://api.github.com/repos/ggml-org/llama.cpp")
    'ggml-org'
    """
    parts = url.split("/")
    return parts[-2] if len(parts) > 2 and parts[-3] == "repos" else None


def _text(line: Line) -> str | None:
    try:
        payload = decode_opened(line).payload
    except UnicodeDecodeError:
        return _text(clean(line))
    except UNDECODABLE:
        return None
    opened = payload.issue or payload.discussion
    return public_text(opened.title, opened.body) if opened else None


def _accepted(merge: Activity, opener: Account) -> Activity:
    return msgspec.structs.replace(
        merge, id=merge.id + ":accepted", action="accepted", actor=opener.hash, bot=opener.bot
    )
