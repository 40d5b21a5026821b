"""Tallies beyond the laws: signed sums, running sums, shared arrays, refused values."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.operators.keys import NO_KEYS, Keys, as_keys
from agents.operators.tally import NO_VALUES, RunningTally, Values, sum_tallies

KEYS = st.one_of(st.integers(0, 9), st.sampled_from([1 << 32, 1 << 63, (1 << 64) - 1]))


def arrays(counts: dict[int, int]) -> tuple[Keys, Values]:
    """Sorted keys and values, read-only like those of a snapshot."""
    keys = as_keys(sorted(counts))
    values = np.array([counts[key] for key in sorted(counts)], np.int64)
    keys.flags.writeable = values.flags.writeable = False
    return keys, values


@settings(deadline=None, database=None, derandomize=True)
@given(st.lists(st.dictionaries(KEYS, st.integers(-5, 5), max_size=6), max_size=6))
def test_a_signed_sum_equals_that_of_plain_counters(parts: list[dict[int, int]]) -> None:
    expected: Counter[int] = Counter()
    for part in parts:
        expected.update(part)
    keys, values = sum_tallies([arrays(part) for part in parts])
    assert dict(zip(keys.tolist(), values.tolist(), strict=True)) == {key: n for key, n in expected.items() if n}
    assert keys.tolist() == sorted(keys.tolist())
    assert (keys.dtype.str, values.dtype.str) == ("<u8", "<i8")


@pytest.mark.parametrize("fresh", [0, 4096])
@settings(deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.dictionaries(KEYS, st.integers(-3, 4), max_size=6), st.booleans()), max_size=12))
def test_a_running_tally_gives_what_a_dict_has_above_0_after_every_change(
    monkeypatch: pytest.MonkeyPatch, fresh: int, changes: list[tuple[dict[int, int], bool]]
) -> None:
    monkeypatch.setattr("agents.operators.tally._FRESH", fresh)
    running, plain = RunningTally(), Counter[int]()
    for change, asked in changes:
        running.add(*arrays(change))
        for key, n in change.items():
            plain[key] += n
        if asked:
            keys, values = running.get()
            assert dict(zip(keys.tolist(), values.tolist(), strict=True)) == {k: n for k, n in plain.items() if n > 0}
            assert keys.tolist() == sorted(keys.tolist())
            assert running.below_zero == sum(n < 0 for n in plain.values())


def test_a_change_of_a_large_tally_copies_what_changes_only() -> None:
    running = RunningTally()
    keys = np.arange(0, 1_000_000, 2, dtype=np.uint64)
    running.add(keys, np.ones(len(keys), np.int64))
    running.get()
    large = running._keys
    running.add(as_keys([1, 2, 3]), np.array([1, -1, 1]))
    assert running._keys is large
    found, values = running.get()
    assert (len(found), int(values.sum())) == (500_001, 500_001)


def test_a_running_tally_never_writes_into_the_arrays_that_it_was_given() -> None:
    running = RunningTally()
    given_values = np.array([1, 2], np.int64)
    running.add(as_keys([1, 2]), given_values)
    running.add(as_keys([1]), np.array([5], np.int64))
    assert given_values.tolist() == [1, 2]
    assert running.get()[1].tolist() == [6, 2]


def test_adding_nothing_changes_nothing() -> None:
    running = RunningTally()
    running.add(NO_KEYS, NO_VALUES)
    assert len(running.get()[0]) == 0
    running.add(*arrays({3: 1}))
    running.add(NO_KEYS, NO_VALUES)
    assert running.get()[0].tolist() == [3]
