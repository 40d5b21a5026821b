"""One event of GitHub, of either payload era, becomes its activities.

A merge becomes two: what the account that merged did (upkeep), and the accepted contribution of the account that opened
the pull request.
"""

from typing import Final

from streams.activity import DAY, Activity, activity_of
from streams.archive.timeline import read_by_hand
from streams.columns import BOT, NONE, SIMULATED, Act, Row, RowDetails
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


class Deeds(dict[tuple[str, str | None], Act]):
    """What is done on GitHub, by kind and action; made as they are met."""

    LIMIT: Final = 10_000

    def __missing__(self, key: tuple[str, str | None]) -> Act:
        if len(self) >= self.LIMIT:
            self.clear()
        deed = self[key] = Act("github", *key, "software")
        return deed


_PUSH: Final = Act("github", "push", None, "software")
_ACCEPTED: Final = Act("github", "pull_request", "accepted", "software")
# Kind and action of what is opened with a text.
_WITH_TEXT: Final = (("issue", "opened"), ("discussion", "created"))


class GithubEvents:
    """Reads events with a cache of repositories, accounts and seconds. Use one for each reading.

    `identities` gives hashes, bots and projects; `now` is the moment of reading in µs: nothing was received later.
    """

    def __init__(self, identities: Identities, now: int) -> None:
        self._identities = identities
        self._repositories = identities.repositories
        self._accounts = identities.accounts
        self._times = Times()
        self._deeds = Deeds()
        self._now = now

    def read(self, line: Line, received: int | None = None) -> list[Activity]:
        """The one or two activities of an event; `received` (µs) is when it was ingested (None: at its event time).

        Raises `DeadLetter` with the reason why the line cannot be measured.
        """
        return [activity_of(row) for row in self.rows(line, received)]

    def rows(self, line: Line, received: int | None = None) -> tuple[Row, ...]:
        """The same as rows."""
        try:
            return self._rows(decode_event(line), line, received)
        except UNDECODABLE:
            pass
        except DeadLetter as letter:
            if letter.reason != "missing-field":
                raise
        text = clean(line)
        return self._rows(read_by_hand(text), text, received)

    def _rows(self, event: Event, line: Line, received: int | None) -> tuple[Row, ...]:
        name = event.type
        payload = event.payload or NOTHING
        action, details = None, None
        if name == "PushEvent":
            deed, thread = _PUSH, NONE
            commits = NONE if payload.size is None else payload.size
        else:
            shape = SHAPES.get(name)
            if shape is None:
                raise DeadLetter("unknown-type")
            kind, action, number = shape(payload)
            deed, commits = self._deeds[kind, action], NONE
            thread = NONE if number is None else number
            if (kind, action) in _WITH_TEXT and (text := _text(line)) is not None:
                details = RowDetails(text=text)
        identifier = f"github:{name}:{event.id}"
        if len(identifier) > LONGEST_ID or not event.id:
            raise DeadLetter("not-an-event")
        occurred_at = self._times[event.created_at]
        ingested_at = received if received is not None else min(occurred_at, self._now)
        if occurred_at > ingested_at + DAY:
            raise DeadLetter("future")
        actor = event.actor
        account = self._identities.nobody(identifier) if actor is None else self._account(actor)
        repo = event.repo
        repository = self._repositories.get(repo.name)
        if repository is None or repository.native != repo.id:
            repository = self._identities.repository(repo.id, repo.name, occurred_at)
        flags = BOT if account.bot else 0
        if event.simulated is True:
            flags |= SIMULATED
        row = (
            identifier,
            occurred_at,
            ingested_at,
            account.hash,
            flags,
            deed,
            repository,
            commits,
            thread,
            details,
        )
        if action == "merged" and (opener := self._opener(line, actor)) is not None:
            return row, _accepted(row, opener)
        return (row,)

    def _account(self, account: EventAccount) -> Account:
        known = self._accounts.get(account.id)
        if known is not None and known.login == account.login:
            return known
        return self._identities.account(account.id, account.login)

    def _opener(self, line: Line, actor: EventAccount | None) -> Account | None:
        """The account that opened the pull request that an event merges, as far as the event states it.

        Old payloads state it. Today's name only the repository that the commits came from. If its owner is the account
        that merged, that is the opener, because then the owner is a person. Otherwise it may be an organisation, and
        the opener stays unknown.
        """
        try:
            request = decode_merged(line).payload.pull_request
        except UNDECODABLE:
            return None
        if request.user is not None:
            return self._account(request.user)
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


def _accepted(merge: Row, opener: Account) -> Row:
    identifier, occurred_at, ingested_at, _, flags, _, *rest = merge
    flags = flags & ~BOT | BOT * opener.bot
    return (f"{identifier}:accepted", occurred_at, ingested_at, opener.hash, flags, _ACCEPTED, *rest)
