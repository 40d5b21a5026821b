"""Lines of activities files are taken as they are if they are valid."""

import json
from typing import Any

import msgspec
import pytest

from streams.activity import Activity
from streams.archive.activity_lines import ActivityLines
from streams.errors import DeadLetter
from streams.watchlist import Watchlist
from tests.streams.made import NOW, WATCHLIST

LIKE = Activity(
    id="huggingface:like:1:2",
    platform="huggingface",
    kind="like",
    occurred_at=1_700_000_000_000_000,
    ingested_at=1_700_000_001_000_000,
    repo_id=2**64 - 1,
    repo="allenai/OLMo-7B",
    owner="allenai",
    actor=0,
    artefact="model",
    bot=True,
    project="olmo",
)


def line(without: tuple[str, ...] = (), **changes: Any) -> bytes:
    stated = {key: value for key, value in msgspec.to_builtins(LIKE).items() if key not in without}
    return json.dumps({**stated, **changes}).encode()


def read(text: bytes, received: int | None = None, *, include_bots: bool = False) -> Activity:
    [activity] = ActivityLines(WATCHLIST, NOW, include_bots=include_bots).read(text, received)
    return activity


def test_a_sound_line_is_taken_as_it_is() -> None:
    assert read(line()) == LIKE


def test_a_line_without_receipt_was_received_with_its_file_or_when_it_happened() -> None:
    assert read(line(without=("ingested_at",)), received=1_700_000_002_000_000).ingested_at == 1_700_000_002_000_000
    assert read(line(without=("ingested_at",))).ingested_at == LIKE.occurred_at
    assert read(line(ingested_at=NOW + 5)).ingested_at == NOW


def test_the_project_is_worked_out_where_none_of_the_watchlist_is_stated() -> None:
    assert read(line(without=("project",))).project == "olmo"
    assert read(line(project="elsewhere")).project == "olmo"
    assert read(line(repo="someone/else")).project == "olmo"
    assert read(line(without=("project",), repo="someone/else")).project is None


def test_under_the_default_watchlist_a_simulated_activity_keeps_its_project() -> None:
    def project(watchlist: Watchlist, **changes: Any) -> str | None:
        return (
            ActivityLines(watchlist, NOW)
            .read(line(project="invented", repo="invented-lab/model", **changes))[0]
            .project
        )

    assert project(Watchlist.load(), simulated=True) == "invented"
    assert project(Watchlist.load()) is None
    assert project(WATCHLIST, simulated=True) is None, "a list of one's own says all that is watched"


def test_a_line_without_an_actor_was_done_by_a_person_nobody_knows() -> None:
    one, same, other = read(line(without=("actor",))), read(line(actor=None)), read(line(actor=None, id="another"))
    assert one == same
    assert len({one.actor, other.actor, LIKE.actor}) == 3


def test_what_only_describes_may_be_of_any_type_and_is_unknown_then() -> None:
    odd = read(line(text=5, labels="bug", thread="7", commits="two", family=[], project={}, affiliation=3, extra=[{}]))
    assert odd == read(line(without=("project",)))
    assert read(line(text="?").replace(b'"?"', b'"half a pair \\ud83d"')).text == "half a pair \ufffd"


def test_bots_become_people_when_asked() -> None:
    assert read(line(), include_bots=True).bot is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{", "json"),
        (b'"text"', "not-an-event"),
        (b"{}", "bad-activity"),
        (line(without=("kind",)), "bad-activity"),
        (line(platform="sourcehut"), "bad-activity"),
        (line(artefact="cake"), "bad-activity"),
        (line(affiliation="friend"), "bad-activity"),
        (line(id=""), "bad-activity"),
        (line(repo_id=2**64), "bad-activity"),
        (line(actor=-1), "bad-activity"),
        (line(occurred_at=-1), "bad-activity"),
        (line(occurred_at="2024-05-01T10:00:00Z"), "bad-activity"),
        (line(thread=-1), "bad-activity"),
        (line(thread=1 << 53), "bad-activity"),
        (line(commits=1 << 53), "bad-activity"),
        (line(repo_id=-1), "bad-activity"),
        (line(actor=1 << 64), "bad-activity"),
        (line(ingested_at=-1), "bad-activity"),
        (line(id="x" * 301), "bad-activity"),
        (line(kind=""), "bad-activity"),
        (line(owner="x" * 301), "bad-activity"),
        (line(action="x" * 301), "bad-activity"),
        (line(family="x" * 301), "bad-activity"),
        (line(labels=["x" * 301]), "bad-activity"),
        (line(text="x" * 10_000), "bad-activity"),
        (line(labels=["bug"] * 200), "bad-activity"),
        (line(occurred_at=NOW + 2 * 86_400_000_000), "future"),
    ],
)
def test_what_is_not_sound_says_why(text: bytes, expected: str) -> None:
    with pytest.raises(DeadLetter) as letter:
        read(text)
    assert letter.value.reason == expected
