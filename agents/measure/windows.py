"""Windows and views along the front, over a store of rows: what enters is added, what leaves is read back and removed.

Invariant: after every move, each window and view is the sum of the store's rows that lie in its [begin, end), in
whatever order they came. A late row is a row like any other.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from agents.facts import WATCHED, Rows
from agents.family import Family, View
from agents.measure.incoming import Incoming
from agents.measure.store import Store
from agents.measure.sums import RunningSum, Sum
from agents.measurements import Measurement
from agents.metrics import FAMILIES
from agents.operators.progress import Progress
from agents.operators.reach import SCOPES
from agents.operators.top import Top
from streams.activity import DAY
from streams.windows import WINDOWS

logger = logging.getLogger("nomadwatch.measure")

# The busiest repositories that are named, and how many ranks one of them may lose before it leaves.
TOP: Final = 50
HOLD: Final = 10
# Rows that are read at once when the windows are filled from the store.
_TOGETHER: Final = 200_000

Bounds = tuple[int, int]


class _Held:
    """A family's view, and the [begin, end) that it holds."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.bounds: Bounds = (0, 0)

    def own(self, rows: Rows) -> Rows:
        return rows[rows["flags"] & WATCHED > 0] if self.view.watched else rows


class Windows:
    """All windows of both scopes and all views of the families, over one store."""

    def __init__(
        self, store: Store, partitions: int, families: Sequence[Family] = FAMILIES, views: Sequence[View] = ()
    ) -> None:
        """`views` are kept beside those of the families."""
        self.store = store
        self.incoming = Incoming(store, partitions)
        self._families = families
        self._sums = {(scope, window): RunningSum() for scope in SCOPES for window in WINDOWS}
        self._tops = {place: Top(TOP, HOLD) for place in self._sums}
        self._views = [_Held(view) for view in (*(own for family in families for own in family.views()), *views)]
        self._kept: tuple[Bounds, Rows] | None = None
        self._bounds: dict[str, Bounds] = dict.fromkeys(WINDOWS, (0, 0))
        self._evaluated: dict[tuple[str, str], list[Measurement]] = {}
        self._final = False
        self._front: int | None = None
        self._told = False

    def take_up(self) -> None:
        """Move everything to the front, then count what has come."""
        if not self.incoming:
            return
        front = self.front
        if front is not None:
            self.move(front)
        self._add(self.incoming.store())

    @property
    def progress(self) -> list[Progress | None]:
        """What each partition has reached."""
        return self.incoming.progress

    @property
    def front(self) -> int | None:
        """The newest front of all partitions (µs), which never goes back: windows end there."""
        fronts = [p.front for p in self.progress if p is not None and p.front is not None]
        self._front = max([*fronts, *([] if self._front is None else [self._front])], default=None)
        return self._front

    @property
    def watermark(self) -> int | None:
        """The oldest watermark of all partitions (µs), None while one of them has none."""
        marks = [p.watermark if p is not None else None for p in self.progress]
        return None if None in marks else min((mark for mark in marks if mark is not None), default=None)

    def move(self, front: int, until: int | None = None) -> None:
        """Bring everything to a front; of what lies at `until` (µs) and later nothing enters yet."""
        gone: dict[Bounds, list[str]] = {}
        come: dict[Bounds, list[str]] = {}
        for window, step in WINDOWS.items():
            before, after = self._bounds[window], _capped(step.bounds(front), until)
            self._bounds[window] = after
            if before[1] <= after[0]:
                # Everything leaves: nothing has to be read back.
                for scope in SCOPES:
                    self._sums[scope, window] = RunningSum()
                before = after[0], after[0]
            gone.setdefault((before[0], after[0]), []).append(window)
            come.setdefault((before[1], after[1]), []).append(window)
        for changes, sign in ((gone, -1), (come, 1)):
            for (begin, end), windows in changes.items():
                for rows in self._read(begin, end):
                    self._change(windows, rows, sign)
        for held in self._views:
            self._move_view(held, front, until)
        self._kept = None

    def _move_view(self, held: _Held, front: int, until: int | None) -> None:
        span = held.view.span
        after = _capped((0, front + 1) if span is None else span.bounds(front), until)
        (begin, end), held.bounds = held.bounds, after
        for rows in self._read(begin, min(end, after[0])):
            held.view.remove(held.own(rows))
        for rows in self._read(max(end, after[0]), after[1]):
            held.view.add(held.own(rows))

    def _read(self, begin: int, end: int) -> Iterator[Rows]:
        """The store's rows in parts that are not too large. A part that is one whole is kept for who asks next."""
        if begin >= end:
            return
        if self._kept is not None and self._kept[0] == (begin, end):
            if len(self._kept[1]):
                yield self._kept[1]
            return
        cuts = [begin, end] if end - begin <= DAY else _cuts(self.store.hours(), begin, end)
        for first, last in pairwise(cuts):
            rows = self.store.read(first, last)
            if len(cuts) == 2:
                self._kept = (begin, end), rows
            if len(rows):
                yield rows

    def _change(self, windows: Collection[str], rows: Rows, sign: int) -> None:
        for scope, own in _by_scope(rows):
            total = Sum.of(own)
            for window in windows:
                if sign > 0:
                    self._sums[scope, window].add(total)
                else:
                    self._sums[scope, window].remove(total)

    def _add(self, rows: Rows) -> None:
        """Add new rows wherever they lie. The windows lie within each other, so each row is sorted once."""
        if not len(rows):
            return
        for scope, own in _by_scope(rows):
            part: Sum | None = None
            for window, (begin, end) in self._bounds.items():
                inside = (own["time"] >= begin) & (own["time"] < end)
                if inside.any():
                    more = Sum.of(own if inside.all() else own[inside])
                    part = more if part is None else Sum.total([part, more])
                    own = own[~inside]
                if part is not None:
                    self._sums[scope, window].add(part)
        for held in self._views:
            begin, end = held.bounds
            own = held.own(rows[(rows["time"] >= begin) & (rows["time"] < end)])
            if len(own):
                held.view.add(own)

    def fill(self) -> Iterator[None]:
        """After a start: everything from the store, some hours at a time, between which it yields. What has come must
        be in the store.
        """
        front = self.front
        if front is None:
            return
        self._bounds = {window: span.bounds(front) for window, span in WINDOWS.items()}
        for held in self._views:
            held.bounds = (0, front + 1) if held.view.span is None else held.view.span.bounds(front)
        bounds = [*self._bounds.values(), *(held.bounds for held in self._views)]
        for rows in self._read(min(begin for begin, _ in bounds), max(end for _, end in bounds)):
            self._add(rows)
            yield
        self._kept = None

    # What is measured.

    def evaluate(self, *, final: bool = False) -> list[Measurement]:
        """Every measurement."""
        return [m for window in WINDOWS for m in self.measure(window, final=final)] + self.totals()

    def measure(self, window: str, *, final: bool = False) -> list[Measurement]:
        """The measurements of one window. Sums that did not change are not evaluated again.

        `final`: no more activities will come, so the busiest repositories are ranked without hysteresis.
        """
        if final != self._final:
            self._final = final
            for place, total in self._sums.items():
                total.changed = True
                self._tops[place].hold = 0 if final else HOLD
        for scope in SCOPES:
            total = self._sums[scope, window]
            if total.changed:
                total.changed = False
                own = total.sums(scope, window, self.store.projects, self.names, self._tops[scope, window])
                self._evaluated[scope, window] = [m for family in self._families for m in family.of_window(own)]
                self._tell(scope, window, total.below_zero)
        found = [m for scope in SCOPES for m in self._evaluated.get((scope, window), [])]
        front = self.front
        if front is not None:
            bounds = WINDOWS[window].bounds(front)
            for family in self._families:
                found += family.of_coverage(window, bounds, self.progress)
            for held in self._views:
                if held.view.window == window:
                    found += held.view.evaluate(front)
        return found

    def names(self, keys: Sequence[int]) -> dict[int, str]:
        """The newest names of repositories, whatever stands in the place of their codes."""
        return self.store.names(keys)

    def totals(self) -> list[Measurement]:
        """What was counted since the beginning."""
        return [m for family in self._families for m in family.of_totals(self.progress)]

    @property
    def below_zero(self) -> int:
        """Sums of all windows that are below 0."""
        return sum(total.below_zero for total in self._sums.values())

    def _tell(self, scope: str, window: str, below_zero: int) -> None:
        if below_zero and not self._told:
            self._told = True
            logger.warning(
                "%d sums of the window %s (%s) are below 0 and left out: rows were withdrawn that were never sent",
                below_zero, window, scope,
            )  # fmt: skip


def _capped(bounds: Bounds, until: int | None) -> Bounds:
    begin, end = bounds
    return bounds if until is None else (begin, max(begin, min(end, until)))


def _by_scope(rows: Rows) -> Iterable[tuple[str, Rows]]:
    yield "all", rows
    watched = rows[rows["flags"] & WATCHED > 0]
    if len(watched):
        yield "watched", watched


def _cuts(hours: dict[int, int], begin: int, end: int) -> list[int]:
    """Where to cut [begin, end) so that about _TOGETHER rows lie in each part."""
    cuts, waiting = [begin], 0
    for hour, n in hours.items():
        if waiting + n > _TOGETHER and begin < hour < end:
            if hour > cuts[-1]:
                cuts.append(hour)
            waiting = 0
        waiting += n
    return [*cuts, end]
