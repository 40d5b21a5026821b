"""The history of a replay: a point for the end of each hour, as files that Prometheus takes over.

The point at the end of an hour is what `replay --as-of` its last microsecond reports.
"""

import shlex
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from agents.config import Config
from agents.measurements import Measurement
from nomadwatch.errors import Failure, Misuse
from nomadwatch.failures import cannot
from nomadwatch.processes.process import Say
from sinks.openmetrics import PARTIAL, Written, is_history, write

_SAY_EVERY: Final = 0.01


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written: into `folder`, of the activities up to `ends` (offsets by partition), no hour that ends
    after `until`.

    `until` in µs UTC, None if nothing has arrived. `covered_only`: the files are hours, and only those that were read
    whole have a point.
    """

    folder: str
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
    from agents.measure.history import RecordsLost
    from agents.measure.store import DamagedStore

    try:
        say("written", _write(say, asked))
    except (RecordsLost, DamagedStore) as lost:
        raise Failure(f"{lost}: no history can be made of the rest; begin anew with another --data-dir") from None


def _write(say: Say, asked: Asked) -> Written:
    from agents.measure.history import points, progress_of
    from agents.measure.store import Store, store_path

    said = 0.0

    def told(found: Iterable[tuple[int, float, list[Measurement]]]) -> Iterator[tuple[int, list[Measurement]]]:
        nonlocal said
        for end, share, measured in found:
            if share - said >= _SAY_EVERY:
                said = share
                say("writing", share)
            yield end, measured

    with Store(store_path(asked.config.data_dir), existing=True) as store:
        progress = progress_of(store, asked.ends)
        until = -1 if asked.until is None else asked.until
        found = told(points(store, progress, until, covered_only=asked.covered_only))
        try:
            return write(Path(asked.folder), found, simulated=any(each.simulated for each in progress))
        except OSError as error:
            raise cannot(error, f"the history cannot be written to {asked.folder}") from None
