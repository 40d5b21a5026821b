"""The start of a role's process: it reports to the main process, and ends with it."""

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol

from agents.memory import one_arena
from nomadwatch.failures import explain
from nomadwatch.logs import log_to
from nomadwatch.processes.line import Mouth
from nomadwatch.processes.signals import ASKING

# The variable with the id of the main process, by which the fork server knows its parent.
MAIN_PROCESS: Final = "NOMADWATCH_MAIN_PROCESS"
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15


class Say(Protocol):
    """Sends a message to the main process: its kind and a body. Any thread may call it."""

    def __call__(self, kind: str, body: object = None, /) -> None: ...


def enter(target: Callable[..., None], arguments: tuple[Any, ...], line: Connection, verbose: bool) -> None:
    """Run `target(say, *arguments)`. Exit code 0 when it returns, else that of its failure, or 1.

    Its last message about a failure is `failed` (exit code, line), which is permanent, or `crashed` (line, traceback),
    which is worth a restart.
    """
    one_arena()
    collect_rarely()
    die_with_parent()
    leave_group()
    show_as(target.__name__.removeprefix("run_"))
    say = _teller(line)
    log_to(_Told(say), verbose)
    try:
        target(say, *arguments)
    except Exception as exception:  # noqa: BLE001 - the main process decides about every failure of a role
        if (failure := explain(exception)) is not None:
            say("failed", (failure.exit_code, str(failure)))
            sys.exit(failure.exit_code)
        say("crashed", (f"{type(exception).__name__}: {exception}".splitlines()[0], traceback.format_exc()))
        sys.exit(1)


def collect_rarely() -> None:
    """Let the garbage collector leave alone what is imported, and look at new objects by the ten thousands.

    Rows, records and numbers hold no cycles and go by their reference counts. At the interpreter's own thresholds a
    reader spends a tenth of its time on looking through them.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def die_with_parent() -> None:
    """End this process at once when the main process ends, however it ends.

    Nothing is cleaned up: what is on disk is consistent even after kill -9. A thread notices that the main process has
    ended. If threads cannot run, the kernel ends the process when the fork server ends.
    """
    end_with_os_parent()
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def leave_group(*, forget: bool = False) -> None:
    """Leave the process group of the main process, so that signals to the group do not arrive, and unblock signals.

    With `forget`, signals that have arrived already are discarded.
    """
    with contextlib.suppress(OSError):
        os.setpgrp()
    for number in ASKING:
        if number == signal.SIGINT:
            continue  # only the main process handles Ctrl-C
        if forget and signal.getsignal(number) is signal.SIG_DFL:
            # Ignoring a signal discards pending ones.
            signal.signal(number, signal.SIG_IGN)
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})


def show_as(role: str) -> None:
    """Show this process as nw-ROLE in `ps` and `top` (Linux), instead of the fork server's name."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, f"nw-{role}".encode())


def end_with_os_parent() -> None:
    """Ask the kernel (Linux) to kill this process when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _teller(line: Connection) -> Say:
    mouth = Mouth(line)

    def say(kind: str, body: object = None, /) -> None:
        with contextlib.suppress(OSError):  # if the main process has ended, this one ends too
            mouth.say(kind, body)

    return say


class _Told(logging.Handler):
    """Sends log records to the main process; the same text at most once in `every` seconds."""

    def __init__(self, say: Say, every: float = 10.0) -> None:
        super().__init__()
        self._say = say
        self._every = every
        self._last: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        now = time.monotonic()
        if now - self._last.get(text, -self._every) < self._every:
            return
        if len(self._last) > 1000:
            self._last.clear()
        self._last[text] = now
        self._say("log", (record.levelno, text))
