"""`nomadwatch report`: what a station or a replay has measured, from its data folder or from a broker."""

import asyncio
from collections import Counter
from typing import Any, Final

import click

from nomadwatch.commands import options
from nomadwatch.logs import to_stderr
from nomadwatch.processes.embedded import station
from nomadwatch.settings import Settings, load
from nomadwatch.terminal.write import check_target, form_of, write_report
from sinks.board import Board
from sinks.report import Report, build
from sinks.topic import TopicReader
from streams.kafka.cursors import ARCHIVE, decode_cursor, decoded, sound_archive
from streams.windows import WINDOWS

_DEAD_LETTERS: Final = "nomadwatch_dead_letters_total"


@click.command("report")
@options.option(
    "--format",
    "form",
    type=options.TABLE_OR_FILE,
    help="A table for people, or a format for programs.  [default: table; for a file, by its suffix]",
)
@options.option(
    "--window",
    type=click.Choice(list(WINDOWS)),
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
    """The report of the latest evaluation. Raises Misuse without a state or a broker, Failure if no broker answers."""
    return asyncio.run(_latest(settings))


async def _latest(settings: Settings) -> Report:
    from streams.kafka.deliver import read_table
    from streams.kafka.topics import Topics

    async with station(settings) as (bootstrap, kept):
        board = Board(simulated=kept.kind == "demonstration")
        topics = Topics(prefix=kept.prefix, partitions=kept.partitions)
        async with TopicReader.open(bootstrap, topics.measurements) as measurements:
            board.take(await measurements.read_to_end())
        cursors = await read_table(bootstrap, topics, topics.cursors, sound_archive)
    reading = cursors.get(ARCHIVE.encode())
    counts = decoded(ARCHIVE, decode_cursor, reading).counts if reading is not None else None
    dead_letters = Counter(counts.dead_letters if counts else {})
    for row in (row for report in board.reports for row in report.rows if row.name == _DEAD_LETTERS):
        dead_letters[row.labels["reason"]] += int(row.value)
    return build(
        board.evaluation,
        board.figures,
        world=board.world,
        files=counts.files if counts else None,
        dead_letters=dead_letters,
        doubtful=counts.doubtful if counts else [],
    )
