"""An embedded broker in a process of its own, which tests kill, stop and start again."""

import asyncio
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.activity import Batch, decode_batch
from streams.kafka.admin import create
from streams.kafka.topics import Topics

ROOT = Path(__file__).parents[2]
TOPICS = Topics("test-", partitions=4)


class Process:
    """The broker; its port stays the same when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "broker.log"
        self.port = 0
        self.start()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "broker", str(self._file), "--port", str(self.port), "--housekeeping", "0.5"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().rpartition(":")[2])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def fill_disk(self) -> None:
        """From now on no file of the broker may grow."""
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (self._file.stat().st_size, resource.RLIM_INFINITY))

    def empty_disk(self) -> None:
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextmanager
def broker(folder: Path, *, topics: Topics | None = TOPICS) -> Iterator[Process]:
    """A running broker, with topics unless they are not wanted."""
    process = Process(folder)
    try:
        if topics is not None:
            create(process.bootstrap, topics)
        yield process
    finally:
        process.thaw()
        process.kill()


class Record(msgspec.Struct):
    """What stands in a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes


async def records_of(bootstrap: str, topic: str, partitions: int) -> list[Record]:
    """All records of a topic, a partition after the other."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[Record] = []
        async with asyncio.timeout(30):
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [Record(record.partition, record.offset, record.key, record.value) for record in records]
    finally:
        await consumer.stop()
    return sorted(found, key=lambda record: (record.partition, record.offset))


def accepted(records: list[Record]) -> list[tuple[int, Batch]]:
    """What a reader of `activity` takes: in each partition the next number, and nothing that it has seen; a gap is an
    error.
    """
    expected: dict[int, int] = {}
    taken = []
    for record in records:
        batch = decode_batch(record.value)
        assert batch.sequence is not None
        due = expected.get(record.partition, 0)
        assert batch.sequence <= due, f"partition {record.partition}: {batch.sequence} came where {due} was due"
        if batch.sequence == due:
            taken.append((record.partition, batch))
            expected[record.partition] = due + 1
    return taken
