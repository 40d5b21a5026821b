"""The processes of a replay: files through the whole pipeline on this machine, to a report."""

import asyncio
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from glob import has_magic
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from agents.config import Config
from nomadwatch.connect import await_broker, parse_address
from nomadwatch.errors import Failure, Interrupted, Misuse
from nomadwatch.processes import roles
from nomadwatch.processes.forkserver import prepare
from nomadwatch.processes.history import Asked, run_history
from nomadwatch.processes.lake_writer import run_lake
from nomadwatch.processes.latch import Latch
from nomadwatch.processes.roles import Outcome, ReaderTask
from nomadwatch.processes.signals import heeded
from nomadwatch.processes.supervisor import Role, Supervisor
from nomadwatch.processes.workers import worker_config
from nomadwatch.settings import Settings
from nomadwatch.state import Kept, State
from nomadwatch.terminal.progress import ProgressView
from sinks.board import Board
from sinks.report import Report, build
from sinks.topic import TopicReader
from streams.activity import HOUR

GRACE: Final = 6.0
# The figures are shown at the end only, when the workers write and publish at once anyway.
PACE: Final = 2.0
ROOM_EVERY: Final = 1.0


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay should do.

    `as_of` in µs UTC: later activities are counted, not measured. `history`: a folder to write.
    """

    paths: tuple[str, ...]
    include_bots: bool = False
    as_of: int | None = None
    history: str | None = None
    verbose: bool = False


class Replayed(NamedTuple):
    """The report, and the outcome of the reader."""

    report: Report
    outcome: Outcome


def check_paths(paths: Iterable[str]) -> None:
    """Raises Misuse for a name (not a pattern) of something that does not exist."""
    for path in paths:
        if not has_magic(path) and not Path(path).exists():
            raise Misuse(f"there is no file or folder {path}; name files, folders or globs that exist")


def watchlist_for(paths: Iterable[str], chosen: str) -> str:
    """The chosen watchlist, else the first `watchlist.yaml` beside the files, else empty: the built-in one.

    A generated world has projects of its own, and its watchlist is beside its hours.
    """
    folders = [Path(path) if Path(path).is_dir() else Path(path).parent for path in paths]
    found = next((folder / "watchlist.yaml" for folder in folders if (folder / "watchlist.yaml").is_file()), None)
    return chosen or str(found or "")


def replay(request: ReplayRequest, settings: Settings, show: ProgressView) -> Replayed:
    """Run the pipeline to the end of the files. Ends all processes. Raises Failure."""
    settings = msgspec.structs.replace(settings, watchlist=watchlist_for(request.paths, settings.watchlist))
    if settings.broker:
        parse_address(settings.broker)
    with State(settings.data_dir) as state:
        state.check_kind("replay")
        state.check_room()
        state.keep(_kept(settings, state.kept))
        prepare()
        return asyncio.run(_Replay(request, settings, state, show).run())


def _kept(settings: Settings, before: Kept | None) -> Kept:
    """What the folder keeps about this replay. Raises Misuse if an earlier run had other settings."""
    if before is None:
        # A prefix of its own on a shared broker, so that deleting its topics cannot affect others.
        prefix = f"{settings.prefix}replay-{secrets.token_hex(4)}-" if settings.broker else ""
        return Kept(kind="replay", broker=settings.broker, prefix=prefix, partitions=settings.partitions)
    for name in ("broker", "partitions"):
        ours, theirs = getattr(before, name), getattr(settings, name)
        if ours != theirs:
            was = f"{name} {ours}" if ours else "the embedded broker"
            raise Misuse(f"{settings.data_dir} was started with {was}; use the same, or another --data-dir")
    before.kind = "replay"
    return before


class _Replay:
    """One run: the roles, their messages, and the wait for the last evaluation."""

    def __init__(self, request: ReplayRequest, settings: Settings, state: State, show: ProgressView) -> None:
        assert state.kept is not None
        self.request, self.settings, self.state, self.show = request, settings, state, show
        self.kept = state.kept
        self.bootstrap = self.kept.broker
        self.outcome: Outcome | None = None
        self.ready, self.topics_made, self.written = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.lake_written = asyncio.Event()
        # For the reader, which runs in another process.
        self.topics_exist = Latch()
        self.supervisor = Supervisor(self._hear, show.notice, request.verbose)

    async def run(self) -> Replayed:
        stopped = asyncio.Event()
        with heeded(stopped):
            return await self._run(stopped)

    async def _run(self, stopped: asyncio.Event) -> Replayed:
        work = asyncio.ensure_future(self._work())
        troubles = [asyncio.ensure_future(each) for each in (self.supervisor.failed(), self._watch_room())]
        interruption = asyncio.ensure_future(stopped.wait())
        tasks = [work, *troubles, interruption]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for trouble in troubles:
                if trouble.done():
                    trouble.result()
            if not work.done():
                raise self._interrupted()
            return work.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # A temporary folder need not be consistent at the end.
            await self.supervisor.stop(grace=0 if self.state.temporary else GRACE)
            self.topics_exist.close()
            if self.state.temporary and self.kept.broker and self.supervisor.knows("topics"):
                await self._delete_topics()

    def _interrupted(self) -> Interrupted:
        if self.state.temporary:
            return Interrupted("interrupted, and nothing is kept; with --data-dir DIR the same command could resume")
        return Interrupted(f"interrupted; the same command resumes with the state in {self.state.path}")

    async def _work(self) -> Replayed:
        kept = self.kept
        if not kept.broker:
            self.bootstrap = f"127.0.0.1:{self.state.broker_port()}"
        reading = ReaderTask(
            paths=self.request.paths,
            bootstrap=self.bootstrap,
            prefix=kept.prefix,
            partitions=kept.partitions,
            actor_key=self.state.actor_key(self.settings.actor_key),
            watchlist=self.settings.watchlist,
            include_bots=self.request.include_bots,
            as_of=self.request.as_of,
            dead_letters=self.settings.dead_letters,
        )
        self.supervisor.start(
            Role("streams", roles.run_streams, lambda: (reading, self.topics_exist.waiter), once=True, early=True)
        )
        if kept.broker:
            await await_broker(kept.broker, self.settings.broker_wait, self.show.notice)
        else:
            self.supervisor.start(
                Role("broker", roles.run_broker, lambda: (str(self.state.path), kept.port), last=True)
            )
            await self.ready.wait()
        self.supervisor.start(
            Role("topics", roles.run_topics, lambda: (self.bootstrap, kept.prefix, kept.partitions), once=True)
        )
        await self.topics_made.wait()
        self.topics_exist.set()
        config = worker_config(self.settings, kept, self.bootstrap, self.state.path, PACE)
        self.supervisor.start(Role("count", roles.run_count, lambda: (config,)))
        self.supervisor.start(Role("measure", roles.run_measure, lambda: (config,)))
        board = await self._follow()
        outcome = self.outcome
        assert outcome is not None
        if self.request.history is not None:
            await self._write_history(self.request.history, config, outcome, board)
        report = build(
            board.evaluation,
            board.measurements,
            world=board.world,
            files=outcome.files,
            dead_letters=outcome.dead_letters,
            after_as_of=outcome.after_as_of if self.request.as_of is not None else None,
            doubtful=outcome.doubtful,
        )
        if not self.state.temporary:
            self.supervisor.start(Role("lake", run_lake, lambda: (str(self.state.path), report), once=True))
            await self.lake_written.wait()
        return Replayed(report, outcome)

    async def _write_history(self, folder: str, config: Config, outcome: Outcome, board: Board) -> None:
        assert board.evaluation is not None
        asked = Asked(
            folder=folder,
            config=config,
            ends=outcome.ends,
            until=self._last_hour(board.evaluation.front, outcome),
            covered_only=outcome.hours,
        )
        self.supervisor.start(Role("history", run_history, lambda: (asked,), once=True))
        await self.written.wait()

    def _last_hour(self, front: int | None, outcome: Outcome) -> int | None:
        """The latest end (µs) of an hour in the history.

        It is the last hour that is complete at the front; for files without hours, the hour of the last activities.
        """
        if front is None or outcome.hours or self.request.as_of is not None:
            return None if front is None else front + 1
        return min(-(-(front + 1) // HOUR) * HOUR, time.time_ns() // 1000)

    async def _follow(self) -> Board:
        """The board, once it covers everything that was read. A lost connection is opened again."""
        from aiokafka.errors import KafkaError

        from streams.kafka.topics import Topics

        topic = Topics(prefix=self.kept.prefix, partitions=self.kept.partitions).measurements
        while True:
            with suppress(KafkaError):
                board = Board()
                async with TopicReader.open(self.bootstrap, topic) as reader:
                    while self.outcome is None or not board.has_reached(self.outcome.ends):
                        board.take(await reader.read())
                        if self.outcome is not None and board.has_lost(self.outcome.ends):
                            raise Failure(
                                "the broker deleted records before they were measured; "
                                "start again with another --data-dir"
                            )
                    return board
            await asyncio.sleep(0.2)

    def _hear(self, role: str, kind: str, body: Any) -> None:
        match kind:
            case "ready":
                self.ready.set()
            case "topics":
                self.topics_made.set()
            case "progress":
                self.show.advance(body)
            case "read":
                self.outcome = body
                self.show.measuring()
            case "writing":
                self.show.writing(body)
            case "written":
                self.written.set()
            case "told":
                self.show.notice(body)
            case "lake":
                self.lake_written.set()

    async def _watch_room(self) -> None:
        while True:
            self.state.check_room()
            await asyncio.sleep(ROOM_EVERY)

    async def _delete_topics(self) -> None:
        """Delete the topics on a shared broker; says which ones could not be deleted."""
        from streams.errors import StreamsError
        from streams.kafka.admin import delete
        from streams.kafka.topics import Topics

        try:
            await asyncio.to_thread(
                delete, self.kept.broker, Topics(prefix=self.kept.prefix, partitions=self.kept.partitions)
            )
        except StreamsError as error:
            self.show.notice(
                f"the topics {self.kept.prefix}* are left on {self.kept.broker} ({error}); delete them there"
            )
