"""A line typed into the wrong topic: the commands pass it over, say so once, and show what they showed before."""

import asyncio
import json
from pathlib import Path

from aiokafka import AIOKafkaProducer

from nomadwatch.processes.embedded import embedded
from tests.nomadwatch.commands import Done, command, generate

NOTE = (b"note", b"hello world")
TOLD = "a foreign record of the topic {} is skipped, and so are further ones"


def write(state: Path, *records: tuple[str, bytes, bytes | None]) -> None:
    """(topic, key, value), as somebody's console producer writes them."""

    async def produce() -> None:
        async with embedded(state) as address, AIOKafkaProducer(bootstrap_servers=address) as producer:
            for topic, key, value in records:
                await producer.send_and_wait(topic, value, key=key, partition=0)

    asyncio.run(produce())


def shown(done: Done) -> str:
    assert done.code == 0, done.complaint
    return done.output


def test_records_of_others_in_a_replays_topics_change_no_command(tmp_path: Path) -> None:
    generate(tmp_path / "hours", 500)
    state = tmp_path / "state"
    replay = ("replay", tmp_path / "hours", "--data-dir", state, "--report", "-")
    report = ("report", "--data-dir", state, "--format", "json")
    activities = ("activities", "--data-dir", state)
    before = shown(command(*replay)), shown(command(*report)), sorted(shown(command(*activities)).splitlines())
    write(
        state,
        ("measurements", *NOTE),
        ("measurements", b"old", b'{"name":1}'),
        ("measurements", b"evaluation", b"hello world"),
        ("facts", *NOTE),
        ("facts", b"facts", None),
        ("cursors", *NOTE),
        ("cursors", b"archive", b"hello world"),
        ("cursors", b"\xff", b"hello world"),
        ("activity", *NOTE),
        ("dead-letters", *NOTE),
        ("gaps", *NOTE),
        ("shifts", *NOTE),
    )
    again = command(*report)
    assert shown(again) == before[1]
    assert [again.complaint.count(TOLD.format(topic)) for topic in ("measurements", "cursors")] == [1, 1]
    written = command(*activities)
    assert sorted(shown(written).splitlines()) == before[2]
    assert written.complaint.count(TOLD.format("activity")) == 1
    known = command("feeds", "--data-dir", state)
    assert (known.code, known.complaint.splitlines()[-1].startswith("nomadwatch: no station has polled anything")) == (
        1,
        True,
    )
    # The one record in `activity` is a dead letter now; everything else is as it was.
    repeated, first = json.loads(shown(command(*replay))), json.loads(before[0])
    assert repeated["measurements"] == first["measurements"]
    assert {**repeated["input"], "dead_letters": None} == {**first["input"], "dead_letters": None}


def test_a_tombstone_of_others_does_not_make_the_reader_forget(tmp_path: Path) -> None:
    generate(tmp_path / "hours", 100)
    state = tmp_path / "state"
    replay = ("replay", tmp_path / "hours", "--data-dir", state, "--report", "-")
    before = shown(command(*replay))
    write(state, ("cursors", b"archive", None))
    assert shown(command(*replay)) == before
