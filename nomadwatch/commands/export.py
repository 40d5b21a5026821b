"""`nomadwatch export`: a table of the lake for a range of dates, as a file."""

from typing import Any, Final

import click

from nomadwatch.commands import options
from nomadwatch.errors import Misuse
from nomadwatch.lake import lake_for
from nomadwatch.settings import load
from nomadwatch.terminal.answer import answer, check_target, form_of
from nomadwatch.times import parse_time

_AT: Final = "time >= make_timestamptz({0}) AND time < make_timestamptz({1})"
_DURING: Final = "last_seen >= make_timestamptz({0}) AND first_seen < make_timestamptz({1})"
# The rows of a table, and which of them lie within [begin, end) (µs).
_TABLES: Final = {
    # With what people look for first; what else is known of a repository stands in its own table. The days of other
    # folders are not opened.
    "facts": (
        "SELECT facts.* EXCLUDE (date), repositories.name FROM facts LEFT JOIN repositories USING (repository)",
        f"{_AT} AND date >= CAST(make_timestamptz({{0}}) AS DATE) AND date <= CAST(make_timestamptz({{1}}) AS DATE)",
    ),
    "measurements": ("SELECT * EXCLUDE (date) FROM measurements", _AT),
    "repositories": ("SELECT * FROM repositories", _DURING),
    "projects": ("SELECT * FROM projects", _DURING),
    "releases": ("SELECT * FROM releases", _AT),
}
# No time is earlier or later than these (µs).
_ALWAYS: Final = (0, 253_402_300_799_000_000)
# A large table is written as it is read: this is for the names beside it.
_MEMORY: Final = "2GB"


@click.command("export")
@options.option(
    "--table",
    type=click.Choice(list(_TABLES)),
    default="facts",
    show_default=True,
    help="What to write: facts are activities, one a row; measurements what the board showed, hour by hour.",
)
@options.option("--from", "begin", metavar="TIME", help="Nothing earlier, such as 2026-01-01.  [default: everything]")
@options.option("--to", "end", metavar="TIME", help="Nothing at this time or later, such as 2026-04-01.")
@options.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json", "parquet"]),
    help="The format.  [default: csv; for a file, by its suffix]",
)
@options.option(
    "-o", "--output", "target", metavar="FILE", default=options.STDOUT, help="The file to write.  [default: stdout]"
)
@options.lake
@options.data_dir
def command(
    table: str, begin: str | None, end: str | None, form: str | None, target: str, lake: str | None, **flags: Any
) -> None:
    """Write a table of the lake for a range of dates, as CSV, JSON or Parquet.

    The default is the station of `nomadwatch up`, which may be running; --data-dir selects another, or a replay.
    """
    form = form or ("csv" if target == options.STDOUT else form_of(target))
    check_target(form, target)
    first = _ALWAYS[0] if begin is None else parse_time(begin, "--from")
    last = _ALWAYS[1] if end is None else parse_time(end, "--to")
    if last <= first:
        raise Misuse("--to must be later than --from")
    select, within = _TABLES[table]
    sql = f"{select} WHERE {within.format(first, last)}"
    answer(lake_for(load(flags).settings, lake, sql), sql, form, target, _MEMORY)
