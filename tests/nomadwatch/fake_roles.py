"""Small roles for the supervisor: they live, die and speak as told."""

import asyncio
import logging
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from nomadwatch.errors import Misuse
from nomadwatch.processes.latch import opened
from nomadwatch.processes.process import Say


def speaks(say: Say, text: str) -> None:
    say("said", text)


def lives(say: Say) -> None:
    say("lives", os.getpid())
    signal.sigwait({signal.SIGTERM})


def lives_on_whatever_is_said(say: Say) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("lives", os.getpid())
    while True:
        time.sleep(3600)


def never_looks_up(say: Say) -> None:
    """Holds the interpreter: no other thread of its process runs."""
    sys.setswitchinterval(1e9)
    say("lives", os.getpid())
    while True:
        pass


def fails(say: Say, line: str) -> None:
    raise Misuse(line)


def crashes_twice(say: Say, folder: str) -> None:
    """Counts its lives in a folder: raises in the first, kills itself in the second, speaks in the third."""
    life = len(list(Path(folder).iterdir()))
    (Path(folder) / str(life)).touch()
    if life == 0:
        raise ValueError("the first life")
    if life == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    say("said", f"life {life}")


def waits_for(say: Say, waiter: Connection) -> None:
    """Says its id, and `opened` once the latch is set."""

    async def wait() -> None:
        waiting = asyncio.ensure_future(opened(waiter))
        await asyncio.sleep(0)
        say("waits", os.getpid())
        await waiting

    asyncio.run(wait())
    say("opened")


def kills_itself(say: Say) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def exits_at_once(say: Say) -> None:
    os._exit(3)


def warns(say: Say, times: int) -> None:
    for _ in range(times):
        logging.getLogger("agents.fake").warning("the same")
    logging.getLogger("agents.fake").info("not for everybody")
    logging.getLogger("somebody.else").error("their trouble")
