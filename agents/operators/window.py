"""Windows as running sums of panes: a pane's new version adds (new - old), one that leaves the window subtracts;
nothing is recomputed.

The windows `1h`, `24h`, `7d` and `30d` are n steps of event time that end with the step of the front, the current
partial one included.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from agents.measurements import Measurement
from agents.operators.counts import Counts
from agents.operators.coverage import Coverage
from agents.operators.evaluate import evaluate, totals
from agents.operators.grains import GRAINS, SCOPES, STEP, floor, is_closed
from agents.operators.names import Names
from agents.operators.pane import RecordKey, complete
from agents.operators.progress import Progress
from agents.operators.tally import Keys, RunningTally, Tally, Values, sum_tallies
from agents.operators.top import Top
from streams.activity import PLATFORMS, partition_of

WINDOWS: Final = {"1h": ("minute", 60), "24h": ("hour", 24), "7d": ("hour", 168), "30d": ("day", 30)}

# The busiest repositories that are named, and how many ranks one of them may lose before it leaves.
TOP: Final = 50
HOLD: Final = 10

# (grain, start in µs)
Piece = tuple[str, int]


def bounds(window: str, front: int) -> tuple[int, int]:
    """[begin, end) of a window in µs: n steps up to and with the one of the front.

    >>> hour = STEP["hour"]
    >>> begin, end = bounds("24h", 30 * hour + 5)
    >>> begin / hour, end / hour
    (7.0, 31.0)
    """
    grain, steps = WINDOWS[window]
    end = floor(front, grain) + STEP[grain]
    return end - steps * STEP[grain], end


class Content(NamedTuple):
    """One version of a pane as a window counts it; arrays are views of the records' bytes."""

    version: int
    counts: dict[str, int]
    repositories: list[tuple[Keys, Values]]
    people: list[tuple[Keys, Values]]
    names: list[Names]


class PaneVersions:
    """The committed panes of one source partition and scope: their records, and a number that grows with each change."""

    def __init__(self) -> None:
        self.records: dict[Piece, dict[tuple[str, int, int], bytes]] = {}
        self.versions: dict[Piece, int] = {}
        self._contents: dict[Piece, Content] = {}
        self._count = 0

    def put(self, key: RecordKey, value: bytes) -> None:
        piece = key.grain, key.start
        records = self.records.setdefault(piece, {})
        records[key.summary, key.shard, key.shards] = value
        if key.shards > 1:
            # When the number of shards has grown, the records of the smaller number are replaced as a whole.
            own = [place for place in records if place[0] == key.summary]
            if sum(place[2] == key.shards for place in own) == key.shards:
                for place in own:
                    if place[2] < key.shards:
                        del records[place]
        # Never the same number twice, not even for a piece that was forgotten meanwhile.
        self._count += 1
        self.versions[piece] = self._count

    def content(self, piece: Piece) -> Content:
        """The current version, decoded."""
        version = self.versions[piece]
        content = self._contents.get(piece)
        if content is None or content.version != version:
            by_summary = {
                name: complete({place: data for place, data in self.records[piece].items() if place[0] == name})
                for name in ("counts", "repositories", "people", "names")
            }
            content = self._contents[piece] = Content(
                version,
                Counts.restore(by_summary["counts"][0]).get() if by_summary["counts"] else {},
                [Tally.restore(data).pack() for data in by_summary["repositories"]],
                [Tally.restore(data).pack() for data in by_summary["people"]],
                [Names.restore(data) for data in by_summary["names"]],
            )
        return content

    def names(self) -> Iterator[Names]:
        """The names of all panes."""
        return (names for piece in self.records for names in self.content(piece).names)

    def pieces(self, grain: str, begin: int, end: int, watermark: int | None) -> Iterator[Piece]:
        """What the steps from begin to end count by: a closed pane where the watermark closed it, else the finer ones."""
        for piece in self.records:
            own, start = piece
            if begin <= start < end and _counts(own, start, grain, watermark):
                yield piece

    def forget(self, before: dict[str, int], needed: Callable[[Piece], bool] = lambda piece: False) -> None:
        """Drop the panes that start earlier than their grain's bound, except those that are still needed."""
        for piece in [p for p in self.records if p[1] < before[p[0]] and not needed(p)]:
            del self.records[piece], self.versions[piece]
            self._contents.pop(piece, None)


def _in_open_hour(piece: Piece, watermark: int | None) -> bool:
    """Whether the piece is a minute whose hour is not closed."""
    grain, start = piece
    return grain == "minute" and not is_closed("hour", floor(start, "hour"), watermark)


