"""One aggregate worker with all summaries, on Apache Kafka and on the embedded broker in turn: how fast it is, and how
soon it is back.

python -m benchmarks.aggregate [--events N] [--runs N] [--restarts N] [--hours DIR]

Speed: all batches of two generated hours are in `activity` before the worker starts; measured is from the moment it
owns its partitions to the committed progress that covers everything. Return: in the middle of input it is killed with
SIGKILL and another one is started at once; measured is from the kill to the first progress that the new one commits.
"""

import argparse
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import confluent_kafka
import msgspec

from agents.config import Config
from agents.operators.progress import decode_progress
from benchmarks.broker import AnyBroker, cpu_seconds
from streams.archive.plan import plan
from streams.archive.sections import Options, Sections, Send
from streams.kafka import admin, topics
from streams.kafka.cursors import begin
from streams.watchlist import Watchlist
from tests.apache_kafka import ApacheKafka, KafkaUnavailable, die_with_parent
from tests.broker.embedded import EmbeddedBroker

_PARTITIONS: Final = 8
_NOW: Final = 4_000_000_000_000_000
_PATIENCE: Final = 60.0
# The input into which the kill falls lasts so many seconds, and the worker is killed when it has measured such a part
# of it.
_INPUT: Final = 20.0
_PART: Final = 8
_WORKER: Final = """
import logging, sys
import msgspec
from agents.aggregate import run
from agents.config import Config
logging.basicConfig(level=logging.WARNING)
logging.getLogger("nomadwatch").setLevel(logging.INFO)
run(msgspec.json.decode(sys.argv[1], type=Config))
"""
_OWNS: Final = re.compile(r"owns partitions \[.+\] after ([\d.]+) s")


class Worker:
    """An aggregate worker as a process.

    `owning` is set once it has its partitions; then `owned_at` says when (s), and `recovery` how long it took to read
    them back (s).
    """

    def __init__(self, config: Config) -> None:
        self.started_at = time.perf_counter()
        self.owning = threading.Event()
        self.owned_at = self.recovery = self.owned_cpu = 0.0
        self._said: deque[str] = deque(maxlen=10)
        command = [sys.executable, "-c", _WORKER, msgspec.json.encode(config).decode()]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line)
            if (owns := _OWNS.search(line)) and not self.owning.is_set():
                self.owned_at, self.recovery, self.owned_cpu = time.perf_counter(), float(owns[1]), self.cpu
                self.owning.set()

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds(self._process.pid)

    @property
    def peak(self) -> float:
        """The most memory that was resident, MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def check(self) -> None:
        """Raises RuntimeError if it has ended by itself."""
        if self._process.poll() is not None:
            raise RuntimeError("the worker ended:\n" + "".join(self._said))

    def end(self, number: int = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        self._process.wait()
        self._listener.join()
        assert self._process.stderr is not None
        self._process.stderr.close()


class Follower:
    """The committed progress of each partition, as a reader of `panes` sees it."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.offsets = [-1] * _PARTITIONS
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "benchmark",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        self._consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in range(_PARTITIONS)])

    def wait(self, enough: Callable[[], bool], worker: Worker) -> float:
        """When (s) what has been committed was enough. Raises RuntimeError if it never is."""
        until = time.perf_counter() + _PATIENCE
        while not enough():
            self.look(0.05)
            worker.check()
            if time.perf_counter() > until:
                raise RuntimeError(f"the worker has come no further than {self.offsets} in {_PATIENCE:.0f} s")
        return time.perf_counter()

    def look(self, seconds: float) -> None:
        for message in self._consumer.consume(500, timeout=seconds):
            if message.error():
                raise RuntimeError(str(message.error()))
            if message.key().startswith(b"progress/"):
                self.offsets[message.partition()] = decode_progress(message.value()).offset

    def close(self) -> None:
        self._consumer.close()


@dataclass
class Speed:
    """Of one run: activities a second, CPU seconds of the worker from owning on and of the broker, MB, seconds from
    start to owning.
    """

    rate: float
    cpu: float
    broker: float
    peak: float
    start: float


