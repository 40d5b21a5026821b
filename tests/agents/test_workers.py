"""The workers on a real log: what is no batch, what the log has lost, and what a person is told."""

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from agents.config import Config
from agents.count.partition import Count
from agents.count.worker import MOST_UNCOMMITTED
from agents.facts import KEY, encode_in_parts, read_facts
from agents.faust_adapter import FETCH_WAIT_MS
from agents.measurements import (
    EVALUATION,
    Evaluation,
    HealthReport,
    decode_evaluation,
    decode_measurement,
    encode,
    health_key,
    is_health,
)
from streams.activity import Batch, Cover, encode_batch
from streams.kafka import admin
from streams.kafka.dead_letters import KEPT
from streams.kafka.topics import Topics
from tests.agents.running import ROOT, TOPICS, send, workers
from tests.broker.clients import eventually
from tests.chaos.conftest import Embedded
from tests.chaos.reading import read_topic
from tests.count.making import NOW, activity, feed


def put(bootstrap: str, key: bytes, value: bytes) -> None:
    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            await producer.send_and_wait(TOPICS.measurements, value, key=key, partition=0)

    asyncio.run(produce())


def evaluated(bootstrap: str, upto: int) -> Evaluation:
    """The evaluation of everything before an offset."""
    found: list[Evaluation] = []

    def reached() -> bool:
        table = {key: value for _, key, value in read_topic(bootstrap, TOPICS.measurements, 1)}
        found[:] = [decode_evaluation(value)] if (value := table.get(EVALUATION)) else []
        return bool(found) and found[0].offsets.get(0, 0) >= upto

    assert eventually(reached, 30)
    return found[0]


def test_measure_waits_for_the_rest_of_a_checkpoint_although_an_evaluation_is_overdue(tmp_path: Path) -> None:
    broker = Embedded(tmp_path)
    topics = Topics(prefix=TOPICS.prefix, partitions=2)

    def checkpoint(number: int, most: int) -> list[bytes]:
        count = Count(number)
        own = [activity(number, NOW), activity(number + 2, NOW, repo_id=6)]
        feed(count, Batch(feed="github", activities=own, complete_to=NOW))
        return encode_in_parts(count.checkpoint(), number, most)

    async def produce(records: list[tuple[int, bytes]]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=50) as producer:
            await asyncio.gather(
                *[await producer.send(topics.facts, value, key=KEY, partition=n) for n, value in records]
            )

    try:
        admin.create(broker.bootstrap, topics)
        whole, parted = checkpoint(0, most=8_000), checkpoint(1, most=10)
        assert (len(whole), len(parted)) == (1, 2)
        with workers(broker.bootstrap, tmp_path, roles=("measure",), partitions=2):
            asyncio.run(produce([(0, value) for value in whole]))
            assert evaluated(broker.bootstrap, upto=1).activities == 2
            # Of the second partition's checkpoint the last record is to come; the first one's makes an evaluation due
            # meanwhile.
            asyncio.run(produce([(1, parted[0])]))
            asyncio.run(produce([(0, value) for value in checkpoint(0, most=8_000)]))
            asyncio.run(produce([(1, parted[1])]))
            assert eventually(lambda: evaluated(broker.bootstrap, upto=1).activities == 4, 30)
    finally:
        broker.stop()


def batch(*numbers: int) -> bytes:
    return encode_batch(Batch(feed="github", activities=[activity(number, NOW) for number in numbers]))


def test_a_record_that_is_no_batch_is_kept_with_its_place_and_stops_nobody(tmp_path: Path) -> None:
    broker = Embedded(tmp_path)
    try:
        admin.create(broker.bootstrap, TOPICS)
        poison = [
            b'{"feed": 7}',
            None,
            b'{"feed": "github", "activities": ' + b"[" * 200_000,
            encode_batch(Batch(feed="github", activities=[activity(9, NOW, platform="elsewhere")])),
            encode_batch(Batch(feed="github", activities=[activity(9, 1_000 * NOW)])),
            encode_batch(Batch(feed="github", complete_to=1_000 * NOW)),
            encode_batch(Batch(feed="github", covered=[Cover("github", NOW, NOW - 1)])),
        ]
        send(broker.bootstrap, batch(1), *poison, batch(2, 3))
        with workers(broker.bootstrap, tmp_path):
            evaluation = evaluated(broker.bootstrap, len(poison) + 2)
        assert (evaluation.activities, evaluation.dead_letters) == (3, {"batch": len(poison)})
        letters = [json.loads(value) for _, _, value in read_topic(broker.bootstrap, TOPICS.dead_letters, 1) if value]
        kept = [(letter["file"], letter["line"], base64.b64decode(letter["raw"])) for letter in letters]
        assert kept == [("partition 0", line, (value or b"")[:KEPT]) for line, value in enumerate(poison, 1)]
    finally:
        broker.stop()


