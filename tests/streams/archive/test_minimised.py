"""Lines of minimised archives become activities."""

import gzip
import json
from collections import Counter
from typing import Any

import pytest

from streams.activity import feature_of, hash_name
from streams.archive.minimised import MinimisedEvents
from streams.errors import DeadLetter
from streams.identities import Identities
from tests.simulator.recorded import recorded
from tests.streams.made import KEY, NOW, WATCHLIST, event


def deed(kind: str = "push", **changes: Any) -> dict[str, Any]:
    return {"id": "1", "dt": "2015-02-22T22:00:00Z", "repo": "AllenAI/OLMo", "type": kind, "actor": "Ada", **changes}


def read(value: Any, received: int | None = None) -> list[Any]:
    line = value if isinstance(value, bytes) else json.dumps(value).encode()
    return MinimisedEvents(Identities(KEY, WATCHLIST), NOW).read(line, received)


def test_names_are_identities_whatever_their_letter_case() -> None:
    [upper], [lower] = read(deed(commits=2)), read(deed(repo="allenai/olmo", actor="ada", commits=2))
    assert upper == lower
    assert (upper.repo, upper.owner, upper.repo_id) == ("allenai/olmo", "allenai", hash_name("github:allenai/olmo"))
    assert (upper.actor, upper.project, upper.commits) == (hash_name("github:ada", KEY), "olmo", 2)


def test_the_two_recorded_hours_mean_what_a_plain_count_of_their_lines_says() -> None:
    lines = []
    for hour in ("22", "23"):
        lines += gzip.decompress(recorded(f"gharchive-min-2015/2015-02-22-{hour}.json.gz").read_bytes()).splitlines()
    events = MinimisedEvents(Identities(KEY, WATCHLIST), NOW)
    found = [activity for line in lines for activity in events.read(line)]
    features = Counter(feature_of(activity.kind, activity.action) for activity in found)
    # 25,630 push; 1,130 issue opened + 3,344 icomment + 288 ccomment; 3,077 watch; 976 pr opened + 560 prcomment; 1,439
    # fork; 5,591 create + 154 release + 46 public; and everything else of 45,449 lines.
    assert features == {
        "contribution": 25_630,
        "exchange": 4_762,
        "preference": 3_077,
        "review": 1_536,
        "adaptation": 1_439,
        "publication": 5_791,
        "upkeep": 45_449 - 25_630 - 4_762 - 3_077 - 1_536 - 1_439 - 5_791,
    }
    assert sum(activity.commits or 0 for activity in found) == sum(json.loads(line).get("commits", 0) for line in lines)
    assert len({activity.repo_id for activity in found}) == len({json.loads(line)["repo"].casefold() for line in lines})
    assert len({activity.actor for activity in found}) == len({json.loads(line)["actor"].casefold() for line in lines})


def test_a_person_nobody_knows_and_an_odd_number_of_commits_cost_no_activity() -> None:
    [one], [other] = (
        read(deed(actor=None)),
        read({name: value for name, value in deed(id="2").items() if name != "actor"}),
    )
    assert one.actor == hash_name("github:deleted:github:PushEvent:1", KEY)
    assert one.actor != other.actor
    assert read(deed(actor=5)) == read(deed(actor=None))
    [odd] = read(deed(commits="many", note=[1]))
    assert (odd.kind, odd.commits) == ("push", None)
    assert read(json.dumps(deed(note="?")).replace('"?"', '"\\ud83d"').encode()) == read(deed())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\x1f\x8b", "json"),
        (b"null", "not-an-event"),
        (deed(actor=""), "not-an-event"),
        (deed("strike"), "unknown-type"),
        (deed("issue"), "missing-field"),
        (deed(repo=""), "missing-field"),
        (deed(dt="22 February"), "bad-time"),
        (deed(dt="2099-01-01T00:00:00Z"), "future"),
        (event(), "mixed-identity"),
    ],
)
def test_what_cannot_be_measured_says_why(value: Any, expected: str) -> None:
    with pytest.raises(DeadLetter) as letter:
        read(value)
    assert letter.value.reason == expected
