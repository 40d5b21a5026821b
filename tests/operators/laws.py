"""The laws that every mergeable summary obeys, and how a summary of each kind is fed.

Two summaries are equal if their snapshots are: a snapshot is canonical, so this is a law as well.
"""

import copy
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st

import agents.operators
from agents.operators.coverage import Coverage
from agents.operators.names import Names
from agents.operators.threads import Threads, Turn

Update = Any
Summary = Any

# Few keys, so that they repeat, with the ends of the range among them.
KEYS = st.one_of(
    st.integers(0, 6),
    st.sampled_from([0x100, 0x1FF, 0x2A0, 0x3B7, 1 << 63, (1 << 64) - 1]),
    st.integers(0, (1 << 64) - 1),
)


class Feed(NamedTuple):
    """How a kind of summary takes an update in, what its content is, and what the content of updates must be, by plain
    means.
    """

    updates: st.SearchStrategy[Update]
    update: Callable[[Summary, Update], None]
    content: Callable[[Summary], object]
    expected: Callable[[list[Update]], object]


def _moments(updates: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Unit by unit, without merging intervals."""
    covered = sorted({moment for start, end in updates for moment in range(start, end)})
    starts = [m for m in covered if m - 1 not in covered]
    ends = [m + 1 for m in covered if m + 1 not in covered]
    return list(zip(starts, ends, strict=True))


def _newest(updates: list[tuple[int, int, str]]) -> dict[int, tuple[int, str]]:
    return {key: max((minute, name) for k, minute, name in updates if k == key) for key, _, _ in updates}


def _greatest(updates: list[Turn]) -> list[Turn]:
    return sorted({turn[:3]: turn for turn in sorted(updates)}.values())


FEEDS: dict[type, Feed] = {
    Names: Feed(
        st.tuples(KEYS, st.integers(0, 3), st.sampled_from(["", "a/b", "a/bc", "b/a", "ü/ß", "日本/語"])),
        lambda names, update: names.put(*update),
        lambda names: names.get_many(list(range(7)) + names.pack().keys.tolist()),
        _newest,
    ),
    Threads: Feed(
        st.builds(
            Turn,
            KEYS,
            KEYS,
            st.integers(0, 5),
            st.integers(-2, 2),
            st.integers(0, 2),
            st.sampled_from([b"", b"\x00", b"there"]),
        ),
        lambda threads, update: threads.put(update),
        lambda threads: threads.get(),
        _greatest,
    ),
    Coverage: Feed(
        st.tuples(st.integers(0, 30), st.integers(1, 8)).map(lambda pair: (pair[0], sum(pair))),
        lambda coverage, update: coverage.add(*update),
        lambda coverage: coverage.get(),
        _moments,
    ),
}


def summaries() -> Iterator[type]:
    """Every class of the operators with `merge` and `snapshot`."""
    for module in pkgutil.iter_modules(agents.operators.__path__, "agents.operators."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if getattr(kind, "_is_protocol", False):
                continue
            if kind.__module__ == module.name and all(hasattr(kind, verb) for verb in ("merge", "snapshot", "restore")):
                yield kind


class Case(NamedTuple):
    """Three lists of updates for one kind."""

    kind: type
    feed: Feed
    a: list[Update]
    b: list[Update]
    c: list[Update]

    def of(self, *parts: list[Update], packed: bool = False) -> Summary:
        """A summary of the updates; `packed`: a snapshot is taken after each of them, so that nothing waits to be
        packed.
        """
        summary = self.kind()
        for part in parts:
            for update in part:
                self.feed.update(summary, update)
                if packed:
                    summary.snapshot()
        return summary

    def merged(self, *summaries: Summary) -> Summary:
        whole = copy.deepcopy(summaries[0])
        for other in summaries[1:]:
            whole.merge(other)
        return whole


def same(one: Summary, other: Summary) -> None:
    assert one.snapshot() == other.snapshot()


def what_is_put_in_is_what_is_held(case: Case) -> None:
    for packed in (False, True):
        assert case.feed.content(case.of(case.a, case.b, packed=packed)) == case.feed.expected(case.a + case.b)


def empty_is_the_identity(case: Case) -> None:
    same(case.merged(case.of(case.a), case.kind()), case.of(case.a))
    same(case.merged(case.kind(), case.of(case.a)), case.of(case.a))


def merging_is_commutative(case: Case) -> None:
    same(case.merged(case.of(case.a), case.of(case.b)), case.merged(case.of(case.b), case.of(case.a)))


def merging_is_associative(case: Case) -> None:
    a, b, c = case.of(case.a), case.of(case.b, packed=True), case.of(case.c)
    same(case.merged(case.merged(a, b), c), case.merged(a, case.merged(b, c)))


def the_order_of_updates_does_not_matter(case: Case) -> None:
    same(case.of(case.a, case.b, case.c), case.of(case.c[::-1], case.a, case.b[::-1], packed=True))


def a_merge_of_parts_is_the_batch(case: Case) -> None:
    parts = case.of(case.a), case.of(case.b, packed=True), case.of(case.c)
    same(case.merged(*parts), case.of(case.a, case.b, case.c))


def merging_leaves_the_other_as_it_was(case: Case) -> None:
    a, b = case.of(case.a), case.of(case.b)
    before = b.snapshot()
    a.merge(b)
    for update in case.c:
        case.feed.update(a, update)
    a.merge(case.of(case.c))
    assert b.snapshot() == before


def a_restored_summary_goes_on(case: Case) -> None:
    restored = case.kind.restore(case.of(case.a).snapshot())  # type: ignore[attr-defined]
    same(restored, case.of(case.a))
    for update in case.b:
        case.feed.update(restored, update)
    restored.merge(case.of(case.c))
    same(restored, case.of(case.a, case.b, case.c))
    assert case.feed.content(restored) == case.feed.expected(case.a + case.b + case.c)


def the_merge_of_chunks_is_the_whole(case: Case) -> None:
    if not hasattr(case.kind, "split"):
        return
    for chunks in (1, 2, 8):
        parts = case.of(case.a, case.b).split(chunks)
        assert len(parts) == chunks
        for number, part in enumerate(parts):
            keys = part.pack()[0]
            assert all((key >> 8) % chunks == number for key in keys.tolist())
        same(case.merged(case.kind(), *parts[::-1]), case.of(case.a, case.b))


LAWS = (
    what_is_put_in_is_what_is_held,
    empty_is_the_identity,
    merging_is_commutative,
    merging_is_associative,
    the_order_of_updates_does_not_matter,
    a_merge_of_parts_is_the_batch,
    merging_leaves_the_other_as_it_was,
    a_restored_summary_goes_on,
    the_merge_of_chunks_is_the_whole,
)
