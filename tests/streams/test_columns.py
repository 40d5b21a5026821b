"""A record of the topic `activity` holds columns: what comes out is what went in, and nothing in it can stop a
reader.
"""

import random
from typing import Any

import msgspec
import numpy as np
import pytest

from streams.activity import (
    ARTEFACTS,
    LATEST,
    PLATFORMS,
    Activity,
    Batch,
    Cover,
    NoBatch,
    decode_batch,
    encode_batch,
    hash_ids,
)
from streams.columns import BOT, SIMULATED, VERSION

NOW = 1_714_557_600_000_000


def activity(number: int = 1, **changes: Any) -> Activity:
    stated: dict[str, Any] = {
        "id": f"github:PushEvent:{number}",
        "platform": "github",
        "kind": "push",
        "occurred_at": NOW,
        "ingested_at": NOW + 1,
        "repo_id": 42,
        "repo": "allenai/OLMo",
        "owner": "allenai",
        "actor": 7,
    }
    return Activity(**(stated | changes))


def anything(random: random.Random, number: int) -> Activity:
    """An activity of any shape that is sound."""

    def maybe(value: Any) -> Any:
        return value if random.random() < 0.3 else None

    name = f"{random.choice(('a', 'ü', 'allenai'))}/{random.randrange(5)}"
    return activity(
        number,
        platform=random.choice(PLATFORMS),
        artefact=random.choice(ARTEFACTS),
        kind=random.choice(("push", "star", "a new kind")),
        action=maybe("opened"),
        occurred_at=random.choice((0, NOW, LATEST - 1)),
        ingested_at=random.randrange(LATEST),
        repo_id=random.choice((0, 1, (1 << 64) - 1)),
        repo=name,
        owner=random.choice((name.partition("/")[0], "someone", "")),
        actor=random.randrange(1 << 64),
        bot=random.random() < 0.5,
        simulated=random.random() < 0.5,
        thread=maybe(random.choice((0, 1 << 53))),
        commits=maybe(random.choice((0, 1, 1 << 53))),
        project=maybe(random.choice(("olmo", "tülu"))),
        affiliation=maybe("staff"),
        family=maybe("allenai/OLMo-7B"),
        relation=maybe("finetune"),
        labels=maybe(["bug", "größer"]),
        text=maybe("line\nline"),
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_batch_comes_out_as_it_went_in(seed: int) -> None:
    chance = random.Random(seed)
    made = [anything(chance, number) for number in range(chance.choice((0, 1, 2, 50, 700)))]
    covered = [Cover("github", NOW, NOW + 5)]
    batch = Batch(feed="archive", activities=made, complete_to=NOW, sequence=seed, covered=covered, closed=True)
    value = encode_batch(batch)
    assert decode_batch(value) == batch
    assert encode_batch(decode_batch(value)) == value, "the same batch gives the same bytes"
    assert msgspec.json.encode(list(decode_batch(value).activities)) == msgspec.json.encode(made)
    assert decode_batch(msgspec.json.encode(batch)) == batch, "as earlier versions wrote it"


def test_columns_hold_what_the_activities_say() -> None:
    chance = random.Random(1)
    made = [anything(chance, number) for number in range(300)]
    for columns in (
        decode_batch(encode_batch(Batch(feed="github", activities=made))).columns,
        Batch(feed="github", activities=made).columns,
    ):
        assert columns.count == len(made)
        assert columns.ids == [each.id for each in made]
        assert columns.hash_ids().tolist() == hash_ids(made)
        assert columns.occurred_at.tolist() == [each.occurred_at for each in made]
        assert columns.repository_ids[columns.repository].tolist() == [each.repo_id for each in made]
        assert [columns.names[place] for place in columns.repository] == [each.repo for each in made]
        assert [columns.owner(place) for place in columns.repository] == [each.owner for each in made]
        assert [columns.projects.get(place) for place in columns.repository] == [each.project for each in made]
        assert [columns.deeds[place].action for place in columns.deed] == [each.action for each in made]
        assert columns.actor.tolist() == [each.actor for each in made]
        assert (columns.flags & BOT > 0).tolist() == [each.bot for each in made]
        assert (columns.flags & SIMULATED > 0).tolist() == [each.simulated for each in made]
        assert columns.commits.tolist() == [-1 if each.commits is None else each.commits for each in made]
        assert {each.row: each.text for each in columns.details if each.text} == {
            row: each.text for row, each in enumerate(made) if each.text
        }


def test_columns_of_one_value_hold_it_once() -> None:
    def size(count: int) -> int:
        return len(encode_batch(Batch(feed="github", activities=[activity() for _ in range(count)])))

    assert size(1000) - size(500) == 500 * (1 + len(activity().id)), "only the ids grow"


@pytest.mark.parametrize(
    "changes", [{"actor": 1 << 64}, {"repo_id": -1}, {"occurred_at": 1 << 63}, {"thread": 10**300}], ids=str
)
def test_a_number_that_no_column_holds_is_not_written(changes: dict[str, int]) -> None:
    with pytest.raises(OverflowError):
        encode_batch(Batch(feed="github", activities=[activity(**changes)]))


@pytest.mark.parametrize(
    "changes",
    [
        {"occurred_at": -1},
        {"occurred_at": LATEST},
        {"ingested_at": LATEST},
        {"commits": -2},
        {"commits": (1 << 53) + 1},
        {"thread": -5},
        {"platform": "elsewhere"},
        {"artefact": "a/b"},
    ],
    ids=str,
)
def test_what_cannot_be_is_no_batch(changes: dict[str, Any]) -> None:
    for write in (encode_batch, msgspec.json.encode):
        with pytest.raises(NoBatch):
            decode_batch(write(Batch(feed="github", activities=[activity(1), activity(2, **changes)])))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0, VERSION + 1),
        (1, "x"),
        (2, -1),
        (3, None),
        (4, [["github", 5, 4]]),
        (6, 5),
        ((6, 0), 4),
        ((6, 0), 1 << 40),
        ((6, 1), ["one"]),
        ((6, 2), []),
        ((6, 3), b"1234567"),
        ((6, 4), []),
        ((6, 5), {7: "someone"}),
        ((6, 6), {-1: "olmo"}),
        ((6, 7), []),
        ((6, 7, 3), b"\x04"),
        ((6, 7, 4), b"\xff\xff"),
        ((6, 7, 0), b"12345678" * 2),
        ((6, 8), [[3, "text"]]),
        ((6, 8), [[1, "text"], [1, "text"]]),
    ],
    ids=str,
)
def test_columns_that_do_not_fit_together_are_no_batch(field: int | tuple[int, ...], value: Any) -> None:
    made = [activity(1), activity(2), activity(3, occurred_at=NOW + 1)]
    record = msgspec.msgpack.decode(encode_batch(Batch(feed="archive", activities=made, sequence=0)))
    place = record
    *path, last = (field,) if isinstance(field, int) else field
    for step in path:
        place = place[step]
    place[last] = value
    with pytest.raises(NoBatch):
        decode_batch(msgspec.msgpack.encode(record))


