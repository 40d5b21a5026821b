"""What others write into any topic of ours stops no worker, on either broker, before its start and while it runs; it is
counted.
"""

import asyncio
import gzip
import time
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer

from agents.facts import KEY, NO_ROWS, ROW, Facts, Rows, encode_facts, encode_in_parts
from agents.measurements import EVALUATION, Evaluation, Measurement, encode, read, series
from agents.operators.names import Names
from agents.operators.progress import Progress
from agents.operators.threads import Threads
from sinks.board import Board
from sinks.topic import TopicReader
from streams.activity import LATEST, Batch, encode_batch, encode_json
from streams.kafka import admin
from tests.agents.running import TOPICS, send, workers
from tests.broker.clients import eventually
from tests.broker.raw import CODECS, HEAD_BYTES, Raw, altered
from tests.broker.raw import batch as packed
from tests.chaos.conftest import broker as broker
from tests.count.making import NOW, activity


def rows_of_one() -> Rows:
    row = np.zeros(1, ROW)
    row["time"], row["n"] = NOW, 1
    return row


Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]

# Rows of a checkpoint that does not end: a worker could have written them.
STRAY = encode_in_parts(
    Facts(np.repeat(rows_of_one(), 2), (), Threads(), Names(), Progress(offset=0)), partition=0, most=1
)[0]

FACTS: list[Record] = [
    (b"note", b"hello world", [("received", b"yesterday"), ("received", b"")]),
    (b"\xff\xfe", b"\x00", []),
    (None, b"", []),
    (KEY, None, []),
    (KEY, b"", []),
    (KEY, b"hello world", []),
    (KEY, b"\x91" * 100_000, [("received", b"9" * 5000)]),
    (KEY, encode_facts(Facts(NO_ROWS, (), Threads(), Names(), Progress(offset=1)), partition=7), []),
    (KEY, encode_facts(Facts(NO_ROWS, (), Threads(), Names(), Progress(offset=1, front=LATEST))), []),
]
MEASUREMENTS: list[Record] = [
    (b"old", b'{"name":1}', []),
    (b"\xff", None, []),
    (b"health/streams", b"[]", []),
    (EVALUATION, b"hello world", []),
    (b"nomadwatch_commits{}", encode(Measurement("nomadwatch_commits", {"window": "1h"}, 1e300)), []),
]
ACTIVITY: list[Record] = [
    (b"note", b"hello world", []),
    (None, b"", []),
    (b"", encode_batch(Batch(feed="x")), [("received", b"x")]),
    (b"", encode_batch(Batch(feed="archive", complete_to=NOW)), []),
    (b"", encode_json(Batch(feed="github", activities=[activity(9, NOW, repo_id=-1)])), []),
    (b"", encode_json(Batch(feed="github", activities=[activity(9, NOW, actor=1 << 64)])), []),
    (b"", encode_json(Batch(feed="github", activities=[activity(9, NOW, commits=10**300)])), []),
    (b"", encode_json(Batch(feed="github", activities=[activity(9, NOW, thread=-5)])), []),
    (b"", encode_json(Batch(feed="github", activities=[activity(9, NOW, artefact="a/b")])), []),
    (b"", encode_json(Batch(feed="github", complete_to=31_556_889_864_403_199_000_000)), []),
]


def write(bootstrap: str, topic: str, records: list[Record]) -> None:
    """As somebody else's program writes them."""

    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for key, value, headers in records:
                await producer.send_and_wait(topic, value, key=key, partition=0, headers=headers)

    asyncio.run(produce())


def begin(bootstrap: str) -> None:
    """Empty topics: the same Apache Kafka serves several tests."""
    admin.delete(bootstrap, TOPICS)
    admin.create(bootstrap, TOPICS)


def batch(*numbers: int) -> bytes:
    return encode_batch(Batch(feed="github", activities=[activity(number, NOW) for number in numbers]))


async def published(bootstrap: str) -> list[tuple[bytes | None, bytes | None]]:
    async with TopicReader.open(bootstrap, TOPICS.measurements) as reader:
        return await reader.read_to_end()


def board_of(bootstrap: str) -> Board:
    """What the topic `measurements` states."""
    board = Board(quiet=True)
    board.take(asyncio.run(published(bootstrap)))
    return board


def totals(bootstrap: str) -> float:
    """The activities counted in all."""
    return sum(row.value for row in board_of(bootstrap).measurements if row.name == "nomadwatch_activities_total")


def latest(bootstrap: str) -> Evaluation:
    """The last evaluation."""
    found = board_of(bootstrap).evaluation
    assert found is not None
    return found


