"""One source partition: batches of activities become panes. Knows nothing of Kafka and of no clock: the same batches
give the same panes.

For each batch: its mark may raise the watermark, `close` then merges what became due, `take` counts the activities.
`checkpoint` hands out what changed; the caller writes it in one transaction and says so with `committed`.

Merges are credited here, where all that happens to a repository meets: the accepted contributions that panes count
follow from the turns of threads that they hold (see `accepted`), and each batch changes them by what its own turns
change.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

from agents.operators.accepted import Credit, Credits, accepted, turns_of
from agents.operators.columns import Columns
from agents.operators.grains import ACCEPTED, GRAINS, SCOPES, STEP, floor, is_closed, is_kept, oldest_day
from agents.operators.pane import Pane, RecordKey
from agents.operators.progress import Progress, decode_progress, encode_progress
from agents.operators.threads import ACCEPTED as NAMED
from agents.operators.threads import MERGED, Turn
from streams.activity import MINUTE, Activity, Batch, hash_ids

# (scope, grain, start in µs)
Address = tuple[str, str, int]
Record = tuple[bytes, bytes | None]


class _Group(NamedTuple):
    """Activities of one minute with the hashes of their ids, and turns of threads."""

    activities: list[Activity]
    ids: list[int]
    turns: list[Turn]


class Partition:
    """The panes of one source partition and its progress."""

    def __init__(self, number: int, progress: Progress | None = None, panes: dict[Address, Pane] | None = None) -> None:
        self.number = number
        self.progress = progress or Progress()
        self.panes: dict[Address, Pane] = panes or {}
        self._changed: set[Address] = set()
        self._unclosed: dict[str, set[int]] = {"hour": set(), "day": set()}
        self._routes: dict[int, dict[str, list[Address]]] = {}
        self._committed_watermark = self.progress.watermark
        # Between `advance` and `take`: the offset says more than the panes hold.
        self.torn = False
        for _, grain, start in self.panes:
            self._await_closing(grain, start)
        self._credits = Credits(
            threads for pane in self.panes.values() if pane.threads is not None for threads in pane.threads.shards
        )

    @property
    def progress_key(self) -> bytes:
        return f"progress/{self.number}".encode()

    @classmethod
    def restore(cls, number: int, records: Iterable[tuple[bytes, bytes]]) -> Self:
        """The partition of the records that its checkpoints left: the last value of each key, tombstoned ones left out.

        All of them are sound (`sound.read`).
        """
        progress: Progress | None = None
        contents: dict[Address, dict[tuple[str, int, int], bytes]] = {}
        for key, value in records:
            if key.startswith(b"progress/"):
                progress = decode_progress(value)
                continue
            k = RecordKey.parse(key)
            contents.setdefault((k.scope, k.grain, k.start), {})[k.summary, k.shard, k.shards] = value
        panes = {address: Pane.restore(own, with_ids=address[0] == "all") for address, own in contents.items()}
        return cls(number, progress, panes)

    def advance(self, offset: int, batch: Batch) -> bool:
        """Take up a batch's offset and mark; False if its activities were taken in before and must not be taken again."""
        self.progress.offset = offset
        if self.progress.is_repeated(batch):
            return False
        before = self.progress.watermark
        self.progress.advance(batch)
        if self.progress.watermark != before:
            self._routes.clear()
        self.torn = True
        return True

    @property
    def closing_due(self) -> bool:
        """Whether the watermark has passed something that must be closed before activities are taken."""
        return any(
            is_closed(grain, start, self.progress.watermark)
            for grain in ("hour", "day")
            for start in self._unclosed[grain]
        )

    def close(self) -> Iterator[None]:
        """Merge what is due, hours before days, yielding between slices of a few milliseconds."""
        for grain, finer in (("hour", "minute"), ("day", "hour")):
            for start in sorted(self._unclosed[grain]):
                if not is_closed(grain, start, self.progress.watermark):
                    continue
                for scope in SCOPES:
                    steps = range(start, start + STEP[grain], STEP[finer])
                    panes = [self.panes[scope, finer, step] for step in steps if (scope, finer, step) in self.panes]
                    if panes:
                        merged = Pane(with_ids=scope == "all")
                        yield from merged.merge_in_slices(panes)
                        self.panes[scope, grain, start] = merged
                        self._changed.add((scope, grain, start))
                self._unclosed[grain].discard(start)
                if grain == "hour":
                    self._unclosed["day"].add(floor(start, "day"))
                yield

    def take(self, activities: Sequence[Activity]) -> None:
        """Count activities, each once: one that was met before is a duplicate, one too old to be told from one is late."""
        minutes: dict[int, list[Activity]] = {}
        for activity in activities:
            minute = activity.occurred_at // MINUTE
            if minute in minutes:
                minutes[minute].append(activity)
            else:
                minutes[minute] = [activity]
        fresh = {minute: self._fresh(minute, group) for minute, group in minutes.items()}
        turns = [turn for own in fresh.values() for turn in own.turns]
        if turns:
            self._credit(turns, fresh)
        for minute, own in fresh.items():
            if own.ids or own.turns:
                self._count(minute, own)
        self.torn = False

    def _fresh(self, minute: int, group: list[Activity]) -> _Group:
        """What of the activities of one minute was not met before. Contributions that the source names as accepted are
        turns only.
        """
        progress = self.progress
        routes = self._routed(minute)
        if not routes["all"]:
            progress.late += len(group)
            return _Group([], [], [])
        ids = hash_ids(group)
        known = self._pane(routes["all"][0]).known(ids)
        if known:
            # What was only credited for its opening was not stated before.
            named = [turn for turn in turns_of(group, ids) if turn.action == NAMED]
            known -= {turn.id for turn in named} - self._credits.named(named)
        if known or len(set(ids)) != len(ids):
            before = len(ids)
            group, ids = _distinct(group, ids, known)
            progress.duplicates += before - len(ids)
        progress.activities += len(ids)
        turns = turns_of(group, ids)
        for turn in turns:
            if turn.action == NAMED:
                place = ids.index(turn.id)
                del group[place], ids[place]
        return _Group(group, ids, turns)

    def _credit(self, turns: list[Turn], fresh: dict[int, _Group]) -> None:
        """Add to a batch's groups the accepted contributions that its turns give; take away those that they take from
        others.
        """
        places = {turn.id: turn.place for turn in sorted(turns, reverse=True) if turn.place}
        merged = {turn.id for turn in turns if turn.action == MERGED}
        withdrawn: dict[int, _Group] = {}
        for thread, key, before, after in self._credits.take(turns, oldest_day("all", self.progress.watermark)):
            if before is not None:
                self._add(withdrawn, thread, key, before, None)
            elif key not in merged and self._is_counted(key, after):
                # Credited for an opening that is no longer kept.
                continue
            self._add(fresh, thread, key, after, places.get(key))
        for minute, group in withdrawn.items():
            self._count(minute, group, sign=-1)

    def _is_counted(self, key: int, credit: Credit) -> bool:
        route = self._routed(credit.at // MINUTE)["all"]
        return bool(route and self._pane(route[0]).known([key]))

    def _add(self, groups: dict[int, _Group], thread: int, key: int, credit: Credit, place: bytes | None) -> None:
        """Add the accepted contribution of a merge, whose place is asked of its pane if it is not given; none if that
        is no longer kept.
        """
        minute = credit.at // MINUTE
        route = self._routed(minute)["all"]
        if not route:
            return
        place = self._pane(route[0]).place(thread, key) if place is None else place
        if place is not None:
            group = groups.setdefault(minute, _Group([], [], []))
            group.activities.append(accepted(place, credit))
            group.ids.append(key)

    def _count(self, minute: int, group: _Group, sign: int = 1) -> None:
        """Count activities of one minute, or with sign -1 count them no longer."""
        routes = self._routed(minute)
        columns = {"all": Columns(minute, *group)}
        watched = [activity for activity in group.activities if activity.project is not None]
        if watched:
            columns["watched"] = Columns(minute, watched, [])
        for scope, own in columns.items():
            for address in routes[scope]:
                pane = self._pane(address)
                if sign > 0:
                    pane.absorb(own)
                else:
                    pane.withdraw(own)
                self._changed.add(address)
            totals = self.progress.totals[scope]
            for key, n in own.counts.items():
                if not key.startswith("project/"):
                    totals[key] = totals.get(key, 0) + sign * n
                    if not totals[key]:
                        del totals[key]

    def _routed(self, minute: int) -> dict[str, list[Address]]:
        """The panes of each scope that an activity of the minute goes into."""
        routes = self._routes.get(minute)
        if routes is None:
            routes = self._routes[minute] = {scope: self._route(scope, minute * MINUTE) for scope in SCOPES}
        return routes

    def _route(self, scope: str, time: int) -> list[Address]:
        """The panes that an activity of this time goes into: the finest still kept and every coarser one already closed
        over it.
        """
        watermark = self.progress.watermark
        if watermark is not None and time < watermark - ACCEPTED:
            return []
        route: list[Address] = []
        for grain in GRAINS:
            start = floor(time, grain)
            if is_kept(scope, grain, start, watermark) and (not route or is_closed(grain, start, watermark)):
                route.append((scope, grain, start))
        return route

    def _pane(self, address: Address) -> Pane:
        pane = self.panes.get(address)
        if pane is None:
            scope, grain, start = address
            pane = self.panes[address] = Pane(with_ids=scope == "all")
            self._await_closing(grain, start)
        return pane

    def _await_closing(self, grain: str, start: int) -> None:
        """A pane that its coarser one does not hold yet is merged into it when that closes."""
        coarser = {"minute": "hour", "hour": "day"}.get(grain)
        if coarser and not is_closed(coarser, floor(start, coarser), self.progress.watermark):
            self._unclosed[coarser].add(floor(start, coarser))

    def checkpoint(self) -> list[Record]:
        """What changed since the last one, to be written in one transaction, the progress last.

        Panes past their keep at the last committed watermark are dropped and tombstoned: never in the checkpoint that
        closed them. What is past its keep before it was ever written never is. Raises RuntimeError if the last batch
        was advanced by but not taken: such a state must never be written.
        """
        if self.torn:
            raise RuntimeError(f"partition {self.number} is in the middle of a batch")
        records: list[Record] = []
        for address in [a for a in self.panes if a not in self._changed and not is_kept(*a, self._committed_watermark)]:
            records += [(self._key(address, *place), None) for place in self.panes.pop(address).tombstones()]
        for address in sorted(self._changed):
            if not is_kept(*address, self.progress.watermark):
                # Opened, merged into its coarser pane and outlived since the last checkpoint: nobody will ask for it.
                continue
            for summary, shard, shards, value in self.panes[address].records():
                records.append((self._key(address, summary, shard, shards), value))
        self._changed.clear()
        records.append((self.progress_key, encode_progress(self.progress)))
        return records

    def committed(self) -> None:
        """The last checkpoint is committed."""
        self._committed_watermark = self.progress.watermark

    def _key(self, address: Address, summary: str, shard: int, shards: int) -> bytes:
        scope, grain, start = address
        return bytes(RecordKey(scope, self.number, summary, grain, start, shard, shards))


def _distinct(group: list[Activity], ids: list[int], known: set[int]) -> tuple[list[Activity], list[int]]:
    """The activities that are neither known nor repeated within the group, and their ids."""
    fresh: dict[int, Activity] = {}
    for activity, key in zip(group, ids, strict=True):
        if key not in known:
            fresh.setdefault(key, activity)
    return list(fresh.values()), list(fresh)