@dataclass
class Return:
    """Of one kill, in seconds: until the new worker measured, of it until the group let it in, reading back, and up to
    its first commit.
    """

    total: float
    joining: float
    recovery: float
    committing: float


class Bench:
    """One broker with fresh topics for every run."""

    def __init__(self, broker: AnyBroker, folder: Path) -> None:
        self._broker, self._folder = broker, folder
        self._runs = 0

    def _config(self) -> Config:
        self._runs += 1
        config = Config(
            bootstrap=self._broker.address,
            prefix=f"run{self._runs}-",
            partitions=_PARTITIONS,
            data_dir=str(self._folder),
        )
        admin.create(config.bootstrap, topics.Topics(config.prefix, config.partitions))
        return config

    def speed(self, batches: Sequence[Send], activities: int) -> Speed:
        config = self._config()
        names = topics.Topics(config.prefix, config.partitions)
        ends = _publish(config.bootstrap, names.activity, batches)
        follower = Follower(config.bootstrap, names.panes)
        broker = cpu_seconds(self._broker.pid)
        worker = Worker(config)
        try:
            done = follower.wait(lambda: follower.offsets == ends, worker)
            cpu, broker = worker.cpu - worker.owned_cpu, cpu_seconds(self._broker.pid) - broker
            return Speed(
                activities / (done - worker.owned_at), cpu, broker, worker.peak, worker.owned_at - worker.started_at
            )
        finally:
            worker.end()
            follower.close()

    def restart(self, batches: Sequence[Send]) -> Return:
        config = self._config()
        names = topics.Topics(config.prefix, config.partitions)
        half = len(batches) // 2
        ends = _publish(config.bootstrap, names.activity, batches[:half])
        follower = Follower(config.bootstrap, names.panes)
        worker = Worker(config)
        publisher = _Trickle(config.bootstrap, names.activity, batches[half:])
        try:
            follower.wait(lambda: follower.offsets == ends, worker)
            publisher.start()
            settled = sum(ends) + (len(batches) - half) // _PART
            follower.wait(lambda: sum(follower.offsets) > settled, worker)
            worker.end(signal.SIGKILL)
            killed = time.perf_counter()
            worker = Worker(config)
            # The last commit of the old one is on its way for milliseconds; the session of the dead lasts for seconds.
            follower.look(1.0)
            before = sum(follower.offsets)
            measured = follower.wait(lambda: worker.owning.is_set() and sum(follower.offsets) > before, worker)
            joined = worker.owned_at - worker.recovery
            return Return(measured - killed, joined - killed, worker.recovery, measured - worker.owned_at)
        finally:
            publisher.stop()
            worker.end(signal.SIGKILL)
            follower.close()


class _Trickle(threading.Thread):
    """Publishes batch by batch, spread evenly over `_INPUT` seconds, until stopped."""

    def __init__(self, bootstrap: str, topic: str, batches: Sequence[Send]) -> None:
        super().__init__()
        self._producer, self._topic, self._batches = _producer(bootstrap), topic, batches
        self._stopped = threading.Event()

    def run(self) -> None:
        for batch in self._batches:
            self._producer.produce(self._topic, batch.value, partition=batch.partition)
            self._producer.poll(0)
            if self._stopped.wait(_INPUT / len(self._batches)):
                break
        self._producer.flush(10)

    def stop(self) -> None:
        self._stopped.set()
        if self.ident is not None:
            self.join()


def _producer(bootstrap: str) -> confluent_kafka.Producer:
    return confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.max.bytes": 8 << 20,
            "queue.buffering.max.kbytes": 1 << 20,
            "log_level": 3,
        }
    )


def _publish(bootstrap: str, topic: str, batches: Sequence[Send]) -> list[int]:
    """Write the batches to a fresh topic; the last offset of each partition."""
    producer = _producer(bootstrap)
    last = [-1] * _PARTITIONS
    for batch in batches:
        producer.produce(topic, batch.value, partition=batch.partition)
        last[batch.partition] += 1
    if producer.flush(_PATIENCE):
        raise RuntimeError("the broker did not take all batches")
    return last


