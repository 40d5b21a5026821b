"""A count worker that is killed and started again, with its local files, without them, and with those of others."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from agents.config import Config
from agents.facts import decode_facts
from simulator.stream import five_days
from streams.activity import Activity, encode_batch
from streams.kafka import admin
from streams.kafka.topics import Topics
from tests.agents.running import ROOT
from tests.broker.clients import eventually
from tests.chaos.conftest import Embedded
from tests.chaos.reading import read_topic
from tests.count.making import PARTITIONS, batches, compare

TOPICS = Topics(prefix="again-", partitions=PARTITIONS)
# Caches are written often, and days go to files although they have few ids.
WORKER = """
import logging, sys
import msgspec
from agents.config import Config
from agents.count import cache, ids, worker
cache._ROWS, cache._RECORDS, cache._PER_ROW, ids._WORTH = 1, 1, 1 << 30, 20
logging.basicConfig(level=logging.CRITICAL + 1, stream=sys.stderr, format="%(message)s")
logging.getLogger("nomadwatch").setLevel(logging.INFO)
worker.run(msgspec.json.decode(sys.argv[1], type=Config))
"""


class Run:
    """A log of batches that is sent bit by bit, to a worker that is killed in between."""

    def __init__(self, folder: Path, seed: int = 9) -> None:
        self.folder, self.broker = folder, Embedded(folder)
        self.wire = five_days(seed=seed, n=3_000)
        log = batches(msgspec.convert(self.wire, list[Activity]), Random(seed))
        self.log = [(number, encode_batch(batch)) for number, batch in log]
        self.sent = [0] * PARTITIONS
        (folder / "data").mkdir()
        admin.create(self.broker.bootstrap, TOPICS)

    def send(self, share: float) -> None:
        """Send this share of what is left."""
        some = self.log[: round(len(self.log) * share)]
        self.log = self.log[len(some) :]

        async def produce() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap, linger_ms=5) as producer:
                await asyncio.gather(
                    *[await producer.send(TOPICS.activity, value, key=b"", partition=n) for n, value in some]
                )

        asyncio.run(produce())
        for number, _ in some:
            self.sent[number] += 1

    @contextmanager
    def worker(self, *, data_dir: Path | None = None, end: int = signal.SIGKILL) -> Iterator[list[str]]:
        """A worker, until it is killed; what it said is known then."""
        config = Config(
            bootstrap=self.broker.bootstrap,
            prefix=TOPICS.prefix,
            partitions=PARTITIONS,
            data_dir=str(data_dir or self.folder / "data"),
            checkpoint_interval=0.05,
        )
        command = [sys.executable, "-c", WORKER, msgspec.json.encode(config).decode()]
        said: list[str] = []
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        try:
            yield said
        finally:
            process.send_signal(end)
            _, text = process.communicate(timeout=30)
            said += text.splitlines()

    def committed(self) -> list[list[bytes]]:
        found: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        for number, _, value in read_topic(self.broker.bootstrap, TOPICS.facts, PARTITIONS):
            assert value is not None
            found[number].append(value)
        return found

    def counted(self) -> bool:
        """Whether everything that was sent is counted."""
        ends = [decode_facts(records[-1]).progress for records in self.committed() if records]
        return [each.offset + 1 for each in ends if each is not None] == [n for n in self.sent if n]

    def wait(self) -> None:
        assert eventually(self.counted, 60)

    def check(self) -> None:
        """The rows are those of brute force, each activity once."""
        compare(self.committed(), self.wire)
        last = [decode_facts(records[-1]).progress for records in self.committed()]
        distinct = {one["id"] for one in self.wire}
        assert sum(each.activities for each in last if each) == len(distinct)
        assert sum(each.duplicates for each in last if each) == len(self.wire) - len(distinct)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = Run(tmp_path)
    yield made
    made.broker.stop()


def caches(folder: Path) -> Path:
    return folder / "data" / "count"


def alter(kind: str, folder: Path) -> None:
    """What becomes of the local files between two lives of a worker."""
    kept = caches(folder)
    match kind:
        case "kept":
            return
        case "lost":
            shutil.rmtree(kept)
        case "damaged":
            for path in kept.glob("*/snapshot"):
                path.write_bytes(path.read_bytes()[:-1] + b"?")
        case "ids lost":
            for path in kept.glob("*/*.ids"):
                path.unlink()
        case "swapped":
            (kept / "0" / "snapshot").rename(kept / "spare")
            (kept / "1" / "snapshot").rename(kept / "0" / "snapshot")
            (kept / "spare").rename(kept / "1" / "snapshot")


@pytest.mark.parametrize("kind", ["kept", "lost", "damaged", "ids lost", "swapped"])
def test_each_activity_counts_once_whatever_becomes_of_the_local_files(kind: str, run: Run, tmp_path: Path) -> None:
    lines = Counter[str]()
    for share in (0.3, 0.5, 1.0):
        run.send(share)
        with run.worker() as said:
            run.wait()
            assert eventually(lambda: len(list(caches(tmp_path).glob("*/snapshot"))) == PARTITIONS, 30)
        lines.update("cannot be used" if "cannot be used" in line else "other" for line in said)
        if share < 1:
            assert list(caches(tmp_path).glob("*/*.ids"))
            alter(kind, tmp_path)
    run.check()
    per_restart = {"kept": 0, "lost": 0, "damaged": PARTITIONS, "ids lost": PARTITIONS, "swapped": 2}[kind]
    assert lines["cannot be used"] <= 2 * per_restart
    assert (lines["cannot be used"] > 0) == (per_restart > 0)


def test_a_cache_of_a_topic_that_was_deleted_and_made_anew_is_not_believed(run: Run, tmp_path: Path) -> None:
    log = list(run.log)
    run.send(0.6)
    with run.worker():
        run.wait()
        assert eventually(lambda: len(list(caches(tmp_path).glob("*/snapshot"))) == PARTITIONS, 30)
    admin.delete(run.broker.bootstrap, TOPICS)
    admin.create(run.broker.bootstrap, TOPICS)
    run.log, run.sent = log, [0] * PARTITIONS
    run.send(1.0)
    with run.worker() as said:
        run.wait()
    assert sum("it is of another topic" in line for line in said) == PARTITIONS
    run.check()


def test_two_workers_in_one_folder_and_a_zombie_count_each_activity_once(run: Run, tmp_path: Path) -> None:
    """The second one takes over while the first one is stopped and holds its folders."""
    run.send(0.4)
    config_dir = tmp_path / "data"
    with run.worker(data_dir=config_dir) as first:
        run.wait()
        stopped = [int(pid) for pid in _workers_of(run)]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        run.send(0.5)
        with run.worker(data_dir=config_dir) as second:
            run.wait()
            assert any((caches(tmp_path) / f"{number}.1").exists() for number in range(PARTITIONS))
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
            run.send(1.0)
            run.wait()
    run.check()
    assert not any("Traceback" in line for line in (*first, *second))


def _workers_of(run: Run) -> list[str]:
    """The ids of the processes of this run's workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if b"agents.count" in line and run.broker.bootstrap.encode() in line:
            found.append(path.parent.name)
    return found


def test_a_folder_that_cannot_be_made_is_told_and_stops_nobody(run: Run, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "count").write_text("no folder")
    run.send(1.0)
    with run.worker(data_dir=blocked, end=signal.SIGTERM) as said:
        run.wait()
    run.check()
    assert sum("its cache in" in line and "cannot be written" in line for line in said) == PARTITIONS
