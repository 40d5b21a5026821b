"""The embedded broker beside Apache Kafka, in one run: python benchmarks/broker.py [--log-gb 2] [--megabytes 300]
[--no-apache]

Throughput is driven by librdkafka, so that the client is not what is measured; transactions by aiokafka, as the workers
do. CPU is the broker process's own. The large log is written to a temporary folder and removed.
"""

import argparse
import asyncio
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import confluent_kafka
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.apache_kafka import ApacheKafka, KafkaUnavailable
from tests.broker.embedded import EmbeddedBroker

_LARGE_BYTES: Final = 150_000
_SMALL_BYTES: Final = 200
_PARTITIONS: Final = 8
_OWNERS: Final = 8
_RECORDS: Final = 8
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MB: Final = 1_000_000

AnyBroker = EmbeddedBroker | ApacheKafka


@dataclass
class Rate:
    """What went through in `seconds`, and the broker's CPU seconds meanwhile."""

    records: int
    size: int
    seconds: float
    cpu: float

    def __str__(self) -> str:
        size = self.size / _MB
        rates = f"{size / self.seconds:,.0f} MB/s  {self.records / self.seconds:,.0f} records/s"
        return f"{rates}  {100 * self.cpu / size:.2f} s CPU/100 MB"


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MB


def create_topic(broker: AnyBroker, name: str, partitions: int = _PARTITIONS, **settings: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address})
    config = {key.replace("_", "."): value for key, value in settings.items()}
    for created in admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values():
        created.result(30)