def batches_of(folder: Path) -> tuple[list[Send], int]:
    """All batches of a folder's archive hours, in the order in which the reader sends them, and how many activities
    they hold.
    """
    planned = plan([str(folder / "*.json.gz")])
    reading = Sections(
        planned, begin("archive", "benchmark", _NOW, _PARTITIONS), b"benchmark", Options(Watchlist.load())
    )
    batches = [step for step in reading if isinstance(step, Send)]
    return batches, reading.counts.activities


def generate(folder: Path, events: int) -> None:
    """Two quiet archive hours, as `benchmarks.replay` has one."""
    quiet = ["--hub-events", "0", "--duplicates", "0", "--disorder-hours", "0", "--late", "0", "--future", "0"]
    size = ["--hours", "2", "--events", str(events // 2), "--seed", "7"]
    command = [sys.executable, "-m", "simulator", "hour", "--out", str(folder), *size, *quiet]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=400_000, help="in two hours (default: 400,000)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--hours", type=Path, help="a folder with archive hours; otherwise two are generated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nomadwatch-aggregate-") as name:
        folder = Path(name)
        if options.hours is None:
            generate(folder / "hours", options.events)
        batches, activities = batches_of(options.hours or folder / "hours")
        size = sum(len(batch.value) for batch in batches)
        print(
            f"{activities:,} activities in {len(batches):,} batches of {size / 1e6:.0f} MB; medians (least to most)",
            flush=True,
        )
        brokers: dict[str, AnyBroker] = {
            "embedded": EmbeddedBroker(folder / "log.db"),
            "Apache Kafka": ApacheKafka(folder / "kafka"),
        }
        benches: dict[str, Bench] = {}
        try:
            for title, broker in brokers.items():
                try:
                    benches[title] = Bench(broker.start(), folder)
                except KafkaUnavailable as reason:
                    print(f"without Apache Kafka: {reason}", file=sys.stderr)
            speeds: dict[str, list[Speed]] = {title: [] for title in benches}
            returns: dict[str, list[Return]] = {title: [] for title in benches}
            for _ in range(options.runs):
                for title, bench in benches.items():
                    speeds[title].append(bench.speed(batches, activities))
            for _ in range(options.restarts):
                for title, bench in benches.items():
                    returns[title].append(bench.restart(batches))
        finally:
            for title in benches:
                brokers[title].stop()
    _print(speeds, returns)


def _print(speeds: dict[str, list[Speed]], returns: dict[str, list[Return]]) -> None:
    def row(title: str, pattern: str, columns: list[list[float]]) -> None:
        cells = [
            f"{statistics.median(c):{pattern}} ({min(c):{pattern}} to {max(c):{pattern}})" if c else "-"
            for c in columns
        ]
        print(f"{title:<34}" + "".join(f"{cell:>30}" for cell in cells))

    print(" " * 34 + "".join(f"{title:>30}" for title in speeds))
    row("activities/s", ",.0f", [[run.rate for run in runs] for runs in speeds.values()])
    row("CPU of the worker, s", ".2f", [[run.cpu for run in runs] for runs in speeds.values()])
    row("CPU of the broker, s", ".2f", [[run.broker for run in runs] for runs in speeds.values()])
    row("memory of the worker at most, MB", ".0f", [[run.peak for run in runs] for runs in speeds.values()])
    row("start to owning its partitions, s", ".2f", [[run.start for run in runs] for runs in speeds.values()])
    row("kill -9 to measuring again, s", ".2f", [[kill.total for kill in kills] for kills in returns.values()])
    row("  until the group lets it in", ".2f", [[kill.joining for kill in kills] for kills in returns.values()])
    row("  reading back", ".2f", [[kill.recovery for kill in kills] for kills in returns.values()])
    row("  first checkpoint", ".2f", [[kill.committing for kill in kills] for kills in returns.values()])


if __name__ == "__main__":
    main()
