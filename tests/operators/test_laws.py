"""Every summary obeys the same laws, and a summary that breaks one is caught."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from agents.operators.coverage import Coverage
from agents.operators.names import Names
from agents.operators.threads import Threads, Turn
from tests.operators.laws import FEEDS, LAWS, Case, summaries


def put_through(kind: type, law: Callable[[Case], None], phases: Sequence[Phase] = tuple(Phase)) -> None:
    """Search for a counterexample to the law."""
    feed = FEEDS[kind]
    updates = st.lists(feed.updates, max_size=6)

    @settings(
        max_examples=60, database=None, derandomize=True, deadline=None, phases=phases, report_multiple_bugs=False
    )
    @given(updates, updates, updates)
    def examples(a: list[Any], b: list[Any], c: list[Any]) -> None:
        law(Case(kind, feed, a, b, c))

    examples()


def put_through_all(kind: type) -> None:
    for law in LAWS:
        put_through(kind, law, phases=[Phase.generate])


def test_every_summary_has_a_feed() -> None:
    assert set(summaries()) == set(FEEDS)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("kind", FEEDS, ids=lambda kind: kind.__name__)
def test_summaries_obey_the_laws(kind: type, law: Callable[[Case], None]) -> None:
    put_through(kind, law)


@pytest.mark.parametrize("kind", FEEDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 40, b"taly\x09\x00\x04\x00" + b"\x00" * 8, b"\x92\x09\x90"],
    ids=["empty", "zeros", "tally 9", "9"],
)
def test_bytes_of_another_kind_or_version_are_refused(kind: Any, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a snapshot|of version"):
        kind.restore(data)


@pytest.mark.parametrize("kind", FEEDS, ids=lambda kind: kind.__name__)
def test_a_snapshot_cut_short_is_refused(kind: Any) -> None:
    summary = kind()
    updates = {
        Names: (1, 2, "a/b"),
        Coverage: (1, 2),
        Threads: Turn(1, 2, 3, 4, 5, b"6"),
    }
    update = updates[kind]
    FEEDS[kind].update(summary, update)
    data = summary.snapshot()
    with pytest.raises(ValueError, match=r"."):
        kind.restore(data[:-1])


def _forgets_what_waits(self: Any, other: Any) -> None:
    other._pending.clear()
    type(self).real_merge(self, other)


def _twice(self: Any, other: Any) -> None:
    type(self).real_merge(self, other)
    type(self).real_merge(self, other)


def _takes_the_other(self: Any, other: Any) -> None:
    other.pack()
    self.pack()
    self._packed = other._packed


def _other_name_wins(self: Names, other: Names) -> None:
    self.pack()
    for key, met in other.get_many(other.pack().keys.tolist()).items():
        minute = max(met[0], (self.get(key) or met)[0])
        self._pending[key] = (minute, met[1])


def _first_turn_wins(self: Threads, other: Threads) -> None:
    held = {turn[:3] for turn in self.get()}
    type(self).real_merge(self, _threads(turn for turn in other.get() if turn[:3] not in held))  # type: ignore[attr-defined]


def _one_turn_a_thread(self: Threads, other: Threads) -> None:
    held = {turn.thread for turn in self.get()}
    type(self).real_merge(self, _threads(turn for turn in other.get() if turn.thread not in held))  # type: ignore[attr-defined]


def _threads(turns: Iterable[Turn]) -> Threads:
    threads = Threads()
    for turn in turns:
        threads.put(turn)
    return threads


def _hull(self: Coverage, other: Coverage) -> None:
    intervals = self.get() + other.get()
    if intervals:
        self.add(min(start for start, _ in intervals), max(end for _, end in intervals))


def _appends(self: Coverage, other: Coverage) -> None:
    self._starts += other._starts
    self._ends += other._ends


MUTANTS = [
    (Names, "merge", _takes_the_other),
    (Names, "merge", _other_name_wins),
    (Threads, "merge", _first_turn_wins),
    (Threads, "merge", _one_turn_a_thread),
    (Threads, "merge", _takes_the_other),
    (Threads, "merge", _forgets_what_waits),
    (Coverage, "merge", _hull),
    (Coverage, "merge", _appends),
    *((kind, "merge", lambda self, other: None) for kind in FEEDS),
]


@pytest.mark.parametrize(
    ("kind", "verb", "wrong"), MUTANTS, ids=[f"{k.__name__}.{v}{w.__name__}" for k, v, w in MUTANTS]
)
def test_a_wrong_summary_breaks_a_law(
    kind: Any, verb: str, wrong: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "real_merge", kind.merge, raising=False)
    monkeypatch.setattr(kind, verb, wrong)
    with pytest.raises((AssertionError, ValueError)):
        put_through_all(kind)
