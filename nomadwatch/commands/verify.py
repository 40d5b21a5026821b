"""`nomadwatch verify`: what the board shows, counted again by SQL from the rows of the lake.

Both must be about the same activities. The rows of the store are taken first; then each window is taken from an
evaluation that holds at least these, and what it holds beyond them is read from the topic `facts`, up to the very
record.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
import msgspec
import numpy as np

from agents.facts import ROW, Facts, Rows, read_facts, renumbered
from agents.measure.snapshot import Snapshot
from agents.measure.store import DamagedStore, store_path
from agents.measurements import Measurement
from agents.operators.progress import decode_progress
from nomadwatch.commands import options
from nomadwatch.errors import Failure, Misuse
from nomadwatch.lake import LAKE, bring_up
from nomadwatch.logs import to_stderr
from nomadwatch.processes.embedded import station
from nomadwatch.settings import Settings, load
from nomadwatch.state import default_folder, read_kept
from nomadwatch.terminal.console import console, print_json, table, tell
from sinks.board import Board
from sinks.lake.folder import Lake, LakeError
from sinks.lake.recount import WINDOWS
from sinks.lake.verify import Verdict
from sinks.report import rfc3339
from sinks.topic import TopicReader
from streams.codes import names_of
from streams.kafka.consume import Guard

if TYPE_CHECKING:
    from streams.kafka.topics import Topics

# Seconds for which a running station is waited for: it evaluates every window at least this often.
_PATIENCE: Final = 40.0
_SHOWN: Final = 20
_BEFORE: Final = "evaluated before the newest rows came, and the station does not go on"
_NOT_ALL: Final = "counted since the beginning, which the lake does not hold"


class _Taken(NamedTuple):
    """What the board showed of a window: at which front, with which offsets of `activity`."""

    front: int
    offsets: Mapping[int, int]
    rows: list[Measurement]


class _Late(NamedTuple):
    """What the topic holds beyond the store: by partition (offset of `activity` + 1, rows), the numbers of projects
    being places in `projects`, and (platform, name) of repositories.
    """

    checkpoints: dict[int, list[tuple[int, Rows]]]
    projects: list[str]
    names: dict[int, tuple[str, str]]


@click.command("verify")
@options.table_or_json
@options.broker
@options.data_dir
@options.prefix
@options.partitions
def command(form: str, **flags: Any) -> None:
    """Count the figures of the board again, by SQL from the rows of the lake.

    It says how many figures agree, which differ (then the exit code is 1), and which cannot be counted again and why.
    The files of the lake are compared with their checksums first. The default is the station of `nomadwatch up`, which
    may be running; --data-dir selects another, or a replay.
    """
    to_stderr(verbose=False)
    verify(load(flags).settings, form)


def verify(settings: Settings, form: str) -> None:
    """Print what agrees, what does not and what cannot be counted again. Raises Failure where something differs."""
    state = Path(settings.data_dir or default_folder()).absolute()
    if not store_path(str(state)).is_file():
        raise Misuse(f"{state} holds no facts; name the --data-dir of a station or a replay")
    try:
        # A worker that runs by itself keeps no word of its broker in its folder.
        folder = "" if settings.broker and read_kept(state) is None else str(state)
        verdict, as_of = asyncio.run(_verify(msgspec.structs.replace(settings, data_dir=folder), state))
    except (OSError, DamagedStore, LakeError) as error:
        raise Failure(f"the figures cannot be counted again ({error})") from None
    _tell(verdict, as_of, form)
    if verdict.differences:
        raise Failure(f"{len(verdict.differences):,} figures differ from what the rows say")
    if not verdict.agreed:
        raise Failure("no figure could be counted again")


async def _verify(settings: Settings, state: Path) -> tuple[Verdict, str | None]:
    async with station(settings) as (bootstrap, kept):
        from streams.kafka.topics import Topics

        topics = Topics(prefix=kept.prefix, partitions=kept.partitions)
        async with TopicReader.open(bootstrap, topics.measurements) as reader:
            board = Board()
            board.take(await reader.read_to_end())
            lake = Lake(state / LAKE)
            # Nobody else writes meanwhile: the lake stays what this store makes of it.
            with lake.writing(_PATIENCE), Snapshot(store_path(str(state))) as store:
                bring_up(lake, store, thoroughly=True)
                held = {number: decode_progress(place.progress).offset + 1 for number, place in store.places.items()}
                taken = await _follow(board, reader, held)
                late = await _read_late(bootstrap, topics, store)
                whole = sum(
                    n for place in store.places.values() for n in decode_progress(place.progress).totals["all"].values()
                )
                verdict = await asyncio.to_thread(_compare, lake.path, taken, late, whole)
        seen = board.evaluation
        return verdict, rfc3339(seen.front if seen else None)


async def _follow(board: Board, reader: TopicReader, held: Mapping[int, int]) -> dict[str, _Taken]:
    """Each window, and the totals under "", of an evaluation that holds what the store does."""
    taken: dict[str, _Taken] = {}
    until = time.monotonic() + _PATIENCE
    while True:
        seen = board.evaluation
        for window in ("", *WINDOWS):
            if seen is None or seen.front is None or window in taken:
                continue
            offsets = seen.held.get(window, seen.offsets)
            if all(offsets.get(number, 0) >= offset for number, offset in held.items()):
                rows = [row for row in board.shown if row.labels.get("window", "") == window]
                taken[window] = _Taken(seen.behind.get(window, seen.front), offsets, rows)
        if len(taken) > len(WINDOWS) or time.monotonic() > until:
            for window in {"", *WINDOWS} - taken.keys():
                rows = [row for row in board.shown if row.labels.get("window", "") == window]
                taken[window] = _Taken(-1, {}, rows)
            return taken
        board.take(await reader.read(1.0))


async def _read_late(bootstrap: str, topics: "Topics", store: Snapshot) -> _Late:
    """The checkpoints that are in the topic and not in the store."""
    from agents.checkpoint import read_from
    from agents.config import Config

    late = _Late({}, list(store.projects), {})

    def number_of(project: str) -> int:
        if project not in late.projects:
            late.projects.append(project)
        return late.projects.index(project) + 1

    config = Config(bootstrap=bootstrap, prefix=topics.prefix, partitions=topics.partitions, data_dir="")
    starts = {number: store.places[number].next if number in store.places else 0 for number in range(topics.partitions)}
    guard = Guard(topics.facts, quiet=True)
    pending: dict[int, list[Facts]] = {}
    async for number, records in read_from(config, topics.facts, starts):
        for record in records:
            facts = guard.read(read_facts, number, record.key, record.value)
            if facts is None:
                continue
            pending.setdefault(number, []).append(facts)
            if facts.progress is not None:
                parts = pending.pop(number)
                rows = [renumbered(each, number_of) for each in parts]
                late.checkpoints.setdefault(number, []).append((facts.progress.offset + 1, np.concatenate(rows)))
                for each in parts:
                    late.names.update(_names(each))
    return late


def _names(facts: Facts) -> Iterator[tuple[int, tuple[str, str]]]:
    """The names of a record with their platforms, which its rows tell."""
    platforms = dict(zip(facts.rows["repository"].tolist(), facts.rows["code"].tolist(), strict=True))
    for key, _, name in facts.names.get_all():
        if key in platforms:
            yield key, (names_of(platforms[key])[0], name)


def _compare(lake: Path, taken: Mapping[str, _Taken], late: _Late, whole: int) -> Verdict:
    from sinks.lake.read import opened
    from sinks.lake.recount import name_repositories, put_beside, recount, totals
    from sinks.lake.verify import compare

    verdict = Verdict()
    with opened(lake, memory="2GB") as connection:
        twice = name_repositories(connection, late.names)
        ((rows,),) = connection.execute("SELECT coalesce(sum(n), 0) FROM facts").fetchall()
        for window, own in taken.items():
            shown = [row for row in own.rows if not row.name.startswith("nomadwatch_build_info")]
            if own.front < 0:
                verdict.unknown.update((row.name, _BEFORE) for row in shown)
                continue
            beside = [
                more
                for number, checkpoints in late.checkpoints.items()
                for offset, more in checkpoints
                if offset <= own.offsets.get(number, 0)
            ]
            columns = np.concatenate(beside) if beside else np.empty(0, ROW)
            put_beside(
                connection, {name: np.ascontiguousarray(columns[name]) for name in ROW.names or ()}, late.projects
            )
            if window:
                verdict.add(compare(shown, recount(connection, window, own.front, shown), twice))
            elif rows == whole:
                verdict.add(compare(shown, totals(connection), twice))
            else:
                counted = [row for row in shown if row.name == "nomadwatch_activities_total"]
                verdict.unknown.update((row.name, _NOT_ALL) for row in counted)
                verdict.add(compare([row for row in shown if row not in counted], []))
    return verdict


def _tell(verdict: Verdict, as_of: str | None, form: str) -> None:
    if form == "json":
        found: dict[str, Any] = {
            "as_of": as_of,
            "agreed": dict(sorted(verdict.agreed.items())),
            "differences": verdict.differences,
            "unknown": [{"name": name, "why": why, "figures": n} for (name, why), n in sorted(verdict.unknown.items())],
        }
        print_json(found)
        return
    console().print(f"as of {as_of}: {verdict.agreed.total():,} figures agree with the rows of the lake")
    if verdict.agreed:
        shown = table("counted again", "figures", numbers=("figures",))
        for name, n in sorted(verdict.agreed.items()):
            shown.add_row(name, f"{n:,}")
        console().print(shown)
    if verdict.unknown:
        shown = table("cannot be counted again", "figures", "why", numbers=("figures",))
        for (name, why), n in sorted(verdict.unknown.items()):
            shown.add_row(name, f"{n:,}", why)
        console().print(shown)
    for each in verdict.differences[:_SHOWN]:
        tell(f"{each.series}: the board shows {_figure(each.shown)}, the rows say {_figure(each.counted)}")
    if len(verdict.differences) > _SHOWN:
        tell(f"and {len(verdict.differences) - _SHOWN:,} more; --format json lists all of them")


def _figure(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.17g}"
