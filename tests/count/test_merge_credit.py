"""Merges are credited to who opened the pull request: once, whatever comes first, is split, repeated or restarted in
between.
"""

from collections import Counter

import pytest

from agents.count import credits
from agents.count.credits import SentCredits
from agents.count.partition import Count
from agents.facts import BOT, Facts, decode_facts, encode_facts
from streams.activity import DAY, HOUR, MINUTE, Activity, Batch
from streams.codes import code_of, names_of
from tests.count.making import NOW, OPENER, OTHER, feed, pull

ACCEPTED = code_of("github", "accepted")


class Partition:
    """A partition that takes batches, writes checkpoints, and is restored from them if asked to."""

    def __init__(self, *, restarts: bool = False) -> None:
        self.count = Count(0)
        self.records: list[bytes] = []
        self._restarts = restarts

    def take(self, *activities: Activity, watermark: int | None = None) -> None:
        """One batch and a checkpoint."""
        feed(self.count, Batch(feed="f", activities=list(activities), complete_to=watermark))
        self.records.append(encode_facts(self.count.checkpoint()))
        self.count.tidy()
        if self._restarts:
            self.count = Count.restore(0, map(decode_facts, self.records))

    def facts(self) -> list[Facts]:
        return [decode_facts(record) for record in self.records]

    def credited(self, minute: int = NOW) -> dict[tuple[int, bool], int]:
        """{(actor, whether it is a bot): accepted contributions} in a minute."""
        found = Counter[tuple[int, bool]]()
        for facts in self.facts():
            for row in facts.rows[
                (facts.rows["code"] == ACCEPTED) & (facts.rows["time"] // MINUTE == minute // MINUTE)
            ]:
                found[int(row["actor"]), bool(row["flags"] & BOT)] += int(row["n"])
        assert not any(n < 0 for n in found.values())
        return {key: n for key, n in found.items() if n}

    @property
    def totals(self) -> dict[str, int]:
        return self.count.progress.totals["all"]

    @property
    def counted(self) -> tuple[int, int]:
        return self.count.progress.activities, self.count.progress.duplicates


def fed(*activities: Activity, at_once: bool = False, watermark: int | None = None) -> Partition:
    """A partition that took the activities, each in a batch of its own."""
    partition = Partition()
    for group in [list(activities)] if at_once else [[one] for one in activities]:
        partition.take(*group)
    partition.take(watermark=watermark)
    return partition


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_merge_is_credited_to_the_opener_in_its_own_minute_whichever_comes_first(
    order: tuple[int, int], at_once: bool
) -> None:
    both = pull("opened", NOW - HOUR), pull("merged", NOW, project="olmo")
    partition = fed(*(both[number] for number in order), at_once=at_once)
    assert partition.credited() == {(OPENER, False): 1}
    assert partition.credited(NOW - HOUR) == {}
    (watched,) = [facts for facts in partition.facts() if (facts.rows["code"] == ACCEPTED).any()]
    (row,) = watched.rows[watched.rows["code"] == ACCEPTED]
    assert (watched.projects[row["project"] - 1], names_of(row["code"])) == ("olmo", ("github", "accepted"))
    assert partition.totals == {"github/review/human": 1, "github/upkeep/human": 1, "github/accepted/human": 1}
    assert partition.counted == (2, 0)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_the_opening_is_believed_more_than_what_the_source_names_and_counts_once(order: tuple[int, ...]) -> None:
    three = pull("opened", NOW - DAY, bot=True), pull("merged"), pull("accepted")
    partition = fed(*(three[number] for number in order))
    assert partition.credited() == {(OPENER, True): 1}, "the opener is a bot"
    assert partition.totals == {"github/review/bot": 1, "github/upkeep/human": 1, "github/accepted/bot": 1}
    assert partition.counted == (3, 0)
    partition.take(*three)
    assert partition.counted == (3, 3)


def test_of_whom_nobody_saw_the_opening_the_source_is_believed_or_nobody_is_credited() -> None:
    assert fed(pull("merged")).credited() == {}
    assert fed(pull("merged"), pull("accepted")).credited() == {(OTHER, False): 1}
    elsewhere = (
        pull("opened", thread=8, number=3),
        pull("opened", repo_id=6, number=4),
        pull("opened", kind="issue", number=5),
    )
    assert fed(*elsewhere, pull("merged")).credited() == {}
    assert fed(pull("opened", thread=None), pull("merged", thread=None)).credited() == {}


@pytest.mark.parametrize(("age", "known"), [(31 * DAY, True), (31 * DAY + 1, False)])
@pytest.mark.parametrize("opening_first", [True, False])
def test_an_opening_is_known_for_31_days(age: int, known: bool, opening_first: bool) -> None:
    both = [pull("opened", NOW - age), pull("merged")]
    partition = fed(*(both if opening_first else both[::-1]))
    assert partition.credited() == ({(OPENER, False): 1} if known else {})


@pytest.mark.parametrize("waiting", [0, 4096])
@pytest.mark.parametrize("restarts", [False, True])
def test_openings_are_found_as_long_as_they_are_known(
    restarts: bool, waiting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credits, "_WAITING", waiting)
    partition = Partition(restarts=restarts)
    partition.take(pull("opened", NOW - 31 * DAY))
    for days in (31, 30, 20, 9, 0):
        partition.take(watermark=NOW - days * DAY)
    partition.take(pull("merged"))
    assert partition.credited() == {(OPENER, False): 1}
    # A second opening, that is later, changes nothing; two days later, too.
    partition.take(watermark=NOW + 2 * DAY)
    partition.take(pull("opened", NOW - 31 * DAY + 1, number=9, actor=OTHER))
    assert partition.credited() == {(OPENER, False): 1}


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("waiting", [0, 4096])
def test_an_opening_is_forgotten_at_the_same_watermark_by_who_met_it_and_by_who_read_it_back(
    waiting: int, restarts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credits, "_WAITING", waiting)
    merge = NOW + 30 * DAY
    for days, known in ((35, True), (36, False)):
        partition = Partition(restarts=restarts)
        partition.take(pull("opened", NOW))
        partition.take(watermark=NOW + days * DAY)
        partition.take(*(pull("opened", merge, thread=n, number=n) for n in (20, 21)))
        partition.take(pull("merged", merge))
        assert partition.credited(merge) == ({(OPENER, False): 1} if known else {})


@pytest.mark.parametrize("restarts", [False, True])
def test_a_late_opening_takes_the_credit_from_whom_the_source_named(restarts: bool) -> None:
    partition = Partition(restarts=restarts)
    partition.take(pull("merged"))
    partition.take(pull("accepted"))
    partition.take(watermark=NOW + 2 * DAY)
    assert partition.credited() == {(OTHER, False): 1}
    partition.take(pull("opened", NOW - 3 * DAY))
    assert partition.credited() == {(OPENER, False): 1}


@pytest.mark.parametrize("restarts", [False, True])
def test_a_credit_outlives_the_opening_that_it_was_given_for(restarts: bool) -> None:
    partition = Partition(restarts=restarts)
    merge = NOW + 30 * DAY
    partition.take(pull("opened", NOW))
    partition.take(pull("merged", merge))
    partition.take(watermark=NOW + 37 * DAY)
    for repeated in (0, 1):
        partition.take(pull("accepted", merge))
        assert partition.credited(merge) == {(OPENER, False): 1}
        assert partition.counted == (3, repeated)


def test_input_that_contradicts_itself_stops_nobody_and_counts_once() -> None:
    merge = pull("merged", project="olmo")
    named = pull("accepted", NOW + 3 * HOUR, project="pythia", artefact="model")
    for one, other in ((merge, named), (named, merge)):
        partition = fed(
            one,
            other,
            pull("opened", NOW - HOUR),
            pull("opened", NOW - 2 * HOUR, number=9, actor=OTHER),
            watermark=NOW + 9 * DAY,
        )
        assert partition.totals["github/accepted/human"] == 1
        found = {**partition.credited(), **partition.credited(NOW + 3 * HOUR)}
        assert found == {(OTHER, False): 1}


@pytest.mark.parametrize("number", [1 << 32, (1 << 53) - 1])
def test_threads_with_numbers_of_any_size_are_joined(number: int) -> None:
    partition = fed(pull("opened", NOW - HOUR, thread=number), pull("merged", thread=number))
    assert partition.credited() == {(OPENER, False): 1}


def test_only_what_a_source_names_as_accepted_is_kept_beside_the_rows() -> None:
    partition = fed(pull("opened", NOW - HOUR), pull("merged"), pull("accepted"))
    assert [len(facts.threads) for facts in partition.facts()] == [0, 0, 1, 0]
    assert sum(len(facts.rows) for facts in partition.facts()) == 3


def test_credits_that_were_sent_are_found_packed_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credits, "_WAITING", 3)
    partition = fed(pull("opened", NOW - HOUR), pull("merged", project="olmo"))
    (row,) = [facts.rows[facts.rows["code"] == ACCEPTED] for facts in partition.facts() if len(facts.rows)][1:]
    sent = SentCredits()
    for key in range(9):
        own = list(row[0].item())
        own[1], own[7] = key, 0
        sent.put(key, credits.Published(tuple(own), f"project-{key % 2}"))
    assert [sent.get(key).project for key in range(9)] == [f"project-{key % 2}" for key in range(9)]  # type: ignore[union-attr]
    assert sent.get(99) is None
    rows, numbers, names = sent.held()
    again = SentCredits(rows, numbers, names)
    assert [again.get(key) for key in range(9)] == [sent.get(key) for key in range(9)]
    again.forget(NOW + 32 * DAY)
    assert all(again.get(key) is None for key in range(9))
