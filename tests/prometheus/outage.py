"""Prometheus away for minutes while a station goes on: what grows, whether anything is lost, and what everybody says.

python -m tests.prometheus.outage [--minutes 10] [--settle 2] [--speed 10] [--rate 1]

The demonstration runs with Prometheus and Alertmanager, which have the files of `prometheus/` as they are but for
addresses, and one rule more, whose alert always fires. After `settle` minutes Prometheus is ended, and started again
`minutes` later on the data that it had.

That nothing is lost is judged by the topics: the sum of every scrape must be one that an evaluation published, and the
number of different activities in `activity` up to where that evaluation had come.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple
from urllib.request import urlopen

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.measurements import EVALUATION, decode_evaluation, decode_measurement
from nomadwatch.state import read_kept
from sinks.topic import TopicReader
from streams.activity import decode_batch, feature_of
from streams.kafka.topics import Topics
from tests.nomadwatch.commands import command
from tests.nomadwatch.stations import Station
from tests.nomadwatch.waiting import children_of
from tests.prometheus.programs import ask, program, running, wait_for
from tests.prometheus.test_alerting import LISTEN, SHIPPED, Receiver, alerts_of

TOPICS: Final = Topics()
COUNTER: Final = "nomadwatch_activities_total"
# Without `accepted`, which is no activity of its own: a merge counts twice, and its credit can be withdrawn.
ASKED: Final = f'{COUNTER}{{scope="all",feature!="accepted"}}'
ALWAYS: Final = """
groups:
  - name: outage
    rules:
      - alert: AlwaysThere
        expr: vector(1)
        labels: {severity: warning}
        annotations: {summary: This alert always fires.}
"""
_ROLES: Final = ("streams", "count", "measure", "sinks")
_SAMPLE_EVERY: Final = 5.0

Offsets = Mapping[int, int]


class Scrape(NamedTuple):
    """When (s) Prometheus scraped, and what everything that it saw counted came to."""

    at: float
    total: int


class Witness:
    """Follows `measurements` from its beginning, in a thread: what each evaluation said was counted, and how far it had
    come.
    """

    def __init__(self, bootstrap: str) -> None:
        self.offsets: dict[int, Offsets] = {}
        self._bootstrap = bootstrap
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()))

    def __enter__(self) -> "Witness":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    async def _follow(self) -> None:
        counted: dict[bytes, int] = {}
        async with TopicReader.open(self._bootstrap, TOPICS.measurements) as reader:
            while not self._over.is_set():
                for key, value in await reader.read():
                    if key == EVALUATION and value is not None:
                        self.offsets[sum(counted.values())] = decode_evaluation(value).offsets
                    elif key.startswith(COUNTER.encode()) and value is not None:
                        row = decode_measurement(value)
                        if row.labels["scope"] == "all" and row.labels["feature"] != "accepted":
                            counted[key] = int(row.value)


async def activities(bootstrap: str, ends: list[Offsets]) -> list[int]:
    """How many different activities stand in the topic `activity` before each of these ends, counted one by one."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        last = {
            TopicPartition(TOPICS.activity, number): max(end.get(number, 0) for end in ends)
            for number in range(TOPICS.partitions)
        }
        consumer.assign(list(last))
        await consumer.seek_to_beginning(*last)
        seen: set[str] = set()
        found: Counter[int] = Counter()
        while any([await consumer.position(place) < end for place, end in last.items()]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    batch = decode_batch(record.value)
                    new = {
                        each.id for each in batch.activities if feature_of(each.kind, each.action) != "accepted"
                    } - seen
                    seen |= new
                    for index, end in enumerate(ends):
                        found[index] += len(new) if record.offset < end.get(place.partition, 0) else 0
        return [found[index] for index in range(len(ends))]
    finally:
        await consumer.stop()


def configure(folder: Path, station: str, manager: str) -> None:
    """Prometheus' file and its rules, and one rule more."""
    text = (SHIPPED / "prometheus.yml").read_text()
    (folder / "prometheus.yml").write_text(text.replace("127.0.0.1:9108", station).replace("127.0.0.1:9093", manager))
    (folder / "rules").mkdir()
    for rules in (SHIPPED / "rules").glob("*.yml"):
        (folder / "rules" / rules.name).write_text(rules.read_text())
    (folder / "rules" / "always.yml").write_text(ALWAYS)


@contextmanager
def alertmanager(folder: Path) -> Iterator[tuple[str, Receiver]]:
    """An Alertmanager and who it tells."""
    receiver = Receiver()
    receiving = threading.Thread(target=receiver.server.serve_forever)
    receiving.start()
    try:
        (folder / "alertmanager.yml").write_text(
            (SHIPPED / "alertmanager.yml").read_text().replace("/etc/alertmanager", str(folder))
        )
        for path in ("operators", "findings"):
            (folder / f"{path}_url").write_text(f"{receiver.address}/{path}")
        (folder / "manager").mkdir()
        places = f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'manager' / 'data'}"
        with running(
            [program("prometheus-alertmanager"), *places, LISTEN, "--cluster.listen-address="], folder / "manager"
        ) as address:
            yield address, receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        receiving.join()


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """A Prometheus on the data that an earlier one has left in the folder."""
    (folder / "server").mkdir(exist_ok=True)
    places = f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"
    with running([program("prometheus"), *places, LISTEN], folder / "server") as address:
        yield address


