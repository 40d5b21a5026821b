"""The processes of a station: all roles on this machine, live or in a simulated world."""

import asyncio
import time
from contextlib import suppress
from math import inf
from typing import Any, Final

import msgspec

from nomadwatch.connect import await_broker, parse_address
from nomadwatch.errors import Misuse
from nomadwatch.processes import roles
from nomadwatch.processes.forkserver import prepare
from nomadwatch.processes.polling import polling_of
from nomadwatch.processes.signals import heeded
from nomadwatch.processes.sinks_role import Address, run_sinks
from nomadwatch.processes.supervisor import Role, Supervisor
from nomadwatch.processes.tasks import until_first
from nomadwatch.processes.workers import worker_config
from nomadwatch.settings import Known, Settings
from nomadwatch.state import Kept, Kind, State, default_folder
from nomadwatch.terminal.summary import StationView
from sinks.board import Board
from sinks.topic import TopicReader
from streams import platforms

GRACE: Final = 4.0
ROOM_EVERY: Final = 5.0
BEGINNING: Final = 1_714_564_800.0
"""The time in the world of a demonstration at its start (s since 1970): 1 May 2024, noon, UTC."""


class DemoWorld(msgspec.Struct, frozen=True, kw_only=True):
    """The simulated world of a demonstration. It runs `speed` times as fast as real time, for `seconds` of real time or
    for ever.
    """

    seed: int = 1
    speed: float = 30.0
    rate: float = 4.0
    seconds: float | None = None

    def origin(self, now: float) -> float:
        """The real time (s since 1970) at which both clocks agree.

        `now`: the real time at which the world shows `BEGINNING`. At 30 times the speed, that is a month later:
        until then no time that is shown lies in the future.

        >>> DemoWorld(speed=3.0).origin(BEGINNING + 20.0) - BEGINNING
        30.0
        """
        return now if self.speed == 1 else now + (now - BEGINNING) / (self.speed - 1)


def run_station(known: Known, summary: StationView, world: DemoWorld | None = None, *, verbose: bool = False) -> None:
    """Run until SIGINT or SIGTERM, or the end of the demonstration. Ends all processes. Raises Failure."""
    from streams.watchlist import Watchlist

    settings, address = known.settings, Address.of(known)
    if world is not None:
        from simulator.population import WATCHLIST

        # Invented figures never go to a shared broker, and always have invented names, whatever the environment sets.
        settings = msgspec.structs.replace(settings, broker="", prefix="", watchlist=str(WATCHLIST))
    if settings.broker:
        parse_address(settings.broker)
    # Report errors of the watchlist before anything is started.
    Watchlist.load(settings.watchlist or None)
    folder = settings.data_dir or ("" if world is not None else str(default_folder()))
    with State(folder) as state:
        kind: Kind = "live station" if world is None else "demonstration"
        state.check_kind(kind)
        if world is not None and state.kept is not None:
            raise Misuse(
                f"{state.path} holds the state of a run, and demo needs a new folder: "
                "remove it or name another --data-dir"
            )
        state.check_room()
        state.keep(_kept(settings, state.kept, kind))
        prepare()
        asyncio.run(_Station(settings, address, state, summary, world, verbose).run())


def _kept(settings: Settings, before: Kept | None, kind: Kind) -> Kept:
    if before is None:
        return Kept(kind=kind, broker=settings.broker, prefix=settings.prefix, partitions=settings.partitions)
    for name in ("broker", "partitions", "prefix"):
        ours, theirs = getattr(before, name), getattr(settings, name)
        if ours != theirs:
            raise Misuse(
                f"{settings.data_dir or default_folder()} was started with {name} {ours!r}; "
                "use the same, or another --data-dir"
            )
    before.kind = kind
    return before


