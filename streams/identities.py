"""Who and where: native ids and names become hashes, bots and projects, each computed once."""

import hashlib
from typing import Annotated, Final, TypeAlias

import msgspec

from streams.assignment import SOFTWARE, Assignment
from streams.bots import is_bot
from streams.errors import DeadLetter
from streams.watchlist import Watchlist

LONGEST_NAME: Final = 300
# The longest name that a decoder accepts: names are saved, and a cursor must not be larger than Kafka accepts.
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
# Takes the place of the login of a deleted account.
DELETED: Final = "deleted"


class Repository(msgspec.Struct, gc=False, eq=False):
    """A repository as activities name it; `native` is the platform's id. Each is equal to itself only.

    `stated`: its project is stated, whatever the watchlist says. `teaches`: a reader of archives may learn its project
    from its name.
    """

    native: int | str
    name: str
    hash: int
    owner: str
    project: str | None
    platform: str = "github"
    artefact: str = SOFTWARE
    stated: bool = False
    teaches: bool = True


class Account(msgspec.Struct, gc=False):
    """An account as activities name it; the login goes no further."""

    login: str
    hash: int
    bot: bool


class Identities:
    """The repositories and accounts of one platform that were met so far.

    The two dictionaries are public so that the hot path can look there first: `repositories` by name (the native id may
    have changed), `accounts` by native id (the login may have changed). Both are emptied at `LIMIT` entries, so that
    memory stays bounded.
    """

    # An entry takes 600 bytes. Most of what is met again was met lately.
    LIMIT: Final = 100_000

    def __init__(
        self,
        actor_key: bytes,
        watchlist: Watchlist,
        *,
        include_bots: bool = False,
        platform: str = "github",
        assignment: Assignment | None = None,
        unassigned: bool = False,
    ) -> None:
        """`unassigned`: repositories get no projects here, and nothing is learnt from them."""
        self.repositories: dict[str, Repository] = {}
        self.accounts: dict[int | str, Account] = {}
        self.assignment = assignment if assignment is not None else Assignment(watchlist, platform)
        self._unassigned = unassigned
        self._platform = platform
        self._include_bots = include_bots
        # Copying a hash that contains the key and the prefix takes half the time of a new one. The result equals that
        # of `activity.hash_name`.
        prefix = f"{platform}:".encode()
        self._repository_hash = hashlib.blake2b(prefix, digest_size=8)
        self._account_hash = hashlib.blake2b(prefix, digest_size=8, key=actor_key)

    def repository(self, native: int | str, name: str, at: int = 0, artefact: str = SOFTWARE) -> Repository:
        """Compute and remember a repository, called so at `at` (µs). An invalid name is a dead letter."""
        if not 0 < len(name) <= LONGEST_NAME or name == "/":
            raise DeadLetter("missing-field")
        if len(self.repositories) >= self.LIMIT:
            self.repositories.clear()
        digest = self.hash_of(native)
        project = None if self._unassigned else self._meet(digest, native, name, at, artefact)
        return self._remember(native, name, digest, project)

    def _meet(self, digest: int, native: int | str, name: str, at: int, artefact: str) -> str | None:
        known = self.assignment.knows(digest)
        project = self.assignment.meet(digest, native, name, at, artefact)
        if not known and project is not None:
            self.repositories.clear()  # it may be there under another name, without a project
        return project

    def named(self, native: str, name: str) -> Repository:
        """A repository whose id is not known, by its name alone; `native` replaces the id."""
        return self._remember(native, name, self.hash_of(native), self.assignment.by_name(name))

    def _remember(self, native: int | str, name: str, digest: int, project: str | None) -> Repository:
        owner = name.partition("/")[0]
        met = self.repositories[name] = Repository(native, name, digest, owner, project)
        return met

    def claim(self, native: int | str, name: str, at: int, place: str, artefact: str = SOFTWARE) -> bool:
        """Learn that an entry of the watchlist (`owner/name`) means a repository. Whether that is possible."""
        digest = self.hash_of(native)
        if not self.assignment.knows(digest):
            self.repositories.clear()
        return self.assignment.claim(digest, native, name, at, place, artefact)

    def hash_of(self, native: int | str) -> int:
        """The hash of a repository's native id, as activities name it."""
        digest = self._repository_hash.copy()
        digest.update(str(native).encode())
        return int.from_bytes(digest.digest(), "little")

    def account(self, native: int | str, login: str) -> Account:
        """Compute and remember an account."""
        if len(self.accounts) >= self.LIMIT:
            self.accounts.clear()
        digest = self._account_hash.copy()
        digest.update(str(native).encode())
        bot = not self._include_bots and is_bot(login, self._platform)
        known = self.accounts[native] = Account(login, int.from_bytes(digest.digest(), "little"), bot)
        return known

    def nobody(self, activity: str) -> Account:
        """The actor of an activity whose account is missing or deleted: one of its own for each activity (by its id),
        so that it is counted.
        """
        digest = self._account_hash.copy()
        digest.update(f"{DELETED}:{activity}".encode())
        return Account(DELETED, int.from_bytes(digest.digest(), "little"), False)
