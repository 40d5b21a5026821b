"""A pane: the summaries of one interval of event time, one scope and one source partition.

On the topic `panes` a pane is a handful of records, one a summary; a keyed summary that outgrows a record is spread
over shards by the hash of its own keys. The merge of panes is the pane of all their activities.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Generic, Self, TypeVar

from agents.operators.columns import Columns
from agents.operators.counts import Counts
from agents.operators.ids import Ids
from agents.operators.names import Names
from agents.operators.tally import Tally
from agents.operators.threads import Threads
from streams.activity import SECOND

# A record must stay well below what a broker takes in one piece.
RECORD_BYTES: Final = 500_000
# What a key takes in a record, its count or name included.
KEY_BYTES: Final = 16
# Keys that are merged without a pause: some ten milliseconds.
LARGE: Final = 100_000


class RecordKey:
    """The key of a pane's record: `SCOPE/PARTITION/SUMMARY/GRAIN/START/SHARD-SHARDS`, start in seconds since the epoch.

    >>> key = RecordKey("all", 3, "people", "hour", 1_424_642_400_000_000, 0, 1)
    >>> bytes(key)
    b'all/3/people/hour/1424642400/0-1'
    >>> RecordKey.parse(bytes(key)) == key
    True
    """

    __slots__ = ("grain", "partition", "scope", "shard", "shards", "start", "summary")

    def __init__(
        self, scope: str, partition: int, summary: str, grain: str, start: int, shard: int, shards: int
    ) -> None:
        self.scope, self.partition, self.summary, self.grain = scope, partition, summary, grain
        self.start, self.shard, self.shards = start, shard, shards

    @classmethod
    def parse(cls, key: bytes) -> Self:
        scope, partition, summary, grain, start, shard = key.decode().split("/")
        number, _, shards = shard.partition("-")
        return cls(scope, int(partition), summary, grain, int(start) * SECOND, int(number), int(shards))

    def __bytes__(self) -> bytes:
        text = f"{self.scope}/{self.partition}/{self.summary}/{self.grain}/{self.start // SECOND}/{self.shard}-{self.shards}"
        return text.encode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordKey) and bytes(self) == bytes(other)

    def __hash__(self) -> int:
        return hash(bytes(self))


S = TypeVar("S", Tally, Ids, Names, Threads)


class Sharded(Generic[S]):
    """A keyed summary in a power of two of shards; it knows which of them changed since they were last recorded."""

    __slots__ = ("changed", "recorded", "shards")

    def __init__(self, shards: list[S], recorded: int = 0) -> None:
        self.shards: list[S] = shards
        self.changed: set[int] = set()
        self.recorded = recorded

    def by_shard(self, keys: Iterable[int]) -> dict[int, list[int]]:
        """The keys of each shard that has some."""
        routes: dict[int, list[int]] = {}
        for key in keys:
            routes.setdefault((key >> 8) % len(self.shards), []).append(key)
        return routes

    def routed(self, keys: Iterable[int]) -> Iterator[tuple[S, Iterable[int]]]:
        """The shards that the keys change, each with its own."""
        if len(self.shards) == 1:
            self.changed.add(0)
            yield self.shards[0], keys
            return
        for shard, own in self.by_shard(keys).items():
            self.changed.add(shard)
            yield self.shards[shard], own

    def records(self) -> Iterator[tuple[int, int, bytes | None]]:
        """(shard, shards, bytes) of what changed; None for a record that is replaced because the number of shards grew."""
        if not self.changed:
            return
        data = {shard: self.shards[shard].snapshot() for shard in self.changed}
        before = len(self.shards)
        while max(map(len, data.values())) > RECORD_BYTES:
            halves = [shard.split(2 * len(self.shards)) for shard in self.shards]
            count = len(self.shards)
            self.shards = [halves[i % count][i] for i in range(2 * count)]
            data = {shard: part.snapshot() for shard, part in enumerate(self.shards)}
        if self.recorded and len(self.shards) != before:
            yield from ((shard, before, None) for shard in range(before))
        self.recorded = len(self.shards)
        self.changed.clear()
        yield from ((shard, len(self.shards), value) for shard, value in sorted(data.items()))

    def tombstones(self) -> Iterator[tuple[int, int]]:
        """(shard, shards) of everything that was recorded."""
        return ((shard, self.recorded) for shard in range(self.recorded))


class Pane:
    """The summaries of one interval: counts, repositories, people, names.

    Where `with_ids` also what is needed to count each thing once and to credit merges: the ids of what was counted, and
    `threads`.
    """

    __slots__ = ("counts", "counts_changed", "counts_recorded", "ids", "names", "people", "repositories", "threads")

    def __init__(self, *, with_ids: bool) -> None:
        self.counts = Counts()
        self.counts_changed = self.counts_recorded = False
        self.repositories = Sharded([Tally()])
        self.people = Sharded([Tally()])
        self.names = Sharded([Names()])
        self.ids = Sharded([Ids()]) if with_ids else None
        self.threads = Sharded([Threads()]) if with_ids else None

    def absorb(self, columns: Columns) -> None:
        """Take in activities that this pane has not met."""
        for key, n in columns.counts.items():
            self.counts.add(key, n)
        self.counts_changed = True
        for tally, keys in self.repositories.routed(columns.repositories):
            tally.update(keys)
        for tally, keys in self.people.routed(columns.people):
            tally.update(keys)
        for names, keys in self.names.routed(columns.names):
            names.put_many(keys, columns.minute, [columns.names[key] for key in keys])
        if self.ids is not None:
            for ids, keys in self.ids.routed(columns.ids):
                ids.update(keys)
        if self.threads is not None and columns.turns:
            for threads, keys in self.threads.routed(columns.turns):
                for turn in (turn for key in keys for turn in columns.turns[key]):
                    threads.put(turn)

    def withdraw(self, columns: Columns) -> None:
        """Count no longer what was absorbed; names, ids and threads stay.

        What is not there to be taken away, because the input contradicts itself, is let be: it must not stop the
        worker.
        """
        gone = Counts()
        for key, n in columns.counts.items():
            gone.add(key, n)
        _take_away(self.counts, gone)
        self.counts_changed = True
        for summary, all_keys in ((self.repositories, columns.repositories), (self.people, columns.people)):
            for tally, keys in summary.routed(all_keys):
                lost = Tally()
                lost.update(keys)
                _take_away(tally, lost)

    def known(self, ids: Sequence[int]) -> set[int]:
        """Those of the ids (u64) that were counted here."""
        assert self.ids is not None, "only panes with ids can tell duplicates"
        if len(self.ids.shards) == 1:
            return self.ids.shards[0].known(ids)
        known: set[int] = set()
        for shard, own in self.ids.by_shard(ids).items():
            known |= self.ids.shards[shard].known(own)
        return known

    def place(self, thread: int, key: int) -> bytes | None:
        """Where the merge of a thread was whose accepted contribution has the hashed id; None if it was not here."""
        assert self.threads is not None, "only panes with ids know threads"
        ((shard, _),) = self.threads.by_shard([thread]).items()
        held = self.threads.shards[shard].find({thread}).get(thread, [])
        # The merge's own word goes before that of what it accepted.
        return min(((turn.kind, turn.place) for turn in held if turn.id == key), default=(0, None))[1]

    def merge_in_slices(self, panes: Sequence["Pane"]) -> Iterator[None]:
        """Make this pane, which must be empty, the merge of others; yields between slices that each take a few
        milliseconds.
        """
        for pane in panes:
            self.counts.merge(pane.counts)
        self.counts_changed = True
        for name in self._keyed():
            sources = [getattr(pane, name) for pane in panes]
            # Most minutes see no pull request: what is empty is no record.
            if name != "threads" or any(len(shard) for source in sources for shard in source.shards):
                yield from _merge_in_slices(getattr(self, name), sources)

    def _keyed(self) -> list[str]:
        return ["repositories", "people", "names"] + (["ids", "threads"] if self.ids is not None else [])

    def records(self) -> Iterator[tuple[str, int, int, bytes | None]]:
        """(summary, shard, shards, bytes or None) of everything that changed since the last call."""
        if self.counts_changed:
            self.counts_changed, self.counts_recorded = False, True
            yield "counts", 0, 1, self.counts.snapshot()
        for name in self._keyed():
            for shard, shards, value in getattr(self, name).records():
                yield name, shard, shards, value

    def tombstones(self) -> Iterator[tuple[str, int, int]]:
        """(summary, shard, shards) of everything that was recorded."""
        if self.counts_recorded:
            yield "counts", 0, 1
        for name in self._keyed():
            for shard, shards in getattr(self, name).tombstones():
                yield name, shard, shards

    @classmethod
    def restore(cls, records: dict[tuple[str, int, int], bytes], *, with_ids: bool) -> Self:
        """The pane of its records: {(summary, shard, shards): bytes}."""
        pane = cls(with_ids=with_ids)
        if data := records.get(("counts", 0, 1)):
            pane.counts, pane.counts_recorded = Counts.restore(data), True
        for name in pane._keyed():
            own = complete({place: data for place, data in records.items() if place[0] == name})
            if own:
                kind: Any = type(getattr(pane, name).shards[0])
                setattr(pane, name, Sharded([kind.restore(own[shard]) for shard in range(len(own))], recorded=len(own)))
        return pane


def complete(records: dict[tuple[str, int, int], bytes]) -> list[bytes]:
    """Of one summary's records those of the largest number of shards of which each is there, in order; none where some
    are missing.
    """
    for shards in sorted({place[2] for place in records}, reverse=True):
        own = {place[1]: data for place, data in records.items() if place[2] == shards}
        if len(own) == shards:
            return [own[shard] for shard in range(shards)]
    return []


C = TypeVar("C", Counts, Tally)


def _take_away(summary: C, lost: C) -> None:
    try:
        summary.subtract(lost)
    except ValueError:
        return


def _merge_in_slices(merged: Sharded[S], sources: Sequence[Sharded[S]]) -> Iterator[None]:
    """Fill an empty summary with the merge of others, shard by shard."""
    kind = type(merged.shards[0])
    size = sum(len(shard) for source in sources for shard in source.shards)
    # As many shards as the largest source has, or as keep a record small if no key is met twice.
    count = max(*(len(source.shards) for source in sources), 1 << (size * KEY_BYTES // RECORD_BYTES).bit_length())
    parts: list[list[S]] = [[] for _ in range(count)]
    for source in sources:
        step = len(source.shards)
        for number, shard in enumerate(source.shards):
            split = shard.split(count) if count > step else None
            for target in range(number, count, step):
                parts[target].append(split[target] if split else shard)
        if size > LARGE:
            yield
    merged.shards = []
    for own in parts:
        merged.shards.append(kind.merged(own))
        if size > LARGE:
            yield
    merged.changed = set(range(count))
    yield
