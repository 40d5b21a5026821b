"""A broker and the roles of a checkout as processes, driven from outside: what is sent, and what has come of it."""

import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import confluent_kafka
import msgspec

from agents.measurements import EVALUATION
from benchmarks.inputs import PARTITIONS
from benchmarks.processes import cpu_of, memory_of
from benchmarks.sides import NEW, Side
from streams.activity import Batch, encode_batch
from tests.apache_kafka import ApacheKafka, die_with_parent

_PATIENCE: Final = 600.0
_LOOK: Final = 0.02
# (partition, value) of a record for the topic `activity`.
Record = tuple[int, bytes]


class Role:
    """A role as a process; what it says on standard error is in a file."""

    def __init__(self, side: Side, arguments: Sequence[object], log: Path) -> None:
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                side.nomadwatch(*arguments, "--verbose"),
                cwd=side.root,
                stdout=subprocess.DEVNULL,
                stderr=file,
                preexec_fn=die_with_parent,
            )

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_of(self.process.pid)

    @property
    def memory(self) -> float:
        """MB now."""
        return memory_of(self.process.pid)

    def find(self, pattern: str) -> re.Match[str] | None:
        """The first match in what it said."""
        return re.search(pattern, self._log.read_text(errors="replace"))

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until it says so. Raises RuntimeError if it ends before."""
        found: list[re.Match[str]] = []

        def said() -> bool:
            if (match := self.find(pattern)) is not None:
                found.append(match)
            return bool(found)

        self.wait_until(said)
        return found[0]

    def wait_until(self, done: Callable[[], bool]) -> float:
        """When (s, monotonic) something was done. Raises RuntimeError if it never is, or the role ends."""
        until = time.monotonic() + _PATIENCE
        while not done():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.process.args!r} did not do it:\n{self._log.read_text()[-2000:]}")
            time.sleep(_LOOK)
        return time.monotonic()

    def end(self, number: int = signal.SIGTERM) -> None:
        """Stop it, and wait for its end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait()


class Station:
    """The roles of one checkout on a broker, with one data folder."""

    def __init__(self, side: Side, bootstrap: str, folder: Path) -> None:
        self.side, self.bootstrap, self.data = side, bootstrap, folder / "data"
        self._folder, self._roles = folder, list[Role]()
        self.counting = "count" if (side.root / "agents" / "count" / "worker.py").exists() else "aggregate"
        make = side.nomadwatch("topics", "create", "--broker", bootstrap)
        subprocess.run(make, cwd=side.root, check=True, stdout=subprocess.DEVNULL)
        self._consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": self.counting})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for role in self._roles:
            role.end(signal.SIGKILL)
        self._consumer.close()

    def count(self, number: int = 0) -> Role:
        """A worker that counts; the numbers keep the folders of several ones apart."""
        return self._start(self.counting, "--data-dir", self.data / str(number))

    def measure(self) -> Role:
        """The role `measure`."""
        return self._start("measure", "--data-dir", self.data)

    def sinks(self) -> Role:
        """What shows the measurements."""
        return self._start("sinks", "--port", "0")

    def _start(self, name: str, *arguments: object) -> Role:
        log = self._folder / f"{name}-{len(self._roles)}.log"
        role = Role(self.side, (name, "--broker", self.bootstrap, *arguments), log)
        self._roles.append(role)
        return role

    def record(self, partition: int, batch: Batch) -> Record:
        """A batch in this checkout's form: version 0.1 knows JSON only."""
        return partition, encode_batch(batch) if self.side is NEW else msgspec.json.encode(batch)

    def publish(self, records: Iterable[Record]) -> None:
        """Write records to `activity`, and wait until the broker has them."""
        producer = _producer(self.bootstrap)
        for partition, value in records:
            while True:
                try:
                    producer.produce("activity", value, partition=partition)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        if producer.flush(_PATIENCE):
            raise RuntimeError("the broker did not take all records")

    @contextmanager
    def trickle(self, records: Iterable[Record], pause: float) -> Iterator[None]:
        """Meanwhile write a record each `pause` seconds."""
        stopped = threading.Event()

        def work() -> None:
            producer = _producer(self.bootstrap)
            for partition, value in records:
                producer.produce("activity", value, partition=partition)
                producer.poll(0)
                if stopped.wait(pause):
                    break
            producer.flush(10)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def ends(self) -> list[int]:
        """The end of each partition of `activity`."""
        places = [confluent_kafka.TopicPartition("activity", number) for number in range(PARTITIONS)]
        return [self._consumer.get_watermark_offsets(place, timeout=30)[1] for place in places]

    def counted(self) -> list[int]:
        """How far the counting workers are in each partition of `activity`, by what they committed to their group: they
        do so as soon as the broker has committed a checkpoint.
        """
        places = [confluent_kafka.TopicPartition("activity", number) for number in range(PARTITIONS)]
        return [max(0, place.offset) for place in self._consumer.committed(places, timeout=30)]


class Evaluations:
    """The evaluations that `measure` has committed since this was made."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "benchmark", "isolation.level": "read_committed"}
        )
        self.offsets = [0] * PARTITIONS
        self.seen = 0
        place = confluent_kafka.TopicPartition("measurements", 0)
        place.offset = self._consumer.get_watermark_offsets(place, timeout=30)[1]
        self._consumer.assign([place])

    def look(self) -> bool:
        """Take up what has come; whether anything has."""
        messages = self._consumer.consume(1000, timeout=_LOOK)
        for message in messages:
            if message.error() is None and message.key() == EVALUATION and message.value():
                evaluation = msgspec.json.decode(message.value())
                self.offsets = [evaluation["offsets"].get(str(number), 0) for number in range(PARTITIONS)]
                self.seen += 1
        return bool(messages)

    def count(self) -> int:
        """How many there are."""
        while self.look():
            pass
        return self.seen

    def reached(self, ends: Sequence[int]) -> bool:
        """Whether the last evaluation holds `activity` up to these offsets."""
        self.look()
        return all(own >= end for own, end in zip(self.offsets, ends, strict=True))

    def close(self) -> None:
        """End."""
        self._consumer.close()


@contextmanager
def embedded(side: Side) -> Iterator[tuple[str, int, Path]]:
    """A checkout's embedded broker: its address, its process and a folder that is removed."""
    with tempfile.TemporaryDirectory(prefix="nomadwatch-bench-") as name:
        folder = Path(name)
        command = side.nomadwatch("broker", "--port", "0", "--data-dir", folder / "broker")
        with subprocess.Popen(
            command, cwd=side.root, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        ) as broker:
            try:
                assert broker.stdout is not None
                yield broker.stdout.readline().strip(), broker.pid, folder
            finally:
                broker.terminate()


@contextmanager
def apache() -> Iterator[tuple[str, int, Path]]:
    """Apache Kafka: its address, its process and a folder that is removed. Raises KafkaUnavailable."""
    with tempfile.TemporaryDirectory(prefix="nomadwatch-bench-") as name:
        kafka = ApacheKafka(Path(name) / "kafka")
        kafka.start()
        try:
            yield kafka.address, kafka.pid, Path(name)
        finally:
            kafka.stop()


def _producer(bootstrap: str) -> confluent_kafka.Producer:
    return confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": "zstd",
            "message.max.bytes": 8 << 20,
            "queue.buffering.max.kbytes": 64 << 10,
            "log_level": 3,
        }
    )
