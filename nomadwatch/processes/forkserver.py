"""The fork server: it imports once what the roles need, and their processes are forked from it."""

import atexit
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Final

from nomadwatch.errors import Failure
from nomadwatch.processes.process import MAIN_PROCESS
from nomadwatch.processes.signals import ASKING

# The address of a socket holds 107 bytes; `multiprocessing` adds about 30 to the folder.
_LONGEST_FOLDER: Final = 70
# Starting a process reaps others; if two threads ask for one exit code, it is lost.
_REAPING: Final = threading.Lock()


def one_thread() -> None:
    """Keep numpy from starting a thread for each processor. Call it before numpy is imported."""
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def prepare(preload: Sequence[str] = ("nomadwatch.processes.preload",)) -> None:
    """Start the fork server, from which the processes of the roles are forked. It imports `preload` in the background.

    It inherits blocked signals, and so do its children: Ctrl-C reaches the main process only, which ends them in order.
    """
    one_thread()
    os.environ[MAIN_PROCESS] = str(os.getpid())
    from multiprocessing import forkserver, resource_tracker

    _shorten_sockets()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nomadwatch.processes.tied", *preload])
    # If it started later, it would unblock SIGINT.
    resource_tracker.ensure_running()
    with _signals_blocked():
        forkserver.ensure_running()


def _shorten_sockets() -> None:
    """Put the fork server's socket under /tmp if the path of the temporary folder is too long for a socket.

    Otherwise `multiprocessing` fails with a traceback (Python 3.11 to 3.13).
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
    """Block signals: processes that start in this context keep them blocked until they leave the process group."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(process: BaseProcess) -> None:
    """Start a process. Waits until the fork server has imported its modules; starts a new server if it has died."""
    with _REAPING, _signals_blocked():
        process.start()


def reap(process: BaseProcess) -> int:
    """The exit code of a process that has ended."""
    with _REAPING:
        process.join()
        assert process.exitcode is not None
        return process.exitcode