def scrapes(prometheus: str) -> list[Scrape]:
    """All that it has kept."""
    sums: Counter[float] = Counter()
    for row in ask(prometheus, f"{ASKED}[3h]"):
        for at, value in row["values"]:
            sums[at] += int(value)
    return [Scrape(at, total) for at, total in sorted(sums.items())]


def gap_of(found: list[Scrape]) -> tuple[Scrape, Scrape]:
    """The last scrape before the longest pause, and the first after it."""
    return max(pairwise(found), key=lambda pair: pair[1].at - pair[0].at)


def memory(station: Station) -> dict[str, int]:
    """Resident bytes by role, and of all processes of the station."""

    def resident(pid: int) -> int:
        try:
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (FileNotFoundError, ProcessLookupError):
            return 0

    def everybody(pid: int) -> Iterator[int]:
        yield pid
        for child in children_of(pid):
            yield from everybody(child)

    roles = {role: resident(pid) for role, pid in sorted(station.roles().items())}
    return {**roles, "all processes": sum(map(resident, everybody(station.process.pid)))}


def words(station: Station, bootstrap: str, manager: str) -> list[str]:
    """What the page, /healthz, `nomadwatch health` and Alertmanager say now."""
    with urlopen(f"{station.url}/live/events", timeout=30) as events:
        # Beats come between: only figures have a status.
        status = next(figures[1].decode() for line in events if (figures := re.search(rb'"status":"(\w+)"', line)))
    found = [f"the page: {status}", f"/healthz: {json.loads(station.ask('/healthz'))['status']}"]
    for role in _ROLES:
        done = command(
            "health",
            role,
            *(("--port", station.url.rpartition(":")[2]) if role == "sinks" else ("--broker", bootstrap)),
        )
        found.append(f"nomadwatch health {role}: {done.code}, {(done.output or done.complaint).strip()}")
    alerts = sorted(f"{each['labels']['alertname']} ({each['status']['state']})" for each in alerts_of(manager))
    return [*found, f"Alertmanager: {', '.join(alerts) or 'no alert'}"]


class Watch:
    """Looks at memory and messages while time passes."""

    def __init__(self, station: Station, receiver: Receiver) -> None:
        self.most: Counter[str] = Counter()
        self._station, self._receiver, self._began, self._told = station, receiver, time.monotonic(), 0

    def minutes(self, length: float) -> None:
        """Look for so long; says what came to the webhooks. Memory is the most of this time."""
        self.most.clear()
        until = time.monotonic() + 60 * length
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(_SAMPLE_EVERY, left))
            assert self._station.process.poll() is None, "the station has ended"
            for role, size in memory(self._station).items():
                self.most[role] = max(self.most[role], size)
            messages = [each for path in sorted(self._receiver.messages) for each in self._receiver.messages[path]]
            for message in messages[self._told :]:
                print(f"  minute {(time.monotonic() - self._began) / 60:.1f}: {message.splitlines()[0]}", flush=True)
            self._told = len(messages)