def write(broker: AnyBroker, topic: str, size: int, total: int) -> Rate:
    """Incompressible records of `size` bytes, idempotently, to all partitions in turn."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": broker.address,
            "enable.idempotence": True,
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "queue.buffering.max.kbytes": 65_536,
            "queue.buffering.max.messages": 200_000,
        }
    )
    noise = os.urandom(1 << 20)
    count = total // size
    failures: list[object] = []

    def delivered(error: object, _: object) -> None:
        if error is not None:
            failures.append(error)

    cpu, begun = cpu_seconds(broker.pid), time.perf_counter()
    for number in range(count):
        at = number * 61 % (len(noise) - size)
        while True:
            try:
                producer.produce(topic, noise[at : at + size], partition=number % _PARTITIONS, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    if producer.flush(120) or failures:
        raise RuntimeError(f"not everything was delivered: {failures[:1]}")
    return Rate(count, count * size, time.perf_counter() - begun, cpu_seconds(broker.pid) - cpu)


def read(broker: AnyBroker, topic: str, expected: int) -> Rate:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": broker.address,
            "group.id": "benchmark",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 4_000_000,
        }
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in range(_PARTITIONS)])
    count = size = 0
    cpu, begun = cpu_seconds(broker.pid), time.perf_counter()
    while count < expected:
        for message in consumer.consume(500, timeout=0.1):
            if message.error():
                raise RuntimeError(str(message.error()))
            count += 1
            size += len(message.value())
    seconds = time.perf_counter() - begun
    consumer.close()
    return Rate(count, size, seconds, cpu_seconds(broker.pid) - cpu)


async def transactions(broker: AnyBroker, topic: str, rounds: int) -> tuple[list[float], float]:
    """(seconds of each round, the broker's CPU seconds a round); in a round each owner commits its records side by side
    with the others.
    """
    producers = [
        AIOKafkaProducer(
            bootstrap_servers=broker.address, transactional_id=f"{topic}-{number}", max_batch_size=1 << 20, linger_ms=0
        )
        for number in range(_OWNERS)
    ]
    await asyncio.gather(*(producer.start() for producer in producers))
    chance, noise = random.Random(1), os.urandom(40_000)

    async def commit(number: int, producer: AIOKafkaProducer) -> None:
        await producer.begin_transaction()
        keys = [b"%d/%d" % (number, chance.randrange(1000)) for _ in range(_RECORDS)]
        sends = [
            await producer.send(topic, noise[: chance.randint(8_000, 40_000)], key=key, partition=number)
            for key in keys
        ]
        await asyncio.gather(*sends)
        await producer.commit_transaction()

    taken: list[float] = []
    cpu = 0.0
    for number in range(rounds + 5):  # the first ones warm both sides up
        if number == 5:
            taken.clear()
            cpu = cpu_seconds(broker.pid)
        begun = time.perf_counter()
        await asyncio.gather(*(commit(*each) for each in enumerate(producers)))
        taken.append(time.perf_counter() - begun)
        await asyncio.sleep(0.05)
    cpu = (cpu_seconds(broker.pid) - cpu) / rounds
    await asyncio.gather(*(producer.stop() for producer in producers))
    return sorted(taken), cpu


def measure(start: Callable[[], AnyBroker], total: int, rounds: int) -> tuple[dict[str, str], AnyBroker]:
    """Each figure by its name; the broker still runs."""
    begun = time.perf_counter()
    broker = start()
    figures = {"start to first answer": f"{time.perf_counter() - begun:.2f} s"}
    large, small, state = "large", "small", "state"
    create_topic(broker, large)
    create_topic(broker, small)
    create_topic(broker, state, cleanup_policy="compact")
    write(broker, large, _LARGE_BYTES, total // 10)
    into = write(broker, large, _LARGE_BYTES, total)
    figures[f"{_LARGE_BYTES // 1000} KB records in"] = str(into)
    figures[f"{_LARGE_BYTES // 1000} KB records out"] = str(read(broker, large, into.records))
    into = write(broker, small, _SMALL_BYTES, total // 5)
    figures[f"{_SMALL_BYTES} B records in"] = str(into)
    figures[f"{_SMALL_BYTES} B records out"] = str(read(broker, small, into.records))
    taken, cpu = asyncio.run(transactions(broker, state, rounds))
    p50, p99 = (1000 * taken[min(int(len(taken) * quantile), len(taken) - 1)] for quantile in (0.5, 0.99))
    figures[f"{_OWNERS} transactions of {_RECORDS} records of 8-40 KB"] = (
        f"p50 {p50:.1f} ms  p99 {p99:.1f} ms  {1000 * cpu:.1f} ms CPU"
    )
    figures["memory after that"] = f"{resident_mb(broker.pid):.0f} MB"
    return figures, broker


def large_log(broker: EmbeddedBroker, total: int) -> dict[str, str]:
    """Memory while the log grows, and how long it takes to open it again after kill -9."""
    create_topic(broker, "history")
    write(broker, "history", _LARGE_BYTES, total)
    grown = resident_mb(broker.pid)
    read(broker, "history", total // _LARGE_BYTES)
    after = resident_mb(broker.pid)
    broker.kill()
    begun = time.perf_counter()
    broker.start()
    opened = time.perf_counter() - begun
    name = f"with {total / 1e9:.1f} GB of log"
    return {
        f"memory {name}": (
            f"{grown:.0f} MB, {after:.0f} MB after reading all of it, {resident_mb(broker.pid):.0f} MB reopened"
        ),
        f"start after kill -9 {name}": f"{opened:.2f} s",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log-gb", type=float, default=2.0, help="of the large log; 0 leaves it out (default: 2)")
    parser.add_argument("--megabytes", type=int, default=300, help="written and read in large records (default: 300)")
    parser.add_argument("--rounds", type=int, default=100, help="of transactions (default: 100)")
    parser.add_argument("--no-apache", action="store_true")
    options = parser.parse_args()
    results: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="nomadwatch-broker-") as folder:
        embedded = EmbeddedBroker(Path(folder) / "log.db")
        try:
            results["embedded"], _ = measure(embedded.start, options.megabytes * _MB, options.rounds)
            if options.log_gb:
                results["embedded"] |= large_log(embedded, int(options.log_gb * 1e9))
        finally:
            if embedded.alive():
                embedded.kill()
    if not options.no_apache:
        with tempfile.TemporaryDirectory(prefix="nomadwatch-kafka-") as folder:
            kafka = ApacheKafka(Path(folder))
            try:
                results["Apache Kafka 4.3"], _ = measure(kafka.start, options.megabytes * _MB, options.rounds)
            except KafkaUnavailable as reason:
                print(f"without Apache Kafka: {reason}", file=sys.stderr)
            finally:
                kafka.kill()
    table = Table(title=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for column in ("", *results):
        table.add_column(column)
    for name in results["embedded"]:
        table.add_row(name, *(figures.get(name, "") for figures in results.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
