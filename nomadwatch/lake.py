"""The lake of a data folder: where it is, and brought up to date before somebody reads it."""

import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agents.measure.store import DamagedStore, store_path
from nomadwatch.errors import Failure, Misuse
from nomadwatch.settings import Settings
from nomadwatch.state import default_folder
from nomadwatch.terminal.console import tell
from sinks.lake.tables import TABLES

if TYPE_CHECKING:
    from agents.measure.snapshot import Snapshot
    from sinks.lake.folder import Lake
    from sinks.lake.write import Updated
    from sinks.report import Report

LAKE: Final = "lake"

# Seconds for which a command waits for another writer of the same lake.
_PATIENCE: Final = 60.0


def lake_for(settings: Settings, folder: str | None, sql: str) -> Path:
    """The lake that a question is about: the folder that is named as it is, else that of the data folder, up to date as
    far as the question mentions it. Raises Failure.
    """
    if folder is not None:
        if not Path(folder).is_dir():
            raise Misuse(f"there is no folder {folder}; name the folder of a lake, or a data folder with --data-dir")
        return Path(folder).absolute()
    state = Path(settings.data_dir or default_folder()).absolute()
    if store_path(str(state)).is_file():
        refresh(state, tables=[table for table in TABLES if table in sql.lower()])
    elif not (state / LAKE).is_dir():
        raise Misuse(
            f"{state} holds no facts; name the --data-dir of a station or a replay, or a lake's folder with --lake"
        )
    return state / LAKE


def refresh(state: Path, *, thoroughly: bool = False, tables: Collection[str] = tuple(TABLES)) -> "Updated | None":
    """Bring the lake of a data folder up to date with its store; `thoroughly`: after every file of it was read;
    `tables`: of those that follow from all days only these. What prevents it is told in a line, and the lake is read as
    it is. Raises Failure where there is none yet.
    """
    from agents.measure.snapshot import Snapshot
    from sinks.lake.folder import Lake, LakeError

    try:
        lake = Lake(state / LAKE)
        with lake.writing(_PATIENCE), Snapshot(store_path(str(state))) as source:
            return bring_up(lake, source, thoroughly=thoroughly, tables=tables)
    except (OSError, DamagedStore, LakeError, sqlite3.Error) as error:
        if not (state / LAKE).is_dir():
            raise Failure(f"the lake in {state / LAKE} cannot be written ({error})") from None
        tell(f"the lake in {state / LAKE} is not brought up to date ({error})")
        return None


def bring_up(
    lake: "Lake", source: "Snapshot", *, thoroughly: bool = False, tables: Collection[str] = tuple(TABLES)
) -> "Updated":
    """Bring a lake up to date within `lake.writing()`; what was damaged is told."""
    from sinks.lake.write import update

    done = update(lake, source, thoroughly=thoroughly, tables=tables)
    for name in done.mended:
        tell(f"{lake.path / name} was damaged, and is written anew")
    for name in done.lost:
        tell(
            f"{lake.path / name} is damaged or gone, and nothing can make it again: what it held is "
            "missing; restore it from a backup"
        )
    return done


def keep_report(state: Path, report: "Report") -> None:
    """Keep what a board shows in the lake of a data folder. Raises Failure where that cannot be written."""
    from sinks.lake.folder import Lake, LakeError
    from sinks.lake.measured import keep

    try:
        lake = Lake(state / LAKE)
        with lake.writing(_PATIENCE):
            keep(lake, report)
    except (OSError, LakeError) as error:
        raise Failure(f"the figures are not kept in the lake in {state / LAKE} ({error})") from None