def test_much_input_is_committed_before_its_time(tmp_path: Path) -> None:
    broker = Embedded(tmp_path)
    try:
        admin.create(broker.bootstrap, TOPICS)
        # Each batch has 5,000 activities; a checkpoint is due in an hour, or when too many wait.
        batches = [batch(*range(5_000 * n, 5_000 * (n + 1))) for n in range(MOST_UNCOMMITTED // 5_000 + 1)]
        with workers(broker.bootstrap, tmp_path, roles=("count",), checkpoint_interval=3600.0):
            send(broker.bootstrap, *batches)
            assert eventually(lambda: bool(list(read_topic(broker.bootstrap, TOPICS.facts, 1))), 60)
            facts = [read_facts(0, key, value) for _, key, value in read_topic(broker.bootstrap, TOPICS.facts, 1)]
        assert sum(len(record.rows) for record in facts) == MOST_UNCOMMITTED
    finally:
        broker.stop()


@pytest.mark.parametrize("deleted", [2, 3])
def test_records_that_the_log_has_deleted_are_counted_as_missing(deleted: int, tmp_path: Path) -> None:
    broker = Embedded(tmp_path)
    try:
        admin.create(broker.bootstrap, TOPICS)
        send(broker.bootstrap, batch(1), batch(2), batch(3))
        client = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        client.delete_records({TopicPartition(TOPICS.activity, 0): deleted})
        client.close()
        with workers(broker.bootstrap, tmp_path):
            evaluation = evaluated(broker.bootstrap, 3)
        assert (evaluation.activities, evaluation.missing) == (3 - deleted, deleted)
    finally:
        broker.stop()


def test_a_restart_withdraws_no_figure_and_nothing_of_others(tmp_path: Path) -> None:
    broker = Embedded(tmp_path)
    try:
        admin.create(broker.bootstrap, TOPICS)
        send(broker.bootstrap, batch(1), batch(2, 3))
        with workers(broker.bootstrap, tmp_path):
            evaluated(broker.bootstrap, 2)
        health = encode(HealthReport(role="streams", evaluated_at=NOW, rows=[]))
        put(broker.bootstrap, health_key("streams"), health)
        before = list(read_topic(broker.bootstrap, TOPICS.measurements, 1))
        send(broker.bootstrap, batch(4))
        with workers(broker.bootstrap, tmp_path):
            evaluated(broker.bootstrap, 3)
        since = list(read_topic(broker.bootstrap, TOPICS.measurements, 1))[len(before) :]
    finally:
        broker.stop()
    assert since, "the restarted workers have published"
    assert not [key for _, key, value in since if value is None or is_health(key)]
    totals = {key: decode_measurement(value).value for _, key, value in before if value and b"activities_total" in key}
    grown = {key: decode_measurement(value).value for _, key, value in since if value and b"activities_total" in key}
    assert grown
    assert all(value > totals[key] for key, value in grown.items())


def test_where_nothing_happens_the_figures_are_said_again_to_be_the_latest(tmp_path: Path) -> None:
    """Or a platform that is silent would look like a worker that is dead."""
    broker = Embedded(tmp_path)
    try:
        admin.create(broker.bootstrap, TOPICS)
        send(broker.bootstrap, batch(1, 2))
        with workers(broker.bootstrap, tmp_path, silence=0.2):
            first = evaluated(broker.bootstrap, 1)
            assert eventually(lambda: evaluated(broker.bootstrap, 1).evaluated_at > first.evaluated_at, 30)
            again = evaluated(broker.bootstrap, 1)
        records = list(read_topic(broker.bootstrap, TOPICS.measurements, 1))
    finally:
        broker.stop()
    assert msgspec.structs.replace(again, evaluated_at=first.evaluated_at) == first
    counts = [value for _, key, value in records if b"activities_total" in key]
    assert len(counts) == len(set(counts)) > 0, "what has not changed is not said again"


def test_figures_that_do_not_hold_what_has_come_are_not_said_again(tmp_path: Path) -> None:
    """Or a dead count worker would look like a silent platform."""
    broker = Embedded(tmp_path)
    try:
        admin.create(broker.bootstrap, TOPICS)
        send(broker.bootstrap, batch(1, 2))
        with workers(broker.bootstrap, tmp_path):
            before = evaluated(broker.bootstrap, 1).evaluated_at
        send(broker.bootstrap, batch(3))
        with workers(broker.bootstrap, tmp_path, silence=0.2, roles=("measure",)):
            # Who starts says once what the topic holds.
            assert eventually(lambda: evaluated(broker.bootstrap, 1).evaluated_at > before, 30)
            once = evaluated(broker.bootstrap, 1)
            time.sleep(2)
            assert evaluated(broker.bootstrap, 1) == once
    finally:
        broker.stop()


def test_how_long_it_takes_until_it_is_folded_and_measured_is_told(tmp_path: Path) -> None:
    """Of what a worker sees happen; a batch that says it waited for an hour did, and marks alone wait for nothing."""
    broker = Embedded(tmp_path)
    try:
        admin.create(broker.bootstrap, TOPICS)
        send(broker.bootstrap, batch(1))
        with workers(broker.bootstrap, tmp_path):
            first = evaluated(broker.bootstrap, 1).latencies
            send(broker.bootstrap, batch(2, 3), at=time.time() - 3600)
            evaluated(broker.bootstrap, 2)
            send(broker.bootstrap, encode_batch(Batch(feed="github", complete_to=NOW)))
            then = evaluated(broker.bootstrap, 3).latencies
        before = sum(first["folded"].counts)
        assert sum(then["folded"].counts) == sum(then["measured"].counts) == before + 1
        assert (first["folded"].counts[-1], then["folded"].counts[-1]) == (0, 1), "longer than a minute"
        assert then["folded"].sum >= 3600
        assert 0 <= then["measured"].sum < 3600
        with workers(broker.bootstrap, tmp_path):
            send(broker.bootstrap, encode_batch(Batch(feed="github", complete_to=NOW + 1)))
            again = evaluated(broker.bootstrap, 4).latencies
        assert not any(sum(latency.counts) for latency in again.values()), "what was folded before the start is no news"
    finally:
        broker.stop()


COUNT = """
import logging
import sys
import msgspec
from agents.count import worker
from agents.config import Config
{change}
# As in a role's process, where what the libraries log is shown only when asked for.
logging.getLogger().setLevel(logging.CRITICAL + 1)
logging.getLogger("nomadwatch").setLevel(logging.WARNING)
worker.run(msgspec.json.decode(sys.argv[1], type=Config))
"""


@contextmanager
def changed(change: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A count worker in which lines of Python have changed something first; one record waits for it."""
    broker = Embedded(folder)
    try:
        admin.create(broker.bootstrap, TOPICS)
        send(broker.bootstrap, batch(1))
        config = Config(bootstrap=broker.bootstrap, prefix=TOPICS.prefix, partitions=1, data_dir=str(folder))
        command = [sys.executable, "-c", COUNT.format(change=change), msgspec.json.encode(config).decode()]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
            try:
                yield worker
            finally:
                worker.kill()
    finally:
        broker.stop()


CURSED = """
from agents.count.partition import Count

def take(self, batch):
    raise KeyError("unforeseen")

Count.take = take
"""


def test_a_batch_that_cannot_be_counted_ends_the_worker_for_all_to_see(tmp_path: Path) -> None:
    with changed(CURSED, tmp_path) as worker:
        _, said = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert "the record at 0 of partition 0 cannot be counted (KeyError: 'unforeseen'); ending" in said


SPIED = """
from aiokafka.consumer.fetcher import Fetcher

start = Fetcher.__init__

def spy(self, *args, **settings):
    print(settings["fetch_max_wait_ms"], flush=True)
    start(self, *args, **settings)

Fetcher.__init__ = spy
"""


def test_a_fetch_waits_no_longer_than_it_should_at_the_end_of_a_stream(tmp_path: Path) -> None:
    with changed(SPIED, tmp_path) as worker:
        assert worker.stdout is not None
        assert int(worker.stdout.readline()) == FETCH_WAIT_MS


DESERTED = """
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

async def start(self):
    raise KafkaConnectionError("gone")

AIOKafkaConsumer.start = start
"""


def test_a_broker_that_goes_away_while_the_worker_starts_is_one_line(tmp_path: Path) -> None:
    with changed(DESERTED, tmp_path) as worker:
        _, said = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert (
        said == "the broker does not answer (KafkaConnectionError: gone); start it, or name another one with --broker\n"
    )
