"""The worker `measure` on a real broker: what it takes from its store, when the store is no copy of the topic, and what
it publishes while it starts.
"""

import asyncio
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from agents.config import Config
from agents.count.partition import Count
from agents.facts import KEY, encode_facts
from agents.measure.binding import SET_ASIDE
from agents.measure.store import store_path
from agents.measurements import EVALUATION, decode_evaluation, decode_measurement
from streams.activity import MINUTE, Batch
from streams.kafka import admin
from streams.kafka.topics import Topics
from tests.broker.clients import eventually, read
from tests.chaos.conftest import Embedded
from tests.measure.making import NOW, activity

ROOT = Path(__file__).parents[2]
TOPICS = Topics(prefix="measure-", partitions=1)
WORKER = """
import logging, sys
import msgspec
from agents.config import Config
from agents.measure.worker import run
logging.basicConfig(level=logging.CRITICAL + 1, format="%(levelname)s %(message)s")
logging.getLogger("nomadwatch").setLevel(logging.INFO)
run(msgspec.json.decode(sys.argv[1], type=Config))
"""


class Facts:
    """What `count` writes into the topic: each record has one more person who pushes."""

    def __init__(self, bootstrap: str, topics: Topics = TOPICS) -> None:
        self.bootstrap, self.topics = bootstrap, topics
        self._count, self.pushes = Count(0), 0

    def write(self, records: int, *, first: int = 1) -> None:
        values = []
        for _ in range(records):
            self.pushes += 1
            number = first + self.pushes
            own = activity(number, NOW + self.pushes * MINUTE, actor=number << 32)
            self._count.advance(self.pushes - 1, Batch(feed="archive", activities=[own], complete_to=own.occurred_at))
            self._count.take(Batch(feed="archive", activities=[own]))
            values.append(encode_facts(self._count.checkpoint()))

        async def produce() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer:
                for value in values:
                    await producer.send_and_wait(self.topics.facts, value, key=KEY, partition=0)

        asyncio.run(produce())