def judge(bootstrap: str, witness: Witness, found: list[Scrape]) -> tuple[Scrape, Scrape]:
    """The scrapes before and after the pause. Raises AssertionError if a scrape differs from the topics."""
    before, after = gap_of(found)
    # The witness may be a moment behind the board.
    wait_for(lambda: all(scrape.total in witness.offsets for scrape in found), f"evaluations that said each of {found}")
    counts = asyncio.run(activities(bootstrap, [witness.offsets[scrape.total] for scrape in found]))
    differing = [(scrape, count) for scrape, count in zip(found, counts, strict=True) if scrape.total != count]
    assert not differing, f"the topic holds another number: {differing}"
    return before, after


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.prometheus.outage", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long Prometheus is away (10)")
    parser.add_argument("--settle", type=float, default=2.0, help="minutes before, and after (2)")
    parser.add_argument(
        "--speed", type=float, default=10.0, help="how many times as fast as time the demonstration runs (10)"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="events of GitHub in a simulated second (1)")
    asked = parser.parse_args()
    try:
        with ExitStack() as stack:
            run(asked, Path(stack.enter_context(tempfile.TemporaryDirectory())), stack)
    except pytest.skip.Exception as missing:
        sys.exit(str(missing))


def run(asked: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
    """The run, told as it goes."""
    pace = ("--speed", str(asked.speed), "--rate", str(asked.rate))
    station = Station("demo", "--port", "0", "--data-dir", str(folder / "state"), *pace)
    stack.callback(station.kill)
    station.await_metric(f"^{COUNTER}{{")
    kept = read_kept(folder / "state")
    assert kept is not None
    bootstrap = f"127.0.0.1:{kept.port}"
    witness = stack.enter_context(Witness(bootstrap))
    manager, receiver = stack.enter_context(alertmanager(folder))
    configure(folder, station.url.removeprefix("http://"), manager)
    watch = Watch(station, receiver)

    def tell(when: str) -> None:
        print(f"{when}\n" + "\n".join(f"  {line}" for line in words(station, bootstrap, manager)), flush=True)

    with prometheus(folder):
        watch.minutes(asked.settle)
        tell("with Prometheus:")
        size = memory(station)
    print(f"Prometheus is away for {asked.minutes:g} minutes", flush=True)
    watch.minutes(asked.minutes)
    tell("at the end of that:")
    most, grown = dict(watch.most), memory(station)
    with prometheus(folder) as address:
        print("Prometheus is back", flush=True)
        watch.minutes(asked.settle)
        tell("after that:")
        found = wait_for(lambda: scrapes(address), "scrapes")
        before, after = judge(bootstrap, witness, found)
        last = found[-1]
        # Exactly from the scrape before to the last: beyond its samples increase() would guess.
        over = f"{ASKED}[{round(last.at - before.at) + 1}s]"
        increase, resets = (
            sum(float(row["value"][1]) for row in ask(address, f"{each}({over})", last.at))
            for each in ("increase", "resets")
        )
        firing = sorted(row["metric"]["alertname"] for row in ask(address, 'ALERTS{alertstate="firing"}'))
    print(f"\n{'':<14}{'before':>9}{'at most':>9}{'at its end':>12}  (MB resident, while Prometheus was away)")
    for role in size:
        print(f"{role:<14}{size[role] / 1e6:>9.1f}{most[role] / 1e6:>9.1f}{grown[role] / 1e6:>12.1f}")
    print(
        f"\n{len(found)} scrapes, each as the topic activity has it; {after.at - before.at:.0f} s between two of them:"
    )
    print(f"  {before.total:,} activities before, {after.total:,} after: {after.total - before.total:,} in the gap")
    print(
        f"  up to the last scrape {last.total - before.total:,}; increase() says {increase:,.0f}, resets() {resets:g}"
    )
    print(f"  Prometheus itself: {', '.join(firing) or 'no alert'} firing")


if __name__ == "__main__":
    main()
