"""How long an activity takes from its receipt to the first answer of /metrics that contains it, and what each role uses
meanwhile.

python -m benchmarks.live [--rate N] [--seconds N] [--busy N ...] [--speed N] [--only delays|pollers] [--old CHECKOUT]

Two stations, one after the other, each with broker, count, measure and sinks as processes of their own:

1. The outlet of the pollers runs in this process and is given activities as they would come. /metrics is asked every
   0.1 s for `nomadwatch_activities_total`: this gives the delay. It is measured once for each `--busy N`, beside N
   processes that use a core each all the time (default: 0 and 2).
2. The pollers are a process too, `nomadwatch streams`, and look at the simulated GitHub and Hub, where as many events
   happen in a second, four of five on GitHub. Their time runs `speed` times as fast, so that the pollers ask `speed`
   times as often as real servers allow; otherwise hardly any of the events would be shown to them. So what they use is
   an upper bound.

With `--old` that checkout's own `benchmarks.live` runs, too, in turn. Each measurement takes `--seconds` and 10 s more.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import numpy as np

from agents.measurements import HealthReport, encode
from benchmarks.broker import cpu_seconds, resident_mb
from benchmarks.sides import NEW, add_old, sides
from simulator.population import WATCHLIST
from streams.activity import Activity
from streams.kafka import admin
from streams.kafka.deliver import Delivery
from streams.kafka.topics import Topics
from streams.live.common.clock import Clock
from streams.live.common.health import Feeds
from streams.live.common.outlet import KafkaOutlet
from streams.live.common.poll_result import PollResult
from tests.apache_kafka import die_with_parent

TOPICS = Topics()
_WARM_UP = 5.0
# Of the pollers: their first looks are over, which take all that the feeds hold.
_SETTLED = 20.0
_PATIENCE = 60.0
_GITHUB_SHARE = 0.8
_NOTHING = encode(HealthReport(role="benchmark", evaluated_at=0, rows=[]))
_COUNTED = re.compile(rb'^nomadwatch_activities_total{[^}]*scope="all"[^}]*} (\S+)', re.MULTILINE)
_SPEAKING = ("broker", "sinks", "serve")


@contextmanager
def role(
    *arguments: str, module: str = "nomadwatch", environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command of nomadwatch and the first line that it says, if it says any."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip() if arguments[0] in _SPEAKING else ""
        finally:
            process.terminate()


@contextmanager
def station() -> Iterator[tuple[str, str, dict[str, subprocess.Popen[str]]]]:
    """Its broker's address, where /metrics is, and its roles."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker, bootstrap = stack.enter_context(role("broker", "--port", "0", "--data-dir", str(folder / "broker")))
        admin.create(bootstrap, TOPICS)
        common = ("--broker", bootstrap)
        roles = {"broker": broker}
        for name in ("count", "measure"):
            roles[name], _ = stack.enter_context(role(name, *common, "--data-dir", str(folder)))
        roles["sinks"], url = stack.enter_context(role("sinks", *common, "--port", "0"))
        yield bootstrap, url, roles


def ask(url: str) -> int:
    """How many activities /metrics counts."""
    text = urllib.request.urlopen(url, timeout=30).read()
    return int(sum(float(value) for value in _COUNTED.findall(text)))


def show(roles: Mapping[str, subprocess.Popen[str]], before: Mapping[str, float], wall: float) -> None:
    """A line for each role: its share of a core over `wall` seconds, and its memory now."""
    print(f"\n{'role':<22}{'CPU':>8}{'memory':>10}")
    for name, process in roles.items():
        print(
            f"{name:<22}{100 * (cpu_seconds(process.pid) - before[name]) / wall:>6.1f} %"
            f"{resident_mb(process.pid):>7.0f} MB"
        )


def results(rate: float, random: Random) -> Iterator[PollResult]:
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
        yield PollResult(
            feed="github:/events", platform="github", cursor=b"{}", activities=made, complete_to=now - 60_000_000
        )


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
        for turn, result in enumerate(results(rate, Random(1))):
            if loop.time() - begun > seconds:
                break
            total += len(result.activities)
            received.append((total, time.monotonic()))
            waiting.add(asyncio.create_task(outlet.put(result)))
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
        total = await asyncio.to_thread(ask, url)
        answered = time.monotonic()
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