class Measuring:
    """A running worker and what it says."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process, self.said = process, list[str]()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self.said += lines

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(timeout=15) == 0
        self._listener.join()

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.said if not line.startswith("INFO")]


@contextmanager
def measuring(bootstrap: str, folder: Path, topics: Topics = TOPICS) -> Iterator[Measuring]:
    config = Config(
        bootstrap=bootstrap,
        prefix=topics.prefix,
        partitions=1,
        data_dir=str(folder),
        refresh_interval=0.05,
        silence=0.3,
    )
    command = [sys.executable, "-c", WORKER, msgspec.json.encode(config).decode()]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        running = Measuring(process)
        try:
            yield running
        finally:
            running.end()


def published(bootstrap: str, topics: Topics = TOPICS) -> list[tuple[bytes, bytes | None]]:
    """Everything that was ever published, in order."""
    return [(record.key, record.value) for record in asyncio.run(read(bootstrap, topics.measurements, committed=True))]


def figures(bootstrap: str, topics: Topics = TOPICS) -> tuple[float, float]:
    """(pushes since the beginning, people of the last month) as they stand in the topic."""
    table = dict(published(bootstrap, topics))
    found = [decode_measurement(value) for key, value in table.items() if value and key.startswith(b"nomadwatch_a")]
    total = sum(m.value for m in found if m.name == "nomadwatch_activities_total" and m.labels["scope"] == "all")
    own = {"scope": "all", "window": "30d"}.items()
    people = sum(m.value for m in found if m.name == "nomadwatch_active_developers" and own <= m.labels.items())
    return total, people


def reached(bootstrap: str, pushes: int, topics: Topics = TOPICS) -> bool:
    return eventually(lambda: figures(bootstrap, topics) == (pushes, pushes))


def evaluations(bootstrap: str) -> int:
    return sum(key == EVALUATION for key, _ in published(bootstrap))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Embedded]:
    folder = tmp_path / "broker"
    folder.mkdir()
    running = Embedded(folder)
    try:
        admin.create(running.bootstrap, TOPICS)
        yield running
    finally:
        running.stop()


def begun(broker: Embedded, folder: Path, pushes: int = 20) -> Facts:
    """Facts that were measured, by a worker that has ended."""
    facts = Facts(broker.bootstrap)
    facts.write(pushes)
    with measuring(broker.bootstrap, folder) as worker:
        assert reached(broker.bootstrap, pushes)
    assert worker.warnings == []
    return facts


def test_a_worker_that_starts_again_reads_only_what_its_store_lacks(broker: Embedded, tmp_path: Path) -> None:
    facts = begun(broker, tmp_path)
    facts.write(2)
    with measuring(broker.bootstrap, tmp_path) as worker:
        assert reached(broker.bootstrap, 22)
    assert worker.warnings == []
    assert any("(2 rows)" in line for line in worker.said), worker.said


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def flip(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        (data,) = db.execute("SELECT data FROM rows LIMIT 1").fetchone()
        db.execute("UPDATE rows SET data = ?", (bytes([data[0] ^ 1]) + data[1:],))


def delete(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [cut_off, flip, delete, lambda path: path.write_bytes(b"nothing " * 2000)])
def test_a_store_that_is_lost_or_damaged_is_made_of_the_topic_with_a_line_and_no_figure_falls(
    broker: Embedded, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    facts = begun(broker, tmp_path)
    path = store_path(str(tmp_path))
    damage(path)
    facts.write(2)
    with measuring(broker.bootstrap, tmp_path) as worker:
        assert reached(broker.bootstrap, 22)
    assert len(worker.warnings) == (0 if damage is delete else 1), worker.said
    assert any("(22 rows)" in line for line in worker.said), worker.said
    assert not path.with_name(path.name + SET_ASIDE).exists(), "the topic has everything"
    totals = [
        decode_measurement(value).value
        for key, value in published(broker.bootstrap)
        if value and key.startswith(b"nomadwatch_activities_total") and b'scope="all"' in key
    ]
    assert totals == sorted(totals)


def test_where_the_topic_has_forgotten_its_beginning_the_store_has_it_and_is_not_thrown_away(
    broker: Embedded, tmp_path: Path
) -> None:
    facts = begun(broker, tmp_path)
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as client:
        client.delete_records({TopicPartition(TOPICS.facts, 0): 15})
    facts.write(1)
    with measuring(broker.bootstrap, tmp_path) as worker:
        assert reached(broker.bootstrap, 21)
    assert worker.warnings == []
    path = store_path(str(tmp_path))
    flip(path)
    facts.write(1)
    with measuring(broker.bootstrap, tmp_path) as worker:
        # Totals stand in the records; what the topic forgot is in no window.
        assert eventually(lambda: figures(broker.bootstrap) == (22, 7))
    told = path.with_name(path.name + SET_ASIDE)
    assert told.exists()
    assert str(told) in worker.warnings[0]


def test_records_that_were_deleted_before_they_were_measured_are_told(broker: Embedded, tmp_path: Path) -> None:
    facts = begun(broker, tmp_path)
    facts.write(5)
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as client:
        client.delete_records({TopicPartition(TOPICS.facts, 0): 23})
    with measuring(broker.bootstrap, tmp_path) as worker:
        assert eventually(lambda: figures(broker.bootstrap) == (25, 22))
    (told,) = worker.warnings
    assert "records 20 to 22 were deleted before they were measured" in told


@pytest.mark.parametrize("records", [3, 30])
def test_a_topic_that_was_made_anew_gets_a_new_store(broker: Embedded, tmp_path: Path, records: int) -> None:
    begun(broker, tmp_path)
    admin.delete(broker.bootstrap, TOPICS)
    admin.create(broker.bootstrap, TOPICS)
    # Fewer records than the store holds; or more, but others.
    Facts(broker.bootstrap).write(records, first=1000)
    with measuring(broker.bootstrap, tmp_path) as worker:
        assert reached(broker.bootstrap, records)
    (told,) = worker.warnings
    assert "is no copy of the topic measure-facts: " in told
    assert ("ends at 3, and the store holds it up to 20" if records == 3 else "is another one") in told


def test_a_store_of_another_topic_is_not_taken_for_this_one_s(broker: Embedded, tmp_path: Path) -> None:
    begun(broker, tmp_path)
    other = Topics(prefix="other-", partitions=1)
    admin.create(broker.bootstrap, other)
    # The same records: only the topic's name tells.
    Facts(broker.bootstrap, other).write(21)
    with measuring(broker.bootstrap, tmp_path, other) as worker:
        assert reached(broker.bootstrap, 21, other)
    (told,) = worker.warnings
    assert "is no copy of the topic other-facts: it is one of measure-facts" in told


def test_a_full_disk_stops_no_figure(broker: Embedded, tmp_path: Path) -> None:
    facts = begun(broker, tmp_path)
    with measuring(broker.bootstrap, tmp_path) as worker:
        before = evaluations(broker.bootstrap)
        assert eventually(lambda: evaluations(broker.bootstrap) > before)
        resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        facts.write(3)
        assert reached(broker.bootstrap, 23)
        assert eventually(lambda: any("cannot be written" in line for line in worker.said))
        facts.write(3)
        assert reached(broker.bootstrap, 26)
    assert len(worker.warnings) == 1
    with measuring(broker.bootstrap, tmp_path) as worker:
        before = evaluations(broker.bootstrap)
        assert eventually(lambda: evaluations(broker.bootstrap) > before)
        assert figures(broker.bootstrap) == (26, 26)
    assert any("(6 rows)" in line for line in worker.said), worker.said


def test_two_workers_never_write_one_store(broker: Embedded, tmp_path: Path) -> None:
    facts = begun(broker, tmp_path)
    with measuring(broker.bootstrap, tmp_path):
        before = evaluations(broker.bootstrap)
        assert eventually(lambda: evaluations(broker.bootstrap) > before)
        config = Config(bootstrap=broker.bootstrap, prefix=TOPICS.prefix, partitions=1, data_dir=str(tmp_path))
        command = [sys.executable, "-c", WORKER, msgspec.json.encode(config).decode()]
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert second.returncode == 1
        assert "another process measures in" in second.stderr
        facts.write(1)
        assert reached(broker.bootstrap, 21), "the first one is not disturbed"


def test_rows_that_cannot_be_counted_are_foreign(broker: Embedded, tmp_path: Path) -> None:
    facts = begun(broker, tmp_path)
    count = Count(0)
    count.advance(90, Batch(feed="archive", sequence=1))
    count.take(Batch(feed="archive", activities=[activity(1, NOW)]))
    spoilt = count.checkpoint()
    spoilt.rows["code"] = 255

    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            await producer.send_and_wait(TOPICS.facts, encode_facts(spoilt), key=KEY, partition=0)
            await producer.send_and_wait(TOPICS.facts, b"hello world", partition=0)

    asyncio.run(produce())
    with measuring(broker.bootstrap, tmp_path):
        facts.write(1)
        assert reached(broker.bootstrap, 21)
        table = dict(published(broker.bootstrap))
    told = table[EVALUATION]
    assert told is not None
    assert decode_evaluation(told).dead_letters == {"facts": 2}


def test_a_row_that_withdraws_what_was_never_sent_ends_nobody_and_is_counted(broker: Embedded, tmp_path: Path) -> None:
    begun(broker, tmp_path)
    count = Count(0)
    own = activity(7, NOW + MINUTE, actor=99 << 32, repo_id=9 << 32)
    count.advance(90, Batch(feed="archive", activities=[own], sequence=1))
    count.take(Batch(feed="archive", activities=[own]))
    lie = count.checkpoint()
    lie.rows["n"] = -1

    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            await producer.send_and_wait(TOPICS.facts, encode_facts(lie), key=KEY, partition=0)

    asyncio.run(produce())
    with measuring(broker.bootstrap, tmp_path) as worker:

        def told() -> dict[str, int]:
            value = dict(published(broker.bootstrap))[EVALUATION]
            return decode_evaluation(value).dead_letters if value else {}

        # A repository and a person, in each of four windows, and perhaps a code.
        assert eventually(lambda: told().get("below-zero", 0) >= 8)
    assert len(worker.warnings) == 1
    assert "are below 0 and left out" in worker.warnings[0]
