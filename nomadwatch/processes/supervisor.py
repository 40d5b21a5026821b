"""Roles, each in its own process, kept alive: what dies is started again, what fails for good ends all."""

import asyncio
import atexit
import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, NoReturn

from nomadwatch.errors import Failure
from nomadwatch.processes.line import Ear, Message
from nomadwatch.processes.process import MAIN_PROCESS, enter
from nomadwatch.processes.signals import ASKING

FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 5.0
SETTLED: Final = 30.0
PATIENCE: Final = 120.0
# Nobody kills by hand so often what has hardly been started again; the kernel does, when the memory is full.
MOST_KILLS: Final = 10
_ADVICE: Final = {
    True: ": is the memory full? make room in it and run the same command again",
    False: "; run again with --verbose to see more",
}
# An address holds 107 bytes; `multiprocessing` adds about 30 to the folder.
_LONGEST_FOLDER: Final = 70
# Starting a process reaps others on the way; two threads that ask for one exit code lose it.
_REAPING: Final = threading.Lock()

Hear = Callable[[str, str, Any], None]
Notice = Callable[[str], None]


@dataclass(frozen=True)
class Role:
    """A process: `target(say, *arguments())`, the target importable by name, the arguments asked for at each start.

    `once`: its end with exit code 0 is its success. `last`: stopped last. `early`: not forked from the server that has
    everything imported but started in an interpreter of its own, which needs no more than the role's own modules and
    need not wait for the others'.
    """

    name: str
    target: Callable[..., None]
    arguments: Callable[[], tuple[Any, ...]] = tuple
    once: bool = False
    last: bool = False
    early: bool = False


def one_thread() -> None:
    """Keep numpy from starting a thread for each processor of a large machine; before it is imported."""
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def prepare(preload: Sequence[str] = ("nomadwatch.processes.preload",)) -> None:
    """Start the server that every role's process is forked from; it imports `preload` while the caller goes on.

    It inherits SIGINT blocked, and its children with it: Ctrl-C reaches the main process alone, which ends them in
    their order.
    """
    one_thread()
    os.environ[MAIN_PROCESS] = str(os.getpid())
    from multiprocessing import forkserver, resource_tracker

    _shorten_sockets()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nomadwatch.processes.tied", *preload])
    # Its own start would unblock SIGINT again.
    resource_tracker.ensure_running()
    with _signals_blocked():
        forkserver.ensure_running()


def _shorten_sockets() -> None:
    """Let the fork server's socket stand under /tmp where the path of the temporary folder is too long for the address
    of a socket.

    There `multiprocessing` ends with a traceback (Python 3.11 to 3.13).
    """
    if len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_FOLDER:
        return
    try:
        folder = tempfile.mkdtemp(prefix="nomadwatch-", dir="/tmp")
    except OSError as error:
        raise Failure(
            f"the path {tempfile.gettempdir()} is too long for sockets; set TMPDIR to a shorter one"
        ) from error
    multiprocessing.current_process()._config["tempdir"] = folder  # type: ignore[attr-defined]
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """What is started meanwhile has them blocked until it has left this process's group."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(process: BaseProcess) -> None:
    """Waits until the fork server has imported its modules; starts another one if it has died."""
    with _REAPING, _signals_blocked():
        process.start()


def _reap(process: BaseProcess) -> int:
    """The exit code of a process that has ended."""
    with _REAPING:
        process.join()
        assert process.exitcode is not None
        return process.exitcode


class _Keeper:
    """One role: its process, and the one after that."""

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
        """Run the role until it is done, told to stop, or fails for good (raises Failure)."""
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
        """One life of the process; its exit code, negative for a signal."""
        self._crash = None
        context: Any = multiprocessing.get_context("spawn" if self.role.early else "forkserver")
        line, far = context.Pipe(duplex=False)
        process = context.Process(
            target=enter,
            args=(self.role.target, self.role.arguments(), far, self._verbose),
            name=f"nomadwatch {self.role.name}",
        )
        try:
            await asyncio.to_thread(_start, process)
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
        return await asyncio.to_thread(_reap, process)

    def _take(self, messages: Iterable[Message]) -> None:
        """Take what the role has said; a message that its death cut off is lost."""
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
    """Keeps roles running. `hear(role, kind, body)` gets what they say, `notice(line)` what the person should know.

    A role that has only failed for `patience` seconds, or was only killed `MOST_KILLS` times in a row, fails for good;
    with None it is started again for ever.
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
        """Whether a role was ever started."""
        return name in self._keepers

    def pid(self, name: str) -> int | None:
        """The process of a role, while it has one."""
        process = self._keepers[name][0].process
        return None if process is None else process.pid

    async def failed(self) -> NoReturn:
        """Wait until some role has failed for good, and raise its Failure."""
        await self._failed.wait()
        for _, task in self._keepers.values():
            if task.done():
                task.result()
        raise AssertionError("a failure without a cause")

    def _look(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failed.set()

    async def stop(self, grace: float = 6.0) -> None:
        """End every process: politely, those that the others need last, and by force what has not ended after `grace`
        seconds.

        With `grace` 0 by force at once.
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
