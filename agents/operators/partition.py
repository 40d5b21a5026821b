"""One source partition: batches of activities become panes. Knows nothing of Kafka and of no clock: the same batches give the same panes.

For each batch: its mark may raise the watermark, `close` then merges what became due, `take` counts the activities. `checkpoint` hands out
what changed; the caller writes it in one transaction and says so with `committed`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from agents.operators.columns import Columns
from agents.operators.grains import ACCEPTED, GRAINS, SCOPES, STEP, floor, is_closed, is_kept
from agents.operators.pane import Pane, RecordKey
from agents.operators.progress import Progress, decode_progress, encode_progress
from streams.activity import MINUTE, Activity, Batch, hash_ids

# (scope, grain, start in µs)
Address = tuple[str, str, int]
Record = tuple[bytes, bytes | None]


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

    @property
    def progress_key(self) -> bytes:
        return f"progress/{self.number}".encode()

    @classmethod
    def restore(cls, number: int, records: Iterable[tuple[bytes, bytes]]) -> Self:
        """The partition of the records that its checkpoints left: the last value of each key, tombstoned ones left out."""
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
        return any(is_closed(grain, start, self.progress.watermark) for grain in ("hour", "day") for start in self._unclosed[grain])

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
        for minute, group in minutes.items():
            self._take_minute(minute, group)
        self.torn = False

    def _take_minute(self, minute: int, group: list[Activity]) -> None:
        progress = self.progress
        routes = self._routes.get(minute)
        if routes is None:
            routes = self._routes[minute] = {scope: self._route(scope, minute * MINUTE) for scope in SCOPES}
        if not routes["all"]:
            progress.late += len(group)
            return
        ids = hash_ids(group)
        known = self._pane(routes["all"][0]).known(ids)
        if known or len(set(ids)) != len(ids):
            before = len(ids)
            group, ids = _fresh(group, ids, known)
            progress.duplicates += before - len(ids)
            if not ids:
                return
        progress.activities += len(ids)
        self._count("all", routes["all"], Columns(minute, group, ids))
        watched = [activity for activity in group if activity.project is not None]
        if watched:
            self._count("watched", routes["watched"], Columns(minute, watched, []))

    def _route(self, scope: str, time: int) -> list[Address]:
        """The panes that an activity of this time goes into: the finest still kept and every coarser one already closed over it."""
        watermark = self.progress.watermark
        if watermark is not None and time < watermark - ACCEPTED:
            return []
        route: list[Address] = []
        for grain in GRAINS:
            start = floor(time, grain)
            if is_kept(scope, grain, start, watermark) and (not route or is_closed(grain, start, watermark)):
                route.append((scope, grain, start))
        return route

    def _count(self, scope: str, route: list[Address], columns: Columns) -> None:
        for address in route:
            self._pane(address).absorb(columns)
            self._changed.add(address)
        totals = self.progress.totals[scope]
        for key, n in columns.counts.items():
            if not key.startswith("project/"):
                totals[key] = totals.get(key, 0) + n

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

        Panes past their keep at the last committed watermark are dropped and tombstoned: never in the checkpoint that closed them. What is
        past its keep before it was ever written never is.
        Raises RuntimeError if the last batch was advanced by but not taken: such a state must never be written.
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


def _fresh(group: list[Activity], ids: list[int], known: set[int]) -> tuple[list[Activity], list[int]]:
    """The activities that are neither known nor repeated within the group, and their ids."""
    fresh: dict[int, Activity] = {}
    for activity, key in zip(group, ids, strict=True):
        if key not in known:
            fresh.setdefault(key, activity)
    return list(fresh.values()), list(fresh)
