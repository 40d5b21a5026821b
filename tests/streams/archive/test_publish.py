"""The reader publishes each batch of a plan once, whatever is killed meanwhile."""

import asyncio
import logging
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import RecordMetadata

from streams.activity import Batch
from streams.archive import publish as publishing
from streams.archive import reading
from streams.archive.plan import plan
from streams.archive.publish import ReadProgress, ReadSummary, publish, read_cursor
from streams.archive.reading import Options
from streams.errors import BrokerAway, OtherReplay, TopicMismatch
from streams.kafka import admin, deliver
from streams.kafka.cursors import Cursor, decode_cursor
from streams.kafka.deliver import Delivery
from tests.streams.brokers import ROOT, TOPICS, Process, accepted, broker, records_of
from tests.streams.made import KEY, NOW, OPTIONS, batches, event, last_cursor, letters, pushes, read_all, write
from tests.streams.reader import SECTION


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SECTION", SECTION)
    monkeypatch.setattr(reading, "BATCH", 20)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with broker(tmp_path) as running:
        yield running


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two hours of 6,000 lines each, with some garbage."""
    folder = tmp_path / "archive"
    write(folder / "2024-05-01-10.json", [*pushes(6_000), b"garbage"])
    write(folder / "2024-05-01-11.json", [b"null", *pushes(6_000, first=10_000, hour="2024-05-01T11")])
    return folder


def run(
    process: Process,
    folder: Path,
    *,
    progress: Callable[[ReadProgress], None] = lambda now: None,
    stop: asyncio.Event | None = None,
    now: int = NOW,
    options: Options = OPTIONS,
) -> ReadSummary:
    planned = plan([str(folder)])
    return asyncio.run(
        publish(
            planned,
            bootstrap=process.bootstrap,
            topics=TOPICS,
            actor_key=KEY,
            options=options,
            now=lambda: now,
            progress=progress,
            stop=stop,
        )
    )


def sent(process: Process) -> list[tuple[int, Batch]]:
    """The batches that a reader of the topic takes, a partition after the other."""
    return accepted(asyncio.run(records_of(process.bootstrap, TOPICS.activity, TOPICS.partitions)))


def wanted(folder: Path) -> list[tuple[int, Batch]]:
    return sorted(batches(read_all([folder])), key=lambda placed: placed[0])


def test_what_is_sent_is_what_the_sections_say(process: Process, archive: Path) -> None:
    summary = run(process, archive)
    assert sent(process) == wanted(archive)
    expected = last_cursor(read_all([archive]))
    assert (summary.counts, summary.done, summary.newest) == (expected.counts, True, expected.newest)
    assert summary.offsets == expected.sequences
    dead = asyncio.run(records_of(process.bootstrap, TOPICS.dead_letters, 1))
    assert [record.key for record in dead] == [b"2024-05-01-10.json", b"2024-05-01-11.json"]
    assert len(letters(read_all([archive]))) == 2


def test_what_is_sent_is_packed_on_its_way(process: Process, archive: Path, tmp_path: Path) -> None:
    run(process, archive)
    records = asyncio.run(records_of(process.bootstrap, TOPICS.activity, TOPICS.partitions))
    process.kill()
    with closing(sqlite3.connect(tmp_path / "broker.log")) as log:
        (stored,) = log.execute("SELECT sum(length(data)) FROM batches").fetchone()
    assert stored < sum(len(record.value) for record in records) / 3


def test_cursors_are_written_in_order_and_the_last_says_done(process: Process, archive: Path) -> None:
    run(process, archive)
    cursors = [decode_cursor(record.value) for record in asyncio.run(records_of(process.bootstrap, TOPICS.cursors, 1))]
    places = [(cursor.file, cursor.line) for cursor in cursors]
    assert places == sorted(places)
    assert cursors[-1].done
    assert cursors[-1].offsets == cursors[-1].sequences


def test_a_finished_reading_that_is_repeated_sends_nothing(process: Process, archive: Path) -> None:
    first = run(process, archive)
    assert run(process, archive, now=NOW + 5) == first
    records = asyncio.run(records_of(process.bootstrap, TOPICS.activity, TOPICS.partitions))
    assert len(records) == sum(first.offsets)


def test_progress_tells_of_bytes_and_counts(process: Process, archive: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    run(process, archive, progress=lambda now: seen.append((now.position, now.size, now.counts.lines)))
    size = plan([str(archive)]).size
    assert seen[-1] == (size, size, 12_002)
    assert seen == sorted(seen)


def test_a_stopped_reading_goes_on_where_it_was(process: Process, archive: Path) -> None:
    stop = asyncio.Event()

    def stop_halfway(now: ReadProgress) -> None:
        if now.counts.lines > 7_000:
            stop.set()

    halted = run(process, archive, progress=stop_halfway, stop=stop)
    assert not halted.done
    cursor = asyncio.run(read_cursor(process.bootstrap, TOPICS, "archive"))
    assert cursor is not None
    assert not cursor.done
    assert run(process, archive, now=NOW + 5).done
    assert sent(process) == wanted(archive)


def test_another_reading_in_the_same_state_is_refused(process: Process, archive: Path) -> None:
    run(process, archive)
    with pytest.raises(OtherReplay, match="another data folder"):
        run(process, archive, options=replace(OPTIONS, include_bots=True))


def test_a_killed_reader_goes_on_and_nothing_is_lost_or_taken_twice(process: Process, archive: Path) -> None:
    chance = random.Random(5)
    kills = 0
    for number in range(12):
        command = [sys.executable, "-m", "tests.streams.reader", process.bootstrap, str(archive)]
        reader = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert reader.stdout is not None
        for _ in range(chance.randrange(1, 40) if number < 11 else 10**9):
            if not reader.stdout.readline():
                break
        else:
            kills += 1
        reader.kill()
        reader.wait()
        reader.stdout.close()
    assert kills >= 3
    assert run(process, archive).done
    assert sent(process) == wanted(archive)


def test_a_broker_that_is_killed_and_comes_back_has_everything_once(process: Process, archive: Path) -> None:
    kills = 0

    def kill_now_and_then(now: ReadProgress) -> None:
        nonlocal kills
        if now.counts.lines > (kills + 1) * 2_500:
            kills += 1
            process.kill()
            process.start()

    assert run(process, archive, progress=kill_now_and_then).done
    assert kills == 4
    records = asyncio.run(records_of(process.bootstrap, TOPICS.activity, TOPICS.partitions))
    assert accepted(records) == wanted(archive)
    assert len(records) == len(wanted(archive))


class Slow:
    """A producer whose records are acknowledged only when the test says so."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, asyncio.Future[RecordMetadata]]] = []
        self.busy = asyncio.Event()

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None, partition: int
    ) -> "asyncio.Future[RecordMetadata]":
        future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        self.sent.append((topic, future))
        if len(self.sent) >= 60:
            self.busy.set()
        if topic == TOPICS.cursors:
            self.acknowledge(-1)
        return future

    def acknowledge(self, which: int) -> None:
        topic, future = self.sent[which]
        future.set_result(RecordMetadata(topic, 0, TopicPartition(topic, 0), 0, 0, 0, None))

    @property
    def cursors(self) -> int:
        return [topic for topic, _ in self.sent].count(TOPICS.cursors)

    @property
    def client(self) -> "Slow":
        return self

    async def fetch_all_metadata(self) -> "Slow":
        return self

    def topics(self) -> set[str]:
        return set(TOPICS.names)

    async def set_topics(self, topics: list[str]) -> None:
        pass

    async def stop(self) -> None:
        pass


