"""Which account the truth credits with a merge."""

from typing import Any

import pytest

from simulator.accepted import REACH, credited
from simulator.clock import HOUR
from simulator.deed import Deed
from simulator.events import EventWriter
from simulator.stream import START
from simulator.truth import StreamTruth
from simulator.world import World, deeds


def deed(identity: str, turn: str = "", at: int = START, actor: int = 1, **changes: Any) -> Deed:
    feature = {"opened": "review", "merged": "upkeep", "accepted": "accepted"}[turn]
    fields = {"repository": 1, "name": "o/r", "thread": 3, "turn": turn, **changes}
    return Deed(identity, "github", feature, at, actor=actor, **fields)


def authors(*told: Deed) -> dict[str, int]:
    found = credited(told)
    assert len({one.id for one in found}) == len(found), "each once"
    return {one.id: one.actor for one in found if one.feature == "accepted"}


OPENED, MERGED, NAMED = (
    deed("1", "opened", actor=7, bot=True),
    deed("2", "merged", START + HOUR, 8),
    deed("2:accepted", "accepted", START + HOUR, 9),
)


def test_the_opening_is_believed_before_the_line_of_the_merge_and_nothing_is_known_without_either() -> None:
    assert authors(OPENED, MERGED) == authors(NAMED, MERGED, OPENED) == authors(OPENED, NAMED) == {"2:accepted": 7}
    assert authors(MERGED, NAMED) == authors(NAMED) == {"2:accepted": 9}
    assert authors(MERGED) == authors(OPENED) == {}


def test_a_credit_is_the_openers_at_the_time_and_of_the_project_of_the_merge() -> None:
    (accepted,) = [one for one in credited([OPENED, MERGED._replace(project="fabula")]) if one.feature == "accepted"]
    assert (accepted.actor, accepted.bot, accepted.occurred_at, accepted.project) == (7, True, START + HOUR, "fabula")


@pytest.mark.parametrize("other", [{"thread": 4}, {"repository": 2}, {"platform": "huggingface"}, {"thread": None}])
def test_an_opening_elsewhere_says_nothing(other: dict[str, Any]) -> None:
    assert authors(OPENED._replace(**other), MERGED) == {}


def test_openings_are_known_for_31_days_and_the_first_of_several_counts() -> None:
    old = MERGED.occurred_at - REACH
    assert authors(OPENED._replace(occurred_at=old), MERGED) == {"2:accepted": 7}
    assert authors(OPENED._replace(occurred_at=old - 1), MERGED) == {}
    later = deed("4", "opened", START + 1, actor=6)
    assert authors(later, OPENED, MERGED) == {"2:accepted": 7}
    assert authors(later, OPENED._replace(occurred_at=old - 1), MERGED) == {"2:accepted": 6}


def test_the_truth_knows_of_an_opening_only_what_arrived() -> None:
    told = StreamTruth()
    told.arrive(MERGED, START + HOUR)
    assert not any(m.labels.get("feature") == "accepted" for m in told.measurements() if m.name == "activity")
    told.arrive(OPENED._replace(bot=False), START + HOUR)
    found = {
        m.labels["window"]: m.value
        for m in told.measurements()
        if m.name == "activity" and m.labels["feature"] == "accepted"
    }
    assert set(found.values()) == {1}
    assert len(told.deeds) == told.report()["input"]["activities"] == 2


def test_todays_merges_are_credited_to_their_openers_where_the_opening_was_written() -> None:
    world, writer = World(5, repositories=300, people=300, era="2026"), EventWriter(5, "2026")
    happenings = [world.happen(START + number * HOUR // 60) for number in range(6_000)]
    assert all(writer.line(happening) for happening in happenings)
    arrived = [done for happening in happenings for done in deeds(happening, "2026")]
    accepted = authors(*arrived)
    openers = {
        f"github:PullRequestEvent:{happening.serial}:accepted": happening.thread.opener.id
        for happening in happenings
        if happening.merges and happening.thread
    }
    opened = {(done.repository, done.thread) for done in arrived if done.turn == "opened"}
    known = [
        f"{done.id}:accepted" for done in arrived if done.turn == "merged" and (done.repository, done.thread) in opened
    ]
    assert len(known) > 20
    assert all(accepted[identity] == openers[identity] for identity in known)
    # Without its opening a line only allows a guess, and for most merges none.
    assert len(accepted) < len(openers)
