"""`nomadwatch backup`: a copy of the rows and the lake of a data folder, made while its station runs."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import click

from agents.measure.snapshot import Snapshot
from agents.measure.store import DamagedStore, store_path
from nomadwatch.commands import options
from nomadwatch.errors import Failure, Misuse
from nomadwatch.failures import cannot
from nomadwatch.lake import LAKE
from nomadwatch.private import keep_private
from nomadwatch.settings import load
from nomadwatch.state import default_folder, log_of
from nomadwatch.terminal.console import tell
from sinks.lake.folder import Lake, LakeError

_KEY: Final = "actor.key"
_PLAIN: Final = ("state.json",)
# Seconds for which a writer of the lake is waited for.
_PATIENCE: Final = 60.0
# A copy must leave so much of the disk free.
_SPARE: Final = 64 << 20


@click.command("backup")
@click.argument("target", metavar="TARGET")
@options.option(
    "--with-key",
    is_flag=True,
    help="Copy the key of the actors' hashes, too. It tells whose hash is whose: keep the copy as safe as the key.",
)
@options.data_dir
def command(target: str, with_key: bool, **flags: Any) -> None:
    """Copy the rows and the lake to a new folder, also while the station runs, and check the copy.

    To restore them, stop the station, put the folders `measure` and `lake` of the copy where they were, and start
    again: what came since is read from the topics. Of a station that does not run the embedded broker's log is copied,
    too: then the copy is a data folder itself. Without --with-key the key file is not in it: keep yours, or the same
    people get other hashes.
    """
    state = Path(load(flags).settings.data_dir or default_folder()).absolute()
    if not store_path(str(state)).is_file():
        raise Misuse(f"{state} holds no facts; name the --data-dir of a station or a replay")
    place = Path(target).absolute()
    if place.exists() or not place.parent.is_dir():
        why = "it exists" if place.exists() else f"there is no folder {place.parent}"
        raise Misuse(f"the backup cannot be written to {place} ({why}); name a new folder")
    if with_key and not (state / _KEY).is_file():
        raise Misuse(f"there is no {state / _KEY}; the key may be set in NOMADWATCH_ACTOR_KEY: keep that instead")
    keep_private()
    try:
        with _whole(place) as partial:
            rows, has_log = _copy(state, partial, with_key)
    except OSError as error:
        raise cannot(error, f"the backup cannot be written to {place}") from None
    except (sqlite3.Error, DamagedStore, LakeError) as error:
        raise Failure(f"no backup was made: {error}") from None
    print(f"{rows:,} rows are in {place}, and were checked")
    if not has_log:
        tell("the log of the embedded broker is in use and is not in the backup; stop the station to copy it, too")
    if not with_key:
        tell(f"the key of the actors' hashes ({_KEY}) is not in the backup; keep it in another safe place")


@contextmanager
def _whole(place: Path) -> Iterator[Path]:
    """A folder that takes its name when the block has ended, and is removed if that fails."""
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(mode=0o700)
        yield partial
        partial.rename(place)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _copy(state: Path, partial: Path, with_key: bool) -> tuple[int, bool]:
    """Copy everything, and check the copy; the number of rows, and whether nothing of the topics is missing."""
    needed = sum(each.stat().st_size for each in (store_path(str(state)), log_of(state)) if each.exists())
    needed += sum(each.stat().st_size for each in (state / LAKE).rglob("*") if each.is_file())
    if shutil.disk_usage(partial).free < needed + _SPARE:
        raise OSError(28, os.strerror(28), str(partial))
    copy = store_path(str(partial))
    copy.parent.mkdir()
    _copy_database(store_path(str(state)), copy)
    has_log = not log_of(state).exists() or _copy_log(log_of(state), log_of(partial))
    for name in (*_PLAIN, *((_KEY,) if with_key else ())):
        if (state / name).is_file():
            shutil.copyfile(state / name, partial / name)
    if (state / LAKE).is_dir():
        with Lake(state / LAKE).writing(_PATIENCE):
            shutil.copytree(state / LAKE, partial / LAKE, copy_function=shutil.copyfile)
        if damaged := Lake(partial / LAKE).damaged(thoroughly=True):
            tell(f"{len(damaged)} files of the lake are damaged, such as {damaged[0]}; nomadwatch verify mends them")
    with Snapshot(copy) as store:
        store.check()
        rows = sum(store.hours().values())
    for suffix in ("-wal", "-shm"):
        Path(f"{copy}{suffix}").unlink(missing_ok=True)
    return rows, has_log


def _copy_log(source: Path, target: Path) -> bool:
    """Copy the embedded broker's log, unless a broker that runs holds it; whether it did."""
    try:
        _copy_database(source, target, patience=1.0)
    except sqlite3.OperationalError as error:
        target.unlink(missing_ok=True)
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _copy_database(source: Path, target: Path, patience: float = 30.0) -> None:
    """A database as it stands at one moment, while others write to it; checked page by page. It waits for `patience`
    seconds for one that holds it.
    """
    with (
        closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", timeout=patience, uri=True)) as original,
        closing(sqlite3.connect(target)) as copy,
    ):
        # `backup` itself would wait for ever for a database that another process holds.
        original.execute("SELECT count(*) FROM sqlite_master")
        original.backup(copy)
        ((said,),) = copy.execute("PRAGMA quick_check(1)").fetchall()
    if said != "ok":
        raise sqlite3.DatabaseError(f"the copy of {source} is damaged ({said})")