def test_a_cursor_is_written_only_when_everything_before_it_is_acknowledged(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        slow, stop = Slow(), asyncio.Event()
        planned = plan([str(archive)])
        monkeypatch.setattr(publishing, "read_cursor", lambda *_: settled(None))
        monkeypatch.setattr(deliver, "connect", lambda *_: settled(slow))
        reading = asyncio.create_task(
            publish(planned, bootstrap="", topics=TOPICS, actor_key=KEY, options=OPTIONS, now=lambda: NOW, stop=stop)
        )
        # It reads ahead by the sections that the queue holds, and no further.
        await slow.busy.wait()
        first_section = len(batches(read_all([archive])[: index_of_first_cursor(archive)]))
        assert slow.cursors == 1  # the one that says what is read, before anything is sent
        for which in range(2, first_section + 1):
            slow.acknowledge(which)
        await turns()
        assert slow.cursors == 1
        slow.acknowledge(1)
        await turns()
        assert slow.cursors == 2
        stop.set()
        assert not (await reading).done

    asyncio.run(scenario())


async def settled(value: object) -> object:
    return value


async def turns() -> None:
    """Let everything that is ready run."""
    for _ in range(100):
        await asyncio.sleep(0)


def index_of_first_cursor(folder: Path) -> int:
    return next(place for place, step in enumerate(read_all([folder])) if isinstance(step, Cursor))


def test_the_producer_is_idempotent_and_waits_for_all_acknowledgements(
    process: Process, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: dict[str, object] = {}

    def remember(**settings: object) -> AIOKafkaProducer:
        chosen.update(settings)
        return AIOKafkaProducer(**settings)

    monkeypatch.setattr(deliver, "AIOKafkaProducer", remember)
    run(process, archive)
    assert (chosen["enable_idempotence"], chosen["acks"]) == (True, "all")


@pytest.mark.parametrize("trouble", ["away", "full"])
def test_a_broker_that_is_away_or_full_is_waited_for_and_it_is_said_once(
    process: Process, archive: Path, trouble: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Less than this an acknowledgement may take on a busy machine without anything being wrong.
    monkeypatch.setattr(deliver, "PATIENCE", 1.5)
    caplog.set_level(logging.INFO, "nomadwatch.streams")
    begin, end = (process.freeze, process.thaw) if trouble == "away" else (process.fill_disk, process.empty_disk)
    begun = False

    class Mend(logging.Handler):
        """Ends the trouble as soon as the reader has spoken of it."""

        def emit(self, record: logging.LogRecord) -> None:
            if "nothing is lost" in record.getMessage():
                end()

    def trouble_once(now: ReadProgress) -> None:
        nonlocal begun
        if not begun and now.counts.lines > 2_000:
            begun = True
            begin()

    logger, mend = logging.getLogger("nomadwatch.streams"), Mend()
    logger.addHandler(mend)
    try:
        assert run(process, archive, progress=trouble_once).done
    finally:
        logger.removeHandler(mend)
    assert [record.getMessage().split(":")[0] for record in caplog.records if record.name == "nomadwatch.streams"] == [
        "the broker does not accept records (away or full?)",
        "the broker answers again",
    ]
    assert sent(process) == wanted(archive)


def test_a_broker_that_stays_away_does_not_keep_the_reader_from_stopping(
    process: Process, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "PATIENCE", 0.3)
    stop = asyncio.Event()

    def freeze(now: ReadProgress) -> None:
        process.freeze()
        asyncio.get_running_loop().call_soon(stop.set)

    assert not run(process, archive, progress=freeze, stop=stop).done
    process.thaw()
    assert run(process, archive).done
    assert sent(process) == wanted(archive)


def test_a_broker_that_is_down_at_the_start_is_said(process: Process, archive: Path) -> None:
    process.kill()
    with pytest.raises(BrokerAway, match="is it running"):
        run(process, archive)
    process.start()


def test_the_first_record_of_a_topic_can_be_sent_while_the_broker_is_away(process: Process) -> None:
    async def scenario() -> None:
        async with Delivery.open(process.bootstrap, TOPICS, "test") as delivery:
            process.kill()
            async with asyncio.timeout(20):
                sent = [await delivery.send(name, 0, b"value", b"key") for name in TOPICS.names]
            process.start()
            async with asyncio.timeout(60):
                await delivery.acknowledged(sent)

    asyncio.run(scenario())
    for name in TOPICS.names:
        assert [
            record.value for record in asyncio.run(records_of(process.bootstrap, name, TOPICS.partitions_of(name)))
        ] == [b"value"]


def test_a_topic_that_a_broker_does_not_know_for_a_while_is_waited_for(
    process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        deliver, "AIOKafkaProducer", lambda **settings: AIOKafkaProducer(**settings, request_timeout_ms=3000)
    )
    monkeypatch.setattr(deliver, "PATIENCE", 0.3)

    async def scenario() -> None:
        async with Delivery.open(process.bootstrap, TOPICS, "test") as delivery:
            await asyncio.to_thread(admin.delete, process.bootstrap, TOPICS)
            # As after a connection that broke: what the producer knew is asked for again.
            await delivery._producer.client.force_metadata_update()
            sending = asyncio.create_task(delivery.send(TOPICS.gaps, 0, b"value"))
            async with asyncio.timeout(60):
                while all(record.name != "nomadwatch.streams" for record in caplog.records):
                    assert not sending.done()
                    await asyncio.sleep(0.05)
                await asyncio.to_thread(admin.create, process.bootstrap, TOPICS)
                await delivery.acknowledged([await sending])

    asyncio.run(scenario())
    assert [record.value for record in asyncio.run(records_of(process.bootstrap, TOPICS.gaps, 1))] == [b"value"]


def test_a_topic_that_is_gone_for_good_is_said(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        deliver, "AIOKafkaProducer", lambda **settings: AIOKafkaProducer(**settings, request_timeout_ms=1000)
    )

    async def scenario() -> None:
        async with Delivery.open(process.bootstrap, TOPICS, "test") as delivery:
            await asyncio.to_thread(admin.delete, process.bootstrap, TOPICS)
            await delivery._producer.client.force_metadata_update()
            async with asyncio.timeout(60):
                await delivery.send(TOPICS.gaps, 0, b"value")

    with pytest.raises(TopicMismatch, match="nomadwatch topics create"):
        asyncio.run(scenario())


def test_a_topic_that_is_missing_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    async def scenario(bootstrap: str) -> None:
        async with Delivery.open(bootstrap, replace(TOPICS, prefix="absent-"), "test"):
            pass

    with broker(tmp_path) as running, pytest.raises(TopicMismatch, match="nomadwatch topics create"):
        asyncio.run(scenario(running.bootstrap))


def test_missing_topics_are_said_with_what_to_do(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", [event()])
    with broker(tmp_path, topics=None) as running, pytest.raises(TopicMismatch, match="nomadwatch topics create"):
        run(running, file)
