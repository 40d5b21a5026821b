"""The process that brings a lake up to date and ends, so that DuckDB stays in no worker's memory, and its starter."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import msgspec

from agents.config import Config
from nomadwatch.private import keep_private
from nomadwatch.processes.process import Say, end_with_os_parent
from sinks.board import Board
from sinks.report import Report, build

_LOG: Final = logging.getLogger("nomadwatch.lake")
# Seconds from the start of `measure` to its lake's first update, and between two updates (on the station's clock).
_FIRST: Final = 20.0
EVERY: Final = 3_600.0
# However fast a simulated clock runs.
_LEAST: Final = 20.0
_NICE: Final = 10


class _Asked(msgspec.Struct, frozen=True):
    """What the process is told: the data folder, and the broker whose board is kept. `thoroughly`: read every file."""

    data_dir: str
    bootstrap: str
    prefix: str
    partitions: int
    thoroughly: bool


def keep_lake(config: Config, time_scale: float = 1.0) -> None:
    """Start a process for the lake of a data folder now and then, from a thread, as long as this process lives.

    What the process says is logged. One that is killed, or that has no room on the disk, is followed by another.
    """
    threading.Thread(target=_keep, args=(config, max(_LEAST, EVERY / time_scale)), name="lake", daemon=True).start()


def _keep(config: Config, every: float) -> None:
    pause = threading.Event()
    pause.wait(min(_FIRST, every))
    thoroughly = True
    while True:
        asked = _Asked(config.data_dir, config.bootstrap, config.prefix, config.partitions, thoroughly)
        command = [sys.executable, "-m", __name__, msgspec.json.encode(asked).decode()]
        try:
            done = subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
            )
        except OSError as error:
            _LOG.warning("the lake is not brought up to date: its process could not be started (%s)", error)
        else:
            for line in done.stderr.splitlines()[-3:]:
                _LOG.warning("%s", line.removeprefix("nomadwatch: "))
            thoroughly = thoroughly and done.returncode != 0
        pause.wait(every)


def main(text: str) -> int:
    """Bring the lake up to date, then keep what the board shows; the exit code."""
    end_with_os_parent()
    os.nice(_NICE)
    keep_private()
    logging.disable()
    asked = msgspec.json.decode(text, type=_Asked)
    from aiokafka.errors import KafkaError

    from nomadwatch.errors import Failure
    from nomadwatch.lake import keep_report, refresh
    from nomadwatch.terminal.console import tell

    state = Path(asked.data_dir)
    try:
        refresh(state, thoroughly=asked.thoroughly)
        keep_report(state, asyncio.run(_shown(asked)))
    except Failure as failure:
        tell(str(failure))
        return failure.exit_code
    except KafkaError as error:
        tell(f"the figures are not kept in the lake this time ({error})")
        return 1
    return 0


async def _shown(asked: _Asked) -> Report:
    """What the board shows now."""
    from sinks.topic import TopicReader
    from streams.kafka.topics import Topics

    board = Board(quiet=True)
    topics = Topics(prefix=asked.prefix, partitions=asked.partitions)
    async with TopicReader.open(asked.bootstrap, topics.measurements) as reader:
        board.take(await reader.read_to_end())
    return build(board.evaluation, board.figures, world=board.world)


def run_lake(say: Say, folder: str, report: Report) -> None:
    """Bring the lake of a replay that has ended up to date, with its report; says `lake` at the end, `told` before."""
    from nomadwatch.errors import Failure
    from nomadwatch.lake import keep_report, refresh

    keep_private()
    try:
        refresh(Path(folder))
        keep_report(Path(folder), report)
    except Failure as failure:
        say("told", str(failure))
    say("lake")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
