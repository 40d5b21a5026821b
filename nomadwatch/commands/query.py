"""`nomadwatch query`: one question in SQL, answered from the lake of a station or a replay."""

import sys
from typing import Any

import click

from nomadwatch.commands import options
from nomadwatch.lake import lake_for
from nomadwatch.settings import load
from nomadwatch.terminal.answer import answer, check_target, form_of


@click.command("query")
@click.argument("sql", metavar="SQL")
@options.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    help="A table for people, or a format for programs.  [default: table; for a file, by its suffix]",
)
@options.option(
    "-o", "--output", "target", metavar="FILE", default=options.STDOUT, help="The file to write.  [default: stdout]"
)
@options.option(
    "--memory", metavar="SIZE", default="1GB", show_default=True, help="The memory that the question may use."
)
@options.lake
@options.data_dir
def command(sql: str, form: str | None, target: str, memory: str, lake: str | None, **flags: Any) -> None:
    """Answer a question in SQL from everything that a station or a replay has counted.

    SQL is one SELECT in DuckDB's dialect (-: it is read from stdin), over the tables facts, repositories, projects,
    releases and measurements. It can change nothing, and reads nothing else. Times are in UTC. docs/lake.md describes
    the columns, and answers ten questions.

    The default is the station of `nomadwatch up`, which may be running: the lake is brought up to date first.
    """
    form = form or ("table" if target == options.STDOUT else form_of(target))
    check_target(form, target)
    text = sys.stdin.read() if sql == options.STDOUT else sql
    answer(lake_for(load(flags).settings, lake, text), text, form, target, memory)