class _Station:
    def __init__(
        self,
        settings: Settings,
        address: Address,
        state: State,
        summary: StationView,
        world: DemoWorld | None,
        verbose: bool,
    ) -> None:
        assert state.kept is not None
        self.settings, self.address, self.state, self.kept = settings, address, state, state.kept
        self.summary, self.world = summary, world
        self.bootstrap = self.kept.broker
        self.said: dict[str, asyncio.Future[Any]] = {}
        self.supervisor = Supervisor(self._hear, summary.notice, verbose, patience=None)

    async def run(self) -> None:
        stopped = asyncio.Event()
        lasting = inf if self.world is None or self.world.seconds is None else self.world.seconds
        with heeded(stopped):
            try:
                await until_first(
                    self._work(), self.supervisor.failed(), self._watch_room(), stopped.wait(), asyncio.sleep(lasting)
                )
            finally:
                await self.supervisor.stop(grace=0 if self.state.temporary else GRACE)

    async def _work(self) -> None:
        simulated = self.world is not None
        kept, settings = self.kept, self.settings
        if not kept.broker:
            self.bootstrap = f"127.0.0.1:{self.state.broker_port()}"
        if self.world is not None:
            settings = await self._simulated(self.world)
        if kept.broker:
            await await_broker(kept.broker, settings.broker_wait, self.summary.notice)
        else:
            await self._start(
                Role("broker", roles.run_broker, lambda: (str(self.state.path), kept.port), last=True), "ready"
            )
        topics = Role("topics", roles.run_topics, lambda: (self.bootstrap, kept.prefix, kept.partitions), once=True)
        await self._start(topics, "topics")
        if settings.time_scale != 1 and settings.time_origin is None:
            settings = msgspec.structs.replace(settings, time_origin=self.state.time_origin(settings.time_scale))
        polling = polling_of(settings, kept, self.bootstrap, self.state.actor_key(settings.actor_key))
        config = worker_config(settings, kept, self.bootstrap, self.state.path)
        self.supervisor.start(Role("streams", roles.run_polling, lambda: (polling,)))
        self.supervisor.start(Role("count", roles.run_count, lambda: (config,)))
        # A temporary folder needs no lake.
        scale = None if self.state.temporary else settings.time_scale
        self.supervisor.start(Role("measure", roles.run_measure, lambda: (config, scale)))
        # A restarted server must listen on the same port: a free port is reserved for it.
        address = self._address()
        await self._start(
            Role("sinks", run_sinks, lambda: (self.bootstrap, kept.prefix, kept.partitions, address, simulated)),
            "ready",
        )
        kept.page_host, kept.page_port = address.near, address.port
        self.state.keep(kept)
        if warning := address.warning(address.port):
            self.summary.notice(warning)
        self.summary.serving(address.url(address.port))
        await self._follow()

    def _address(self) -> Address:
        """Where the page is served; for port 0, a free port that stays reserved."""
        address = self.address
        if address.port:
            return address
        try:
            return msgspec.structs.replace(address, port=self.state.hold_port(host=address.host.strip("[]")))
        except OSError:
            raise address.failure("host", f"{address.host} is not an address of this machine") from None

    async def _simulated(self, world: DemoWorld) -> Settings:
        """Start the simulated world; returns the settings with which the station polls it."""
        began, ports = time.time(), (0, 0)
        origin = world.origin(began)

        # A restarted simulator continues with the same world, under the addresses that the pollers know.
        def simulated() -> tuple[Any, ...]:
            return world.seed, world.speed, origin, world.rate, self.settings.watchlist, ports, began

        ports = await self._start(Role("simulator", roles.run_simulator, simulated, last=True), "ready")
        github, hub = (f"http://127.0.0.1:{port}" for port in ports)
        # A platform of which there is no simulated world is not polled.
        nowhere = dict.fromkeys((platform.endpoint.name for platform in platforms.ALL), "")
        simulated_world = {**nowhere, "github_api": github, "hf_endpoint": hub}
        return msgspec.structs.replace(
            self.settings,
            **simulated_world,
            github_token="simulated",
            hf_token="simulated",
            time_scale=world.speed,
            time_origin=origin,
        )

    async def _start(self, role: Role, word: str) -> Any:
        """Start a role and wait for its message `word`; returns the body."""
        said = self.said[f"{role.name} {word}"] = asyncio.get_running_loop().create_future()
        self.supervisor.start(role)
        return await said

    def _hear(self, role: str, kind: str, body: Any) -> None:
        said = self.said.get(f"{role} {kind}")
        if said is not None and not said.done():
            said.set_result(body)

    async def _follow(self) -> None:
        """Show what is measured. A lost connection is opened again."""
        from aiokafka.errors import KafkaError

        from streams.kafka.topics import Topics

        topic = Topics(prefix=self.kept.prefix, partitions=self.kept.partitions).measurements
        while True:
            with suppress(KafkaError, OSError):
                # The role `sinks` reports foreign records.
                board = Board(live=True, simulated=self.world is not None, quiet=True)
                async with TopicReader.open(self.bootstrap, topic) as reader:
                    while True:
                        board.take(await reader.read(1.0))
                        self.summary.show(board)
            await asyncio.sleep(1.0)

    async def _watch_room(self) -> None:
        while True:
            self.state.check_room()
            await asyncio.sleep(ROOM_EVERY)
