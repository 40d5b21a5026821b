"""The busiest few: exact at the border, steady with hold, and keys without a name."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from agents.operators.keys import as_keys
from agents.operators.tally import Keys, Values
from agents.operators.top import NamesOf, Top


def arrays(counts: dict[int, int]) -> tuple[Keys, Values]:
    return as_keys(sorted(counts)), np.array([counts[key] for key in sorted(counts)], np.int64)


def named(names: dict[int, str]) -> NamesOf:
    return lambda keys: {key: names[key] for key in keys if key in names}


NUMBERED = named({key: str(key) for key in range(1, 9)})


@pytest.mark.parametrize("seed", range(30))
def test_without_hold_the_choice_is_that_of_a_full_sort(seed: int) -> None:
    rng = random.Random(seed)
    keys = range(1, 1 + rng.randrange(1, 40))
    names = {key: f"{rng.random()}" for key in keys}
    counts = {key: rng.choice([1, 1, 1, 2, 2, 3, 9]) for key in keys}
    k = rng.randrange(1, 12)
    order = sorted(keys, key=lambda key: (-counts[key], names[key]))
    top = Top(k=k)
    top.choose("slot", *arrays({key: 12 - counts[key] for key in keys}), named(names))
    ranking = top.choose("slot", *arrays(counts), named(names))
    assert ranking.chosen == [(names[key], counts[key]) for key in order[:k]]
    assert ranking.other == sum(counts[key] for key in order[k:])


def test_names_are_asked_for_only_where_they_can_matter() -> None:
    asked: list[Sequence[int]] = []

    def names_of(keys: Sequence[int]) -> Mapping[int, str]:
        asked.append(keys)
        return NUMBERED(keys)

    Top(k=2).choose("slot", *arrays({1: 9, 2: 5, 3: 5, 4: 1, 5: 1}), names_of)
    assert asked == [[1, 2, 3]]


def test_with_hold_a_member_stays_until_it_is_far_behind() -> None:
    top, names = Top(k=2, hold=2), NUMBERED
    assert [name for name, _ in top.choose("slot", *arrays({1: 9, 2: 8, 3: 7, 4: 6, 5: 5}), names).chosen] == ["1", "2"]
    # 2 falls to rank 4 and stays; the sum of the others grows.
    ranking = top.choose("slot", *arrays({1: 9, 2: 8, 3: 11, 4: 10, 5: 5}), names)
    assert ranking == ([("1", 9), ("2", 8)], 26)
    # At rank 5 it leaves, and the best other key joins.
    assert top.choose("slot", *arrays({1: 12, 2: 8, 3: 11, 4: 10, 5: 9}), names).chosen == [("1", 12), ("3", 11)]


def test_a_key_that_disappears_makes_room() -> None:
    top, names = Top(k=2, hold=5), NUMBERED
    top.choose("slot", *arrays({1: 9, 2: 8, 3: 7}), names)
    assert top.choose("slot", *arrays({2: 8, 3: 7}), names) == ([("2", 8), ("3", 7)], 0)


def test_slots_have_members_of_their_own() -> None:
    top, names = Top(k=1, hold=1), named({1: "a", 2: "b"})
    assert top.choose("one", *arrays({1: 2, 2: 1}), names).chosen == [("a", 2)]
    assert top.choose("other", *arrays({1: 1, 2: 2}), names).chosen == [("b", 2)]
    assert top.choose("one", *arrays({1: 1, 2: 2}), names).chosen == [("a", 1)]


def test_a_key_without_a_name_keeps_its_rank_and_counts_among_the_others() -> None:
    assert Top(k=2).choose("slot", *arrays({1: 9, 2: 8, 3: 7}), named({2: "b", 3: "c"})) == ([("b", 8)], 16)


def test_two_repositories_of_one_name_are_one_line() -> None:
    assert Top(k=3).choose("slot", *arrays({1: 9, 2: 8, 3: 7}), named({1: "a", 2: "b", 3: "a"})) == (
        [("a", 16), ("b", 8)],
        0,
    )
