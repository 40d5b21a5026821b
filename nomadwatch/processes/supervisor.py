"""The supervisor: each role runs in its own process and is restarted when it dies.

A permanent failure ends all roles.
"""

import asyncio
import logging
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, NoReturn

from nomadwatch.errors import Failure
from nomadwatch.processes.forkserver import reap, start
from nomadwatch.processes.line import Ear, Message
from nomadwatch.processes.process import enter

FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 5.0
SETTLED: Final = 30.0
PATIENCE: Final = 120.0
# This many kills right after restarts mean that the kernel kills the process because the memory is full.
MOST_KILLS: Final = 10
_ADVICE: Final = {
    True: ": is the memory full? Free some memory and run the same command again",
    False: "; run again with --verbose to see more",
}

Hear = Callable[[str, str, Any], None]
Notice = Callable[[str], None]


@dataclass(frozen=True)
class Role:
    """A process that runs `target(say, *arguments())`. `arguments` is called at each start.

    `once`: it is done when it ends with exit code 0. `last`: it is stopped last. `early`: it is started in a new
    interpreter, which imports the role's own modules only and does not wait for the fork server.
    """

    name: str
    target: Callable[..., None]
    arguments: Callable[[], tuple[Any, ...]] = tuple
    once: bool = False
    last: bool = False
    early: bool = False


class _Keeper:
    """Keeps one role running: starts its process, and starts it again when it dies."""

    def __init__(self, role: Role, hear: Hear, notice: Notice, verbose: bool, patience: float | None) -> None:
        self.role = role
        self._patience = patience
        self.stopping = asyncio.Event()
        self.process: BaseProcess | None = None
        self.failure: tuple[int, str] | None = None
        self._crash: tuple[str, str] | None = None
        self._hear = hear
        self._notice = notice
        self._verbose = verbose

    async def keep(self) -> None:
        """Run the role until it is done or stopped. Raises Failure if it fails permanently."""
        wait, failing_since, kills = FIRST_WAIT, None, 0
        while True:
            begun = time.monotonic()
            code = await self._live()
            if self.failure is not None:
                raise Failure.of(*self.failure)
            if self.stopping.is_set() or (self.role.once and code == 0):
                return
            now = time.monotonic()
            if now - begun >= SETTLED:
                wait, failing_since, kills = FIRST_WAIT, None, 0
            how = self._how(code)
            kills = kills + 1 if code < 0 else 0
            if kills:
                failing_since = None
                if kills >= MOST_KILLS:
                    how = f"{how} {kills} times in a row"
                    if self._patience is not None:
                        raise Failure(f"{self.role.name} {how}{_ADVICE[code == -signal.SIGKILL]}")
            elif failing_since is None:
                failing_since = begun
            elif self._patience is not None and now - failing_since > self._patience:
                raise Failure(f"{self.role.name} keeps failing ({how}); run again with --verbose to see more")
            self._notice(f"{self.role.name} {how}; starting it again in {wait:g} s")
            if self._verbose and self._crash is not None:
                for line in self._crash[1].splitlines():
                    self._notice(line)
            try:
                await asyncio.wait_for(self.stopping.wait(), wait)
            except TimeoutError:
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                return

    def _how(self, code: int) -> str:
        if self._crash is not None:
            return f"ended with an error ({self._crash[0]})"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    async def _live(self) -> int:
        """Run the process once; returns its exit code, negative for a signal."""
        self._crash = None
        context: Any = multiprocessing.get_context("spawn" if self.role.early else "forkserver")
        line, far = context.Pipe(duplex=False)
        process = context.Process(
            target=enter,
            args=(self.role.target, self.role.arguments(), far, self._verbose),
            name=f"nomadwatch {self.role.name}",
        )
        try:
            await asyncio.to_thread(start, process)
        except (OSError, EOFError) as error:
            line.close()
            self._crash = (f"its process could not be started: {error}", "")
            return 1
        finally:
            far.close()
        self.process = process
        if self.stopping.is_set():
            process.terminate()
        try:
            return await self._listen(process, line)
        finally:
            self.process = None
            line.close()
            process.close()

    async def _listen(self, process: BaseProcess, line: Connection) -> int:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        ear = Ear(line)

        def come() -> None:
            self._take(ear.messages())
            if ear.ended:
                loop.remove_reader(line.fileno())

        loop.add_reader(process.sentinel, ended.set)
        loop.add_reader(line.fileno(), come)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(process.sentinel)
            loop.remove_reader(line.fileno())
        self._take(ear.rest())
        return await asyncio.to_thread(reap, process)

    def _take(self, messages: Iterable[Message]) -> None:
        """Handle messages of the role. A message that is incomplete when the role dies is lost."""
        for kind, body in messages:
            if kind == "failed":
                self.failure = body
            elif kind == "crashed":
                self._crash = body
            elif kind == "log":
                if self._verbose or body[0] >= logging.WARNING:
                    self._notice(f"{self.role.name}: {body[1]}")
            else:
                self._hear(self.role.name, kind, body)


@dataclass
class Supervisor:
    """Keeps roles running. `hear(role, kind, body)` gets their messages, `notice(line)` what the user should know.

    A role fails permanently if it only fails for `patience` seconds, or is killed `MOST_KILLS` times in a row. With
    patience None it is restarted for ever.
    """

    hear: Hear
    notice: Notice
    verbose: bool = False
    patience: float | None = PATIENCE
    _keepers: dict[str, tuple[_Keeper, asyncio.Task[None]]] = field(default_factory=dict)
    _failed: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, role: Role) -> None:
        """Start a role; returns at once."""
        keeper = _Keeper(role, self.hear, self.notice, self.verbose, self.patience)
        task = asyncio.get_running_loop().create_task(keeper.keep(), name=role.name)
        task.add_done_callback(self._look)
        self._keepers[role.name] = (keeper, task)

    def knows(self, name: str) -> bool:
        """Whether a role was started before."""
        return name in self._keepers

    def pid(self, name: str) -> int | None:
        """The id of a role's process; None while it has none."""
        process = self._keepers[name][0].process
        return None if process is None else process.pid

    async def failed(self) -> NoReturn:
        """Wait until a role fails permanently, and raise its Failure."""
        await self._failed.wait()
        for _, task in self._keepers.values():
            if task.done():
                task.result()
        raise AssertionError("a failure without a cause")

    def _look(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failed.set()

    async def stop(self, grace: float = 6.0) -> None:
        """End all processes, `last` roles after the others. Kills those that have not ended after `grace` seconds.

        With `grace` 0 they are killed at once.
        """
        for last in (False, True):
            chosen = [pair for pair in self._keepers.values() if pair[0].role.last is last]
            for keeper, _ in chosen:
                keeper.stopping.set()
                if keeper.process is not None and grace:
                    keeper.process.terminate()
            tasks = [task for _, task in chosen]
            if tasks and grace:
                await asyncio.wait(tasks, timeout=grace)
            while any(not task.done() for task in tasks):
                for keeper, _ in chosen:
                    if keeper.process is not None:
                        keeper.process.kill()
                await asyncio.wait(tasks, timeout=0.05)