def delays(rate: float, seconds: float) -> None:
    """The first station."""
    with station() as (bootstrap, url, roles):
        time.sleep(_WARM_UP)
        before = {name: cpu_seconds(process.pid) for name, process in roles.items()}
        own = time.process_time()
        begun = time.monotonic()
        latencies = asyncio.run(measure(bootstrap, url, rate, seconds))
        wall = time.monotonic() - begun
        p50, p99, most = np.percentile(latencies, (50, 99, 100))
        print(f"{len(latencies):,} activities at {rate:g}/s, from receipt to /metrics:")
        print(f"p50 {p50:.2f} s, p99 {p99:.2f} s, at most {most:.2f} s")
        show(roles, before, wall)
        print(f"{'outlet and this watch':<22}{100 * (time.process_time() - own) / wall:>6.1f} %")


@contextmanager
def pollers(bootstrap: str, rate: float, speed: float) -> Iterator[subprocess.Popen[str]]:
    """The role `streams` on a simulated GitHub and Hub of its own."""
    rates = ("--rate", str(_GITHUB_SHARE * rate / speed), "--hub-rate", str((1 - _GITHUB_SHARE) * rate / speed))
    tokens = ("--token", "simulated", "--hub-token", "simulated")
    with role("serve", "--scale", str(speed), *rates, *tokens, module="simulator") as (_, line):
        world = json.loads(line)
        settings = {
            "NOMADWATCH_GITHUB_API": world["github"],
            "HF_ENDPOINT": world["huggingface"],
            "NOMADWATCH_TIME_SCALE": str(speed),
            "NOMADWATCH_TIME_ORIGIN": str(world["origin"]),
            "NOMADWATCH_WATCHLIST": str(WATCHLIST),
            **dict.fromkeys(("GITHUB_TOKEN", "HF_TOKEN"), "simulated"),
        }
        with (
            tempfile.TemporaryDirectory() as folder,
            role("streams", "--broker", bootstrap, "--data-dir", folder, environment=settings) as (
                process,
                _,
            ),
        ):
            yield process


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Meanwhile so many processes use a core each."""
    with ExitStack() as stack:
        for _ in range(number):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=die_with_parent)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def usage(rate: float, seconds: float, speed: float) -> None:
    """The second station."""
    with station() as (bootstrap, url, roles), pollers(bootstrap, rate, speed) as process:
        deadline = time.monotonic() + _PATIENCE
        while not ask(url):
            assert time.monotonic() < deadline, "the pollers have found nothing"
            time.sleep(0.5)
        time.sleep(_SETTLED)
        roles = {"streams": process, **roles}
        before, counted = {name: cpu_seconds(each.pid) for name, each in roles.items()}, ask(url)
        begun = time.monotonic()
        time.sleep(seconds)
        wall, came = time.monotonic() - begun, ask(url) - counted
        print(
            f"\nThe pollers too, {speed:g} times as fast, at {rate:g} events/s: "
            f"{came / wall:.0f} activities/s came through them"
        )
        show(roles, before, wall)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0, help="activities a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement (default: 30)")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 2], help="busy processes beside it")
    parser.add_argument("--speed", type=float, default=60.0, help="how fast the pollers' time goes (default: 60)")
    parser.add_argument("--only", choices=["delays", "pollers"], help="one of the two stations")
    add_old(parser)
    options = parser.parse_args()
    for number in options.busy if options.only != "pollers" else ():
        with busy(number):
            print(f"\nbeside {number} busy processes:", flush=True)
            for side in sides(options.old):
                if side is not NEW:
                    print(side.name, flush=True)
                    own = ["--rate", options.rate, "--seconds", options.seconds]
                    subprocess.run(side.python("-m", "benchmarks.live", *own), cwd=side.root, check=True)
                    print(NEW.name, flush=True)
                else:
                    delays(options.rate, options.seconds)
    if options.only != "delays":
        usage(options.rate, options.seconds, options.speed)


if __name__ == "__main__":
    main()
