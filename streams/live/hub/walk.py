"""A walk through all repositories of one kind, from the one modified last back to where the last walk began."""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from streams.activity import DAY, MINUTE, Activity, hash_name
from streams.errors import DeadLetter
from streams.kafka.cursors import decoded
from streams.live.common.clock import Clock
from streams.live.common.health import FeedHealth
from streams.live.common.http import Oversized, unhurried
from streams.live.common.poll_result import Gap
from streams.live.hub.activities import HubActivities, HubTarget
from streams.live.hub.client import HubClient
from streams.live.hub.dead_letters import HubLetters
from streams.live.hub.shapes import FOLDERS, UNKNOWN_CREATION, HubBase, Listed, bases_of, decode_list, read_listed
from streams.times import parse_time

# A walk goes this much further back, because a listing has ties and moves while it is read.
OVERLAP: Final = 10 * MINUTE
PAGE: Final = 500
_MOST_PAGES: Final = 60
_MOST_REMEMBERED: Final = 25_000
_FIELDS: Final = ("author", "createdAt", "downloads", "downloadsAllTime", "gated", "lastModified", "likes", "sha")
EXPAND: Final = {
    "model": (*_FIELDS, "tags", "baseModels"),
    "dataset": (*_FIELDS, "tags"),
    "space": ("author", "createdAt", "lastModified", "likes", "sha", "tags"),
}


class WalkCursor(msgspec.Struct, array_like=True):
    """How far the walks of a kind have come: a cursor of at most about 900 kB. Times in µs, hashes of 64 bits.

    `began`: when the last complete walk began. `created` and `derived`: the repositories whose creation and lineage
    were published, with the time of creation, for a day.
    """

    began: int | None = None
    mark: int | None = None
    created: dict[int, int] = {}
    derived: dict[int, int] = {}


encode_walk: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(WalkCursor).decode


def decode_walk(feed: str, data: bytes | None) -> WalkCursor:
    """The cursor of an earlier run, or a new one. Raises `StreamsError` for one that cannot be read."""
    return WalkCursor() if data is None else decoded(feed, _decode, data)


def expand(artefact: str) -> list[tuple[str, str | int]]:
    """The query for the fields that are read, and for long pages."""
    return [("limit", PAGE), *(("expand", name) for name in EXPAND[artefact])]


@dataclass(slots=True)
class Walk:
    """What a walk of `pages` pages found, the last of which goes back to `oldest`.

    `since`: how far back it saw everything. `cursor`: where the next walk goes on when this one is published.
    """

    since: int
    cursor: WalkCursor
    activities: list[Activity] = field(default_factory=list)
    dead_letters: list[bytes] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    changes: dict[str, tuple[int, HubTarget, Listed]] = field(default_factory=dict)
    pages: int = 0
    oldest: int = 0


