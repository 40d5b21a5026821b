"""What the roles run. Each function runs in a process of its own and imports what it needs."""

import asyncio
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from agents.config import Config
from nomadwatch.private import keep_private
from nomadwatch.processes.lake_writer import keep_lake
from nomadwatch.processes.process import Say
from nomadwatch.state import log_of
from nomadwatch.terminal.progress import Advance
from nomadwatch.topics import make_topics
from streams.archive.doubts import Doubt

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from nomadwatch.processes.polling import Polling
    from streams.archive.plan import Plan
    from streams.archive.sections import Options
    from streams.kafka.topics import Topics

_SAY_EVERY: Final = 0.1
# Simulated seconds until a watched project publishes a model.
_RELEASE_IN: Final = 1_800.0


class ReaderTask(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a replay's reader, and where to publish it. `as_of` in µs UTC."""

    paths: tuple[str, ...]
    bootstrap: str
    prefix: str
    partitions: int
    actor_key: bytes
    watchlist: str
    include_bots: bool
    as_of: int | None
    dead_letters: Literal["raw", "digest"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the reader did.

    `ends`: the end offset of each partition of `activity`. `hours`: whether a file has an hour in its name. `nothing`:
    if nothing could be read, what the files are; else empty.
    """

    files: int
    activities: int
    doubtful: list[Doubt]
    nothing: str
    dead_letters: dict[str, int]
    after_as_of: int
    ends: dict[int, int]
    hours: bool


def run_broker(say: Say, folder: str, port: int) -> None:
    """Run the embedded broker on a port of loopback (0: a free one); says `ready` with the port."""
    from broker.server import serve

    keep_private()
    asyncio.run(serve(log_of(folder), port, ready=lambda taken: say("ready", taken)))


def run_topics(say: Say, bootstrap: str, prefix: str, partitions: int) -> None:
    """Create the missing topics; says `topics` when all exist with the right configuration."""
    from streams.kafka.topics import Topics

    make_topics(bootstrap, Topics(prefix=prefix, partitions=partitions))
    say("topics")


def run_streams(say: Say, reading: ReaderTask, topics_exist: "Connection") -> None:
    """Run the reader. It reads ahead until the topics exist; says `progress`, and `read` with the outcome.

    Exits with code 1 if it was stopped before the end: there is more to do after a restart.
    """
    from streams.archive.plan import plan
    from streams.archive.sections import Options
    from streams.kafka.topics import Topics
    from streams.watchlist import Watchlist

    watchlist = Watchlist.load(reading.watchlist or None)
    options = Options(
        watchlist, include_bots=reading.include_bots, as_of=reading.as_of, dead_letters=reading.dead_letters
    )
    planned = plan(reading.paths)
    topics = Topics(prefix=reading.prefix, partitions=reading.partitions)
    if not asyncio.run(_publish(say, reading, planned, topics, options, topics_exist)):
        sys.exit(1)


async def _publish(
    say: Say, reading: ReaderTask, plan: "Plan", topics: "Topics", options: "Options", topics_exist: "Connection"
) -> bool:
    """Publish the files; False if it was stopped before the end."""
    from nomadwatch.processes.latch import opened
    from streams.archive.publish import ReadProgress, publish

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    said = 0.0

    def progress(now: ReadProgress) -> None:
        nonlocal said
        if time.monotonic() - said >= _SAY_EVERY:
            said = time.monotonic()
            say(
                "progress",
                Advance(share=now.position / now.size if now.size else 1.0, activities=now.counts.activities),
            )

    summary = await publish(
        plan,
        bootstrap=reading.bootstrap,
        topics=topics,
        actor_key=reading.actor_key,
        options=options,
        now=lambda: time.time_ns() // 1000,
        progress=progress,
        stop=stop,
        ready=opened(topics_exist),
    )
    if summary.done:
        counts, nothing = summary.counts, ""
        if not counts.activities:
            from nomadwatch.unread import nothing_in

            nothing = nothing_in(plan)
        ends = dict(enumerate(summary.offsets))
        outcome = Outcome(
            files=counts.files,
            activities=counts.activities,
            doubtful=counts.doubtful,
            nothing=nothing,
            dead_letters=counts.dead_letters,
            after_as_of=counts.after_as_of,
            ends=ends,
            hours=any(hour is not None for hour, _ in plan.groups),
        )
        say("read", outcome)
    return summary.done


def run_polling(say: Say, polling: "Polling") -> None:
    """Run the pollers of a live station."""
    from nomadwatch.processes.polling import poll

    poll(polling)


def run_simulator(
    say: Say,
    seed: int,
    speed: float,
    origin: float,
    rate: float,
    watchlist: str,
    ports: tuple[int, int],
    began: float | None = None,
) -> None:
    """Run a simulated GitHub and Hub on two ports of loopback (0: free ones); says `ready` with the ports.

    Their clock runs `speed` times as fast as real time and shows real time at `origin`. Their world begins at the real
    time `began` (s since 1970; default: `origin`). A simulator that is restarted shows the same world, as far as it has
    come.
    """
    asyncio.run(_simulate(say, seed, speed, origin, rate, watchlist, ports, began))


async def _simulate(
    say: Say,
    seed: int,
    speed: float,
    origin: float,
    rate: float,
    watchlist: str,
    ports: tuple[int, int],
    began: float | None = None,
) -> None:
    from simulator.servers.clock import WorldClock
    from simulator.servers.faults import Faults
    from simulator.servers.github import GithubServer
    from simulator.servers.hub import HubServer
    from streams.watchlist import Watchlist

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    clock, faults = WorldClock(speed, origin), Faults(seed)
    # No repository can be simulated for a glob; an owner is enough.
    named = {
        each.project: (_plain(each.places["github"]), _plain(each.places["huggingface"]))
        for each in Watchlist.load(watchlist or None).projects
    }
    begin = clock.at(origin if began is None else began)
    world: dict[str, Any] = {"begin": begin, "token": "simulated", "watched": named, "release_in": _RELEASE_IN}
    github = GithubServer(seed, clock, faults, rate=rate, history=3600.0, **world)
    hub = HubServer(seed, clock, faults, rate=rate / 4, **world)
    addresses = [await server.start(port) for server, port in zip((github, hub), ports, strict=True)]
    say("ready", tuple(int(address.rpartition(":")[2]) for address in addresses))
    await stop.wait()
    await hub.stop()
    await github.stop()


def _plain(places: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(place for place in places if not set("*?") & set(place))


def run_count(say: Say, config: Config) -> None:
    """The worker that counts each activity once."""
    from agents.count.worker import run

    keep_private()
    run(config)


def run_measure(say: Say, config: Config, time_scale: float | None = None) -> None:
    """The worker that makes measurements. With a time scale (of a station's clock) it keeps a lake, too."""
    from agents.measure.worker import run

    keep_private()
    if time_scale is not None:
        keep_lake(config, time_scale)
    run(config)
