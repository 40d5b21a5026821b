"""Lookups in summaries while they grow: names of keys, covered time, turns of threads."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.operators.coverage import Coverage
from agents.operators.names import Names
from agents.operators.threads import Threads, Turn
from tests.operators.laws import KEYS

quick = settings(deadline=None, database=None, derandomize=True)


@quick
@given(
    st.lists(st.tuples(KEYS, st.integers(0, 2), st.sampled_from(["", "a/b", "ü/b", "z"]), st.booleans()), max_size=12)
)
def test_names_are_the_newest_whether_packed_or_not(puts: list[tuple[int, int, str, bool]]) -> None:
    names, plain = Names(), dict[int, tuple[int, str]]()
    for key, minute, name, pack in puts:
        names.put(key, minute, name)
        plain[key] = max(plain.get(key, (-1, "")), (minute, name))
        if pack:
            names = Names.restore(names.snapshot())
        assert names.get(key) == plain[key]
        assert all(names.get(met) == plain[met] for met in plain)
        assert names.get(key ^ 1) == plain.get(key ^ 1)
    assert names.get_many([*plain, 12345]) == {**plain, **({12345: plain[12345]} if 12345 in plain else {})}


def test_many_names_of_one_minute_are_put_at_once() -> None:
    names = Names()
    names.put_many([1, 2], 5, ["a/a", "b/b"])
    names.put_many([2, 1], 5, ["b/a", "a/b"])
    assert (names.get(1), names.get(2)) == ((5, "a/b"), (5, "b/b"))
    with pytest.raises(ValueError, match="shorter"):
        names.put_many([1, 2], 6, ["c/c"])


def test_names_of_chunks_keep_their_texts() -> None:
    names = Names()
    for number in range(40):
        names.put(number << 8, number, f"owner{number}/" + "ß" * (number % 7))
    for chunks in (2, 4, 16):
        parts = names.split(chunks)
        assert all(parts[number % chunks].get(number << 8) == names.get(number << 8) for number in range(40))
        assert all(parts[(number + 1) % chunks].get(number << 8) is None for number in range(40))


SPANS = st.tuples(st.integers(0, 30), st.integers(1, 8)).map(lambda pair: (pair[0], sum(pair)))


@quick
@given(st.lists(SPANS, max_size=8), SPANS, st.integers(0, 40))
def test_a_share_is_the_number_of_covered_moments(
    intervals: list[tuple[int, int]], span: tuple[int, int], before: int
) -> None:
    coverage, moments = Coverage(), set[int]()
    assert coverage.share(*span) is None, "nothing known is not 0"
    for start, end in intervals:
        coverage.add(start, end)
        moments |= set(range(start, end))
        covered = len(moments & set(range(*span)))
        assert coverage.share(*span) == covered / (span[1] - span[0])
        assert coverage.seconds(*span) == covered / 1_000_000
    coverage.forget(before)
    assert {moment for start, end in coverage.get() for moment in range(start, end)} == {
        m for m in moments if m >= before
    }


@pytest.mark.parametrize(("start", "end"), [(5, 5), (6, 5)])
def test_an_interval_must_have_a_length(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="cannot end"):
        Coverage().add(start, end)


@quick
@given(st.lists(st.tuples(KEYS, st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=12), st.integers(-1, 3))
def test_turns_of_a_thread_are_found_whether_packed_or_not_until_they_are_forgotten(
    puts: list[tuple[int, int, int, bool]], before: int
) -> None:
    threads, plain = Threads(), set[Turn]()
    for key, at, kind, pack in puts:
        turn = Turn(key, at, kind, at, kind, b"x" * kind)
        threads.put(turn)
        plain.add(turn)
        if pack:
            threads.pack()
        asked = {0x100, 5, key, key ^ 1}
        found = threads.find(asked)
        assert {thread: set(turns) for thread, turns in found.items()} == {
            thread: own for thread in asked if (own := {turn for turn in plain if turn.thread == thread})
        }
    bare = threads.without_places()
    assert bare.get() == sorted(turn._replace(place=b"") for turn in plain)
    threads.forget(before)
    assert threads.get() == sorted(turn for turn in plain if turn.at >= before)