def _counts(grain: str, start: int, step: str, watermark: int | None) -> bool:
    """Whether a step of grain `step` counts the pane (grain, start): closed itself, and nothing coarser up to the step
    closed over it.
    """
    finest, coarsest = GRAINS.index(grain), GRAINS.index(step)
    if finest > coarsest or (grain != "minute" and not is_closed(grain, start, watermark)):
        return False
    return not any(is_closed(over, floor(start, over), watermark) for over in GRAINS[finest + 1 : coarsest + 1])


class WindowSum:
    """The running sum of one window and scope over all partitions."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.repositories = RunningTally()
        self.people = RunningTally()
        self.held: list[dict[Piece, Content]] = []
        self.changed = True

    def refresh(self, panes: list[PaneVersions], wanted: list[set[Piece]]) -> None:
        """Move to the wanted pieces of each partition at their current versions."""
        changes = _Changes()
        self.held += [{} for _ in range(len(panes) - len(self.held))]
        for held, versions, pieces in zip(self.held, panes, wanted, strict=True):
            for piece in [p for p in held if p not in pieces]:
                changes.add(held.pop(piece), -1)
            for piece in pieces:
                old = held.get(piece)
                if old is None or old.version != versions.versions[piece]:
                    if old is not None:
                        changes.add(old, -1)
                    held[piece] = versions.content(piece)
                    changes.add(held[piece], 1)
        if changes.any:
            changes.apply(self)
            self.changed = True


class _Changes:
    """Signed contents, gathered to be summed once."""

    def __init__(self) -> None:
        self.any = False
        self._plus, self._minus = Counts(), Counts()
        self._repositories: list[tuple[Keys, Values]] = []
        self._people: list[tuple[Keys, Values]] = []

    def add(self, content: Content, sign: int) -> None:
        self.any = True
        counts = self._plus if sign > 0 else self._minus
        for key, n in content.counts.items():
            counts.add(key, n)
        self._repositories += [(keys, values * sign) for keys, values in content.repositories]
        self._people += [(keys, values * sign) for keys, values in content.people]

    def apply(self, window: WindowSum) -> None:
        window.counts.merge(self._plus)
        window.counts.subtract(self._minus)
        window.repositories.add(*sum_tallies(self._repositories))
        window.people.add(*sum_tallies(self._people))


class Windows:
    """All windows of both scopes over all partitions; fed with the committed records of `panes`, partition by
    partition.
    """

    def __init__(self, partitions: int) -> None:
        self.progress: list[Progress | None] = [None] * partitions
        self._pending: list[list[tuple[RecordKey, bytes]]] = [[] for _ in range(partitions)]
        self._panes = {scope: [PaneVersions() for _ in range(partitions)] for scope in SCOPES}
        self._sums = {(scope, window): WindowSum() for scope in SCOPES for window in WINDOWS}
        self._tops = {key: Top(TOP, HOLD) for key in self._sums}
        self._final = False
        self._evaluated: dict[tuple[str, str], list[Measurement]] = {}

    def put(self, partition: int, key: RecordKey, value: bytes) -> None:
        """A pane's record; it counts from the progress that follows it. Windows need no ids and no threads."""
        if key.summary not in ("ids", "threads"):
            self._pending[partition].append((key, value))

    def commit(self, partition: int, progress: Progress) -> None:
        """The end of a checkpoint: the records before it are complete."""
        for key, value in self._pending[partition]:
            self._panes[key.scope][partition].put(key, value)
        self._pending[partition].clear()
        self.progress[partition] = progress

    @property
    def pending(self) -> bool:
        """Whether a checkpoint was read in part: its progress is still to come."""
        return any(self._pending)

    @property
    def unfinished(self) -> list[int]:
        """The partitions of which a checkpoint was read in part."""
        return [number for number, records in enumerate(self._pending) if records]

    def drop_unfinished(self, partition: int) -> None:
        """Forget what was read since the last progress: it is of no checkpoint."""
        self._pending[partition].clear()

    @property
    def front(self) -> int | None:
        """The newest front of all partitions (µs): windows end there."""
        fronts = [p.front for p in self.progress if p is not None and p.front is not None]
        return max(fronts, default=None)

    @property
    def watermark(self) -> int | None:
        """The oldest watermark of all partitions (µs), None while one of them has none."""
        marks = [p.watermark if p is not None else None for p in self.progress]
        return None if None in marks else min((mark for mark in marks if mark is not None), default=None)

    def refresh(self, windows: Collection[str] = WINDOWS) -> None:
        """Bring the windows of these names to the front."""
        front = self.front
        if front is None:
            return
        for (scope, window), total in self._sums.items():
            if window not in windows:
                continue
            begin, end = bounds(window, front)
            grain = WINDOWS[window][0]
            panes = self._panes[scope]
            wanted = [
                set(versions.pieces(grain, begin, end, progress.watermark if progress else None))
                for versions, progress in zip(panes, self.progress, strict=True)
            ]
            total.refresh(panes, wanted)
        if self.watermark is not None:
            self._forget(min(front, self.watermark))

    def _forget(self, oldest: int) -> None:
        """Drop panes that no window will count again. Before every partition has a watermark nothing is closed, and
        nothing is dropped.
        """
        bound = {
            grain: bounds(window, oldest)[0] for grain, window in (("minute", "1h"), ("hour", "7d"), ("day", "30d"))
        }
        for panes in self._panes.values():
            for versions, progress in zip(panes, self.progress, strict=True):
                # The longer windows count an hour by its minutes until it is closed.
                versions.forget(bound, partial(_in_open_hour, watermark=progress.watermark if progress else None))

    def evaluate(self, *, final: bool = False) -> list[Measurement]:
        """Every measurement, each window as it was last brought to the front."""
        return [m for window in WINDOWS for m in self.measure(window, final=final)] + self.totals()

    def measure(self, window: str, *, final: bool = False) -> list[Measurement]:
        """The measurements of one window, as it was last brought to the front. Sums that did not change are not
        evaluated again.

        `final`: no more activities will come, so the busiest repositories are ranked without hysteresis.
        """
        if final != self._final:
            self._final = final
            for place, total in self._sums.items():
                total.changed = True
                self._tops[place].hold = 0 if final else HOLD
        for scope, panes in self._panes.items():
            total = self._sums[scope, window]
            if total.changed:
                total.changed = False
                sums = total.counts.get(), total.repositories.get(), total.people.get()
                self._evaluated[scope, window] = evaluate(
                    scope, window, *sums, _NameFinder(panes), self._tops[scope, window]
                )
        own = [m for scope in SCOPES for m in self._evaluated.get((scope, window), [])]
        return own + list(self._coverage(window))

    def totals(self) -> list[Measurement]:
        """What was counted since the beginning."""
        measurements: list[Measurement] = []
        for scope in SCOPES:
            counts = Counts()
            for progress in self.progress:
                for key, n in (progress.totals[scope] if progress else {}).items():
                    counts.add(key, n)
            measurements += totals(scope, counts.get())
        return measurements

    def _coverage(self, window: str) -> Iterator[Measurement]:
        """Shares of a window that the feeds covered; what covers the repositories of everyone covers the watched ones
        too.
        """
        front = self.front
        if front is None:
            return
        for platform in PLATFORMS:
            shares = [_share(progress, platform, bounds(window, front)) for progress in self.progress]
            known = [share for share in shares if share is not None]
            if known and len(known) == len(shares):
                for scope in SCOPES:
                    labels = {"scope": scope, "platform": platform, "window": window}
                    yield Measurement("nomadwatch_window_coverage_ratio", labels, min(known))


def _share(progress: Progress | None, platform: str, window: tuple[int, int]) -> float | None:
    """Which share of a window the feeds covered; None where none of them has said anything of the platform."""
    feeds = [feed for feed in (progress.feeds.values() if progress else ()) if platform in feed.covered]
    coverage = Coverage()
    for feed in feeds:
        coverage.merge(feed.coverage(platform))
    share = coverage.share(*window)
    return 0.0 if share is None and feeds else share


class _NameFinder:
    """Names of repositories by key: the newest that any pane still held knows."""

    def __init__(self, panes: list[PaneVersions]) -> None:
        self._panes = panes
        self._found: dict[int, str] = {}

    def __call__(self, keys: Sequence[int]) -> dict[int, str]:
        missing: dict[int, list[int]] = {}
        for key in keys:
            if key not in self._found:
                missing.setdefault(partition_of(key, len(self._panes)), []).append(key)
        for number, wanted in missing.items():
            best: dict[int, tuple[int, str]] = {}
            for names in self._panes[number].names():
                for key, met in names.get_many(wanted).items():
                    if best.setdefault(key, met) < met:
                        best[key] = met
            self._found.update((key, name) for key, (_, name) in best.items())
        return self._found