def test_garbage_at_the_start_and_while_running_changes_no_figure_and_is_counted(broker: Any, tmp_path: Path) -> None:
    begin(broker.bootstrap)
    write(broker.bootstrap, TOPICS.facts, FACTS)
    write(broker.bootstrap, TOPICS.measurements, MEASUREMENTS)
    write(broker.bootstrap, TOPICS.activity, ACTIVITY)
    send(broker.bootstrap, batch(1))
    with workers(broker.bootstrap, tmp_path):
        assert eventually(lambda: totals(broker.bootstrap) == 1, 30)
        first = latest(broker.bootstrap)
        write(broker.bootstrap, TOPICS.facts, FACTS)
        write(broker.bootstrap, TOPICS.measurements, MEASUREMENTS)
        write(broker.bootstrap, TOPICS.activity, ACTIVITY)
        send(broker.bootstrap, batch(2, 3))
        assert eventually(lambda: totals(broker.bootstrap) == 3, 30)
        second = latest(broker.bootstrap)
    assert first.dead_letters == {"batch": len(ACTIVITY), "facts": len(FACTS)}
    assert second.activities == 3
    assert second.dead_letters == {"batch": 2 * len(ACTIVITY), "facts": 2 * len(FACTS)}
    with workers(broker.bootstrap, tmp_path):
        send(broker.bootstrap, batch(4))
        assert eventually(lambda: totals(broker.bootstrap) == 4, 30)


def write_lies(bootstrap: str, topic: str) -> int:
    """Batches with the right checksum that our clients cannot read; how many of them the broker takes (the embedded
    one: none).
    """
    # Of now: Apache Kafka soon deletes what says that it is old.
    one, two = (packed(*values, key=b"k", stamp=int(1000 * time.time())) for values in ((b"v",), (b"v", b"w")))
    name = bytes.fromhex("18000000026b02760202ff0278")  # a record with a header whose name is no UTF-8
    lies = [
        altered(one, name),
        altered(two, gzip.compress(two[HEAD_BYTES:]) + b"more", attributes=CODECS["gzip"]),
        altered(one, one[HEAD_BYTES : HEAD_BYTES + 3] + b"\x10" + one[HEAD_BYTES + 4 :]),  # at offset 8 of one
    ]
    with Raw(bootstrap) as raw:
        assert eventually(lambda: raw.offset(topic, -1)[0] == 0)
        return sum(raw.produce(topic, lie)[0] == 0 for lie in lies)


def test_batches_that_cannot_be_read_stop_no_worker(broker: Any, tmp_path: Path) -> None:
    begin(broker.bootstrap)
    taken = {
        topic: write_lies(broker.bootstrap, topic) for topic in (TOPICS.facts, TOPICS.measurements, TOPICS.activity)
    }
    assert set(taken.values()) in ({0}, {3})
    send(broker.bootstrap, batch(1))
    with workers(broker.bootstrap, tmp_path):
        assert eventually(lambda: totals(broker.bootstrap) == 1, 30)
        again = {topic: write_lies(broker.bootstrap, topic) for topic in taken}
        send(broker.bootstrap, batch(2, 3))
        assert eventually(lambda: totals(broker.bootstrap) == 3, 30)
        last = latest(broker.bootstrap)
    assert again == taken
    # Each record is counted, and two of these batches hold one, the other two.
    assert last.dead_letters == ({"batch": 8, "facts": 8} if taken[TOPICS.activity] else {})


def test_a_record_that_no_checkpoint_ends_holds_nothing_up(broker: Any, tmp_path: Path) -> None:
    """Whoever reads facts waits for the progress behind them; behind this one there is none."""
    begin(broker.bootstrap)
    send(broker.bootstrap, batch(1))
    with workers(broker.bootstrap, tmp_path):
        assert eventually(lambda: totals(broker.bootstrap) == 1, 30)
    write(broker.bootstrap, TOPICS.facts, [(KEY, STRAY, [])])
    before = latest(broker.bootstrap)
    with workers(broker.bootstrap, tmp_path, roles=("measure",)):
        assert eventually(lambda: latest(broker.bootstrap).evaluated_at > before.evaluated_at, 30)
    assert latest(broker.bootstrap).dead_letters == {"facts": 1}
    assert totals(broker.bootstrap) == 1


def test_what_is_published_can_be_read(broker: Any, tmp_path: Path) -> None:
    begin(broker.bootstrap)
    send(broker.bootstrap, batch(1, 2))
    with workers(broker.bootstrap, tmp_path):
        assert eventually(lambda: totals(broker.bootstrap) == 2, 30)
    for key, value in asyncio.run(published(broker.bootstrap)):
        assert key is not None
        found = read(key, value)
        if isinstance(found, Measurement):
            assert series(found.name, found.labels) == key
