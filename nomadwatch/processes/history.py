"""The history of a replay: a point for the end of each hour, as files that Prometheus takes over.

The point at the end of an hour is what `replay --as-of` its last microsecond reports.
"""

import asyncio
import shlex
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from agents.config import Config
from nomadwatch.errors import Failure, Misuse
from nomadwatch.failures import cannot
from nomadwatch.processes.process import Say
from sinks.openmetrics import PARTIAL, Written, is_history, write

SCRATCH: Final = "history.db"
_SAY_EVERY: Final = 0.01


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written: into `folder`, of the activities up to `ends` (offsets by partition), no hour that ends
    after `until`.

    `until` in µs UTC, None if nothing has arrived. `covered_only`: the files are hours, and only those that were read
    whole have a point. `scratch` is a folder for a file of panes.
    """

    folder: str
    scratch: str
    config: Config
    ends: dict[int, int]
    until: int | None
    covered_only: bool


def check_folder(folder: str | None) -> None:
    """Raises Misuse now for a folder that holds anything but an earlier history, Failure for one that could not be
    written later.
    """
    if folder is None:
        return
    path = Path(folder).absolute()
    problem = None
    try:
        if path.is_dir():
            others = sorted(each.name for each in path.iterdir() if not is_history(each.name) and each.name != PARTIAL)
            if others:
                problem = f"it holds {others[0]}, which is no history"
            else:
                # What a history that was killed left in PARTIAL is no obstacle: `write` removes it.
                Path(tempfile.mkdtemp(dir=path, prefix=PARTIAL)).rmdir()
        elif path.exists():
            problem = "it is a file"
        elif not path.parent.is_dir():
            problem = f"there is no folder {path.parent}"
        else:
            path.mkdir()
            path.rmdir()
    except OSError as error:
        raise cannot(error, f"the history cannot be written to {path}") from None
    if problem is not None:
        raise Misuse(f"the history cannot be written to {path} ({problem}); name another folder")


def next_step(folder: str, into: str = "prometheus-data") -> str:
    """What the person does next: the command that makes Prometheus' blocks of a history.

    >>> next_step("/no where")
    'no hour was seen whole: the history in /no where is empty'
    """
    days = sorted(path.name for path in Path(folder).glob("*") if is_history(path.name))
    if not days:
        return f"no hour was seen whole: the history in {folder} is empty"
    make = "promtool tsdb create-blocks-from openmetrics"
    place = shlex.quote(folder)
    command = (
        f"{make} {place}/{days[0]} {into}"
        if len(days) == 1
        else f'for day in {place}/*.openmetrics; do {make} "$day" {into}; done'
    )
    return f"the history is in {folder}; this makes blocks for Prometheus of it:\n{command}"


def run_history(say: Say, asked: Asked) -> None:
    """Write the history; says `writing` with the share that is done, and `written` at the end."""
    from agents.past import RecordsLost

    try:
        say("written", asyncio.run(_write(say, asked)))
    except RecordsLost as lost:
        raise Failure(f"{lost}: no history can be made of the rest; begin anew with another --data-dir") from None


async def _write(say: Say, asked: Asked) -> Written:
    from agents.operators.past import Past
    from agents.past import PaneStore, gather, points

    said = 0.0

    def advance(share: float) -> None:
        nonlocal said
        if share - said >= _SAY_EVERY:
            said = share
            say("writing", share)

    with PaneStore(Path(asked.scratch) / SCRATCH) as store:
        progress = await gather(asked.config, asked.ends, store, advance)
        found = (
            ()
            if asked.until is None
            else points(store, Past(progress), progress, asked.until, covered_only=asked.covered_only)
        )
        try:
            return write(Path(asked.folder), found, simulated=any(each.simulated for each in progress))
        except OSError as error:
            raise cannot(error, f"the history cannot be written to {asked.folder}") from None