class HubWalks:
    """The walks of one kind. `names` are the ids of models by `models/NAME`, as far as known. `cursor` is that of the
    last walk.
    """

    def __init__(
        self,
        artefact: str,
        client: HubClient,
        activities: HubActivities,
        dead_letters: HubLetters,
        health: FeedHealth,
        clock: Clock,
        names: dict[str, str],
        cursor: WalkCursor,
    ) -> None:
        self.artefact = artefact
        self.cursor = cursor
        self._client = client
        self._activities = activities
        self._dead_letters = dead_letters
        self._health = health
        self._clock = clock
        self._names = names
        # (repository, SHA, last modification) within the overlap, in memory only: what a process had in hand when it
        # died is read again.
        self._seen: set[int] = set()

    def encode(self, mark: int | None) -> bytes:
        """The cursor of the last walk, with the feed's watermark."""
        return encode_walk(msgspec.structs.replace(self.cursor, mark=mark))

    async def walk(self) -> Walk:
        """Walk once. Raises `Unreachable`."""
        began = self._clock.now()
        old = self.cursor
        since = (began if old.began is None else old.began) - OVERLAP
        walk = Walk(
            since, WalkCursor(began, None, _younger(old.created, since - DAY), _younger(old.derived, since - DAY))
        )
        seen: set[int] = set()
        try:
            await self._through(walk, seen, began)
        except Oversized as error:
            if not walk.pages:
                raise
            # What the walk has read is published; what lies beyond is missing.
            walk.dead_letters += self._dead_letters.exceeding(self._health.feed, error)
            self._stop(walk)
        self._seen = seen
        # The cursor must fit into a record, whatever a walk has shown.
        walk.cursor.created, walk.cursor.derived = _younger(walk.cursor.created, 0), _younger(walk.cursor.derived, 0)
        return walk

    async def _through(self, walk: Walk, seen: set[int], began: int) -> None:
        """Read page after page, back to where the last walk began."""
        query = [("sort", "lastModified"), *expand(self.artefact)]
        async for page in self._client.listing(FOLDERS[self.artefact], decode_list, self._health, query):
            oldest = began
            async for line, raw in unhurried(page.content):
                try:
                    oldest = self._take(read_listed(raw), walk, seen, oldest, page.received)
                except DeadLetter as error:
                    walk.dead_letters += self._dead_letters.write(self._health.feed, page.address, line, error, raw)
            walk.pages += 1
            walk.oldest = oldest
            if oldest < walk.since:
                return
            if walk.pages == _MOST_PAGES:
                self._stop(walk)
                return

    def _stop(self, walk: Walk) -> None:
        """End a walk before it has come to where the last one began."""
        walk.gaps.append(Gap(feed=self._health.feed, start=walk.since, end=walk.oldest, reason="overflow"))
        walk.since = walk.oldest

    def _take(self, listed: Listed, walk: Walk, seen: set[int], oldest: int, received: int) -> int:
        """Take a listed repository. Returns when the oldest repository of the walk so far was modified."""
        target = self._activities.target(self.artefact, listed)
        walk.activities += self._published(target, listed, walk.cursor, walk.since, received)
        if listed.last_modified is None:
            return oldest
        modified = parse_time(listed.last_modified)
        if modified >= walk.since:
            digest = hash_name(f"{target.key} {listed.sha} {listed.last_modified}")
            seen.add(digest)
            if digest not in self._seen:
                # The first one met is the newest: the walk goes on to older ones.
                walk.changes.setdefault(target.key, (modified, target, listed))
        return min(oldest, modified)

    def _published(
        self, target: HubTarget, listed: Listed, cursor: WalkCursor, since: int, received: int
    ) -> list[Activity]:
        """The creation of a repository that is younger than a day, and what it was made from, each once."""
        if listed.created_at is None or listed.created_at.startswith(UNKNOWN_CREATION):
            return []
        created_at = parse_time(listed.created_at)
        if created_at < since - DAY:
            return []
        digest = hash_name(target.key)
        found: list[Activity] = []
        if digest not in cursor.created:
            found.append(self._activities.created(target, listed, created_at, received))
            cursor.created[digest] = created_at
        if self.artefact == "model" and digest not in cursor.derived and (bases := bases_of(listed)):
            base, relation = self._watched_first(bases)
            found.append(self._activities.derived(target, listed, base, relation, created_at, received))
            cursor.derived[digest] = created_at
        return found

    def _watched_first(self, bases: list[tuple[HubBase, str | None]]) -> tuple[HubTarget, str | None]:
        """Of several bases (a merge of models) the watched one, else the first: a derivative is one activity of one
        repository.
        """
        places = [
            (
                self._activities.target("model", HubBase(base.id, base.native or self._names.get(f"models/{base.id}"))),
                relation,
            )
            for base, relation in bases
        ]
        return next((pair for pair in places if pair[0].repository.project is not None), places[0])


def _younger(times: dict[int, int], floor: int) -> dict[int, int]:
    """The entries that are not older than a time, the youngest if there are too many."""
    kept = [(digest, time) for digest, time in times.items() if time >= floor]
    if len(kept) > _MOST_REMEMBERED:
        kept = sorted(kept, key=lambda pair: pair[1])[-_MOST_REMEMBERED:]
    return dict(kept)
