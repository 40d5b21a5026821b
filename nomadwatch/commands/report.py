"""`nomadwatch report`: what a station or a replay has measured, from its data folder or from a broker."""

import asyncio
from collections import Counter
from typing import Any, Final

import click

from agents.catalogue import CATALOGUE
from agents.measurements import Measurement, series
from nomadwatch.commands import options
from nomadwatch.logs import to_stderr
from nomadwatch.processes.embedded import station
from nomadwatch.settings import Settings, load
from nomadwatch.terminal.write import check_target, form_of, write_report
from sinks.board import Board
from sinks.report import Report, build
from sinks.topic import TopicReader
from streams.kafka.consume import Guard, Table
from streams.kafka.cursors import ARCHIVE, decode_cursor, decoded, sound_archive

# What belongs into a report; health stands in /metrics and in `nomadwatch feeds`.
_LETTERS: Final = "nomadwatch_dead_letters_total"
_FIGURES: Final = {row.name for row in CATALOGUE if row.group not in ("H", "P")}


@click.command("report")
@options.option(
    "--format",
    "form",
    type=options.TABLE_OR_FILE,
    help="A table for people, or a format for programs.  [default: table; for a file, by its suffix]",
)
@options.option(
    "--window",
    type=click.Choice(["1h", "24h", "7d", "30d"]),
    help="The window that the table shows in detail.  [default: the longest that is covered]",
)
@options.option(
    "-o", "--output", "target", metavar="FILE", default=options.STDOUT, help="The file to write.  [default: stdout]"
)
@options.broker
@options.data_dir
@options.prefix
def command(form: str | None, window: str | None, target: str, **flags: Any) -> None:
    """Show what a station or a replay has measured.

    The default is the station of `nomadwatch up`; --data-dir or --broker selects another.
    """
    form = form or ("table" if target == options.STDOUT else form_of(target))
    check_target(target, form)
    to_stderr(verbose=False)
    write_report(latest(load(flags).settings), target, form, window)


def latest(settings: Settings) -> Report:
    """The report of the latest evaluation. Raises Misuse when neither a folder with state nor a broker is named."""
    return asyncio.run(_latest(settings))


async def _latest(settings: Settings) -> Report:
    from streams.kafka.topics import Topics

    async with station(settings) as (bootstrap, kept):
        board = Board(simulated=kept.kind == "demonstration")
        topics = Topics(prefix=kept.prefix, partitions=kept.partitions)
        async with (
            TopicReader.open(bootstrap, topics.measurements) as measurements,
            TopicReader.open(bootstrap, topics.cursors) as cursors,
        ):
            board.take(await measurements.read_to_end())
            table = Table(Guard(topics.cursors), sound_archive)
            for key, value in await cursors.read_to_end():
                table.put(key, value)
    reading = table.values.get(ARCHIVE.encode())
    counts = decoded(ARCHIVE, decode_cursor, reading).counts if reading is not None else None
    letters = Counter(counts.dead_letters if counts else {})
    for row in (row for report in board.reports for row in report.rows if row.name == _LETTERS):
        letters[row.labels["reason"]] += int(row.value)
    files, doubtful = (counts.files, counts.doubtful) if counts else (None, [])
    return build(
        board.evaluation, _figures(board), world=board.world, files=files, dead_letters=letters, doubtful=doubtful
    )


def _figures(board: Board) -> list[Measurement]:
    """The measurements, sorted; of their coverage, and of popularity, a live station's pollers are believed first."""
    said = {
        series(row.name, row.labels): row for report in board.reports for row in report.rows if row.name in _FIGURES
    }
    if not said or board.evaluation is None:
        return board.measurements
    measured = {series(row.name, row.labels): row for row in board.measurements}
    return sorted((measured | said).values(), key=lambda each: (each.name, sorted(each.labels.items())))
