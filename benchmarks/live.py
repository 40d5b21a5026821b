"""How long an activity takes from its receipt to the first answer of /metrics that contains it, and what each role uses meanwhile.

python -m benchmarks.live [--rate N] [--seconds N]

The outlet of the pollers runs in this process and is given finds as they would come; broker, aggregate, measure and sinks are processes as
a station has them. /metrics is asked every 0.1 s for `nomadwatch_activities_total`.
"""

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import numpy as np

from agents.measurements import HealthReport, encode
from benchmarks.broker import cpu_seconds, resident_mb
from streams import admin
from streams.activity import Activity
from streams.deliver import Delivery
from streams.feeds.clock import Clock
from streams.feeds.find import Find
from streams.feeds.health import Feeds
from streams.feeds.outlet import KafkaOutlet
from streams.topics import Topics

TOPICS = Topics()
_WARM_UP = 5.0
_NOTHING = encode(HealthReport(role="benchmark", evaluated_at=0, rows=[]))
_COUNTED = re.compile(rb'^nomadwatch_activities_total{[^}]*scope="all"[^}]*} (\S+)', re.MULTILINE)


@contextmanager
def role(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command of nomadwatch and the first line that it says, if it says any."""
    command = [sys.executable, "-m", "nomadwatch", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip() if arguments[0] in ("broker", "sinks") else ""
        process.terminate()


def finds(rate: float, random: Random) -> Iterator[Find]:
    """A tenth of a second's activities, received now, again and again."""
    number = 0
    while True:
        now = time.time_ns() // 1000
        made = []
        for _ in range(round(rate / 10)):
            number += 1
            repo = int(random.paretovariate(0.9)) % 20_000
            made.append(
                Activity(
                    id=f"github:PushEvent:{number}",
                    platform="github",
                    kind="push",
                    occurred_at=now,
                    ingested_at=now,
                    repo_id=repo * 0x9E3779B97F4A7C15 % (1 << 64),
                    repo=f"owner-{repo % 997}/repository-{repo}",
                    owner=f"owner-{repo % 997}",
                    actor=int(random.paretovariate(0.9)) * 0x9E3779B97F4A7C15 % (1 << 64),
                    project="olmo" if repo % 16 == 0 else None,
                )
            )
        yield Find(feed="github:/events", platform="github", cursor=b"{}", activities=made, complete_to=now - 60_000_000)


async def feed(bootstrap: str, rate: float, seconds: float, received: deque[tuple[int, float]]) -> int:
    """Put finds for so long; `received` gets (number of activities so far, when). How many there were."""
    feeds = Feeds()
    feeds.open("github:/events", "github")
    total = 0
    async with Delivery.open(bootstrap, TOPICS, "benchmark") as delivery:
        outlet = KafkaOutlet(delivery, TOPICS, Clock(), feeds, {}, lambda *_: (b"health/benchmark", _NOTHING))
        running = asyncio.create_task(outlet.run())
        loop = asyncio.get_running_loop()
        begun = loop.time()
        waiting = set()
        for turn, find in enumerate(finds(rate, Random(1))):
            if loop.time() - begun > seconds:
                break
            total += len(find.activities)
            received.append((total, time.monotonic()))
            waiting.add(asyncio.create_task(outlet.put(find)))
            waiting = {task for task in waiting if not task.done()}
            await asyncio.sleep(max(0.0, begun + (turn + 1) / 10 - loop.time()))
        await asyncio.gather(*waiting)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return total


async def watch(url: str, received: deque[tuple[int, float]], latencies: list[float], enough: asyncio.Event) -> None:
    """Ask /metrics and note for each activity that is new in an answer how long it took."""
    counted = 0
    while not (enough.is_set() and not received):
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=30).read())
        answered = time.monotonic()
        total = int(sum(float(value) for value in _COUNTED.findall(text)))
        while received and received[0][0] <= total:
            number, at = received.popleft()
            latencies += [answered - at] * (number - counted)
            counted = number
        await asyncio.sleep(0.1)


async def measure(bootstrap: str, url: str, rate: float, seconds: float) -> list[float]:
    """Seconds from receipt to view of each activity."""
    received: deque[tuple[int, float]] = deque()
    latencies: list[float] = []
    enough = asyncio.Event()
    watching = asyncio.create_task(watch(url, received, latencies, enough))
    total = await feed(bootstrap, rate, seconds, received)
    enough.set()
    async with asyncio.timeout(60):
        await watching
    assert len(latencies) == total, "an activity was never shown"
    return latencies


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, default=200.0, help="activities a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker, bootstrap = stack.enter_context(role("broker", "--port", "0", "--data-dir", str(folder / "broker")))
        admin.create(bootstrap, TOPICS)
        common = ("--broker", bootstrap)
        roles = {"broker": broker}
        for name in ("aggregate", "measure"):
            roles[name], _ = stack.enter_context(role(name, *common, "--data-dir", str(folder)))
        roles["sinks"], url = stack.enter_context(role("sinks", *common, "--port", "0"))
        time.sleep(_WARM_UP)
        before = {name: cpu_seconds(process.pid) for name, process in roles.items()}
        own = time.process_time()
        begun = time.monotonic()
        latencies = asyncio.run(measure(bootstrap, url, options.rate, options.seconds))
        wall = time.monotonic() - begun
        p50, p99, most = np.percentile(latencies, (50, 99, 100))
        print(f"{len(latencies):,} activities at {options.rate:g}/s, from receipt to /metrics:")
        print(f"p50 {p50:.2f} s, p99 {p99:.2f} s, at most {most:.2f} s")
        print(f"\n{'role':<22}{'CPU':>8}{'memory':>10}")
        for name, process in roles.items():
            print(f"{name:<22}{100 * (cpu_seconds(process.pid) - before[name]) / wall:>6.1f} %{resident_mb(process.pid):>7.0f} MB")
        print(f"{'outlet and this watch':<22}{100 * (time.process_time() - own) / wall:>6.1f} %")


if __name__ == "__main__":
    main()