def test_bytes_that_were_changed_give_a_batch_or_none() -> None:
    chance = random.Random(3)
    whole = encode_batch(Batch(feed="github", activities=[anything(chance, number) for number in range(40)]))
    found = 0
    for _ in range(5_000):
        value = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 8))):
            match chance.randrange(3):
                case 0:
                    value[chance.randrange(len(value))] = chance.randrange(256)
                case 1:
                    del value[chance.randrange(len(value)) :]
                    value += b"\0"
                case _:
                    value[chance.randrange(len(value))] ^= 1 << chance.randrange(8)
        try:
            batch = decode_batch(bytes(value))
        except NoBatch:
            continue
        found += 1
        assert len(list(batch.activities)) == len(batch.activities) == batch.columns.count
        assert len(batch.columns.hash_ids()) == batch.columns.count
    assert found, "some changes leave a sound batch"


def test_deep_nesting_is_no_batch() -> None:
    with pytest.raises(NoBatch):
        decode_batch(b"\x91" * 100_000)
    record = msgspec.msgpack.decode(encode_batch(Batch(feed="github", activities=[activity()])))
    nested = msgspec.msgpack.encode(record[:6]) + msgspec.msgpack.encode([1])[:1]
    with pytest.raises(NoBatch):
        decode_batch(b"\x97" + nested[1:] + b"\x99\x01" + b"\x91" * 100_000)


def test_numbers_are_arrays_that_need_no_copy() -> None:
    columns = decode_batch(encode_batch(Batch(feed="github", activities=[activity(1), activity(2, actor=9)]))).columns
    assert columns.actor.dtype == np.uint64
    assert columns.actor.base is not None
